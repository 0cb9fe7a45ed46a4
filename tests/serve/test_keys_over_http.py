"""Keys, limits and tenants of a running server, with the real SDKs: who is let in, how far, and what nobody may learn."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import openai
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from rungwise.data.keys import SCOPES
from rungwise.project import Project
from rungwise.serve.openapi import document
from tests.serve.running import answers, configure, engine, running
from tests.served import served

OPEN_TO_ALL = {"/healthz", "/readyz", "/openapi.json"}
NEEDS = {
    "/v1/feedback": "feedback:write",
    "/metrics": "trace:read",
    "/v1/reviews": "review",
    "/v1/reviews/agreement": "review",
}
HELLO: list[Any] = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Project]]:
    """A project with an engine and no release, served, and its keys."""
    folder = tmp_path_factory.mktemp("doors")
    with shop_in(folder) as found:
        yield found


@contextmanager
def shop_in(folder: Path, **serve: Any) -> Iterator[tuple[str, Project]]:
    data = folder / "rows.csv"
    data.write_text("text,label\nhello,a\nbye,b\n", encoding="utf-8")
    project = Project.create(folder / "shop", source=data)
    with served(answers) as upstream:
        configure(project.directory, endpoints=[engine(upstream.url)], **({"serve": serve} if serve else {}))
        project.keys.create(["infer"])  # so that it is closed from the beginning
        with running(project.directory, scratch=folder / "scratch") as (url, _):
            yield url, project


def asked(key: str, url: str, **more: Any) -> Any:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
        return client.chat.completions.create(**{"model": "local", "messages": HELLO, **more})


async def request(url: str, method: str, path: str, key: str | None, body: object = None) -> tuple[int, Mapping[str, str], Any]:
    headers = {"authorization": f"Bearer {key}"} if key is not None else {}
    data = None if body is None else json.dumps(body)
    async with aiohttp.ClientSession() as session, session.request(method, url + path, headers=headers, data=data) as reply:
        text = await reply.text()
        return reply.status, reply.headers, json.loads(text) if text.startswith("{") else text


def routes() -> list[tuple[str, str]]:
    """Every route that the OpenAPI document names, with something in place of its parameters."""
    paths: Mapping[str, Mapping[str, Any]] = json.loads(document())["paths"]
    methods = {"get", "post", "put", "delete"}
    found = [(method.upper(), path) for path, item in paths.items() for method in item if method in methods]
    return [(method, path.replace("{", "").replace("}", "")) for method, path in found]


async def test_every_route_denies_by_default(shop: tuple[str, Project]) -> None:
    url, project = shop
    keys = {scope: project.keys.create([scope]).key for scope in SCOPES}
    ended = project.keys.create(["admin"])
    project.keys.revoke(ended.kept.id)
    found = routes()
    assert len(found) >= 10
    for method, path in found:
        if path in OPEN_TO_ALL:
            continue
        for wrong in (None, "", "nonsense", "rw-0000-x", ended.key, keys["infer"][:-1]):
            status, _, said = await request(url, method, path, wrong, {})
            assert status in (401, 403), (method, path, wrong, status)
            assert ended.key not in json.dumps(said)
        needed = NEEDS.get(path, "infer")
        for scope, key in keys.items():
            status, _, said = await request(url, method, path, key, {})
            if scope in (needed, "admin"):
                assert status not in (401, 403, 500), (method, path, scope, status, said)
            else:
                assert status == 403, (method, path, scope, status)


def test_a_new_key_opens_at_once_and_a_revoked_one_within_a_second(shop: tuple[str, Project]) -> None:
    url, project = shop
    for _ in range(3):
        made = project.keys.create(["infer"])
        assert asked(made.key, url).choices[0].message.content == "you said hello"
    project.keys.revoke(made.kept.id)
    time.sleep(1.0)
    with pytest.raises(openai.AuthenticationError, match="revoked"):
        asked(made.key, url)


def test_the_limit_is_told_as_the_sdk_expects_it(shop: tuple[str, Project]) -> None:
    url, project = shop
    key = project.keys.create(["infer"], limits={"requests_per_minute": 2}).key

    def ask_often() -> None:
        for _ in range(5):  # a minute may end in between, not two
            asked(key, url)

    with pytest.raises(openai.RateLimitError) as refusal:
        ask_often()
    assert refusal.value.code == "rate_limit_exceeded"
    assert 0 < float(refusal.value.response.headers["retry-after"]) <= 60


def test_boto3_is_throttled(shop: tuple[str, Project]) -> None:
    url, project = shop
    made = project.keys.create(["infer"], limits={"requests_per_minute": 1})
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=made.kept.id,
        aws_secret_access_key=made.key,
        config=Config(retries={"max_attempts": 0}),
    )

    def ask_often() -> None:
        for _ in range(3):
            client.converse(modelId="local", messages=[{"role": "user", "content": [{"text": "hello"}]}])

    try:
        with pytest.raises(ClientError) as refusal:
            ask_often()
        assert refusal.value.response["Error"]["Code"] == "ThrottlingException"
    finally:
        client.close()


async def test_two_hundred_at_once_race_for_a_budget_of_fifty(shop: tuple[str, Project]) -> None:
    url, project = shop
    made = project.keys.create(["infer"], limits={"usd_per_month": 0.05, "usd_per_day": 1})
    body = {"model": "local", "messages": HELLO, "max_tokens": 400}  # at most 0.0008 USD out, and a little for what goes in

    async with aiohttp.ClientSession(headers={"authorization": f"Bearer {made.key}"}) as session:

        async def one() -> int:
            async with session.post(f"{url}/v1/chat/completions", json=body) as reply:
                await reply.read()
                return reply.status

        statuses = await asyncio.gather(*(one() for _ in range(200)))
    assert set(statuses) == {200, 429}
    await asyncio.sleep(2.5)  # leases go back
    (listed,) = [one for one in project.keys.list() if one.key.id == made.kept.id]
    paid = statuses.count(200) * (10 * 1.0 + 5 * 2.0) / 1e6
    assert listed.used["usd_per_month"] == pytest.approx(paid, abs=1e-9)  # exact after reconciliation


@pytest.mark.parametrize(
    "more",
    [{"max_tokens": "many"}, {"max_tokens": -5}, {"max_tokens": 1e300}, {"n": "two"}, {"n": -3}, {"max_tokens": [1]}, {"n": True}],
)
async def test_a_bound_that_makes_no_sense_is_the_clients_error(shop: tuple[str, Project], more: dict[str, Any]) -> None:
    url, project = shop
    key = project.keys.create(["infer"], limits={"tokens_per_minute": 1000}).key
    status, _, said = await request(url, "POST", "/v1/chat/completions", key, {"model": "local", "messages": HELLO, **more})
    assert status < 500, said


async def test_a_negative_bound_does_not_make_room(shop: tuple[str, Project]) -> None:
    url, project = shop
    made = project.keys.create(["infer"], limits={"tokens_per_minute": 1000})
    for n in (-1_000_000, -3):
        body = {"model": "local", "messages": HELLO, "max_tokens": n, "n": 1}
        await request(url, "POST", "/v1/chat/completions", made.key, body)
    (listed,) = [one for one in project.keys.list() if one.key.id == made.kept.id]
    assert listed.used.get("tokens_per_minute", 0) >= 0


async def test_a_trace_of_another_tenant_is_as_one_that_never_was(shop: tuple[str, Project]) -> None:
    url, project = shop
    mine, other = (project.keys.create(["infer", "feedback:write"], tenant=tenant).key for tenant in ("acme", "beta"))
    status, headers, _ = await request(url, "POST", "/v1/chat/completions", mine, {"model": "local", "messages": HELLO})
    assert status == 200
    trace = headers["x-request-id"]
    own = await request(url, "POST", "/v1/feedback", mine, {"trace": trace, "thumb": True})
    assert own[0] == 200, own
    foreign = await request(url, "POST", "/v1/feedback", other, {"trace": trace, "thumb": True})
    absent = await request(url, "POST", "/v1/feedback", other, {"trace": "0" * 32, "thumb": True})
    assert foreign[0] == absent[0] == 404
    assert json.dumps(foreign[2]).replace(trace, "X") == json.dumps(absent[2]).replace("0" * 32, "X")


async def test_one_tenant_is_never_given_what_another_was_answered(tmp_path: Path) -> None:
    with shop_in(tmp_path, cache_s=60) as (url, project):
        mine, other = (project.keys.create(["infer"], tenant=tenant).key for tenant in ("acme", "beta"))
        body = {"model": "local", "messages": HELLO}
        headers = {"idempotency-key": "same", "content-type": "application/json"}
        seen = []
        async with aiohttp.ClientSession() as session:
            for key in (mine, other, mine):
                told = {**headers, "authorization": f"Bearer {key}"}
                async with session.post(f"{url}/v1/chat/completions", json=body, headers=told) as reply:
                    assert reply.status == 200
                    seen.append((reply.headers["x-request-id"], reply.headers.get("x-rungwise-first")))
        assert seen[1][1] is None
        assert seen[2][1] == seen[0][0]
        traces = {id: project.traces.get(id) for id, _ in seen[:2]}
        assert [trace.cached for trace in traces.values()] == [False, False]
        assert {trace.tenant for trace in traces.values()} == {"acme", "beta"}


def test_no_key_is_written_down_anywhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with shop_in(tmp_path) as (url, project):
        made = project.keys.create(["infer"])
        asked(made.key, url)
        with pytest.raises(openai.AuthenticationError) as refusal:
            asked(made.key + "x", url)
        with pytest.raises(openai.NotFoundError) as unknown:
            asked(made.key, url, model="nobody")
        client = boto3.client(
            "bedrock-runtime",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=made.kept.id,
            aws_secret_access_key=made.key,
            config=Config(retries={"max_attempts": 0}),
        )
        client.converse(modelId="local", messages=[{"role": "user", "content": [{"text": "hello"}]}])
        client.close()
    secret = made.key.rpartition("-")[2] if "-" not in made.key[25:] else made.key[25:]
    said = capfd.readouterr()
    texts = [caplog.text, said.out, said.err, str(refusal.value), str(unknown.value)]
    assert not any(secret in text for text in texts)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
