"""What was measured: a candidate on rows, scored row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rungwise.core.record import digest, to_plain


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure with its interval. `level` is two-sided for display intervals, one-sided for bounds; `method` names the formula."""

    mean: float
    low: float
    high: float
    n: int
    level: float = 0.95
    method: str = ""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Seconds per answer, asked one at a time after a warm-up. `p95_high_s` is the upper 95 % bound of the p95."""

    p50_s: float
    p95_s: float
    p95_high_s: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A candidate on the rows of one split: what it answered, what each answer scored, what it took.

    `answers[i]`, `confidences[i]` and `scores[metric][i]` belong to `rows[i]`, an
    `Example.id`. A NaN score (stored as None) is a row that the metric does not
    count. `probabilities` is the digest of a float32 blob (rows, labels), when the
    model gives them, so that any metric can be recomputed without running anything.
    `seconds`, `usd` and `calls` are what measuring took; `fit_s` and `fit_usd` what
    making the candidate took. `row_seconds` are the seconds of single remote answers;
    local ones are timed by a probe instead.
    """

    candidate: str
    dataset: str
    split: str
    rows: tuple[str, ...]
    answers: tuple[str, ...]
    confidences: tuple[float | None, ...] = ()
    scores: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    probabilities: str | None = None
    latency: Latency | None = None
    models: tuple[str, ...] = ()
    seconds: float = 0.0
    usd: float = 0.0
    usd_per_1k: float = 0.0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    fit_s: float = 0.0
    fit_usd: float = 0.0
    memory_mb: float | None = None
    row_seconds: tuple[float, ...] = ()
    complete: bool = True

    @property
    def id(self) -> str:
        """SHA-256 of the content."""
        return digest(to_plain(self))

    @property
    def n(self) -> int:
        """How many rows were measured."""
        return len(self.rows)
