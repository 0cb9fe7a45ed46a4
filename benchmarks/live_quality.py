"""How good are live answers? Coverage and width of the 95 % intervals over simulated months whose quality is known.

Every interval comes from the product's own estimators (`evaluate/estimation.py`, `lateness.py`, `foretelling.py`); `MONTHS`
months a row, users who differ, 300 requests a day. Naive is the plain mean of what came in: its coverage takes the judged
answers for a random sample. A row fails where the 99 % interval of its coverage lies below 95 %. `short` runs a tenth.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rungwise.evaluate.answers import BoolArray, FloatArray, IntArray
from rungwise.evaluate.binomial import clopper_pearson_high, clopper_pearson_low
from rungwise.evaluate.estimation import Share, corrected_share, weighted_share
from rungwise.evaluate.foretelling import answered_share, confident_share, log_odds
from rungwise.evaluate.lateness import late_share
from rungwise.watch.review.sampling import proportional

MONTHS = 500
LEVEL = 0.95
RATES = (0.7, 0.9, 0.97)
HARD, PEOPLE = 1.5, 0.5  # how much requests and users differ, in log odds
LABEL_DAYS = 14.0


@dataclass(frozen=True, kw_only=True)
class Month:
    """Requests (n,): the day, the user, whether the answer is right and how sure the candidate says it is."""

    day: IntArray
    user: IntArray
    right: FloatArray
    sure: FloatArray
    rng: np.random.Generator


def offset_of(rate: float) -> float:
    """The mean log odds at which so many answers are right."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    spread = math.hypot(HARD, PEOPLE) * nodes
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        found = float(weights @ (1 / (1 + np.exp(-(middle + spread)))) / weights.sum())
        low, high = (middle, high) if found < rate else (low, middle)
    return low


