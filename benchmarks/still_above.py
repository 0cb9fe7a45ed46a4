"""Is live quality still at its target? Looked at daily for a year: wrong alarms at the target, and days until a fall is shown.

Every figure comes from the product's own test (`evaluate/staying.py`) on simulated reviews, `per_day` of them a day. The peer is
the one-sided z-test at 5 % on all reviews so far, or on those of the last 28 days, looked at on the same days. `short` as an
argument runs a tenth.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator

import numpy as np

from rungwise.evaluate.answers import BoolArray, FloatArray
from rungwise.evaluate.binomial import clopper_pearson_high, clopper_pearson_low
from rungwise.evaluate.staying import MONTH_DAYS, log_wealth

LEVEL = 0.05
DAYS = 365
RUNS = 4_000
AT_ONCE = 200
SETTLED = 180  # days at two points above the target before a late fall
WARM_UP = 14  # days before the z-tests are first looked at, which is kind to them
Z = 1.6449

# name, target, reviews a day, whether quality has a weekly season around the target
NULLS = (
    ("target 80 %, 20 a day", 0.80, 20, 0.0),
    ("target 90 %, 20 a day", 0.90, 20, 0.0),
    ("target 95 %, 20 a day", 0.95, 20, 0.0),
    ("target 99 %, 20 a day", 0.99, 20, 0.0),
    ("target 90 %, 5 a day", 0.90, 5, 0.0),
    ("target 90 %, weekends 5 points lower", 0.90, 20, 0.05),
    ("target 90 %, doubtful ones drawn more often", 0.90, 20, -1.0),
)
FALLS = tuple((target, fall, start) for target in (0.80, 0.90, 0.95) for fall in (0.02, 0.05, 0.10) for start in (0, SETTLED))


def nulls(target: float, per_day: int, season: float, runs: int) -> Iterator[tuple[FloatArray, FloatArray | None]]:
    """Values (DAYS * per_day, some runs) whose quality is the target, and the weights of the draws."""
    rng = np.random.default_rng([round(1000 * target), per_day, round(100 * abs(season))])
    day = np.arange(DAYS * per_day) // per_day
    for start in range(0, runs, AT_ONCE):
        shape = (len(day), min(AT_ONCE, runs - start))
        if season < 0:  # a tenth of the answers is right half the time, and every third draw is of it
            doubtful = rng.random(shape) < 1 / 3
            rest = (target - 0.05) / 0.9
            yield (rng.random(shape) < np.where(doubtful, 0.5, rest)).astype(float), np.where(doubtful, 0.3, 0.9 * 1.5)
            continue
        quality = target + np.where(day % 7 >= 5, -season * 5 / 7, season * 2 / 7)
        yield (rng.random(shape) < quality[:, None]).astype(float), None


def months(n: int, per_day: int) -> np.ndarray:
    """(n,) the month of each review."""
    return np.arange(n) // (per_day * MONTH_DAYS)


def daily(values: FloatArray, per_day: int, target: float, weights: FloatArray | None = None) -> BoolArray:
    """(DAYS, m) whether the product shows a fall at the end of each day."""
    return np.asarray(
        log_wealth(values, months(len(values), per_day), target, weights)[per_day - 1 :: per_day] >= math.log(1 / LEVEL)
    )


def peeking(values: FloatArray, per_day: int, target: float, window: int | None) -> BoolArray:
    """(DAYS, m) whether a z-test on all reviews so far, or on those of the last days, shows one."""
    sums = np.cumsum(values, axis=0)[per_day - 1 :: per_day]
    n = per_day * np.arange(1, len(sums) + 1, dtype=np.float64)[:, None]
    if window is not None:
        sums = sums - np.concatenate((np.zeros((window, sums.shape[1])), sums[:-window]))
        n = np.minimum(n, window * per_day)
    shown = (sums / n - target) / np.sqrt(target * (1 - target) / n) < -Z
    shown[:WARM_UP] = False
    return np.asarray(shown)


def wrong_alarms(target: float, per_day: int, season: float, runs: int) -> dict[str, float]:
    """The share of years in which a fall is ever shown, with the 99 % interval of the product's."""
    ours = total = last = 0
    for values, weights in nulls(target, per_day, season, runs):
        ours += int(daily(values, per_day, target, weights).any(axis=0).sum())
        if weights is None:
            total += int(peeking(values, per_day, target, None).any(axis=0).sum())
            last += int(peeking(values, per_day, target, 28).any(axis=0).sum())
    low, high = float(clopper_pearson_low(ours, runs, 0.005)), float(clopper_pearson_high(ours, runs, 0.005))
    naive = {"z_all": total / runs, "z_28": last / runs} if season >= 0 else {}
    return {"ours": ours / runs, "low": low, "high": high, **naive}


