"""Live progress of a climb: bars with the time left in a terminal, one plain line per rung elsewhere, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from rungwise.core.decision import NOT_RUN, STATES
from rungwise.core.progress import Progress
from rungwise.web import words

Listener = Callable[[Progress], None]


def progress_view(console: Console, *, silent: bool = False) -> AbstractContextManager[Listener]:
    """A context that gives what a climb reports to. `console` writes to stderr; `silent` for --json and --quiet."""
    if silent:
        return _nothing()
    return _bars(console) if console.is_terminal else _lines(console)


@contextmanager
def _nothing() -> Iterator[Listener]:
    yield lambda event: None


@contextmanager
def _lines(console: Console) -> Iterator[Listener]:
    """One line when a rung has ended, and one for each tenth of a training; a rung that was not run is left to the ladder."""
    tenths: dict[str, int] = {}

    def listen(event: Progress) -> None:
        if event.note and event.total:
            tenth = 10 * event.done // event.total
            if tenth != tenths.get(event.rung):
                tenths[event.rung] = tenth
                console.out(f"{words.one_line(event.rung)}: {_step(event)}", highlight=False)
            return
        if event.step not in STATES or event.step == NOT_RUN:
            return
        place = f"rung {event.done} of {event.total}, " if event.total else ""
        left = f", {_left(event.eta_s)}" if event.eta_s else ""
        console.out(f"{place}{words.one_line(event.rung)}: {words.STATE_WORDS[event.step]}{left}", highlight=False)

    yield listen


class _TimeLeft(ProgressColumn):
    """The time left, counted down between two pieces of news."""

    def render(self, task: Task) -> Text:
        eta_s, told_at = task.fields["eta_s"], task.fields["told_at"]
        left_s = 0.0 if eta_s is None else eta_s - (task.get_time() - told_at)
        return Text(_left(left_s) if left_s >= 0.5 and not task.finished else "", style="dim")


@contextmanager
def _bars(console: Console) -> Iterator[Listener]:
    """One bar per rung; the bars vanish at the end, because the ladder says it all."""
    bars = Bars(
        SpinnerColumn("dots" if console.encoding.startswith("utf") else "line", finished_text=" "),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[step]}", markup=False),
        _TimeLeft(),
        console=console,
        transient=True,
    )
    tasks: dict[str, TaskID] = {}
    with bars:
        yield lambda event: _tell(bars, tasks, event)


def _tell(bars: Bars, tasks: dict[str, TaskID], event: Progress) -> None:
    """Bring the bar of a rung up to the news. A new step may set it back, since it counts something else."""
    if event.step == NOT_RUN and event.rung in tasks:
        bars.remove_task(tasks.pop(event.rung))
        return
    if event.rung not in tasks:
        tasks[event.rung] = bars.add_task(words.one_line(event.rung), total=None, step="", eta_s=None, told_at=0.0)
    task = tasks[event.rung]
    if event.eta_s is not None:
        bars.update(task, eta_s=event.eta_s, told_at=bars.get_time())
    if event.step in STATES:
        bars.update(task, completed=1, total=1, step=words.STATE_WORDS[event.step])
    elif event.step != "rung":
        bars.update(task, completed=event.done, total=_total(event), step=_step(event))


def _step(event: Progress) -> str:
    return "  ".join(part for part in (f"{words.one_line(event.step)} {_done(event)}".rstrip(), event.note) if part)


def _total(event: Progress) -> int | None:
    """None, a bar that only moves, until the first row is done; and never quite full, which would mark the rung as ended."""
    return None if not event.done or event.total is None else max(event.total, event.done + 1)


def _done(event: Progress) -> str:
    if not event.done:
        return f"({event.total:,})" if event.total else ""
    return f"{event.done:,}" if event.total is None else f"{event.done:,} of {event.total:,}"


def _left(left_s: float) -> str:
    """A forecast is good to a second at best."""
    return f"about {max(1, round(left_s))} s left" if left_s < 59.5 else f"about {words.seconds(left_s)} left"
