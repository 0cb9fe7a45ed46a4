"""What machines ask: alive, ready, counted, spoken. Each shows a caller what is theirs and nothing else."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from served import served

from rungwise.project import Project
from rungwise.serve.app import ROUTES, App
from tests.serve.running import answers, engine, running


def bare(directory: Path, *endpoints: dict[str, Any]) -> Path:
    """A project with engines and no data, named after its folder."""
    directory.mkdir(parents=True)
    plain = {
        "name": directory.name,
        "task": "answer",
        "data": "data.jsonl",
        "target": "exact_match=0.9",
        "endpoints": list(endpoints),
    }
    (directory / "rungwise.yaml").write_text(yaml.safe_dump(plain), encoding="utf-8")
    return directory


def get(url: str, key: str | None = None) -> tuple[int, str]:
    """Status and body."""
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def ask(url: str, model: str, key: str | None = None) -> None:
    """One question, answered."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]}).encode()
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/chat/completions", body, headers), timeout=30) as answer:
        assert answer.status == 200


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[str, App, Path, Path]]:
    """Two projects behind one address, each with an engine."""
    with served(answers) as upstream:
        first = bare(tmp_path / "first", engine(upstream.url))
        second = bare(tmp_path / "second", engine(upstream.url))
        with running(first, second, scratch=tmp_path / "scratch") as (url, app):
            yield url, app, first, second


def test_a_server_is_alive_and_ready_when_its_projects_can_answer(two: tuple[str, App, Path, Path]) -> None:
    url, app, _, _ = two
    assert json.loads(get(f"{url}/healthz")[1])["status"] == "alive"
    assert get(f"{url}/readyz")[0] == 200
    app.seat.draining = True
    status, body = get(f"{url}/readyz")
    assert (status, json.loads(body)["why"]) == (503, ["this worker is about to end"])
    assert get(f"{url}/healthz")[0] == 200


def test_a_project_with_nothing_to_answer_with_is_not_ready_and_says_what_to_type(tmp_path: Path) -> None:
    with running(bare(tmp_path / "empty"), scratch=tmp_path / "scratch") as (url, _):
        status, body = get(f"{url}/readyz")
    assert status == 503
    assert json.loads(body)["why"] == ["empty has no release yet and no engines. Type: rungwise release"]


def test_every_answer_is_counted_with_its_tokens_and_its_price(two: tuple[str, App, Path, Path]) -> None:
    url = two[0]
    for _ in range(3):
        ask(url, "local")
    deadline = time.monotonic() + 20
    while True:  # engines are looked at once a second
        text = get(f"{url}/metrics")[1]
        if 'rungwise_engine_attempts_total{deployment="first",engine="local"} 3' in text:
            break
        assert time.monotonic() < deadline, text
        time.sleep(0.1)
    labels = 'deployment="first",variant="",route="chat"'
    assert f'rungwise_requests_total{{{labels},status="200"}} 3' in text
    assert f'rungwise_tokens_total{{{labels},direction="input"}} 30' in text
    assert f"rungwise_request_seconds_count{{{labels}}} 3" in text
    assert f'rungwise_cost_total{{{labels},currency="USD"}} 6' in text  # 3 x (10 + 2 x 5) / 1,000,000


def test_a_key_sees_the_counts_of_its_own_project(two: tuple[str, App, Path, Path]) -> None:
    url, _, first, second = two
    assert '"first"' in get(f"{url}/metrics")[1]
    reader = Project(first).keys.create(scopes=["trace:read"]).key
    asker = Project(first).keys.create(scopes=["infer"]).key
    tenant = Project(first).keys.create(scopes=["trace:read"], tenant="acme").key
    Project(second).keys.create(scopes=["infer"])
    ask(url, "local", asker)
    text = get(f"{url}/metrics", reader)[1]
    assert 'deployment="first"' in text
    assert 'deployment="second"' not in text
    assert get(f"{url}/metrics", asker)[0] == 403
    assert get(f"{url}/metrics", tenant)[0] == 403
    assert get(f"{url}/metrics")[0] == 401
    assert get(f"{url}/healthz")[0] == 200


def test_the_document_names_every_route_that_is_served(two: tuple[str, App, Path, Path]) -> None:
    told = json.loads(get(f"{two[0]}/openapi.json")[1])
    documented = {(method.upper(), path) for path, item in told["paths"].items() for method in item if method != "parameters"}
    assert set(ROUTES) <= documented
    references = [one for one in json.dumps(told).split('"') if one.startswith("#/components/schemas/")]
    assert {one.rsplit("/", 1)[1] for one in references} <= set(told["components"]["schemas"])
