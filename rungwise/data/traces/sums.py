"""Sums over traces: what they cost and took, in all or by user, key, tag and whatever else they are grouped by."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rungwise.core.errors import UnknownName
from rungwise.core.trace import Trace
from rungwise.data.traces import segments
from rungwise.data.traces.masks import columns_needed, decides
from rungwise.data.traces.query import TAG, TEXTS, Query
from rungwise.data.traces.reading import views
from rungwise.data.traces.search import Run, looked_at, runs, search
from rungwise.data.traces.segments import PLACES, SEGMENT

if TYPE_CHECKING:
    from rungwise.data.traces.masks import Array, Mask

_SUMMED = ("usd", "seconds", "input_tokens", "output_tokens")
_READ = (*_SUMMED, "status")
_FOLDED = 300_000
"""Rows from which groups are made one in between, so that memory stays small."""
_NAMED = 500
"""Names that are read at a time."""
_ADDED = ("traces", "failed", *_SUMMED)
DAY = "day"
"""To sum by: the days since 1970, in UTC."""
DAY_S = 86_400


@dataclass(frozen=True, kw_only=True, slots=True)
class Sum:
    """Traces of one group: how many, how many of them failed (status 400 and above), and sums. `value` is None without one."""

    value: str | None = None
    traces: int = 0
    failed: int = 0
    usd: float = 0.0
    seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0


def sums(directory: Path, query: Query, *, by: str | None = None) -> list[Sum]:
    """Sums of the traces that a query wants, the dearest group first; without `by` one for all of them.

    `by` is a field that is a name (user, tenant, key, conversation, release, variant, candidate, engine, model ...),
    `tag.NAME`, or `day` (the number of days since 1970, in UTC). Raises UnknownName for another one.
    """
    check_group(by)
    if query.ids is None and all(decides(one) for one in query.conditions) and (by in (None, DAY) or by in segments.NAMES):
        with views(directory) as connections:
            found = _of_columns(connections, query, by)
    else:
        found = list(of_traces(search(directory, query), by).values())
    return in_order(found)


def check_group(by: str | None) -> None:
    """Raise UnknownName for a field that traces cannot be summed by."""
    if by is not None and by not in TEXTS and by != DAY and not by.startswith(TAG):
        raise UnknownName("field to sum by", by, [*TEXTS, DAY, "tag.NAME"])


def together(found: Sequence[Sum]) -> list[Sum]:
    """The groups of several sums, those of one name added up."""
    groups: dict[str | None, Sum] = {}
    for one in found:
        own = groups.get(one.value)
        added = {} if own is None else {name: getattr(own, name) + getattr(one, name) for name in _ADDED}
        groups[one.value] = replace(one, **added)
    return in_order(groups.values())


def in_order(found: Iterable[Sum]) -> list[Sum]:
    """The dearest group first."""
    return sorted(found, key=lambda one: (-one.usd, -one.traces, one.value or ""))


def of_traces(traces: Iterable[Trace], by: str | None) -> Mapping[str | None, Sum]:
    """Sums by looking at each trace."""
    groups: dict[str | None, Sum] = {}
    for trace in traces:
        value = _value(trace, by)
        so_far = groups.get(value) or Sum(value=value)
        usage = trace.usage
        groups[value] = replace(
            so_far,
            traces=so_far.traces + 1,
            failed=so_far.failed + (trace.status >= 400),
            usd=so_far.usd + usage.usd,
            seconds=so_far.seconds + trace.seconds,
            input_tokens=so_far.input_tokens + usage.input_tokens,
            output_tokens=so_far.output_tokens + usage.output_tokens,
        )
    return groups


def _value(trace: Trace, by: str | None) -> str | None:
    """What a trace is summed under."""
    if by is None:
        return None
    if by == DAY:
        return str(int(trace.at // DAY_S))
    return trace.tags.get(by[len(TAG) :]) if by.startswith(TAG) else TEXTS[by](trace)


def _of_columns(connections: Sequence[sqlite3.Connection], query: Query, by: str | None) -> list[Sum]:
    """The same from the columns alone."""
    needed = sorted({PLACES, "at", *_READ, *columns_needed(query.conditions), *((by,) if by not in (None, DAY) else ())})
    parts: list[_Groups] = []
    rows = 0
    for run in runs(connections, needed):
        looked = looked_at(connections[run.file], run, query.conditions, needed)
        if looked is not None:
            parts.append(_groups(*looked, by, run))
            rows += len(parts[-1].hashes)
        if rows > _FOLDED:
            parts = [_folded(parts)]
            rows = len(parts[0].hashes)
    if not parts:
        return []
    groups = _folded(parts)
    names = _names(connections, groups, by)
    return [_sum(name, figures) for name, figures in zip(names, groups.figures.tolist(), strict=True)]


@dataclass(frozen=True, slots=True)
class _Groups:
    """Of each group (G): its hash, the file and number of one of its traces, and its figures (G, 6)."""

    hashes: Array
    files: Array
    numbers: Array
    figures: Array


def _groups(columns: Mapping[str, Array], kept: Mask, by: str | None, run: Run) -> _Groups:
    """A group for each row of a segment; without `by` one for all."""
    import numpy as np

    own = "at" if by == DAY else by
    whole = {name: np.broadcast_to(columns[name], len(kept))[kept] for name in (*_READ, *((own,) if own else ()))}
    numbers = columns[PLACES][kept].astype(np.int64) + run.segment * SEGMENT
    ones = np.ones(len(numbers))
    figures = np.stack([ones, (whole["status"] >= 400).astype(float), *(whole[name] for name in _SUMMED)], axis=1)
    if by is None:
        hashes, figures, numbers = np.zeros(1, np.uint64), figures.sum(axis=0, keepdims=True), numbers[:1]
    else:
        hashes = (whole["at"] // DAY_S).astype(np.int64).view(np.uint64) if by == DAY else whole[by]
    return _Groups(hashes, np.full(len(numbers), run.file), numbers, figures)


def _folded(parts: Sequence[_Groups]) -> _Groups:
    """Groups of one hash made one."""
    import numpy as np

    hashes = np.concatenate([part.hashes for part in parts])
    order = np.argsort(hashes, kind="stable")
    starts = np.flatnonzero(np.diff(hashes[order], prepend=~hashes[order][:1]))
    first = order[starts]
    return _Groups(
        hashes[first],
        np.concatenate([part.files for part in parts])[first],
        np.concatenate([part.numbers for part in parts])[first],
        np.add.reduceat(np.concatenate([part.figures for part in parts])[order], starts, axis=0),
    )


def _sum(value: str | None, figures: Sequence[float]) -> Sum:
    traces, failed, usd, seconds, asked, answered = figures
    return Sum(
        value=value,
        traces=int(traces),
        failed=int(failed),
        usd=usd,
        seconds=seconds,
        input_tokens=int(asked),
        output_tokens=int(answered),
    )


def _names(connections: Sequence[sqlite3.Connection], groups: _Groups, by: str | None) -> list[str | None]:
    """The name of each group, read from one of its traces."""
    if by is None:
        return [None]
    if by == DAY:
        return [str(day) for day in groups.hashes.astype("int64").tolist()]
    places = list(zip(groups.files.tolist(), groups.numbers.tolist(), strict=True))
    names: dict[tuple[int, int], str | None] = {}
    for file, connection in enumerate(connections):
        numbers = sorted(n for own, n in places if own == file)
        for start in range(0, len(numbers), _NAMED):
            some = numbers[start : start + _NAMED]
            rows = connection.execute(f'select n, "{by}" from traces where n in ({",".join("?" * len(some))})', some)
            names |= {(file, n): name for n, name in rows}
    return [names.get(place) for place in places]
