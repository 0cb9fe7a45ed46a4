"""What a rung may conclude from what was measured so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rungwise.core.candidate import Candidate
from rungwise.core.evaluation import Evaluation
from rungwise.core.tasks import TASKS
from rungwise.core.usecase import UseCase


def best(candidates: Sequence[Candidate], seen: Sequence[Evaluation], case: UseCase) -> Candidate:
    """The candidate with the best dev mean of the target metric; the earlier, cheaper one where two are equal.

    Candidates that racing dropped were worse than one that was not, so only complete ones are compared.
    """
    metric = case.target.metric if case.target is not None else TASKS[case.task].metric
    pairs = [(one, measured) for one, measured in zip(candidates, seen, strict=True) if measured.complete]
    return max(pairs or list(zip(candidates, seen, strict=True)), key=lambda pair: pair[1].estimates[metric].mean)[0]


def qualities(seen: Sequence[Evaluation], case: UseCase) -> list[float]:
    """The dev means of the target metric, in order."""
    metric = case.target.metric if case.target is not None else TASKS[case.task].metric
    return [one.estimates[metric].mean for one in seen]


Stage = Callable[[Candidate], Sequence[Candidate]]
"""Variations of the best candidate so far."""


def next_stage(stages: Sequence[Stage], first: Candidate, seen: Sequence[Evaluation], case: UseCase) -> Sequence[Candidate]:
    """What a search in stages proposes after what was seen; each stage varies the best candidate of those before it.

    A candidate is proposed once. What was seen belongs, in order, to what was proposed. After the last stage nothing is left.
    """
    tried: list[Candidate] = []
    kept = first
    for stage in stages:
        fresh = [one for one in {one.id: one for one in stage(kept)}.values() if one not in tried]
        if len(seen) <= len(tried):
            if fresh:
                return fresh
            continue
        tried += fresh
        kept = best(tried, seen[: len(tried)], case)
    return ()
