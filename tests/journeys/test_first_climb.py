"""The first climb as a user types it: CSV, forecast, climb with kill -9 and Ctrl-C, ask, report, replay, compare, lineage."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from crashes import committed, decided, openings, rows
from terminal import TRAINING, Terminal, hearing_interrupts, ticket_rows, write_csv

RUNGWISE = Path(sys.executable).with_name("rungwise")
CHEAP = ("floor", "classical", "zero-shot", "few-shot", "head")
TARGET = ("--target", "accuracy=0.7")


@pytest.fixture
def rungwise(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


def started(*arguments: object) -> subprocess.Popen[str]:
    """A command as a process of its own."""
    assert RUNGWISE.exists(), "the command is installed beside the interpreter"
    with hearing_interrupts():
        return subprocess.Popen(
            [str(RUNGWISE), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )


def wait_for(project: Path, query: str, *, seconds: float = 60.0) -> None:
    """Until the running command has committed something."""
    until = time.monotonic() + seconds
    while not rows(project, query):
        assert time.monotonic() < until, f"nothing came of: {query}"
        time.sleep(0.01)


def test_from_a_csv_to_a_proven_decision_with_a_kill_on_the_way(rungwise: Terminal, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "tickets.csv", ticket_rows())
    project = tmp_path / "tickets"

    # Before spending: what can be shown, and what it will cost.
    forecast = rungwise("forecast", source, *TARGET, "--json").document
    assert forecast["feasible"]
    assert forecast["splits"]["sealed"] > 90
    assert [rung["rung"] for rung in forecast["rungs"]] == [*CHEAP, *TRAINING]
    assert rows(project, "select * from openings") == []

    # A climb that is killed while it works, and the same command again.
    first = started("climb", source, *TARGET, "--quiet")
    wait_for(project, "select 1 from steps where kind = 'artefact'")
    first.kill()
    assert first.wait() == -signal.SIGKILL
    first.communicate()
    paid = committed(project)
    climbed = rungwise("climb", source, *TARGET, "--json")
    assert climbed.code == 0, climbed.err
    document = climbed.document
    assert document["verdict"] == "met"
    assert document["chosen"]["rung"] == "classical"
    assert [rung["state"] for rung in document["rungs"]][:2] == ["not_met", "met"]
    assert {rung["state"] for rung in document["rungs"][2:]} == {"not_run"}
    assert document["saved"]["seconds"] > 0
    assert document["alpha"] == {"total": 0.05, "spent_before": 0.0, "spent": pytest.approx(0.05 * 6 / 3.141592653589793**2)}
    assert paid <= committed(project)

    # Again: nothing is opened or measured any more, and the decision is the same bytes.
    done = committed(project)
    again = rungwise("climb", source, *TARGET, "--json").document
    assert {**again, "spent": None} == {**document, "spent": None}
    assert committed(project) == done

    # The chosen candidate answers.
    answer = rungwise("ask", project, "where is my parcel?", "--json").document
    assert answer["answer"] == "track_order"
    assert answer["candidate"] == document["chosen"]["candidate"]
    assert 0.0 < answer["confidence"] <= 1.0

    # A whole file, killed on the way.
    questions, answered = tmp_path / "new.jsonl", tmp_path / "answered.jsonl"
    questions.write_text("".join(json.dumps({"n": n, "message": f"where is parcel {n}?"}) + "\n" for n in range(60_000)))
    batch = started("ask", project, "--input", questions, "--output", answered)
    until = time.monotonic() + 60
    while not any(one.stat().st_size > 0 for one in tmp_path.glob("answered.jsonl.partial-*")) and batch.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.005)
    batch.kill()
    batch.communicate()
    assert not answered.exists()
    counts = rungwise("ask", project, "--input", questions, "--output", answered, "--json").document
    assert counts == {"output": str(answered), "rows": 60_000, "answered": 60_000, "failed": 0}
    lines = [json.loads(line) for line in answered.read_text().splitlines()]
    assert [line["n"] for line in lines] == list(range(60_000))
    assert set(lines[0]) == {"n", "message", "answer", "confidence", "candidate", "seconds"}
    assert list(tmp_path.glob("*.partial-*")) == []

    # The report opens from disk and needs nothing else; the sealed rows are not in it.
    report = tmp_path / "out" / "report.html"
    assert rungwise("report", project, "-o", report, "--json").document == {"report": str(report)}
    html = report.read_text(encoding="utf-8")
    assert "classical" in html
    assert not re.search(r"""(src|href)=["']?https?:""", html)
    sealed = rows(project, "select rows.body from members join rows on members.row = rows.id where members.split = 'sealed'")
    shown = [json.loads(body)["text"] for (body,) in sealed if len(json.loads(body)["text"]) > 30]
    assert shown
    assert [text for text in shown if text in html] == []

    # The decision follows from the stored scores; two rungs can be compared; lineage leads there and back.
    assert rungwise("replay", project, "--json").document["agrees"] is True
    contest = rungwise("compare", "floor", "classical", "--project", project, "--json").document
    assert contest["test"]["difference"] > 0.5
    assert contest["test"]["p_value"] < 1e-6
    back = rungwise("lineage", project, document["chosen"]["candidate"][:12], "--json").document
    assert back["kind"] == "Candidate"
    assert {one["kind"] for one in back["made_of"]} >= {"Fitted", "Dataset"}
    assert back["rows"]["train"] == forecast["splits"]["train"]
    forth = rungwise("lineage", project, ticket_rows()[0]["id"], "--json").document
    assert document["decision"] in {one["id"] for one in forth["reached"]}


def test_control_c_ends_at_once_with_130_and_the_same_command_goes_on(rungwise: Terminal, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "tickets.csv", ticket_rows())
    project = tmp_path / "tickets"
    running = started("climb", source, *TARGET, "--json")
    wait_for(project, "select 1 from steps")  # early, so that the climb cannot end before it is told
    running.send_signal(signal.SIGINT)
    asked_at = time.monotonic()
    out, err = running.communicate(timeout=30)
    assert time.monotonic() - asked_at < 5.0
    assert running.returncode == 130
    assert json.loads(out)["error"]["exit_code"] == 130
    assert "the same command goes on" in err
    assert "Traceback" not in err
    assert rungwise("climb", source, *TARGET).code == 0
    assert rungwise("replay", project).code == 0


def test_two_climbs_at_once_wait_for_each_other_and_open_the_rows_once(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "tickets.csv", ticket_rows())
    project = tmp_path / "tickets"
    first = started("climb", source, *TARGET, "--json")
    wait_for(project, "select 1 from settings where name = 'columns'")
    second = started("climb", project, "--json")
    third = started("climb", project, "--no-wait", "--json")
    said = [one.communicate(timeout=120) for one in (first, second, third)]
    assert [one.returncode for one in (first, second)] == [0, 0]
    assert "is at work here: waiting" in said[1][1]
    assert third.returncode == 3
    assert json.loads(said[2][0])["error"]["type"] == "ProjectBusy"
    documents = [json.loads(out) for out, _ in said[:2]]
    assert documents[0]["decision"] == documents[1]["decision"]
    assert [row[2] for row in openings(project)] == [1, 0]  # classical was opened as the first, the floor not at all
    assert decided(project)
