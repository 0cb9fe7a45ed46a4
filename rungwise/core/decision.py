"""What the climb found and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rungwise.core.evaluation import Estimate
from rungwise.core.record import digest, to_plain
from rungwise.core.usecase import Target

MET, NOT_MET, CANNOT_TELL = "met", "not_met", "cannot_tell"
MEASURED, NOT_RUN, NOT_INSTALLED, OVER_LIMIT, FAILED = "measured", "not_run", "not_installed", "over_limit", "failed"
VERDICTS = (MET, NOT_MET, CANNOT_TELL)
STATES = (*VERDICTS, MEASURED, NOT_RUN, NOT_INSTALLED, OVER_LIMIT, FAILED)

PROMISE = (
    "Over this climb, and over all climbs ever made against the same sealed rows, the probability that any candidate "
    "whose true quality is below the target is called met is at most {alpha:g}, assuming the sealed rows are a fair "
    "sample and no candidate was designed from sealed results."
)


@dataclass(frozen=True, kw_only=True)
class Opening:
    """One test on the sealed rows: the `k`-th ever made on them, at level `alpha`.

    `low` and `high` are one-sided bounds, `low` at `alpha` and `high` at a separate
    `alpha` of at most 5 %. The point score is never kept here.
    """

    k: int
    alpha: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, kw_only=True)
class GroupVerdict:
    """One group against its floor: shown_good, shown_bad, cannot_tell or too_small."""

    group: str
    verdict: str
    n: int


@dataclass(frozen=True, kw_only=True)
class RungResult:
    """One rung of the ladder: who stood for it, what was seen, the state it ended in, and why."""

    rung: str
    state: str
    why: str
    candidate: str | None = None
    dev: Estimate | None = None
    test: Opening | None = None
    p95_s: float | None = None
    usd_per_1k: float | None = None
    fit_s: float | None = None
    calls: int = 0
    seconds: float = 0.0
    usd: float = 0.0
    forecast_s: float | None = None
    forecast_usd: float | None = None
    total_usd: float | None = None
    tried: int = 0
    chance: float | None = None
    groups: tuple[GroupVerdict, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Spend:
    """Seconds of machine time, US dollars, and calls to paid or remote models."""

    seconds: float = 0.0
    usd: float = 0.0
    calls: int = 0

    def __add__(self, other: Spend) -> Spend:
        return Spend(seconds=self.seconds + other.seconds, usd=self.usd + other.usd, calls=self.calls + other.calls)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The verdict of a climb with everything needed to recompute it from the stored scores.

    `version` is the digest of the version of the data that `dataset` was read from; None where it was read from a file.
    """

    use_case: str
    dataset: str
    target: Target
    verdict: str
    control: str
    reason: str
    ladder: tuple[str, ...]
    rungs: tuple[RungResult, ...]
    alpha_total: float
    alpha_spent_before: float
    alpha_spent: float
    chosen_rung: str | None = None
    chosen: str | None = None
    more_examples: int | None = None
    development: Spend = field(default_factory=Spend)
    saved: Spend = field(default_factory=Spend)
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    evaluations: tuple[str, ...] = ()
    approved_by: str | None = None
    promise: str = ""
    version: str | None = None

    @property
    def id(self) -> str:
        """SHA-256 of the content."""
        return digest(to_plain(self))
