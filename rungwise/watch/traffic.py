"""The live requests of a window of time as columns, out of the traces."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rungwise.core.reading import DAY_S
from rungwise.core.trace import Trace
from rungwise.data.said import said
from rungwise.data.store import Store
from rungwise.data.traces.door import archive_of
from rungwise.data.traces.query import Query

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
Names: TypeAlias = NDArray[np.object_]


@dataclass(frozen=True, eq=False, kw_only=True)
class Traffic:
    """n live requests, oldest first, as columns (n,). What is not known is None in a column of names and NaN in one of numbers.

    `ids` are trace ids, `at` seconds since 1970. `unit` is the conversation, else the user, else the trace: requests of one
    unit depend on one another. `group` is the value of the group's tag. `text` and `answer` are '' where they were not captured.
    `confidence` is the candidate's own, in [0, 1]. `abstained`: it declined to answer; `failed`: status 400 and above, or an
    error; `truncated`: it ended at its length limit.
    """

    ids: Names
    at: Floats
    user: Names
    unit: Names
    tenant: Names
    release: Names
    variant: Names
    candidate: Names
    group: Names
    text: Names
    answer: Names
    confidence: Floats
    abstained: Bools
    failed: Bools
    truncated: Bools
    seconds: Floats
    input_tokens: Floats
    output_tokens: Floats
    usd: Floats

    def __len__(self) -> int:
        return len(self.ids)

    def only(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Traffic:
        """Those requests, by a mask (n,) or by positions."""
        return replace(self, **{one.name: getattr(self, one.name)[which] for one in fields(self)})

    def days(self) -> NDArray[np.int64]:
        """(n,) the day of each request, counted since 1970 in UTC."""
        return np.floor_divide(self.at, DAY_S).astype(np.int64)


def empty() -> Traffic:
    """No request."""
    return traffic_of((), group_tag=None)


def together(parts: Sequence[Traffic]) -> Traffic:
    """Several windows as one, in the order given."""
    if not parts:
        return empty()
    return Traffic(**{one.name: np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Traffic)})


def read_traffic(store: Store, since: float, until: float, *, group_tag: str | None) -> Traffic:
    """The live requests of the window [since, until): shadows are left out, and so are answers out of the cache."""
    query = Query().where("at", ">=", since).where("at", "<", until).where("shadow", "=", False)
    with closing(archive_of(store).search(query)) as traces:
        return traffic_of(traces, group_tag=group_tag)


def traffic_of(traces: Iterable[Trace], *, group_tag: str | None) -> Traffic:
    """The columns of these traces, oldest first. A trace that keeps nothing, or nonsense, still counts as a request."""
    rows = sorted((_row(trace, group_tag) for trace in traces if not trace.cached), key=lambda row: (row[1], row[0]))
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(fields(Traffic))
    return Traffic(**{one.name: _column(values, str(one.type)) for one, values in zip(fields(Traffic), columns, strict=True)})


def _column(values: Sequence[object], kind: str) -> NDArray[Any]:
    if kind == "Names":
        column = np.empty(len(values), dtype=object)
        column[:] = values
        return column
    return np.array(values, np.bool_ if kind == "Bools" else np.float64)


def _row(trace: Trace, group_tag: str | None) -> tuple[object, ...]:
    spoken = said(trace)
    confidence, abstained = _told(trace)
    return (
        trace.id,
        trace.at,
        trace.user,
        trace.conversation or trace.user or trace.id,
        trace.tenant,
        trace.release,
        trace.variant,
        trace.candidate,
        trace.tags.get(group_tag) if group_tag is not None else None,
        spoken.question,
        spoken.answer,
        confidence,
        abstained,
        trace.status >= 400 or trace.error is not None,
        trace.finish == "length",
        trace.seconds,
        float(trace.usage.input_tokens),
        float(trace.usage.output_tokens),
        trace.usage.usd,
    )


def _told(trace: Trace) -> tuple[float, bool]:
    """(confidence or NaN, whether it abstained), as the answer says it beside its OpenAI shape."""
    if not trace.response or '"rungwise"' not in trace.response:
        return float("nan"), False
    try:
        body = json.loads(trace.response)
    except (ValueError, RecursionError):
        return float("nan"), False
    told = body.get("rungwise") if isinstance(body, dict) else None
    if not isinstance(told, dict):
        return float("nan"), False
    confidence, abstained = told.get("confidence"), told.get("abstained") is True
    if isinstance(confidence, bool) or not isinstance(confidence, (int, float)) or not 0.0 <= confidence <= 1.0:
        return float("nan"), abstained
    return float(confidence), abstained
