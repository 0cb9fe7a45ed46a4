"""Everything statistical that the climb asks: chances before an opening, bounds at it, and what is still missing."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rungwise.core.candidate import Candidate
from rungwise.core.dataset import Example
from rungwise.core.decision import PROMISE, GroupVerdict
from rungwise.core.errors import UsageError
from rungwise.core.evaluation import Evaluation
from rungwise.core.record import digest, from_plain, to_plain
from rungwise.core.usecase import Target, UseCase
from rungwise.data.ledger import opening_level
from rungwise.evaluate.answers import Answers
from rungwise.evaluate.bounds import Bounds, bound
from rungwise.evaluate.chance import chance_of_met, expected_gain, rows_to_show
from rungwise.evaluate.metric import CorpusMetric, RowMetric, TargetMetric, target_metric
from rungwise.ladder.groups import groups_ruling

# A separate 5 % is shared over the rungs for "below the target", and another over the groups.
BELOW_LEVEL = 0.05
GROUPS_LEVEL = 0.05
# A race looks at its candidates after each batch; a dev set of 50,000 rows has as many.
MOST_LOOKS = 16


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """What an opening said: bounds, whether the target is reached or shown to be missed, the groups, and why in words."""

    low: float
    high: float
    n: int
    met: bool = False
    missed: bool = False
    why: str = ""
    coverage_low: float | None = None
    coverage_high: float | None = None
    groups: tuple[GroupVerdict, ...] = ()
    evaluation: str | None = None

    def plain(self) -> Mapping[str, Any]:
        """As the ledger keeps it. The bounds serve every target; `settle` holds them against one."""
        return to_plain(self)  # type: ignore[no-any-return]

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Ruling:
        """Read back from the ledger."""
        return from_plain(cls, data)


@dataclass(frozen=True, kw_only=True)
class Judge:
    """The target, the metric that decides, and the dev rows; `rungs` is the length of the ladder.

    `answers` gives the stored answers of an evaluation, probabilities included.
    """

    case: UseCase
    target: Target
    dev: tuple[Example, ...]
    sealed_id: str
    n_sealed: int
    rungs: int
    answers: Callable[[Evaluation], Answers]
    metric: TargetMetric = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "metric", target_metric(self.target.metric))
        if isinstance(self.metric, CorpusMetric) and self.target.coverage is not None:
            raise UsageError(f"a coverage target needs a metric that is scored row by row, not {self.target.metric}: use accuracy")

    @property
    def control(self) -> str:
        """How sure the error control is: a theorem, or a simulation."""
        return "approximate" if isinstance(self.metric, CorpusMetric) else "exact"

    @property
    def promise(self) -> str:
        """The sentence that the decision record says."""
        return PROMISE.format(alpha=self.case.alpha)

    def quality(self, evaluation: Evaluation) -> float:
        """The dev mean of the target metric."""
        return evaluation.estimates[self.target.metric].mean

    def test_id(self, candidate: Candidate) -> str:
        """What makes two openings of a candidate the same test: the rows and the metric; not the target's value."""
        groups = to_plain(self.case.groups) if self.case.groups else None
        coverage = self.target.coverage is not None
        return digest(["test", self.sealed_id, self.target.metric, coverage, self.case.out_of_scope, groups])

    def ready(self, candidate: Candidate, evaluation: Evaluation, *, level: float) -> Candidate:
        """The candidate as it would be opened: with a coverage target, the threshold is chosen here, on dev."""
        if self.target.coverage is None:
            return candidate
        from rungwise.evaluate.selective import choose_threshold

        rows, answers = self._measured(evaluation)
        if not any(one is not None for one in answers.confidences):
            return candidate.but(threshold=None)  # it cannot abstain; its chance is 0
        threshold = choose_threshold(
            self.metric,
            rows,
            answers,
            target=self.target.value,
            coverage=self.target.coverage,
            n_sealed=self.n_sealed,
            level=level,
            out_of_scope=self.case.out_of_scope,
        )
        return candidate.but(threshold=threshold)

    def chance(self, candidate: Candidate, evaluation: Evaluation, *, level: float, looked_at: int) -> float:
        """The predictive chance that the sealed rows would show the target at this level, after the best of some was picked."""
        rows, answers = self._measured(evaluation)
        if self.target.coverage is not None:
            return self._selective_chance(candidate, rows, answers, level)
        spread = self._spread(evaluation)
        return chance_of_met(
            self.metric,
            rows,
            answers,
            target=self.target.value,
            n_sealed=self.n_sealed,
            level=level,
            gain=expected_gain(looked_at, spread),
            out_of_scope=self.case.out_of_scope,
            seed=self.case.seed,
        )

    def dev_high(self, evaluation: Evaluation) -> float:
        """The upper bound on dev, at this rung's share of a separate 5 %. Choosing on dev only inflates it, so it is safe.

        A candidate that left a race was stopped because it looked poor, which deflates
        it: its level is shared over the looks. With a coverage c, whoever answers c of
        the rows and has a quality a on those has at least a c over all rows, whatever
        the threshold; so the bound over all rows, divided by c, is one for a.
        """
        rows, answers = self._measured(evaluation)
        looks = 1 if evaluation.complete else MOST_LOOKS
        coverage = self.target.coverage or 1.0
        if coverage < 1.0 and not (isinstance(self.metric, RowMetric) and self.metric.low >= 0.0):
            return 1.0  # the argument needs a mean of scores that are never negative
        return min(1.0, self._bound(rows, answers, level_low=0.5, level_high=self._below_level / looks).high / coverage)

    def rule(self, candidate: Candidate, rows: Sequence[Example], answers: Answers, *, level: float) -> Ruling:
        """Judge the answers to the sealed rows at the level of this opening."""
        if self.target.coverage is not None:
            return self._selective_ruling(candidate, rows, answers, level)
        bounds = self._bound(rows, answers, level_low=level, level_high=_level_high(level))
        return self.settle(Ruling(low=bounds.low, high=bounds.high, n=bounds.n, groups=self._groups(rows, answers)))

    def settle(self, ruling: Ruling) -> Ruling:
        """Hold stored bounds against this target; one bound serves every target."""
        value, word, coverage = self.target.value, self.target.metric, self.target.coverage
        met, missed = ruling.low >= value, ruling.high < value
        if coverage is not None and (ruling.coverage_low or 0.0) < coverage:
            met, missed = False, missed or (ruling.coverage_high or 1.0) < coverage
            why = f"coverage is only shown to be at least {ruling.coverage_low or 0.0:.4f}, and {coverage:g} is wanted"
        elif met:
            why = f"shown on {ruling.n} sealed rows: {word} is at least {_down(ruling.low)}"
        elif missed:
            why = f"shown on {ruling.n} sealed rows: {word} is at most {_up(ruling.high)}"
        else:
            why = f"opened, and {ruling.n} sealed rows leave it open whether {word} reaches {value:g}"
        bad = groups_ruling(self.case.groups, ruling.groups)
        if met and bad:
            met, why = False, bad
        return dataclasses.replace(ruling, met=met, missed=missed, why=why)

    def more_examples(self, evaluations: Sequence[Evaluation], k: int) -> int | None:
        """How many new sealed rows would show, with 80 % power at the next opening, what the best of these had on dev.

        None when that is not above the target, and for coverage targets, where the threshold would move too.
        """
        if not evaluations or self.target.coverage is not None:
            return None
        rows, answers = self._measured(max(evaluations, key=self.quality))
        return rows_to_show(
            self.metric,
            rows,
            answers,
            target=self.target.value,
            level=opening_level(k, self.case.alpha),
            out_of_scope=self.case.out_of_scope,
            seed=self.case.seed,
        )

    @property
    def _below_level(self) -> float:
        return BELOW_LEVEL / max(1, self.rungs)

    def _bound(self, rows: Sequence[Example], answers: Answers, *, level_low: float, level_high: float) -> Bounds:
        return bound(
            self.metric,
            rows,
            answers,
            level_low=level_low,
            level_high=level_high,
            out_of_scope=self.case.out_of_scope,
            seed=self.case.seed,
        )

    def _measured(self, evaluation: Evaluation) -> tuple[Sequence[Example], Answers]:
        """The dev rows that the evaluation has, with their answers; racing may have left some out."""
        if evaluation.n == len(self.dev):
            return self.dev, self.answers(evaluation)
        by_id = {row.id: row for row in self.dev}
        return [by_id[id] for id in evaluation.rows], self.answers(evaluation)

    def _spread(self, evaluation: Evaluation) -> float:
        """The standard error of the dev score, from its display interval."""
        estimate = evaluation.estimates[self.target.metric]
        return max(0.0, estimate.high - estimate.low) / (2 * 1.96) if math.isfinite(estimate.high - estimate.low) else 0.0

    def _groups(self, rows: Sequence[Example], answers: Answers) -> tuple[GroupVerdict, ...]:
        from rungwise.ladder.groups import judge_groups

        if self.case.groups is None:
            return ()
        return judge_groups(self.case, self.metric, rows, answers, level=GROUPS_LEVEL)

    def _selective_chance(self, candidate: Candidate, rows: Sequence[Example], answers: Answers, level: float) -> float:
        from rungwise.evaluate.selective import selective_chance

        if candidate.threshold is None or self.target.coverage is None:
            return 0.0
        return selective_chance(
            self.metric,
            rows,
            answers,
            threshold=candidate.threshold,
            target=self.target.value,
            coverage=self.target.coverage,
            n_sealed=self.n_sealed,
            level=level,
            out_of_scope=self.case.out_of_scope,
        )

    def _selective_ruling(self, candidate: Candidate, rows: Sequence[Example], answers: Answers, level: float) -> Ruling:
        """Coverage and quality among the answered, each at half the level."""
        from rungwise.evaluate.selective import selective_bound

        assert candidate.threshold is not None
        found = selective_bound(
            self.metric,
            rows,
            answers,
            threshold=candidate.threshold,
            level_low=level,
            level_high=_level_high(level),
            out_of_scope=self.case.out_of_scope,
            seed=self.case.seed,
        )
        quality, coverage = found.quality, found.coverage
        return self.settle(
            Ruling(
                low=quality.low,
                high=quality.high,
                n=quality.n,
                coverage_low=coverage.low,
                coverage_high=coverage.high,
                groups=self._groups(rows, answers),
            )
        )


def _level_high(level: float) -> float:
    """The level of an opening's upper bound: that of the lower one, and never more than 5 %.

    It depends on the opening alone, so that a stored bound is the same on a longer
    ladder, and all upper bounds ever given for these rows hold together.
    """
    return min(level, BELOW_LEVEL)


def _down(bound: float) -> str:
    """A lower bound in words: rounded so that it never claims more."""
    return f"{math.floor(bound * 1e4) / 1e4:.4f}"


def _up(bound: float) -> str:
    return f"{math.ceil(bound * 1e4) / 1e4:.4f}"
