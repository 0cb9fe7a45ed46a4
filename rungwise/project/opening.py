"""The store of a project that exists."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rungwise.core.types import Clock
from rungwise.data.spec import FILE, read_use_case
from rungwise.data.store import Store


@contextmanager
def opened(directory: Path, state: Path, clock: Clock) -> Iterator[Store]:
    """Open the store for a block. A misspelt folder is an error, and no new state is made in it."""
    read_use_case(directory / FILE)
    store = Store.open(state, clock=clock)
    try:
        yield store
    finally:
        store.close()
