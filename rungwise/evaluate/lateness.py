"""Labels that come late: which of them are missing only because it is too early."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rungwise.evaluate.answers import BoolArray, FloatArray, IntArray
from rungwise.evaluate.estimation import LEVEL, Share, interval_of

LEAST_ARRIVED = 0.25
"""Requests so young that less than this share of their labels has come are left out: what stands for four or more is too rough."""
PORTIONS = 50
ENOUGH = 20
"""With fewer labels of right or of wrong answers, both are taken to come equally late."""


def arrived(delays: FloatArray, ages: FloatArray, at: FloatArray, *, limit: float) -> FloatArray:
    """The share of the labels that come at all within `limit` which has come by each age `at`.

    `delays` (n,) are those of the labels that came, each from a request of age `ages` (n,) and so seen only because its delay
    is not above that. Source: the product-limit estimate for right truncation (Woodroofe 1985, Annals of Statistics 13).
    """
    shown = np.minimum(ages, limit)
    kept = delays <= shown
    times, events = np.unique(delays[kept], return_counts=True)
    ordered_delays, ordered_shown = np.sort(delays[kept]), np.sort(shown[kept])
    # At risk at t, seen backwards in time: those with delay <= t that would have been seen had they taken t.
    risk = np.searchsorted(ordered_delays, times, side="right") - np.searchsorted(ordered_shown, times, side="left")
    factors = 1 - events / np.maximum(risk, events)
    later = np.concatenate((np.cumprod(factors[::-1])[::-1], [1.0]))  # later[i] is the chance of a delay before times[i]
    return np.asarray(later[np.searchsorted(times, np.minimum(at, limit), side="right")], dtype=np.float64)


def late_share(
    values: FloatArray,
    delays: FloatArray,
    ages: FloatArray,
    counted: BoolArray,
    units: IntArray,
    *,
    limit: float,
    level: float = LEVEL,
) -> Share:
    """The mean of the `counted` rows (n,) among those whose label came, as if all labels had come that will.

    Each label stands for one over the share of its kind that comes so soon, kinds being right and wrong: it may well be that
    what was wrong is found out sooner. Assumed is that the delays did not change meanwhile, and that whether a label ever comes
    does not depend on whether the answer was right. Rows that are not counted, older ones, tell how long labels take. The
    variance is that of leaving out a fiftieth of the units in turn. Raises ValueError where no row is old enough.
    """
    order = np.unique(units, return_inverse=True)[1]
    portions = np.random.default_rng([len(values)]).permutation(int(order.max(initial=-1)) + 1)[order] % PORTIONS
    mean, weights = _late_mean(values, delays, ages, counted, limit)
    used = weights > 0
    if not used.any():
        raise ValueError("no label of a request that is old enough has come yet")
    parts = []
    for portion in range(int(portions.max()) + 1):
        kept = portions != portion
        without, _ = _late_mean(values[kept], delays[kept], ages[kept], counted[kept], limit)
        parts.append(0.0 if np.isnan(without) else mean - without)
    spread = np.bincount(order, weights=weights / weights.sum())
    evenly = 1 / float(spread @ spread)
    errors = float(min(values[used].sum(), (1 - values[used]).sum()))
    found = interval_of(mean, np.asarray(parts), evenly=evenly, errors=errors, n=int(used.sum()), level=level)
    return replace(found, units=len(np.unique(units[used])))


def _late_mean(
    values: FloatArray, delays: FloatArray, ages: FloatArray, counted: BoolArray, limit: float
) -> tuple[float, FloatArray]:
    """The weighted mean, NaN without a row, and the weight of each row, 0 for those that are not used."""
    right = values >= 0.5
    apart = min(int(right.sum()), int((~right).sum())) >= ENOUGH
    shares, least = np.zeros(len(values)), np.ones(len(values))
    for kind in (right, ~right) if apart else (np.ones(len(values), np.bool_),):
        of_kind = arrived(delays[kind], ages[kind], ages, limit=limit)
        shares[kind] = of_kind[kind]
        least = np.minimum(least, of_kind)
    used = counted & (least >= LEAST_ARRIVED) & (delays <= np.minimum(ages, limit))
    weights = np.where(used, 1 / np.maximum(shares, LEAST_ARRIVED), 0.0)
    total = float(weights.sum())
    return (float(weights @ values) / total if total else float("nan")), weights
