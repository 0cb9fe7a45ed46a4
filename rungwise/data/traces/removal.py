"""Traces that go: those that are too old, and those that somebody wants erased; in small steps, so that writers go on."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from rungwise.core.errors import StoreError
from rungwise.data.traces.file import connect, facts_between, files, first_unsealed, prepare, transaction, write_segment
from rungwise.data.traces.query import Query
from rungwise.data.traces.reading import views
from rungwise.data.traces.search import fetched_numbers
from rungwise.data.traces.segments import SEGMENT

STEP = 128
"""Rows that are deleted in one transaction: writers wait for it a few milliseconds at most."""
_PAUSE_S = 0.002


@dataclass(frozen=True, kw_only=True)
class Removed:
    """The traces that are gone. Without `wiped` somebody read meanwhile, and the write-ahead log still holds bytes of them."""

    ids: tuple[str, ...] = ()
    wiped: bool = True


def erase(directory: Path, query: Query) -> Removed:
    """Remove every trace that a query wants, and overwrite its bytes. Killed on the way, the same call goes on.

    Raises StoreError when a file cannot be written.
    """
    ids: list[str] = []
    wiped = True
    with views(directory) as connections:
        found = [(Path(_path_of(connection)), fetched_numbers(connection, query)) for connection in connections]
    for path, numbers in found:
        if numbers:
            with _writing(path) as connection:
                for segment, same in groupby(sorted(numbers), key=lambda n: n // SEGMENT):
                    _remove(connection, segment, list(same))
                wiped &= _wipe(connection)
            ids += filter(None, numbers.values())
    return Removed(ids=tuple(ids), wiped=wiped)


def expire(directory: Path, before: float) -> Removed:
    """Remove every trace of before a moment (seconds since 1970), as `erase` does."""
    ids: list[str] = []
    wiped = True
    for path in files(directory):
        with _writing(path) as connection:
            if not prepare(connection, path, create=False):
                continue
            gone = 0
            for segment in _older(connection, before):
                query = "select n, id from traces where n >= ? and n < ? and at < ?"
                numbers = dict(connection.execute(query, (segment * SEGMENT, (segment + 1) * SEGMENT, before)).fetchall())
                _remove(connection, segment, list(numbers))
                ids += numbers.values()
                gone += len(numbers)
            if gone:
                wiped &= _wipe(connection)
    return Removed(ids=tuple(ids), wiped=wiped)


def _older(connection: sqlite3.Connection, before: float) -> list[int]:
    """The segments that hold something older, those that are not full yet too."""
    full = connection.execute("select segment from segments where first_at < ? order by segment", (before,))
    rest = connection.execute(
        "select distinct n / ? from traces where n >= ? and at < ?", (SEGMENT, first_unsealed(connection), before)
    )
    return [int(segment) for (segment,) in [*full.fetchall(), *rest.fetchall()]]


def _remove(connection: sqlite3.Connection, segment: int, numbers: Sequence[int]) -> None:
    """Delete rows of a segment, then write its columns anew. In this order, because columns are what leads back to rows."""
    for start in range(0, len(numbers), STEP):
        some = numbers[start : start + STEP]
        connection.execute(f"delete from traces where n in ({','.join('?' * len(some))})", some)
        time.sleep(_PAUSE_S)
    with transaction(connection):
        if segment * SEGMENT < first_unsealed(connection):
            write_segment(connection, segment, facts_between(connection, segment * SEGMENT, (segment + 1) * SEGMENT))


def _wipe(connection: sqlite3.Connection) -> bool:
    """Write the log back and empty it; False while somebody reads from it."""
    busy, _, _ = connection.execute("pragma wal_checkpoint(truncate)").fetchone()
    return not busy


@contextmanager
def _writing(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(connect(path)) as connection:
            connection.execute("pragma secure_delete=on")
            yield connection
    except sqlite3.Error as error:
        hint = "On a full disk free some megabytes first, since removing writes too; then run the same command again"
        raise StoreError(f"traces cannot be removed from {path}: {error}. {hint}") from error


def _path_of(connection: sqlite3.Connection) -> str:
    return str(connection.execute("pragma database_list").fetchone()[2])
