"""Search over all files of traces, newest first, and only as far back as somebody reads."""

from __future__ import annotations

import heapq
import math
import sqlite3
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from rungwise.core.trace import Trace
from rungwise.data.traces.file import facts_between, first_unsealed
from rungwise.data.traces.masks import anywhere, columns_in_memory, columns_needed, mask, rarest, read_columns
from rungwise.data.traces.query import CONTENT, Condition, Query, forms
from rungwise.data.traces.reading import views
from rungwise.data.traces.rows import COLUMNS, trace_of
from rungwise.data.traces.segments import PLACES, SEGMENT, fields_of

if TYPE_CHECKING:
    from rungwise.data.traces.masks import Array, Mask

FETCHED = 256
"""Rows that are read at a time."""
LOOKED_UP = 500
"""Ids that are looked up at a time."""

Place: TypeAlias = "tuple[float, int, int]"
"""Of a trace: minus its moment, so that the newest is the least; its file; its number in it."""
Cursor: TypeAlias = "tuple[float, str]"
"""(at, id) of the last trace that was seen."""


def search(directory: Path, query: Query, *, after: Cursor | None = None, limit: int | None = None) -> Generator[Trace]:
    """The traces that a query wants, newest first; those of one moment by id, the greatest first.

    With `after` those that come behind it, with `limit` so many. What is committed after the first is given is not among
    them. The files are held open meanwhile: read to the end, or close the iterator. Raises StoreError for a damaged file.
    """
    if after is not None:
        query = query.where("at", "<=", after[0])
    given = 0
    with views(directory) as connections:
        for batch in _batches(moments(connections, query), FETCHED if limit is None else min(FETCHED, limit)):
            for trace in fetched(connections, batch, query):
                if given == limit:
                    return
                if after is None or (trace.at, trace.id) < after:
                    given += 1
                    yield trace
            if given == limit:
                return


def get(directory: Path, id: str) -> Trace | None:
    """The trace with an id, or None."""
    with closing(search(directory, Query(ids=frozenset((id,))), limit=1)) as found:
        return next(found, None)


def by_response_id(directory: Path, response_id: str) -> Trace | None:
    """The newest trace whose answer had this id, or None."""
    with closing(search(directory, Query().where("response_id", "=", response_id), limit=1)) as found:
        return next(found, None)


def moments(connections: Sequence[sqlite3.Connection], query: Query) -> Iterator[list[Place]]:
    """Where the traces are that can be wanted, newest first, those of one moment together.

    All that are wanted are there, and some more where columns cannot tell.
    """
    coming: list[Place] = []
    if query.ids is not None:
        coming += _looked_up(connections, query.ids)
        heapq.heapify(coming)
    else:
        needed = [PLACES, "at", *columns_needed(query.conditions)]
        for run in runs(connections, needed):
            while coming and -coming[0][0] > run.last_at:  # nothing that is still to be read is as new
                yield _newest(coming)
            looked = looked_at(connections[run.file], run, query.conditions, needed)
            if looked is not None:
                for place in _places(*looked, run):
                    heapq.heappush(coming, place)
    while coming:
        yield _newest(coming)


def fetched(connections: Sequence[sqlite3.Connection], wanted: Sequence[Place], query: Query) -> list[Trace]:
    """The traces at these places that are wanted, newest first."""
    clause, needles = _content(query.conditions)
    traces: list[Trace] = []
    for file, same in groupby(sorted(wanted, key=lambda place: place[1]), key=lambda place: place[1]):
        numbers = [n for _, _, n in same]
        marks = ",".join("?" * len(numbers))
        statement = f"select {', '.join(COLUMNS)} from traces where n in ({marks}){clause}"
        for row in connections[file].execute(statement, (*numbers, *needles)):
            trace = trace_of(row)
            if query.holds(trace):
                traces.append(trace)
    return sorted(traces, key=lambda trace: (trace.at, trace.id), reverse=True)


