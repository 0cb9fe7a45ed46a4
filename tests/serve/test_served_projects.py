"""A served project as a whole: shadows, the exact cache, keys of several projects, timeouts, and traffic that follows a verdict."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from served import served

from rungwise.core.errors import UnknownName
from rungwise.core.trace import Trace
from rungwise.ladder.expedition import Wishes as ClimbWishes
from rungwise.project import Project
from rungwise.release.plan import Wishes
from rungwise.serve.targets import Names
from tests.serve.running import answers, completion, configure, engine, running


def post(url: str, body: dict[str, Any], *, path: str = "/v1/chat/completions", key: str | None = None) -> tuple[int, Any, str]:
    """Status, body and trace of one request."""
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(f"{url}{path}", data=json.dumps(body).encode(), headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer), answer.headers["x-request-id"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error), error.headers.get("x-request-id", "")


def asking(model: str, text: str = "hi", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def relayed(folder: Path, *urls: str, **serve: Any) -> Project:
    """A project whose release is its first engine, on somebody's word."""
    project = Project.create(folder, task="answer")
    configure(folder, endpoints=[engine(url, name) for url, name in zip(urls, ("first", "second"), strict=False)], serve=serve)
    return project


def released(project: Project, **wishes: Any) -> None:
    done = project.releases.release(Wishes(**wishes), approved_by="ann", despite="a test")
    assert done.passed


def eventually(look: Callable[[], Any], *, seconds: float = 10.0) -> Any:
    """What `look` gives once it gives something."""
    deadline = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


async def broken(reply: Any, asked: Any) -> None:
    await asyncio.sleep(0.5)
    await reply.send(500, {"error": {"message": "no"}})


def test_a_shadow_that_is_slow_and_fails_hurts_nobody_and_is_traced(tmp_path: Path) -> None:
    with served(answers) as live, served(broken) as shadow:
        project = relayed(tmp_path / "p", live.url, shadow.url, retries=0)
        released(project, relays=("first",), shadow=("second",))
        with running(project.directory, scratch=tmp_path / "s") as (url, _):
            started = time.monotonic()
            status, body, id = post(url, asking("p"))
            assert (status, body["choices"][0]["message"]["content"]) == (200, "you said hi")
            assert time.monotonic() - started < 0.45
    beside = [trace for trace in project.traces.search() if trace.shadow_of == id]
    assert [(trace.variant, trace.status, trace.engine) for trace in beside] == [("shadow", 502, "second")]


def test_a_shadow_that_never_answers_is_stopped_with_the_server_and_traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(reply: Any, asked: Any) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr("rungwise.serve.shadow.CLOSING_S", 0.1)
    with served(answers) as live, served(hangs) as shadow:
        project = relayed(tmp_path / "p", live.url, shadow.url, retries=0)
        released(project, relays=("first",), shadow=("second",))
        with running(project.directory, scratch=tmp_path / "s") as (url, _):
            _, _, id = post(url, asking("p"))
    assert [(trace.shadow_of, trace.status, trace.error) for trace in project.traces.search() if trace.shadow_of] == [
        (id, 503, "stopped")
    ]


def test_an_alias_of_a_name_that_nobody_has_is_told_at_the_start() -> None:
    known: Any = {"project": "shop", "endpoints": (), "relays": {}, "encoders": {}}
    for name in ("shop", "release", "shop:new"):
        Names(aliases={"gpt-4o": name}, **known)
    with pytest.raises(UnknownName, match=r"there is no model 'relase' .*'gpt-4o'. Did you mean 'release'"):
        Names(aliases={"gpt-4o": "relase"}, **known)


def test_a_shadow_that_cannot_be_built_keeps_nothing_from_answering(tmp_path: Path) -> None:
    with served(answers) as upstream:
        project = relayed(tmp_path / "p", upstream.url, upstream.url)
        released(project, relays=("first",), shadow=("second",))
        configure(project.directory, endpoints=[engine(upstream.url, "first")])
        with running(project.directory, scratch=tmp_path / "s") as (url, _):
            assert post(url, asking("p"))[0] == 200


def test_the_same_question_is_answered_from_memory_for_as_long_as_it_was_told(tmp_path: Path) -> None:
    with served(answers) as upstream:
        project = relayed(tmp_path / "p", upstream.url, cache_s=60)
        with running(project.directory, scratch=tmp_path / "s") as (url, _):
            first, again = (post(url, asking("first", user=user))[1] for user in ("ann", "bob"))
            assert first == again
            assert len(upstream.asked) == 1
            post(url, asking("first", "something else"))
            post(url, asking("first", temperature=1.0))
            assert len(upstream.asked) == 3
    traces = list(project.traces.search())
    assert [(trace.cached, trace.usage.usd > 0) for trace in traces][::-1] == [(False, True), (True, False)] + [(False, True)] * 2


def test_each_key_opens_its_own_project_and_no_other(tmp_path: Path) -> None:
    with served(answers) as upstream:
        projects = [relayed(tmp_path / name, upstream.url) for name in ("one", "two")]
        keys = [project.keys.create(["infer"]).key for project in projects]
        for project in projects:
            released(project, relays=("first",))
        with running(*(project.directory for project in projects), scratch=tmp_path / "s") as (url, _):
            assert post(url, asking("one"), key=keys[0])[0] == 200
            assert post(url, asking("two"), key=keys[1])[0] == 200
            status, body, _ = post(url, asking("two"), key=keys[0])
            assert (status, body["error"]["code"]) == (404, "model_not_found")
            assert "two" not in body["error"]["message"].split("Known:")[1]
            assert post(url, asking("one"))[0] == 401
            assert post(url, {"trace": "x", "thumb": "up"}, path="/v1/feedback", key=keys[0])[0] == 403
    assert [len(list(project.traces.search())) for project in projects] == [2, 1]


