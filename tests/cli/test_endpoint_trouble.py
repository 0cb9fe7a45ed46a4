"""An endpoint in trouble during a climb: its rung says why it failed, the climb goes on, and the same command asks it again."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from served import served
from terminal import Said, Terminal, ticket_rows, write_csv
from upstream import Asked, Reply, completion, fails, piece, says, sends

RUNG = "zero-shot:tiny"
# The endpoint first, then the rungs that need none: classical meets 0.70 on these rows, and nothing can show 0.97 on so few.
LADDER = ("--order", RUNG, "--until", "classical")
SECRET = "sk-never-to-be-seen-7431"


@pytest.fixture
def rungwise(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


def a_project(rungwise: Terminal, folder: Path, url: str, **endpoint: Any) -> Path:
    """A project whose endpoint gives up soon."""
    source = write_csv(folder / "tickets.csv", ticket_rows())
    assert rungwise("init", folder / "p", "--from", source, "--endpoint", f"{url}#tiny").code == 0
    path = folder / "p" / "rungwise.yaml"
    case = yaml.safe_load(path.read_text())
    quick = {
        "retries": 1,
        "first_token_s": 0.4,
        "between_chunks_s": 0.4,
        "total_s": 1.0,
        "usd_per_m_input": 1,
        "usd_per_m_output": 1,
    }
    case["endpoints"][0] |= quick | endpoint
    path.write_text(yaml.safe_dump(case))
    return folder / "p"


def the_rung(said: Said) -> dict[str, Any]:
    (found,) = [rung for rung in said.document["rungs"] if rung["rung"] == RUNG]
    return dict(found)


async def slow(reply: Reply, asked: Asked) -> None:
    await asyncio.sleep(20)


async def cuts_the_stream(reply: Reply, asked: Asked) -> None:
    await reply.head(200, "text/event-stream")
    await reply.event(piece("track"))
    reply.reset()


async def cuts_the_body(reply: Reply, asked: Asked) -> None:
    whole = json.dumps(completion("track_order")).encode()
    await reply.head(200, "application/json", Content_Length=str(len(whole)))
    await reply.raw(whole[:30])
    reply.reset()


TROUBLES = {
    "slow": (slow, {}, ("seconds", "s")),
    "rubbish": (sends(b"<html>502 Bad gateway</html>", "text/html"), {}, ("JSON",)),
    "not a completion": (sends(b'{"hello": "world"}'), {}, ("choices",)),
    "cut stream": (cuts_the_stream, {"stream": True}, ("cut the stream off",)),
    "cut body": (cuts_the_body, {}, ("cut the answer off",)),
    "rate limited": (fails(429, Retry_After="0"), {}, ("429",)),
    "refused key": (fails(401, {"error": {"message": "Incorrect API key provided"}}), {}, ("401",)),
    "no such model": (fails(404, {"error": {"message": "The model does not exist"}}), {}, ("404",)),
    "broken": (fails(500), {}, ("500",)),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_rung_whose_endpoint_is_in_trouble_fails_and_the_climb_goes_on(rungwise: Terminal, tmp_path: Path, trouble: str) -> None:
    script, settings, words = TROUBLES[trouble]
    with served(script) as server:
        project = a_project(rungwise, tmp_path, server.url, **settings)
        began = time.monotonic()
        said = rungwise("climb", project, "--target", "accuracy=0.7", *LADDER, "--json")
        assert time.monotonic() - began < 30
    assert said.code == 0, said.out
    assert said.document["verdict"] == "met"
    assert said.document["chosen"]["rung"] == "classical"
    rung = the_rung(said)
    assert rung["state"] == "failed"
    assert any(word in rung["why"] for word in words), rung["why"]
    assert "tiny" in rung["why"]
    shown = rungwise("climb", project, *LADDER)  # people see it too; nobody is there any more
    assert shown.code == 0
    assert "failed" in shown.out


def test_a_climb_that_only_an_endpoint_could_have_decided_cannot_tell(rungwise: Terminal, tmp_path: Path) -> None:
    with served(fails(503)) as server:
        project = a_project(rungwise, tmp_path, server.url)
        said = rungwise("climb", project, "--target", "accuracy=0.97", *LADDER, "--json")
    assert said.code == 1
    assert said.document["verdict"] == "cannot_tell"
    assert f"{RUNG} failed" in said.document["reason"]


def test_an_endpoint_that_is_down_is_named_with_what_to_check(rungwise: Terminal, tmp_path: Path) -> None:
    with served(says("track_order")) as server:
        url = server.url
    project = a_project(rungwise, tmp_path, url)
    said = rungwise("climb", project, "--target", "accuracy=0.7", *LADDER, "--json")
    assert said.code == 0
    assert the_rung(said)["state"] == "failed"
    assert url.split("/v1")[0].removeprefix("http://") in the_rung(said)["why"]
    found = rungwise("doctor", project, "--json")
    assert found.code == 1
    assert any(one["state"] == "problem" and "tiny" in one["what"] for one in found.document["findings"])


def test_an_endpoint_that_came_back_is_asked_only_what_it_had_not_answered(rungwise: Terminal, tmp_path: Path) -> None:
    answered: list[int] = []

    async def tires(reply: Reply, asked: Asked) -> None:
        answered.append(1)
        await (says("track_order") if len(answered) <= 20 else fails(503))(reply, asked)

    with served(tires) as server:
        project = a_project(rungwise, tmp_path, server.url, concurrency=1)
        assert the_rung(rungwise("climb", project, "--target", "accuracy=0.7", *LADDER, "--json"))["state"] == "failed"
        before = len(server.asked)
        server.scripts[:] = [says("track_order")]
        again = rungwise("climb", project, *LADDER, "--json")
        assert len(server.asked) - before == the_rung(again)["dev"]["n"] - 20  # the twenty answers were kept
    assert the_rung(again)["state"] == "not_met"
    assert again.code == 0


def test_answers_that_are_no_label_are_wrong_and_not_a_failure(rungwise: Terminal, tmp_path: Path) -> None:
    with served(says("I would rather talk about the weather.")) as server:
        project = a_project(rungwise, tmp_path, server.url)
        said = rungwise("climb", project, "--target", "accuracy=0.7", *LADDER, "--json")
    assert the_rung(said)["state"] == "not_met"
    assert the_rung(said)["dev"]["mean"] == 0.0


@pytest.mark.parametrize("option", [("--budget-usd", "0"), ("--budget-calls", "0"), ("--offline",)])
def test_nothing_is_sent_where_nothing_may_be_spent_or_leave(rungwise: Terminal, tmp_path: Path, option: tuple[str, ...]) -> None:
    with served(says("track_order")) as server:
        project = a_project(rungwise, tmp_path, server.url)
        said = rungwise("climb", project, "--target", "accuracy=0.7", *LADDER, *option, "--json")
        assert server.asked == []
    assert said.code == 0
    assert the_rung(said)["state"] in ("not_run", "failed")
    assert the_rung(said)["why"]


def test_a_budget_in_the_middle_of_a_rung_is_hard_and_says_which_line_to_raise(rungwise: Terminal, tmp_path: Path) -> None:
    with served(says("track_order")) as server:
        project = a_project(rungwise, tmp_path, server.url)
        said = rungwise("climb", project, "--target", "accuracy=0.7", *LADDER, "--budget-calls", "10", "--json")
        assert len(server.asked) == 10
        assert "budget_calls" in the_rung(said)["why"]
        rungwise("climb", project, *LADDER, "--budget-calls", "1000", "--json")
        assert len(server.asked) < 200


def test_a_key_that_is_not_set_is_named_and_a_key_is_never_shown(
    rungwise: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TINY_KEY", raising=False)
    with served(fails(401, {"error": {"message": f"Incorrect API key provided: {SECRET}"}})) as server:
        project = a_project(rungwise, tmp_path, server.url, key_env="TINY_KEY")
        said = rungwise("climb", project, "--target", "accuracy=0.7", *LADDER)
        assert said.code == 2
        assert "Run: export TINY_KEY=" in said.err
        assert server.asked == []
        monkeypatch.setenv("TINY_KEY", SECRET)
        said = rungwise("climb", project, "--target", "accuracy=0.7", *LADDER, "--json")
        assert server.asked[0].headers["authorization"] == f"Bearer {SECRET}"
    assert the_rung(said)["state"] == "failed"
    assert SECRET not in said.out + said.err
    kept = [one.read_bytes() for one in project.rglob("*") if one.is_file()]
    assert all(SECRET.encode() not in data for data in kept)
