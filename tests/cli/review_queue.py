"""A project with answers that wait for a reviewer, for the tests of the terminal and of the endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rungwise.core.trace import Trace
from rungwise.core.types import Clock
from rungwise.data.reviews import Item, Reviews
from rungwise.data.store import Store
from rungwise.project import Project
from tests.data.judged import answered, write

LABELS = ("refund", "tracking", "delivery")


def waiting(folder: Path, count: int, *, clock: Clock | None = None, **more: object) -> tuple[Project, Sequence[Trace]]:
    """A project on 60 tickets in which so many answers wait, drawn by chance."""
    table = folder / "tickets.csv"
    words = ("money back", "where is my parcel", "bring it on Monday")
    table.write_text("text,label\n" + "".join(f"{words[n % 3]} number {n},{LABELS[n % 3]}\n" for n in range(60)))
    project = Project.create(folder / "support", source=table, clock=clock)
    traces = [answered(n, f"Where is my parcel {n}?", "refund" if n % 4 else "tracking") for n in range(count)]
    store = Store.open(project.directory / "state", clock=project.clock)
    write(store, traces)
    Reviews(store).put([Item(trace=one.id, day=7, reason="random", chance=0.5, **more) for one in traces])  # type: ignore[arg-type]
    store.close()
    return project, traces
