"""`rungwise traces` as people and programs see it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from terminal import Terminal

from rungwise.core.feedback import Feedback
from rungwise.core.record import from_plain
from rungwise.core.trace import Trace
from rungwise.data.feedback import About, Judgements
from rungwise.data.nouns import Lineage
from rungwise.data.replies import Replies
from rungwise.data.store import Store
from rungwise.data.traces.file import TraceFile
from rungwise.project import Project
from tests.clocks import StillClock
from tests.data.traces.tracing import BEGIN, a_trace

ROWS = 60


@pytest.fixture
def rungwise(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


@pytest.fixture
def project(tmp_path: Path, clock: StillClock) -> Path:
    """60 traces of ten users, with thumbs on three of them, a kept answer and a row of data."""
    folder = tmp_path / "support"
    folder.mkdir()
    (folder / "rungwise.yaml").write_text("task: answer\nserve:\n  retention_days: 30\n")
    store = Store.open(folder / "state", clock=clock)
    writing = TraceFile(folder / "state" / "traces", worker=0)
    writing.write([a_trace(number) for number in range(ROWS)])
    writing.close()
    thumbs = [(a_trace(number).id, number != 5) for number in (5, 7, 15)]
    Judgements(store).add((Feedback(trace=id, source="user", at=BEGIN, thumb=thumb), About()) for id, thumb in thumbs)
    Replies(store).claim("key", a_trace(5).id, until=clock.now() + 60, takeover_s=60)
    Lineage(store).link([("d" * 64, a_trace(15).id, "trace")])
    store.close()
    return folder


def test_lines_are_traces_newest_first(rungwise: Terminal, project: Path) -> None:
    said = rungwise("traces", project, "--json-lines")
    lines = [from_plain(Trace, json.loads(line)) for line in said.out.splitlines()]
    assert lines == [a_trace(number) for number in range(ROWS - 1, -1, -1)]


def test_conditions_and_limits_hold(rungwise: Terminal, project: Path) -> None:
    where = "user=user3 and usd>0.001 and tag.team=blue and text~parcel and at>=2026-09-21"
    document = rungwise("traces", project, "--where", where, "--limit", "3", "--json").document
    wanted = [n for n in range(ROWS - 1, -1, -1) if n % 10 == 3 and n % 7 > 1]
    assert [one["id"] for one in document["traces"]] == [a_trace(n).id for n in wanted[:3]]
    last = document["traces"][-1]["id"]
    more = rungwise("traces", project, "--where", where, "--after", last, "--json").document
    assert [one["id"] for one in more["traces"]] == [a_trace(n).id for n in wanted[3:]]


def test_traces_are_found_by_what_people_said_of_them(rungwise: Terminal, project: Path) -> None:
    down = rungwise("traces", project, "--where", "thumb=down", "--json").document
    assert [one["id"] for one in down["traces"]] == [a_trace(5).id]
    judged = rungwise("traces", project, "--where", "feedback=yes and user=user5", "--json").document
    assert [one["id"] for one in judged["traces"]] == [a_trace(15).id, a_trace(5).id]


def test_people_see_a_line_each_and_one_trace_whole(rungwise: Terminal, project: Path) -> None:
    said = rungwise("traces", project, "--limit", "2")
    assert len(said.out.splitlines()) == 2
    assert said.out.startswith(a_trace(59).id)
    assert "2026-09-21" in said.out
    whole = rungwise("traces", project, "--id", a_trace(59).id[:31] + "b").out
    assert "Where is parcel 59?" in whole
    assert "model answer" in whole
    assert rungwise("traces", project, "--where", "user=nobody").out == "no traces found\n"


def test_sums_are_by_what_is_asked_for(rungwise: Terminal, project: Path) -> None:
    document = rungwise("traces", project, "--sum-by", "user", "--where", "at>=2026-01-01", "--json").document
    assert sum(one["traces"] for one in document["sums"]) == ROWS
    assert document["sums"] == sorted(document["sums"], key=lambda one: -one["usd"])
    assert "user3" in rungwise("traces", project, "--sum-by", "user").out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--where", "usr=ann"], "Did you mean 'user'"),
        (["--where", "user=ann usd>1"], ">>>usd>1"),
        (["--id", "ffff"], "there is no trace that begins with 'ffff'"),
        (["--id", "01"], "more than one trace begins with '01'"),
        (["--after", "ffff"], "Leave --after out"),
        (["--erase"], "which traces are to be erased?"),
        (["--erase", "--where", "user=user1"], "Add --yes"),
        (["--yes"], "--yes is about --erase"),
        (["--json", "--json-lines"], "Leave one out"),
        (["--erase", "--sum-by", "user"], "--erase and --sum-by cannot be given together"),
        (["--sum-by", "usd"], "field to sum by 'usd'"),
        (["--where", "thumb=sideways"], "Write thumb=up or thumb=down"),
    ],
)
def test_what_cannot_be_is_explained(rungwise: Terminal, project: Path, options: list[str], told: str) -> None:
    said = rungwise("traces", project, *options)
    assert said.code == 2
    assert told in said.err


def test_erasure_takes_what_hangs_on_a_trace_and_names_what_was_made_of_it(rungwise: Terminal, project: Path) -> None:
    counted = rungwise("traces", project, "--erase", "--where", "user=user5", "--dry-run", "--json").document
    assert (counted["traces"], counted["done"]) == (6, False)
    done = rungwise("traces", project, "--erase", "--where", "user=user5", "--yes", "--json").document
    assert done == {"traces": 6, "feedback": 2, "replies": 1, "rows": ["d" * 64], "wiped": True, "done": True}
    assert rungwise("traces", project, "--where", "user=user5").out == "no traces found\n"
    assert rungwise("traces", project, "--sum-by", "user", "--json").document["sums"][-1]["value"] != "user5"


def test_retention_is_what_the_project_says(project: Path, clock: StillClock) -> None:
    clock.at = BEGIN + 30 * 86_400 + 20
    kept = Project(project, clock=clock).traces
    assert kept.expire().traces == 20
    assert len(list(kept.search())) == ROWS - 20


def test_a_folder_without_state_says_how_traces_come(rungwise: Terminal, tmp_path: Path) -> None:
    said = rungwise("traces", tmp_path)
    assert said.code == 2
    assert "rungwise serve" in said.err
