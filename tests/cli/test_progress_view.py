"""Progress is live in a terminal, one line per rung elsewhere, and silent when it would be in the way."""

from __future__ import annotations

import io
import re

from rich.console import Console

from rungwise.cli.progress_view import progress_view
from rungwise.core.progress import Progress

NEWS = (
    Progress(rung="floor", step="rung", done=0, total=3, eta_s=90.0),
    Progress(rung="floor", step="not_met", done=1, total=3, eta_s=89.6),
    Progress(rung="head", step="rung", done=1, total=3, eta_s=89.6),
    Progress(rung="head", step="fit", total=4),
    Progress(rung="head", step="dev", done=300, total=600),
    Progress(rung="head", step="met", done=2, total=3, eta_s=0.0),
    Progress(rung="prompt", step="rung", done=2, total=3, eta_s=0.0),
    Progress(rung="prompt", step="not_run", done=3, total=3, eta_s=0.0),
)


def told(*, silent: bool = False, **settings: object) -> str:
    """What lands on a console that hears all the news."""
    file = io.StringIO()
    with progress_view(Console(file=file, width=100, **settings), silent=silent) as listen:  # type: ignore[arg-type]
        for event in NEWS:
            listen(event)
    return file.getvalue()


def test_without_a_terminal_each_rung_that_ran_is_one_plain_line() -> None:
    assert told() == "rung 1 of 3, floor: not met, about 1 min 30 s left\nrung 2 of 3, head: met\n"


def test_silent_means_silent() -> None:
    assert told(silent=True, force_terminal=True) == ""


def test_a_terminal_shows_a_bar_for_each_rung_and_leaves_nothing_behind() -> None:
    raw = told(force_terminal=True)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", raw)
    assert "floor" in text
    assert "not met" in text
    assert raw.rstrip().endswith("\x1b[2K")  # the lines of the bars are erased at the end


def test_names_cannot_drive_the_terminal() -> None:
    file = io.StringIO()
    with progress_view(Console(file=file, width=100)) as listen:
        listen(Progress(rung="a\x1b[2Jb\nc", step="met", done=1, total=1))
    assert file.getvalue() == "rung 1 of 1, a\ufffd[2Jb c: met\n"


def test_a_training_tells_each_tenth_of_its_way_where_there_is_no_terminal() -> None:
    out = io.StringIO()
    with progress_view(Console(file=out, force_terminal=False, width=200)) as listen:
        for done in range(1, 41):
            listen(Progress(rung="adapt", step="train", done=done, total=40, note="loss 0.412, 5,400 tokens/s, 8 s left"))
    lines = out.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[-1] == "adapt: train 40 of 40  loss 0.412, 5,400 tokens/s, 8 s left"