@pytest.mark.parametrize(
    ("serve", "level"),
    [
        ({"timeouts": {"total_s": 0.3}}, "release"),
        ({"variant_timeouts": {"first": {"total_s": 0.3}}}, "candidate"),
    ],
)
def test_the_release_and_the_variant_have_timeouts_of_their_own(tmp_path: Path, serve: dict[str, Any], level: str) -> None:
    async def slow(reply: Any, asked: Any) -> None:
        await asyncio.sleep(3)
        await reply.send(200, completion())

    with served(slow) as upstream:
        project = relayed(tmp_path / "p", upstream.url, **serve)
        released(project, relays=("first",))
        with running(project.directory, scratch=tmp_path / "s") as (url, _):
            started = time.monotonic()
            status, body, _ = post(url, asking("p"))
            assert (status, body["error"]["code"]) == (504, "timeout")
            assert f"of the {level}" in body["error"]["message"]
            assert time.monotonic() - started < 2
    (trace,) = project.traces.search()
    assert (trace.status, trace.error) == (504, "timeout")


def test_a_shown_winner_takes_all_traffic_by_itself(tmp_path: Path) -> None:
    with served(answers) as upstream:
        project = relayed(
            tmp_path / "p", upstream.url, upstream.url, contest={"metric": "thumb", "automatic": True, "look_every_s": 0.2}
        )
        released(project, relays=("old=first", "new=second"), traffic={"old": 0.5, "new": 0.5})
        with running(project.directory, scratch=tmp_path / "s") as (url, app):
            for number in range(60):
                _, _, id = post(url, asking("p", user=f"user {number}"))
                trace = project.traces.get(id)
                post(url, {"trace": id, "thumb": "up" if trace.variant == "new" else "down"}, path="/v1/feedback")
            assert eventually(lambda: project.releases.live().variants[1].weight == 1.0)
            (move,) = (move for move, _ in project.releases.history() if move.by == "automatic")
            assert "new" in str(move.why)
            live = app.gateway.projects[0].answering  # type: ignore[union-attr]
            assert eventually(lambda: live.live.release.variants[1].weight == 1.0)
            assert {project.traces.get(post(url, asking("p", user=f"later {n}"))[2]).variant for n in range(8)} == {"new"}


def test_what_was_said_is_kept_only_as_far_as_the_project_wants(tmp_path: Path) -> None:
    kept: dict[str, Trace] = {}
    with served(answers) as upstream:
        for capture in ("off", "masked", "full"):
            project = relayed(tmp_path / capture, upstream.url, capture=capture)
            with running(project.directory, scratch=tmp_path / "s" / capture) as (url, _):
                kept[capture] = project.traces.get(post(url, asking("first", "I am ann@example.com"))[2])
    assert (kept["off"].request, kept["off"].response) == (None, None)
    assert "ann@example.com" not in f"{kept['masked'].request}{kept['masked'].response}"
    assert "[EMAIL]" in str(kept["masked"].request)
    assert "you said I am ann@example.com" in str(kept["full"].response)


def test_a_climbed_candidate_asks_its_engine_through_the_routing(tmp_path: Path) -> None:
    """What a climb proved of a prompt is served by the same prompt; when the engine is down, the one behind it answers."""
    down: list[bool] = []

    async def label(reply: Any, asked: Any) -> None:
        if down and asked.body["model"] == "small":
            await reply.send(500, {"error": {"message": "no"}})
            return
        question = asked.body["messages"][-1]["content"]
        await reply.send(200, completion("refund" if "money" in question else "parcel"))

    rows = [{"text": f"{'money' if n % 2 else 'box'} number {n}", "label": "refund" if n % 2 else "parcel"} for n in range(240)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with served(label) as upstream:
        project = Project.create(tmp_path / "p", task="classify", source=tmp_path / "rows.jsonl")
        engines = [engine(upstream.url, "first", json_schema=False), engine(upstream.url, "second", model="large")]
        configure(project.directory, endpoints=engines, serve={"fallback": {"first": ["second"]}, "retries": 0})
        wishes = ClimbWishes(order=("zero-shot:first", "floor"), until="zero-shot:first")
        decision = project.climb("accuracy=0.9", wishes=wishes, report=False).decision
        assert decision.verdict == "met", [(rung.rung, rung.state, rung.why) for rung in decision.rungs]
        assert project.releases.release().passed
        with running(project.directory, scratch=tmp_path / "s") as (url, _):
            assert post(url, asking("p", "my money please"))[1]["choices"][0]["message"]["content"] == "refund"
            down.append(True)
            status, body, id = post(url, asking("p", "where is my box"))
    assert (status, body["choices"][0]["message"]["content"]) == (200, "parcel")
    trace = project.traces.get(id)
    assert (trace.engine, trace.candidate, trace.usage.usd > 0) == ("second", decision.chosen, True)


def test_nothing_is_answered_once_the_state_was_taken_away(tmp_path: Path) -> None:
    with served(answers) as upstream:
        project = relayed(tmp_path / "p", upstream.url)
        with running(project.directory, scratch=tmp_path / "s") as (url, _):
            assert post(url, asking("first"))[0] == 200
            (project.directory / "state").rename(project.directory / "elsewhere")
            assert eventually(lambda: post(url, asking("first"))[0] == 507)
            (project.directory / "elsewhere").rename(project.directory / "state")
            assert eventually(lambda: post(url, asking("first"))[0] == 200)
