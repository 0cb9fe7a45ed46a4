"""Sums over traces: what they cost and took, in all or by user, key, tag and whatever else they are grouped by."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import UnknownName
from rungwise.core.trace import Trace
from rungwise.data.traces import segments
from rungwise.data.traces.masks import columns_in_memory, columns_needed, decides, mask, read_columns
from rungwise.data.traces.query import TAG, TEXTS, Query
from rungwise.data.traces.reading import views
from rungwise.data.traces.search import out_of_time, runs, search
from rungwise.data.traces.segments import PLACES, SEGMENT

if TYPE_CHECKING:
    from rungwise.data.traces.masks import Array, Mask

_SUMMED = ("usd", "seconds", "input_tokens", "output_tokens")
_READ = (*_SUMMED, "status")


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

    `by` is a field that is a name (user, tenant, key, conversation, release, variant, candidate, engine, model ...) or
    `tag.NAME`. Raises UnknownName for another one.
    """
    if by is not None and by not in TEXTS and not by.startswith(TAG):
        raise UnknownName("field to sum by", by, [*TEXTS, "tag.NAME"])
    if query.ids is None and all(decides(one) for one in query.conditions) and (by is None or by in segments.NAMES):
        with views(directory) as connections:
            found = _of_columns(connections, query, by)
    else:
        found = list(_of_traces(search(directory, query), by).values())
    return sorted(found, key=lambda one: (-one.usd, -one.traces, one.value or ""))


def _of_traces(traces: Iterable[Trace], by: str | None) -> Mapping[str | None, Sum]:
    groups: dict[str | None, Sum] = {}
    for trace in traces:
        value = None if by is None else trace.tags.get(by[len(TAG) :]) if by.startswith(TAG) else TEXTS[by](trace)
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


def _of_columns(connections: Sequence[sqlite3.Connection], query: Query, by: str | None) -> list[Sum]:
    """The same from the columns alone. Where a group's name stands is remembered, and read once."""
    needed = sorted({PLACES, "at", *_READ, *columns_needed(query.conditions), *((by,) if by else ())})
    groups: dict[int, list[float]] = {}
    seen: dict[int, tuple[int, int]] = {}
    for last_at, file, segment, rows in runs(connections):
        if out_of_time(connections[file], segment, last_at, query.conditions):
            continue
        columns = read_columns(connections[file], segment, needed) if rows is None else columns_in_memory(rows)
        kept = mask(query.conditions, columns)
        if kept is None:
            continue
        for group, place, figures in _summed(columns, kept, by):
            own = groups.setdefault(group, [0.0] * len(figures))
            groups[group] = [one + other for one, other in zip(own, figures, strict=True)]
            seen.setdefault(group, (file, segment * SEGMENT + place))
    return [_sum(_name(connections, seen[group], by) if group else None, figures) for group, figures in groups.items()]


def _summed(columns: Mapping[str, Array], kept: Mask, by: str | None) -> Iterable[tuple[int, int, list[float]]]:
    """Of each group in a segment: its hash, the place of one of its rows, and its figures."""
    import numpy as np

    rows = len(kept)
    whole = {name: np.broadcast_to(columns[name], rows)[kept] for name in (*_READ, *((by,) if by else ()))}
    places = columns[PLACES][kept]
    if by is None:
        hashes, first, group = np.zeros(1, np.uint64), np.zeros(1, np.intp), np.zeros(len(places), np.intp)
    else:
        hashes, first, group = np.unique(whole[by], return_index=True, return_inverse=True)
    figures: list[Any] = [np.bincount(group), np.bincount(group, weights=whole["status"] >= 400)]
    figures += [np.bincount(group, weights=whole[name]) for name in _SUMMED]
    for at, hash in enumerate(hashes.tolist()):
        yield hash, int(places[first[at]]), [float(figure[at]) for figure in figures]


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


def _name(connections: Sequence[sqlite3.Connection], place: tuple[int, int], by: str | None) -> str | None:
    file, n = place
    found = connections[file].execute(f'select "{by}" from traces where n = ?', (n,)).fetchone()
    return None if found is None or found[0] is None else str(found[0])
