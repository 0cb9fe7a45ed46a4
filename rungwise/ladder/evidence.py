"""What the report shows of a climb, gathered from the store. Of the sealed rows, nothing but what the decision says."""

from __future__ import annotations

from rungwise.core.candidate import Candidate
from rungwise.core.decision import Decision
from rungwise.core.evaluation import Evaluation
from rungwise.data.nouns import Nouns
from rungwise.data.store import Store


def measured_id(store: Store, candidate: str) -> str:
    """The candidate under which a rung's nominee was measured: the same recipe without a threshold."""
    return Nouns(store).get(Candidate, candidate).but(threshold=None).id


def dev_evaluations(store: Store, decision: Decision) -> dict[str, Evaluation]:
    """The dev evaluation of each rung's nominee, by rung."""
    nouns = Nouns(store)
    complete = [one for one in (nouns.get(Evaluation, id) for id in decision.evaluations) if one.complete]
    by_candidate = {one.candidate: one for one in complete}
    ids = {result.rung: measured_id(store, result.candidate) for result in decision.rungs if result.candidate is not None}
    return {rung: by_candidate[id] for rung, id in ids.items() if id in by_candidate}
