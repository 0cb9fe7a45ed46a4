"""`rungwise feedback summary`: what it prints, and that the commands it names run."""

from __future__ import annotations

import json
import random
import shlex
from pathlib import Path

import pytest

from rungwise.cli.app import run
from rungwise.data.store import Store
from rungwise.project import Project
from tests.clocks import StillClock
from tests.data.judged import BEGIN, answered, judge, write

WORDS = {
    "late": ["parcel", "delivery", "courier", "late", "package", "shipping", "lost"],
    "locked": ["password", "login", "locked", "reset", "account", "refused", "wrong"],
}


@pytest.fixture
def spoken_of(tmp_path: Path) -> str:
    """A project with 60 answers, each with a comment of a user of its own; those on locked accounts with a thumb down."""
    clock = StillClock(BEGIN + 3_600)
    table = tmp_path / "tickets.csv"
    table.write_text("text,label\n" + "".join(f"question number {n},{'ab'[n % 2]}\n" for n in range(40)))
    project = Project.create(tmp_path / "it's mine", source=table, clock=clock)
    store = Store.open(project.directory / "state", clock=clock)
    rng = random.Random(0)
    traces = [answered(n, " ".join(rng.sample(WORDS["late" if n % 2 else "locked"], 5)), "a") for n in range(60)]
    write(store, traces)
    for n, trace in enumerate(traces):
        said = " ".join(rng.sample(WORDS["late" if n % 2 else "locked"], 5))
        judge(store, trace, at=BEGIN + n, thumb=n % 2 == 1, comment=said)
    store.close()
    return str(project.directory)


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: BEGIN + 3_600)


@pytest.mark.usefixtures("still")
def test_a_summary_shows_topics_and_commands_that_show_the_traces(spoken_of: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["feedback", "summary", spoken_of]) == 0
    shown = capsys.readouterr().out
    assert "100.0% [" in shown
    assert "50.0% [" in shown
    assert "sound bad" in shown or "% bad" in shown
    commands = [line.strip().removeprefix("all: ") for line in shown.splitlines() if "rungwise traces" in line]
    assert len(commands) >= 6
    for command in commands:
        words = shlex.split(command.removeprefix("Next: "))
        end = words.index("--id") + 2 if "--id" in words else len(words)
        assert run(words[1:end]) == 0
    assert "password" in capsys.readouterr().out


@pytest.mark.usefixtures("still")
def test_a_summary_as_json_lists_the_traces_behind_each_topic(spoken_of: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["feedback", "summary", spoken_of, "--days", "7", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    topics = [one for one in found["readings"] if one["monitor"] == "feedback.topics"]
    assert {len(topic["traces"]) for topic in topics[0]["details"]["topics"]} == {30}
    assert topics[0]["until"] - topics[0]["since"] == 7 * 86_400


def test_a_project_nobody_judged_says_how_to_judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "tickets.csv"
    table.write_text("text,label\n" + "".join(f"question number {n},{'ab'[n % 2]}\n" for n in range(40)))
    project = Project.create(tmp_path / "p", source=table)
    assert run(["feedback", "summary", str(project.directory)]) == 1
    assert "rungwise feedback add" in capsys.readouterr().out
    assert run(["feedback", "summary", str(project.directory), "--days", "0"]) == 2
    assert run(["feedback", "summary", str(tmp_path / "none")]) == 2
