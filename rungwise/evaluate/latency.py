"""How long an answer takes: median, p95, and how high the p95 may really be."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rungwise.core.evaluation import Latency
from rungwise.evaluate.binomial import binomial_at_least


def latency(seconds: Sequence[float], *, level: float = 0.05) -> Latency:
    """Order statistics of measured seconds; `p95_high_s` lies below the true p95 with a chance of at most `level`.

    It is infinite below 59 measurements, which cannot bound a p95. Raises ValueError without any.
    """
    if not seconds:
        raise ValueError("cannot tell the latency from zero measurements")
    ordered, n = sorted(seconds), len(seconds)
    rank = quantile_bound_rank(n, 0.95, level)
    return Latency(
        p50_s=ordered[math.ceil(0.5 * n) - 1],
        p95_s=ordered[math.ceil(0.95 * n) - 1],
        p95_high_s=ordered[rank - 1] if rank <= n else math.inf,
        n=n,
    )


def quantile_bound_rank(n: int, quantile: float, level: float) -> int:
    """The least rank r, from 1, whose order statistic bounds the quantile from above at `level`; n + 1 when none does.

    The r-th smallest lies below the quantile only if at least r of n measurements
    do, a binomial chance. Source: David and Nagaraja, Order Statistics, section 7.1.
    """
    for rank in range(1, n + 1):
        if float(binomial_at_least(rank, n, quantile)) <= level:
            return rank
    return n + 1
