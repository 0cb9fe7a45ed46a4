"""Live progress of a climb: bars with the time left in a terminal, one plain line per rung elsewhere, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

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
    """One line when a rung begins, with the time left as far as it is known then."""
    begun: set[str] = set()

    def listen(event: Progress) -> None:
        if event.rung in begun:
            return
        begun.add(event.rung)
        console.out(f"{words.one_line(event.rung)}: {words.one_line(event.step)}{_left(event)}", highlight=False)

    yield listen


@contextmanager
def _bars(console: Console) -> Iterator[Listener]:
    """One bar per rung; the bars vanish at the end, because the ladder says it all."""
    bars = Bars(
        SpinnerColumn(finished_text="✓" if console.encoding.startswith("utf") else "+"),
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.fields[step]}", style="dim", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[left]}", style="dim", markup=False),
        console=console,
        transient=True,
    )
    tasks: dict[str, TaskID] = {}

    def listen(event: Progress) -> None:
        if event.rung not in tasks:
            _finish(bars, tasks)
            tasks[event.rung] = bars.add_task(words.one_line(event.rung), total=None, step="", left="")
        # The bar is of the step at hand, so a new step may set it back: a total that shrinks is not a lie.
        step = f"{words.one_line(event.step)} {_done(event)}".rstrip()
        bars.update(tasks[event.rung], completed=event.done, total=event.total, step=step, left=_left(event).lstrip(", "))

    with bars:
        yield listen
        _finish(bars, tasks)


def _finish(bars: Bars, tasks: dict[str, TaskID]) -> None:
    """Fill the bars so far: a rung is done when the next one begins."""
    for task in tasks.values():
        bars.update(task, completed=1, total=1, step="done", left="")


def _done(event: Progress) -> str:
    if event.total is None:
        return f"{event.done:,}" if event.done else ""
    return f"{event.done:,} of {event.total:,}"


def _left(event: Progress) -> str:
    return f", about {words.seconds(event.eta_s)} left" if event.eta_s is not None else ""
