"""Two candidates of a climb against each other: a paired test on the dev rows, and the rows that differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rungwise.core.dataset import DEV, Example
from rungwise.core.decision import Decision
from rungwise.core.errors import UnknownName
from rungwise.core.evaluation import Evaluation
from rungwise.core.usecase import UseCase
from rungwise.data.datasets import load_dataset
from rungwise.data.nouns import Nouns
from rungwise.data.store import Store
from rungwise.evaluate.metric import target_metric
from rungwise.evaluate.paired import Comparison, compare
from rungwise.ladder.evidence import measured_id
from rungwise.ladder.scoring import Scorer


@dataclass(frozen=True, kw_only=True)
class RowPair:
    """A row on which the two scored differently."""

    text: str
    references: tuple[str, ...]
    first: str
    second: str
    better: str


@dataclass(frozen=True, kw_only=True)
class Contest:
    """The test, and the rows that differ, those that the first loses before those that it wins."""

    first: str
    second: str
    metric: str
    test: Comparison
    rows: tuple[RowPair, ...]


def compare_candidates(store: Store, decision: Decision, first: str, second: str, *, case: UseCase) -> Contest:
    """Compare two rungs or candidates of a decision by the target metric. Raises UnknownName for one that it does not have."""
    one, other = (_evaluation(store, decision, name) for name in (first, second))
    by_id = {row.id: row for row in load_dataset(store, decision.dataset).part(DEV)}
    shared = [id for id in one.rows if id in set(other.rows)]
    rows = [by_id[id] for id in shared]
    scorer = Scorer(store, case)
    metric = target_metric(decision.target.metric)
    answers = [scorer.answers(each).take([each.rows.index(id) for id in shared]) for each in (one, other)]
    test = compare(metric, rows, answers[0], answers[1], out_of_scope=case.out_of_scope, seed=case.seed)
    pairs = [_pair(rows, answers[0].texts, answers[1].texts, place, test) for place in test.differing]
    return Contest(
        first=first,
        second=second,
        metric=metric.name,
        test=test,
        rows=tuple(sorted(pairs, key=lambda pair: (pair.better == "first", pair.text))),
    )


def _pair(rows: Sequence[Example], first: Sequence[str], second: Sequence[str], place: int, test: Comparison) -> RowPair:
    row = rows[place]
    right = [text in row.references for text in (first[place], second[place])]
    better = "first" if right[0] and not right[1] else "second" if right[1] and not right[0] else "neither"
    return RowPair(text=row.text, references=row.references, first=first[place], second=second[place], better=better)


def _evaluation(store: Store, decision: Decision, name: str) -> Evaluation:
    """The dev evaluation of a rung's nominee, or of any measured candidate by its shortened id."""
    nouns = Nouns(store)
    evaluations = [nouns.get(Evaluation, id) for id in decision.evaluations]
    by_rung = {result.rung: measured_id(store, result.candidate) for result in decision.rungs if result.candidate is not None}
    wanted = by_rung.get(name, name)
    found = [one for one in evaluations if one.complete and one.candidate.startswith(wanted)]
    if not found:
        known = [*by_rung, *(one.candidate[:12] for one in evaluations)]
        raise UnknownName("rung or candidate", name, known, where="the last decision")
    return found[-1]
