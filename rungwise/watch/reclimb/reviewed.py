"""Questions that people looked at by chance since the climb, answered by both candidates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rungwise.core.candidate import Candidate
from rungwise.core.content import Request
from rungwise.core.decision import Decision
from rungwise.core.reading import DAY_S
from rungwise.core.record import digest
from rungwise.core.trace import Trace
from rungwise.core.types import Clock, collect
from rungwise.core.usecase import UseCase
from rungwise.data.judging import traces_by_id
from rungwise.data.reviews import RANDOM, Drawn, Reviews
from rungwise.data.said import said
from rungwise.data.steps import Steps
from rungwise.data.store import Store
from rungwise.engines.loop import run_in_background
from rungwise.ladder.serving import ready
from rungwise.watch.reclimb.trial import pair_of


def reviewed_pairs(
    store: Store,
    directory: Path,
    live: tuple[Candidate, Decision],
    new: tuple[Candidate, Decision],
    *,
    case: UseCase,
    since: float,
    clock: Clock,
) -> list[tuple[float, float]]:
    """(live, new) correctness for each question of one of the two that was drawn by chance and asked after `since`, in the order
    in which people decided. What the other one says to it is asked once and kept."""
    found = list(_reviewed(store, (live[0].id, new[0].id), since, clock.now()))
    missing = {
        candidate.id: [trace for _, trace in found if trace.candidate != candidate.id and _kept(store, candidate, trace) is None]
        for candidate, _ in (live, new)
    }
    for candidate, decision in (live, new):
        if missing[candidate.id]:
            run_in_background(_ask(store, directory, candidate, decision, missing[candidate.id], case=case, clock=clock))
    pairs = []
    for drawn, trace in found:
        assert drawn.correct is not None
        by_new = trace.candidate == new[0].id
        other = _kept(store, live[0] if by_new else new[0], trace) or ""
        pairs.append(pair_of(said(trace).answer, drawn.correct, drawn.wanted, other, by_new=by_new))
    return pairs


def _reviewed(store: Store, candidates: tuple[str, str], since: float, now: float) -> Iterator[tuple[Drawn, Trace]]:
    """The items with a last word, and their traces, by the time of the word. A question that leans on others before it is none."""
    drawn = [
        one
        for one in Reviews(store).drawn(int(since // DAY_S), int(now // DAY_S))
        if one.reason == RANDOM and one.correct is not None and one.at is not None
    ]
    traces = traces_by_id(store, [one.trace for one in drawn])
    for one in sorted(drawn, key=lambda item: (item.at or 0.0, item.id)):
        trace = traces.get(one.trace)
        if trace is not None and trace.candidate in candidates and trace.at >= since and said(trace).questions == 1:
            yield one, trace


def _key(candidate: Candidate, trace: Trace) -> str:
    return digest(["reviewed question", candidate.id, trace.id])


def _kept(store: Store, candidate: Candidate, trace: Trace) -> str | None:
    step = Steps(store).get(_key(candidate, trace))
    return None if step is None else str(step.output)


async def _ask(
    store: Store, directory: Path, candidate: Candidate, decision: Decision, traces: Sequence[Trace], *, case: UseCase, clock: Clock
) -> None:
    async with ready(store, case, directory, decision, candidate, clock=clock) as responder:
        for trace in traces:
            response = await collect(responder(Request.of(said(trace).question)))
            Steps(store).put(_key(candidate, trace), "reviewed", response.text, seconds=0.0)
