"""What each rung costs in all: development once, and then every answer."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rungwise.core.decision import NOT_MET, OVER_LIMIT, Decision, RungResult
from rungwise.core.evaluation import Evaluation
from rungwise.core.usecase import UseCase

VOLUMES = (1_000, 10_000, 100_000, 1_000_000)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The money of one measured rung, in US dollars: `development_usd` once, `usd_per_1k` for every thousand answers."""

    rung: str
    state: str
    development_usd: float
    usd_per_1k: float

    def total_usd(self, answers: int) -> float:
        """Development plus that many answers."""
        return self.development_usd + self.usd_per_1k * answers / 1000


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """From `answers` on, `cheaper` costs less in all than `dearer`, although it costs more to develop."""

    cheaper: str
    dearer: str
    answers: int


def costs(decision: Decision, use_case: UseCase, evaluations: Mapping[str, Evaluation]) -> list[Cost]:
    """The cost of each rung that has a price, in the order of the ladder."""
    return [
        Cost(
            rung=rung.rung,
            state=rung.state,
            development_usd=_development_usd(rung, use_case, evaluations.get(rung.rung)),
            usd_per_1k=rung.usd_per_1k,
        )
        for rung in decision.rungs
        if rung.usd_per_1k is not None
    ]


def _development_usd(rung: RungResult, use_case: UseCase, evaluation: Evaluation | None) -> float:
    """From the measured total where the decision has it, else from what fitting took."""
    if rung.total_usd is not None and rung.usd_per_1k is not None:
        return max(0.0, rung.total_usd - rung.usd_per_1k * use_case.forecast_volume / 1000)
    if evaluation is not None and evaluation.fit_usd > 0:
        return evaluation.fit_usd
    return (rung.fit_s or 0.0) / 3600 * use_case.machine_usd_per_hour


def crossings(table: Sequence[Cost]) -> list[Crossing]:
    """Every pair of rungs where the dearer to develop becomes the cheaper in all, within the volumes of the table.

    A rung shown to miss the target is no choice at any price, and one over a limit neither.
    """
    found = []
    choices = [cost for cost in table if cost.state not in (NOT_MET, OVER_LIMIT)]
    for one, other in itertools.combinations(choices, 2):
        first, second = sorted((one, other), key=lambda cost: cost.development_usd)
        saved_usd = (first.usd_per_1k - second.usd_per_1k) / 1000  # per answer
        if saved_usd <= 0:
            continue
        answers = (second.development_usd - first.development_usd) / saved_usd
        if 1 <= answers <= VOLUMES[-1]:
            found.append(Crossing(cheaper=second.rung, dearer=first.rung, answers=round(answers)))
    return sorted(found, key=lambda crossing: (crossing.answers, crossing.cheaper, crossing.dearer))
