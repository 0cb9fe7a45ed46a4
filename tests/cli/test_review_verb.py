"""`rungwise review`: one key an answer, through a pipe and on a terminal, and nothing is lost when it is killed."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from terminal import hearing_interrupts

from rungwise.cli.app import run
from rungwise.data.desk import Desk
from rungwise.data.feedback import Judgements
from rungwise.data.reviews import Drawn, Reviews, Verdict
from rungwise.data.store import Store
from rungwise.engines.clock import SystemClock
from tests.cli.review_queue import waiting

COMMAND = [sys.executable, "-c", "import sys; from rungwise.cli.app import run; sys.exit(run(sys.argv[1:]))", "review"]


def press(monkeypatch: pytest.MonkeyPatch, directory: Path, keys: str, *options: str) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(keys))
    return run(["review", str(directory), "--as", "ann", *options])


def kept(directory: Path) -> tuple[list[Drawn], list[Verdict]]:
    store = Store.open(directory / "state", clock=SystemClock())
    found = Reviews(store).drawn(0, 9), [one.verdict for one in Reviews(store).given()]
    store.close()
    return found


def test_one_key_an_answer_and_what_was_said_is_feedback_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project, _ = waiting(tmp_path, 6)
    assert press(monkeypatch, project.directory, "yn1/del\ncnew label\n q") == 0
    out = capsys.readouterr().out
    assert "1 of 6" in out
    assert "6 answers judged; 0 wait" in out
    drawn, said = kept(project.directory)
    assert [one.kind for one in said] == ["right", "wrong", "label", "label", "label", "right"]
    assert [one.wanted for one in said[2:5]][1:] == ["delivery", "new label"]
    assert Counter(one.state for one in drawn) == {"closed": 6}
    assert project.feedback.listed(10)[0].feedback.source == "reviewer"


def test_the_digits_are_the_labels_that_the_question_speaks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project, _ = waiting(tmp_path, 4)
    press(monkeypatch, project.directory, "1111")
    shown = re.findall(r"answer +(\w+)\n\n(.*)\n", capsys.readouterr().out)
    assert {answer: keys.split()[1] for answer, keys in shown} == {"refund": "tracking", "tracking": "refund"}
    _, said = kept(project.directory)
    assert Counter(one.wanted for one in said) == {"tracking": 3, "refund": 1}


def test_u_takes_back_also_after_the_last_answer_and_a_line_break_judges_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project, _ = waiting(tmp_path, 3)
    assert press(monkeypatch, project.directory, "y\nn\nuy\ny\nuun\nn\n") == 0
    _, said = kept(project.directory)
    assert [one.kind for one in said] == ["right", "wrong", "wrong"]
    assert "taken back" in capsys.readouterr().out
    assert press(monkeypatch, project.directory, "u") == 0
    assert "for good" in capsys.readouterr().out


def test_a_limit_ends_the_sitting_and_a_skipped_answer_is_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project, _ = waiting(tmp_path, 5)
    press(monkeypatch, project.directory, "sfyyyy", "--limit", "3")
    assert "2 answers judged; 4 wait" in capsys.readouterr().out
    _, said = kept(project.directory)
    assert [one.kind for one in said] == ["skip", "flag", "right"]


def test_json_asks_nothing_and_agreement_shows_who_says_the_same_of_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project, _ = waiting(tmp_path, 40, copies=2)
    assert run(["review", str(project.directory), "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["waiting"]["reasons"] == {"random": 40}
    assert plain["agreement"]["alpha"]["value"] is None
    assert run(["review", str(project.directory), "--agreement"]) == 0
    assert "nobody has judged" in capsys.readouterr().out
    press(monkeypatch, project.directory, "ynny" * 10)
    monkeypatch.setattr("sys.stdin", io.StringIO("y" * 40))
    run(["review", str(project.directory), "--as", "bob"])
    capsys.readouterr()
    assert run(["review", str(project.directory), "--agreement"]) == 0
    out = capsys.readouterr().out
    assert "says 'right' of everything" in out.split("bob: 40 judged, 100% right")[1]
    assert "ann: 40 judged, 50% right, agrees with others on 50%" in out
    assert "Cohen's kappa, ann and bob: 0.000" in out


def test_what_is_shown_cannot_move_the_cursor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.cli import review_queue

    monkeypatch.setattr(review_queue, "answered", lambda n, question, answer: _nasty(n))
    project, _ = waiting(tmp_path, 1)
    press(monkeypatch, project.directory, "q")
    assert "\x1b" not in capsys.readouterr().out


def _nasty(number: int):  # type: ignore[no-untyped-def]
    from tests.data.judged import answered

    return answered(number, "Where\x1b[2J is it?\u202e", "re\x07fund\x9b31m")


class Pressed:
    """`rungwise review` on a terminal of its own."""

    def __init__(self, directory: Path) -> None:
        self.master, slave = pty.openpty()
        environment = {**os.environ, "TERM": "dumb"}
        command = [*COMMAND, str(directory), "--as", "ann"]
        with hearing_interrupts():
            self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment, close_fds=True)
        os.close(slave)
        self.shown = ""

    def until(self, text: str, times: int = 1) -> None:
        """Read what is shown until a text stands in it so many times."""
        end = time.monotonic() + 60
        while self.shown.count(text) < times:
            assert time.monotonic() < end, self.shown[-2000:]
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    self.shown += os.read(self.master, 65_536).decode("utf-8", "replace")
                except OSError:  # the other side is closed
                    return

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def end(self) -> int:
        code = self.process.wait(60)
        os.close(self.master)
        return code


def test_two_hundred_answers_on_a_terminal_take_one_key_each(tmp_path: Path) -> None:
    project, _ = waiting(tmp_path, 200)
    terminal = Pressed(project.directory)
    terminal.until("1 of 200")
    for n in range(1, 201):
        terminal.press("\r" if n % 2 else " ")  # no mouse, and one key for each
        terminal.until(" of 200", min(n + 1, 200))
    terminal.until("nothing else waits")
    terminal.press("q")
    terminal.until("200 answers judged")
    assert terminal.end() == 0
    drawn, said = kept(project.directory)
    assert Counter(one.state for one in drawn) == {"closed": 200}
    assert Counter(one.kind for one in said) == {"right": 200}


def test_what_was_judged_survives_a_kill_and_can_still_be_taken_back(tmp_path: Path) -> None:
    project, _ = waiting(tmp_path, 5)
    first = Pressed(project.directory)
    first.until("1 of 5")
    first.press("y\x1b[A")  # an arrow is no key
    first.until("2 of 5")
    first.press("n")
    first.until("3 of 5")
    first.process.send_signal(signal.SIGKILL)
    first.end()
    drawn, said = kept(project.directory)
    assert [one.kind for one in said] == ["right", "wrong"]
    wrong = next(one.id for one in drawn if one.correct == 0.0)
    store = Store.open(project.directory / "state", clock=SystemClock())
    assert list(Judgements(store).since()) == []  # nothing is feedback that may still be taken back
    store.close()
    second = Pressed(project.directory)
    second.until("1 of 3")
    second.press("u")
    second.until("1 of 4")
    second.press("/trakx\x7f\x7f\t\r")
    second.until("label: tracking")
    second.press("q")
    assert second.end() == 0
    drawn, said = kept(project.directory)
    assert {one.id: (one.wanted, one.state) for one in drawn}[wrong] == ("tracking", "closed")
    assert [one.kind for one in said] == ["right", "label"]


def test_a_stopped_sitting_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    project, _ = waiting(tmp_path, 2)
    terminal = Pressed(project.directory)
    terminal.until("1 of 2")
    terminal.press("y")
    terminal.until("2 of 2")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 130
    store = Store.open(project.directory / "state", clock=SystemClock())
    assert Desk(store, "ann").undo() is not None
    store.close()
