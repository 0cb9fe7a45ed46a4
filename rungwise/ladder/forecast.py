"""Before anything is spent: what these rows can show at this target, how many more are needed, and what each rung will cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rungwise.core.record import to_plain
from rungwise.core.usecase import Target, UseCase
from rungwise.data.ledger import opening_level
from rungwise.evaluate.chance import power, rows_needed
from rungwise.evaluate.metric import CorpusMetric, RowMetric, target_metric
from rungwise.ladder.expedition import Terrain

WANTED_POWER = 0.8


@dataclass(frozen=True, kw_only=True)
class Chance:
    """If the true quality were `truth`: the chance that the next opening shows the target, and the rows that would give 80 %."""

    truth: float
    power: float
    rows_needed: int | None


@dataclass(frozen=True, kw_only=True)
class RungForecast:
    """What one rung is expected to take: seconds and calls until it is measured on dev, US dollars, and the total at volume."""

    rung: str
    seconds: float
    calls: int
    usd: float
    usd_per_1k: float
    total_usd: float


@dataclass(frozen=True, kw_only=True)
class ForecastDocument:
    """The whole forecast. `k` is the number that the next opening of these rows will have, `alpha` its level."""

    target: Target
    sealed: int
    k: int
    alpha: float
    chances: tuple[Chance, ...]
    fewest_rows: int
    feasible: bool
    rungs: tuple[RungForecast, ...]
    note: str
    columns: tuple[str, ...] = ()
    splits: Mapping[str, int] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        return to_plain(self)  # type: ignore[no-any-return]


def forecast(terrain: Terrain, *, opened: int) -> ForecastDocument:
    """The forecast for a terrain whose sealed rows were opened `opened` times before.

    Power is exact for 0-1 scores. Other metrics vary less or more from row to row
    than 0-1 scores do; for them the same figures are a guide, and the note says so.
    """
    case, target = terrain.case, terrain.target
    k = opened + 1
    level = opening_level(k, case.alpha)
    n = terrain.splits.sealed.units
    fewest = math.ceil(math.log(level) / math.log(target.value) - 1e-9)
    truths = sorted({round(truth, 6) for truth in _truths(target.value) if truth < 1.0})
    chances = tuple(
        Chance(
            truth=truth,
            power=power(target.value, truth, n, level),
            rows_needed=rows_needed(target.value, truth, level, power=WANTED_POWER),
        )
        for truth in truths
    )
    counts = {split: terrain.dataset.splits.count(split) for split in ("train", "dev", "sealed")}
    return ForecastDocument(
        target=target,
        sealed=n,
        k=k,
        alpha=level,
        chances=chances,
        fewest_rows=fewest,
        feasible=n >= fewest,
        rungs=tuple(_rung(stair.name, stair.forecast, case) for stair in terrain.ladder),
        note=_note(target),
        columns=terrain.imported.roles.reasons,
        splits=counts,
    )


def _truths(value: float) -> tuple[float, float, float]:
    """Two points above the target, five points, and half of the remaining error."""
    return value + 0.02, value + 0.05, value + (1 - value) / 2


def _rung(name: str, expected: Any, case: UseCase) -> RungForecast:
    per_second = case.machine_usd_per_hour / 3600.0
    return RungForecast(
        rung=name,
        seconds=expected.seconds,
        calls=expected.calls,
        usd=expected.usd,
        usd_per_1k=1000 * (expected.answer_usd + expected.answer_s * per_second),
        total_usd=expected.total_usd(case),
    )


def _note(target: Target) -> str:
    metric = target_metric(target.metric)
    if isinstance(metric, RowMetric) and metric.binary:
        return "exact for this metric"
    kind = "approximate" if isinstance(metric, CorpusMetric) else "a guide"
    return f"{kind}: {target.metric} is not a 0-1 score of single rows; the figures are those of a 0-1 score of the same mean"