def days_to_alarm(target: float, fall: float, start: int, runs: int, per_day: int = 20) -> dict[str, float]:
    """Days from a fall to `fall` below the target until it is shown; before `start` the quality is 2 points above it."""
    rng = np.random.default_rng([round(1000 * target), round(1000 * fall), start])
    day = np.arange(DAYS * per_day) // per_day
    quality = np.where(day < start, target + 0.02, target - fall)
    times, early = [], 0
    for begin in range(0, runs, AT_ONCE):
        values = (rng.random((len(day), min(AT_ONCE, runs - begin))) < quality[:, None]).astype(float)
        shown = daily(values, per_day, target)
        early += int(shown[:start].any(axis=0).sum())
        after = shown[start:]
        times.append(np.where(after.any(axis=0), after.argmax(axis=0) + 1.0, np.inf))
    found = np.concatenate(times)
    return {
        "median": float(np.median(found)),
        "p90": float(np.quantile(found, 0.9, method="higher")),
        "shown": float(np.isfinite(found).mean()),
        "before": early / runs,
    }


def main(arguments: list[str]) -> None:
    """Print the tables and the JSON line."""
    runs = RUNS // 10 if "short" in arguments else RUNS
    print(f"{runs:,} years of daily looks, level {LEVEL:g}: years in which a fall below the target is shown and there is none\n")
    print(f"{'':44}{'ours':>8}{'99 % interval':>18}{'z-test, all':>13}{'28 days':>9}")
    wrong = {}
    for name, target, per_day, season in NULLS:
        found = wrong[name] = wrong_alarms(target, per_day, season, runs)
        naive = f"{found['z_all']:>13.0%}{found['z_28']:>9.0%}" if "z_all" in found else f"{'-':>13}{'-':>9}"
        print(f"{name:44}{found['ours']:>8.2%}{found['low']:>10.2%} - {found['high']:.2%}{naive}")
    late = runs // 10
    print(f"\ndays until a fall is shown, 20 reviews a day, {late:,} years each (late: after {SETTLED} days at 2 points above)")
    print(f"{'':44}{'median':>8}{'90 %':>8}{'in the year':>13}{'before':>9}")
    falls = {}
    for target, fall, start in FALLS:
        name = f"target {target:.0%}, {fall:.0%} below it, {'late' if start else 'at once'}"
        one = falls[name] = days_to_alarm(target, fall, start, late)
        shown = [f"{one[key]:.0f}" if math.isfinite(one[key]) else "-" for key in ("median", "p90")]
        print(f"{name:44}{shown[0]:>8}{shown[1]:>8}{one['shown']:>13.0%}{one['before']:>9.1%}")
    worst = max(found["ours"] for found in wrong.values())
    met = worst <= LEVEL
    print(f"\nworst rate of wrong alarms {worst:.2%} (promised {LEVEL:.0%}): {'kept' if met else 'BROKEN'}")
    finite = {name: {key: value if math.isfinite(value) else None for key, value in one.items()} for name, one in falls.items()}
    print(json.dumps({"wrong_alarms": wrong, "worst": worst, "falls": finite, "runs": runs, "met": met}))


if __name__ == "__main__":
    main(sys.argv[1:])
