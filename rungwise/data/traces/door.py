"""Where a store's traces are: the one place that knows which database they are in."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Protocol

from rungwise.core.trace import Trace
from rungwise.data.store import Store
from rungwise.data.traces.file import FOLDER, TraceFile, files
from rungwise.data.traces.query import Query
from rungwise.data.traces.removal import Removed, erase, expire
from rungwise.data.traces.search import Cursor, by_response_id, get, search
from rungwise.data.traces.sums import Sum, sums, together
from rungwise.data.traces.writer import TraceWriter


class TraceArchive(Protocol):
    """What a store's traces can be asked, wherever they are. The functions of this folder say what each does."""

    def search(self, query: Query, *, after: Cursor | None = None, limit: int | None = None) -> Generator[Trace]:
        """The traces that a query wants, newest first."""
        ...

    def get(self, id: str) -> Trace | None:
        """The trace with an id."""
        ...

    def by_response_id(self, response_id: str) -> Trace | None:
        """The trace whose answer had this id."""
        ...

    def sums(self, query: Query, *, by: str | None = None) -> list[Sum]:
        """What traces cost and took, by a field."""
        ...

    def erase(self, query: Query) -> Removed:
        """Remove what a query wants, for good."""
        ...

    def expire(self, before: float) -> Removed:
        """Remove what is older than a moment."""
        ...


class TraceFiles:
    """Traces in the files of a state directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def search(self, query: Query, *, after: Cursor | None = None, limit: int | None = None) -> Generator[Trace]:
        return search(self.directory, query, after=after, limit=limit)

    def get(self, id: str) -> Trace | None:
        return get(self.directory, id)

    def by_response_id(self, response_id: str) -> Trace | None:
        return by_response_id(self.directory, response_id)

    def sums(self, query: Query, *, by: str | None = None) -> list[Sum]:
        return sums(self.directory, query, by=by)

    def erase(self, query: Query) -> Removed:
        return erase(self.directory, query)

    def expire(self, before: float) -> Removed:
        return expire(self.directory, before)


class _Both:
    """Traces on a server, and those that a project had in files before."""

    def __init__(self, first: TraceArchive, second: TraceArchive) -> None:
        self._all = (first, second)

    def search(self, query: Query, *, after: Cursor | None = None, limit: int | None = None) -> Generator[Trace]:
        from rungwise.data.traces.table import newest_first

        return newest_first(*(one.search(query, after=after, limit=limit) for one in self._all), limit=limit)

    def get(self, id: str) -> Trace | None:
        return next((found for one in self._all if (found := one.get(id)) is not None), None)

    def by_response_id(self, response_id: str) -> Trace | None:
        return next((found for one in self._all if (found := one.by_response_id(response_id)) is not None), None)

    def sums(self, query: Query, *, by: str | None = None) -> list[Sum]:
        return together([found for one in self._all for found in one.sums(query, by=by)])

    def erase(self, query: Query) -> Removed:
        return _together([one.erase(query) for one in self._all])

    def expire(self, before: float) -> Removed:
        return _together([one.expire(before) for one in self._all])


def _together(removed: Sequence[Removed]) -> Removed:
    return Removed(ids=tuple(id for one in removed for id in one.ids), wiped=all(one.wiped for one in removed))


def archive_of(store: Store) -> TraceArchive:
    """The traces of a store, to be read and removed."""
    folder = store.directory / FOLDER
    if not store.is_remote:
        return TraceFiles(folder)
    from rungwise.data.traces.table import TraceTable

    return _Both(TraceTable(store), TraceFiles(folder)) if files(folder) else TraceTable(store)


def open_traces(store: Store, *, worker: int, disk_full: str) -> TraceWriter:
    """The writer of the worker process with this number; `disk_full` is 'refuse' or 'answer'. Raises StoreError.

    Two processes may have one number while the one takes over from the other.
    """
    if store.is_remote:
        from rungwise.data.traces.table import TableSink

        return TraceWriter(TableSink(store), disk_full=disk_full)
    return TraceWriter(TraceFile(store.directory / FOLDER, worker=worker), disk_full=disk_full)