def month_of(rate: float, days: int, seed: int, *, per_day: int = 300, users: int = 400) -> Month:
    """A month in which each answer is right with a chance that its confidence nearly tells."""
    rng = np.random.default_rng([seed, days, round(1000 * rate)])
    n = per_day * days
    user, hard = rng.integers(0, users, n), rng.normal(0, HARD, n)
    margin = offset_of(rate) + hard + rng.normal(0, PEOPLE, users)[user]
    right = (rng.random(n) < 1 / (1 + np.exp(-margin))).astype(float)
    sure = 1 / (1 + np.exp(-(offset_of(rate) + hard + rng.normal(0, 0.3, n))))
    return Month(day=np.arange(n) // per_day, user=user, right=right, sure=sure, rng=rng)


def drawn(month: Month, per_day: int, odd_per_day: int) -> tuple[BoolArray, FloatArray]:
    """(n,) what was drawn for review as the queue does it, and the chance of each request."""
    chances = np.zeros(len(month.day))
    taken = np.zeros(len(month.day), np.bool_)
    for day in range(int(month.day.max()) + 1):
        rows = np.flatnonzero(month.day == day)
        taken[month.rng.choice(rows, per_day, replace=False)] = True
        odd = proportional({str(row): float(1 - month.sure[row]) for row in rows}, odd_per_day) if odd_per_day else {}
        own = np.array([odd.get(str(row), 0.0) for row in rows])
        taken[rows] |= month.rng.random(len(rows)) < own
        chances[rows] = 1 - (1 - per_day / len(rows)) * (1 - own)
    return taken, chances


def random(rate: float, seed: int, days: int = 28, per_day: int = 20, odd: int = 0) -> tuple[Share, Share]:
    """By reviews, weighted by their chances; naive without weights."""
    month = month_of(rate, days, seed)
    taken, chances = drawn(month, per_day, odd)
    values, users = month.right[taken], month.user[taken]
    return weighted_share(values, 1 / chances[taken], users), weighted_share(values, np.ones(len(values)), users)


def week(rate: float, seed: int) -> tuple[Share, Share]:
    """Seven days of ten reviews."""
    return random(rate, seed, days=7, per_day=10)


def doubtful(rate: float, seed: int) -> tuple[Share, Share]:
    """Ten at random and ten of the doubtful each day."""
    return random(rate, seed, per_day=10, odd=10)


def late(rate: float, seed: int) -> tuple[Share, Share]:
    """A tenth gets a label, three times as soon where the answer was wrong; of the last 28 days."""
    month = month_of(rate, 28 + round(LABEL_DAYS), seed)
    n, rng = len(month.day), month.rng
    age = month.day.max() + 1 - month.day - rng.random(n)
    delay = rng.exponential(np.where(month.right == 1, 6.0, 2.0))
    delay = np.where(delay > LABEL_DAYS, LABEL_DAYS * rng.random(n), delay)
    came = (rng.random(n) < 0.1) & (delay <= age)
    counted = age <= 28
    found = late_share(month.right[came], delay[came], age[came], counted[came], month.user[came], limit=LABEL_DAYS)
    naive = came & counted
    return found, weighted_share(month.right[naive], np.ones(int(naive.sum())), month.user[naive])


def said_of(month: Month) -> FloatArray:
    """(n,) what users say: 4 % where the answer is right and 16 % where it is wrong, 8 % of it the wrong way round."""
    n, rng = len(month.day), month.rng
    speaks = rng.random(n) < np.where(month.right == 1, 0.04, 0.16)
    honest = rng.random(n) >= 0.08
    return np.where(speaks, np.where(honest, month.right, 1 - month.right), np.nan)


def feedback(rate: float, seed: int) -> tuple[Share, Share]:
    """Users' word, corrected by twenty random reviews a day; naive is its plain mean."""
    month = month_of(rate, 28, seed)
    said = said_of(month)
    taken, chances = drawn(month, 20, 0)
    known = np.column_stack((log_odds(month.sure), ~np.isnan(said), np.nan_to_num(said)))
    found = corrected_share(np.where(taken, month.right, np.nan), 1 / chances, known, month.user)
    spoke = ~np.isnan(said)
    return found, weighted_share(said[spoke], np.ones(int(spoke.sum())), month.user[spoke])


def asked(rate: float, seed: int) -> tuple[Share, Share]:
    """Users who answer the more readily the less sure the candidate is, without reviews: what is assumed holds."""
    month = month_of(rate, 28, seed)
    speaks = month.rng.random(len(month.day)) < np.where(month.sure < rate, 0.2, 0.05)
    said = np.asarray(np.where(speaks, month.right, np.nan), dtype=np.float64)
    known = np.column_stack((log_odds(month.sure), (month.sure < rate).astype(np.float64)))
    return answered_share(said, known, month.user), weighted_share(said[speaks], np.ones(int(speaks.sum())), month.user[speaks])


def confidence(rate: float, seed: int) -> tuple[Share, Share]:
    """No labels at all, confidences that mean what they meant on 600 rows before; naive takes them at their word."""
    month, before = month_of(rate, 28, seed), month_of(rate, 2, seed + 100_000)
    loud = 1 / (1 + np.exp(-1.5 * log_odds(month.sure)))  # too sure of itself
    known = 1 / (1 + np.exp(-1.5 * log_odds(before.sure)))
    return confident_share(loud, month.user, known, before.right), weighted_share(loud, np.ones(len(loud)), month.user)


KINDS: dict[str, Callable[[float, int], tuple[Share, Share]]] = {
    "random, 20 a day": random,
    "random, a week of 10 a day": week,
    "10 random and 10 doubtful a day": doubtful,
    "late labels": late,
    "biased feedback, corrected by reviews": feedback,
    "feedback, nobody reviews": asked,
    "confidence alone": confidence,
}


def coverage(kind: str, rate: float, months: int) -> dict[str, float]:
    """How often the interval holds the truth, its mean width, and the same of the naive one."""
    pairs = [KINDS[kind](rate, seed) for seed in range(months)]
    ours, naive = ([pair[side] for pair in pairs] for side in (0, 1))
    held = sum(one.low <= rate <= one.high for one in ours)
    return {
        "coverage": held / months,
        "low": float(clopper_pearson_low(held, months, 0.005)),
        "high": float(clopper_pearson_high(held, months, 0.005)),
        "width": float(np.mean([one.high - one.low for one in ours])),
        "bias": float(np.mean([one.value for one in ours])) - rate,
        "n": float(np.mean([one.n for one in ours])),
        "naive_coverage": sum(one.low <= rate <= one.high for one in naive) / months,
        "naive_bias": float(np.mean([one.value for one in naive])) - rate,
    }


def main(arguments: list[str]) -> None:
    """Print the table and the JSON line."""
    months = MONTHS // 10 if "short" in arguments else MONTHS
    print(f"{months} months a row; intervals of {LEVEL:.0%}\n")
    print(
        f"{'':40}{'right':>6}{'n':>7}{'coverage':>10}{'99 % interval':>18}{'width':>8}{'bias':>9}{'naive: coverage':>17}{'bias':>9}"
    )
    found = {}
    for kind in KINDS:
        for rate in RATES:
            one = found[f"{kind}, {rate:g}"] = coverage(kind, rate, months)
            print(
                f"{kind:40}{rate:>6.0%}{one['n']:>7,.0f}{one['coverage']:>10.1%}{one['low']:>10.1%} - {one['high']:.1%}"
                f"{one['width']:>8.3f}{one['bias']:>+9.4f}{one['naive_coverage']:>17.1%}{one['naive_bias']:>+9.4f}",
                flush=True,
            )
    failed = [name for name, one in found.items() if one["high"] < LEVEL]
    least = min(one["coverage"] for one in found.values())
    print(f"\nleast coverage {least:.1%}; rows below {LEVEL:.0%} beyond the error of the simulation: {', '.join(failed) or 'none'}")
    print(json.dumps({"rows": found, "least": least, "months": months, "met": not failed}))


if __name__ == "__main__":
    main(sys.argv[1:])
