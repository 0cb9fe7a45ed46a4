"""kill -9 while an endpoint is asked: what was answered is never paid for again, at most the calls in flight are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from crashes import KILLED, Commands, committed, crash_server, rows
from served import served
from terminal import ticket_rows, write_csv
from upstream import Asked, Reply, Upstream, completion

RUNG = "zero-shot:tiny"
CONCURRENCY = 4
ANSWERS = {row["message"].strip(): row["intent"] for row in ticket_rows()}


async def knows(reply: Reply, asked: Asked) -> None:
    """The right label, from the last message of the prompt, after a moment, so that several calls are in flight."""
    await asyncio.sleep(0.005)
    question = asked.body["messages"][-1]["content"]
    await reply.send(200, completion(next((label for text, label in ANSWERS.items() if text in question), "track_order")))


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with crash_server(tmp_path_factory.mktemp("paying")) as running:
        yield running


def a_project(folder: Path, url: str) -> Path:
    project = folder / "tickets"
    project.mkdir(parents=True)
    write_csv(folder / "tickets.csv", ticket_rows())
    endpoint = {"name": "tiny", "base_url": url, "model": "tiny", "concurrency": CONCURRENCY}
    prices = {"usd_per_m_input": 1.0, "usd_per_m_output": 2.0}
    case = {"task": "classify", "data": "../tickets.csv", "target": "accuracy=0.7", "endpoints": [endpoint | prices]}
    (project / "rungwise.yaml").write_text(yaml.safe_dump(case))
    return project


def climb(commands: Commands, project: Path, crash_at: str | None = None) -> tuple[int, str]:
    code, out, err = commands("climb", project, "--order", RUNG, "--until", RUNG, "--json", crash_at=crash_at)
    assert code in (0, KILLED), out + err
    return code, out


@pytest.fixture(scope="module")
def whole(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, float]:
    """How many calls a climb makes that nobody interrupts, and what they cost in US dollars."""
    with served(knows) as server:
        project = a_project(tmp_path_factory.mktemp("whole"), server.url)
        document = json.loads(climb(commands, project)[1])
        assert document["chosen"]["rung"] == RUNG
        assert document["spent"]["calls"] == len(server.asked)
        return len(server.asked), document["spent"]["usd"]


@pytest.mark.parametrize(
    "point",
    [
        "before insert calls#1",
        "after insert calls#1",
        "after insert calls#7",
        "before insert calls#15",
        "after insert sealed_rows#1",
        "before update openings#1",
    ],
)
def test_calls_that_were_answered_are_not_made_again(
    commands: Commands, whole: tuple[int, float], tmp_path: Path, point: str
) -> None:
    calls, usd = whole
    with served(knows) as server:
        project = a_project(tmp_path, server.url)
        assert climb(commands, project, point)[0] == KILLED
        kept = committed(project)
        first = len(server.asked)
        document = json.loads(climb(commands, project)[1])
        assert document["chosen"]["rung"] == RUNG
        assert kept <= committed(project)
        assert calls <= len(server.asked) <= calls + CONCURRENCY
        assert document["spent"]["calls"] == len(server.asked) - first
        paid(project, server, usd)
        before = len(server.asked)
        climb(commands, project)
        assert len(server.asked) == before  # a third time asks nothing


def paid(project: Path, server: Upstream, usd: float) -> None:
    """The spend of both runs: each call that left counts, those that a kill cut off at their reserved price."""
    counted = rows(project, "select sum(calls), sum(case state when 'reserved' then reserved_usd else usd end) from spend")
    assert counted[0][0] >= len(server.asked)
    assert counted[0][0] <= len(server.asked) + CONCURRENCY  # reserved, and killed before it left
    assert counted[0][1] >= usd


def test_a_cap_on_calls_counts_what_was_spent_before_the_kill(commands: Commands, whole: tuple[int, float], tmp_path: Path) -> None:
    calls, _ = whole
    with served(knows) as server:
        project = a_project(tmp_path, server.url)
        case = yaml.safe_load((project / "rungwise.yaml").read_text())
        (project / "rungwise.yaml").write_text(yaml.safe_dump({**case, "limits": {"budget_calls": calls // 2}}))
        assert climb(commands, project, "after insert calls#4")[0] == KILLED
        code, out, _ = commands("climb", project, "--order", RUNG, "--until", RUNG, "--json")
        assert code == 1
        assert "budget_calls" in json.loads(out)["reason"]
        assert len(server.asked) <= calls // 2