def fetched_numbers(connection: sqlite3.Connection, query: Query) -> dict[int, str | None]:
    """The numbers in one file of the traces that a query wants, each with its id; None for one that only columns know yet."""
    found: dict[int, str | None] = {}
    for batch in _batches(moments([connection], query), FETCHED):
        wanted = {trace.id for trace in fetched([connection], batch, query)}
        numbers = [n for _, _, n in batch]
        rows = dict(connection.execute(f"select n, id from traces where n in ({','.join('?' * len(batch))})", numbers).fetchall())
        found |= {n: rows.get(n) for n in numbers if n not in rows or rows[n] in wanted}
    return found


def _newest(coming: list[Place]) -> list[Place]:
    """Take the places of the newest moment from a heap."""
    same = [heapq.heappop(coming)]
    while coming and coming[0][0] == same[0][0]:
        same.append(heapq.heappop(coming))
    return same


def _batches(coming: Iterator[list[Place]], size: int) -> Iterator[list[Place]]:
    """Whole moments, so many that they are at least `size` places; no more is read than that takes."""
    batch: list[Place] = []
    for same in coming:
        batch += same
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch


@dataclass(frozen=True, slots=True)
class Run:
    """A segment of a file, or the rows behind the last one, whose columns are in memory and which may be of any moment."""

    last_at: float
    first_at: float
    file: int
    segment: int
    columns: Mapping[str, Array] | None = None


def runs(connections: Sequence[sqlite3.Connection], needed: Sequence[str]) -> list[Run]:
    """The segments of all files, the latest first."""
    fields = fields_of(needed)
    found: list[Run] = []
    for file, connection in enumerate(connections):
        rows = connection.execute("select last_at, first_at, segment from segments")
        found += [Run(last_at, first_at, file, segment) for last_at, first_at, segment in rows]
        rest = facts_between(connection, first_unsealed(connection), 2**62, fields)
        for segment, same in groupby(rest, key=lambda row: row[0] // SEGMENT):
            found.append(Run(math.inf, -math.inf, file, segment, columns_in_memory(list(same), fields)))
    return sorted(found, key=lambda run: run.last_at, reverse=True)


def looked_at(
    connection: sqlite3.Connection, run: Run, conditions: Sequence[Condition], needed: Sequence[str]
) -> tuple[Mapping[str, Array], Mask] | None:
    """The columns of a run and its rows that can be wanted; None when there are none. Most often one column says so already."""
    if _out_of_time(run, conditions):
        return None
    columns = run.columns
    if columns is None:
        first = rarest(conditions)
        if first is not None and not anywhere(first, read_columns(connection, run.segment, columns_needed([first]))):
            return None
        columns = read_columns(connection, run.segment, needed)
    kept = mask(conditions, columns)
    return None if kept is None else (columns, kept)


def _out_of_time(run: Run, conditions: Sequence[Condition]) -> bool:
    """Whether the bounds of a segment say already that nothing in it can be wanted."""
    for one in conditions:
        if one.field == "at" and (
            (one.operator in (">", ">=") and run.last_at < float(one.value or 0))
            or (one.operator in ("<", "<=") and run.first_at > float(one.value or 0))
        ):
            return True
    return False


def _places(columns: Mapping[str, Array], kept: Mask, run: Run) -> Iterator[Place]:
    import numpy as np

    moments = np.broadcast_to(columns["at"], len(kept))[kept]
    for at, place in zip(moments.tolist(), columns[PLACES][kept].tolist(), strict=True):
        yield -at, run.file, run.segment * SEGMENT + place


def _looked_up(connections: Sequence[sqlite3.Connection], ids: frozenset[str]) -> list[Place]:
    found: list[Place] = []
    rest = iter(sorted(ids))
    while some := list(islice(rest, LOOKED_UP)):
        marks = ",".join("?" * len(some))
        for file, connection in enumerate(connections):
            rows = connection.execute(f"select at, n from traces where id in ({marks})", some)
            found += [(-at, file, n) for at, n in rows]
    return found


def _content(conditions: Sequence[Condition]) -> tuple[str, list[str]]:
    """SQL that leaves out rows without the text that is looked for, before they are read whole."""
    clause, values = "", []
    for condition in conditions:
        if condition.field == CONTENT:
            patterns = [f"%{_literally(form)}%" for form in forms(str(condition.value))]
            ways = [f"{column} like ? escape '!'" for column in ("request", "response") for _ in patterns]
            clause += f" and ({' or '.join(ways)})"
            values += patterns * 2
    return clause, values


def _literally(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
