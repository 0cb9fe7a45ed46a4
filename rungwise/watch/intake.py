"""A file of judgements, such as business outcomes that come months later."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rungwise.core.errors import BadData, UsageError
from rungwise.core.feedback import Feedback
from rungwise.core.trace import Trace
from rungwise.data.feedback import About, Judgements
from rungwise.data.judging import about, judged_trace, named_trace, read_judgement, traces_by_id
from rungwise.data.store import Store

_AT_ONCE = 1_000

Line = tuple[int, bytes]


@dataclass(frozen=True, kw_only=True)
class TakenIn:
    """What became of a file of judgements: how many were new, how many known; `bad` were not taken: (place, reason)."""

    new: int
    known: int
    bad: tuple[tuple[str, str], ...] = ()


def take_judgements(store: Store, source: Path, *, now: float) -> TakenIn:
    """Keep the judgements of a JSONL file, one a line, in batches that are committed one by one.

    Lines that cannot be used are named, and the others kept all the same. The same file again changes nothing where its
    lines say when (`at`).
    Raises BadData where it cannot be read.
    """
    new = known = 0
    bad: list[tuple[str, str]] = []
    try:
        with source.open("rb") as file:
            lines = ((number, line) for number, line in enumerate(file, start=1) if line.strip())
            while batch := list(islice(lines, _AT_ONCE)):
                done = _take(store, batch, source.name, now)
                new, known, bad = new + done.new, known + done.known, [*bad, *done.bad]
    except OSError as error:
        raise BadData(f"it cannot be read: {error.strerror}.", where=str(source), hint="Check the path") from error
    return TakenIn(new=new, known=known, bad=tuple(bad))


def _take(store: Store, batch: Sequence[Line], name: str, now: float) -> TakenIn:
    bad: list[tuple[str, str]] = []
    objects: list[tuple[str, dict[str, Any]]] = []
    for place, data in _objects(batch, name):
        if isinstance(data, dict):
            objects.append((place, data))
        else:
            bad.append((place, data))
    traces = traces_by_id(store, {own for _, data in objects if isinstance(own := data.get("trace"), str)})
    ready: dict[bool, list[tuple[Feedback, About]]] = {True: [], False: []}
    for place, data in objects:
        try:
            trace = _trace_of(store, data, traces)
            feedback = read_judgement(data, trace=trace.id, now=now)
        except UsageError as error:
            bad.append((place, str(error)))
        else:
            ready[data.get("at") is not None].append((feedback, about(trace, feedback)))
    added = [one for dated, judged in ready.items() if judged for one in Judgements(store).add(judged, dated=dated)]
    new = sum(one.new for one in added)
    return TakenIn(new=new, known=len(added) - new, bad=tuple(bad))


def _objects(batch: Sequence[Line], name: str) -> Iterator[tuple[str, dict[str, Any] | str]]:
    """(place, what stands there), or why nothing can be read there."""
    for number, line in batch:
        place = f"{name}:{number}"
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield place, f"it is not JSON: {error}"
            continue
        yield place, data if isinstance(data, dict) else "it is not a JSON object"


def _trace_of(store: Store, data: Mapping[str, Any], traces: Mapping[str, Trace]) -> Trace:
    """The trace that a judgement is about. Raises UsageError where it names none that is kept."""
    id, response = named_trace(data)
    found = traces.get(id) if id is not None else judged_trace(store, None, response)
    if found is None:
        raise UsageError(f"there is no answer '{id or response}'")
    return found
