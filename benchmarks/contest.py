"""Two variants on live traffic, looked at after every judged unit: false winners, and how many units a real lead takes.

Every figure comes from the product's own bets (`evaluate/contests.py`), `SAMPLES` simulated tests a cell. The peers are a
z-test that is looked at after every unit, a z-test that looks once when it has its planned size, and our own earlier
stakes (`stakes_for_ever`), all on the same tests.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from rungwise.evaluate.answers import BoolArray, FloatArray
from rungwise.evaluate.betting import risked
from rungwise.evaluate.contests import SIZES, Steps, arm_steps, fixed_size, pair_steps, path, turned

LEVEL = 0.05
SAMPLES = 4_000
AT_ONCE = 250  # samples side by side, so that a cell fits in memory
WARM_UP = 20  # units before the peeking z-test is first looked at, which is kind to it


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A simulated comparison: the rates of success of both variants, the share of the second, and how long one looks."""

    name: str
    first: float
    second: float
    share: float = 0.5
    n: int = 4_000
    paired: float | None = None  # the share of units on which both answer alike, for a shadow
    kind: str = "thumb"

    @property
    def variance(self) -> float:
        """Of one gain, for the size of a test that looks once."""
        if self.paired is not None:
            differ = 1 - self.paired
            return differ - (self.second - self.first) ** 2
        rates = (self.first, 1 - self.share), (self.second, self.share)
        return sum(rate * (1 - rate) / share for rate, share in rates)


NULLS = (
    Cell(name="thumbs 50 %, even", first=0.5, second=0.5),
    Cell(name="thumbs 95 %, even", first=0.95, second=0.95),
    Cell(name="thumbs 70 %, 10 % of traffic", first=0.7, second=0.7, share=0.1),
    Cell(name="thumbs 30 %, 2 % of traffic", first=0.3, second=0.3, share=0.02),
    Cell(name="scores in [0, 1], even", first=0.6, second=0.6, kind="score"),
    Cell(name="weights follow the lead, quality drifts", first=0.5, second=0.5, kind="followed"),
    Cell(name="shadow, alike on 80 %", first=0.7, second=0.7, paired=0.8),
)
LEADS = (
    Cell(name="50 -> 60 %, even", first=0.5, second=0.6, n=6_000),
    Cell(name="50 -> 55 %, even", first=0.5, second=0.55, n=16_000),
    Cell(name="90 -> 93 %, even", first=0.9, second=0.93, n=16_000),
    Cell(name="50 -> 60 %, 10 % of traffic", first=0.5, second=0.6, share=0.1, n=16_000),
    Cell(name="70 -> 75 %, shadow, alike on 80 %", first=0.7, second=0.75, paired=0.8, n=8_000),
)


def draw(cell: Cell, rng: np.random.Generator, samples: int) -> tuple[BoolArray, FloatArray, FloatArray, Steps]:
    """(n, samples): which variant, with which chance, with what value, and the steps of the product."""
    shape = (cell.n, samples)
    if cell.paired is not None:
        gain = cell.second - cell.first
        differ = 1 - cell.paired
        values = rng.choice([1.0, -1.0, 0.0], size=shape, p=[(differ + gain) / 2, (differ - gain) / 2, cell.paired])
        return np.ones(shape, np.bool_), np.ones(shape), values, pair_steps(values)
    if cell.kind == "followed":
        arms, shares, values = followed(cell, rng, samples)
    else:
        shares = np.full(shape, cell.share)
        arms = rng.random(shape) < shares
        rates = np.where(arms, cell.second, cell.first)
        values = rng.beta(2 * rates, 2 * (1 - rates)) if cell.kind == "score" else (rng.random(shape) < rates).astype(np.float64)
    return arms, shares, values, arm_steps(arms, shares, values)


def followed(cell: Cell, rng: np.random.Generator, samples: int) -> tuple[BoolArray, FloatArray, FloatArray]:
    """Traffic whose weights are moved to whoever leads so far, while the quality of both goes from 0.3 to 0.8."""
    arms, shares, values = np.zeros((cell.n, samples), np.bool_), np.zeros((cell.n, samples)), np.zeros((cell.n, samples))
    counts, sums = np.ones((2, samples)), np.full((2, samples), 0.5)
    for i in range(cell.n):
        shares[i] = np.where(sums[1] / counts[1] > sums[0] / counts[0], 0.8, 0.2)
        arms[i] = rng.random(samples) < shares[i]
        values[i] = rng.random(samples) < 0.3 + 0.5 * i / cell.n
        side = arms[i].astype(int)
        counts[side, np.arange(samples)] += 1
        sums[side, np.arange(samples)] += values[i]
    return arms, shares, values


def batches(cell: Cell, samples: int) -> Iterator[tuple[BoolArray, FloatArray, FloatArray, Steps]]:
    """The tests of a cell, some at a time."""
    rng = np.random.default_rng([cell.n, round(1000 * cell.first), round(1000 * cell.share)])
    for start in range(0, samples, AT_ONCE):
        yield draw(cell, rng, min(AT_ONCE, samples - start))


def first_time(reached: BoolArray) -> FloatArray:
    """(m,): after how many units it is first so; infinity where it never is."""
    return np.where(reached.any(axis=0), reached.argmax(axis=0) + 1.0, np.inf)


def shown(steps: Steps) -> tuple[FloatArray, FloatArray]:
    """(m,) each: after how many units the second is shown to be better, and to be worse, by the product."""
    wanted = math.log(2 / LEVEL)
    better, worse = (first_time(path(one, LEVEL / 2) >= wanted) for one in (steps, turned(steps)))
    return better, worse


def shown_by_one_stake(steps: Steps) -> FloatArray:
    """The same for the better side by the stakes that are meant for any size at once."""
    t = np.arange(1, len(steps.gains) + 1, dtype=np.float64)[:, None]
    stakes = np.sqrt(2 * math.log(2 / LEVEL) / (steps.variances * t * np.log1p(t)))
    wealth = np.cumsum(np.log1p(risked(stakes, steps.below) / steps.below * steps.gains), axis=0)
    return first_time(wealth >= math.log(2 / LEVEL))


def z_scores(arms: BoolArray, shares: FloatArray, values: FloatArray, *, paired: bool) -> FloatArray:
    """(n, m): the statistic of the textbook after each unit."""
    n = np.arange(1, len(values) + 1, dtype=np.float64)[:, None]
    if paired:
        means = np.cumsum(values, axis=0) / n
        spread = np.cumsum(values**2, axis=0) / n - means**2
        return np.asarray(means / np.sqrt(np.maximum(spread, 1e-12) / n))
    counts = [np.maximum(np.cumsum(side, axis=0), 1) for side in (~arms, arms)]
    means = [np.cumsum(values * side, axis=0) / count for side, count in zip((~arms, arms), counts, strict=True)]
    squares = [np.cumsum(values**2 * side, axis=0) / count for side, count in zip((~arms, arms), counts, strict=True)]
    spreads = [np.maximum(square - mean**2, 0) / count for square, mean, count in zip(squares, means, counts, strict=True)]
    return np.asarray((means[1] - means[0]) / np.sqrt(np.maximum(spreads[0] + spreads[1], 1e-12)))


def false_winners(cell: Cell, samples: int) -> dict[str, float]:
    """How often a winner or loser is shown where there is none, by the product and by the peeking z-test."""
    ours = peeking = 0
    for arms, shares, values, steps in batches(cell, samples):
        better, worse = shown(steps)
        ours += int(np.isfinite(np.minimum(better, worse)).sum())
        z = np.abs(z_scores(arms, shares, values, paired=cell.paired is not None))[WARM_UP:]
        peeking += int((z > float(ndtri(1 - LEVEL / 2))).any(axis=0).sum())
    return {"ours": ours / samples, "peeking": peeking / samples}


def needed(cell: Cell, samples: int) -> dict[str, float]:
    """How many units it takes to show a lead, against the planned size of a test that looks once."""
    times, single, wrong = [], [], 0
    for _, _, _, steps in batches(cell, samples):
        better, worse = shown(steps)
        times.append(better)
        single.append(shown_by_one_stake(steps))
        wrong += int((worse < better).sum())
    all_times, all_single = np.concatenate(times), np.concatenate(single)
    fixed = fixed_size(cell.second - cell.first, cell.variance, LEVEL) or 0
    return {
        "fixed": fixed,
        "median": float(np.median(all_times)),
        "mean": float(np.minimum(all_times, cell.n).mean()),
        "by_fixed": float((all_times <= fixed).mean()),
        "shown": float(np.isfinite(all_times).mean()),
        "wrong": wrong / samples,
        "one_stake": float(np.median(all_single)),
    }


def main() -> None:
    """Print the tables and the JSON line."""
    print(f"{SAMPLES:,} tests a cell, level {LEVEL:g}, looked at after every unit; stakes for {', '.join(map(str, SIZES))} units\n")
    print("no difference: tests that ever show one")
    print(f"{'':44}{'units':>7}{'ours':>9}{'peeking z-test':>16}")
    nulls = {cell.name: false_winners(cell, SAMPLES) for cell in NULLS}
    for cell in NULLS:
        found = nulls[cell.name]
        print(f"{cell.name:44}{cell.n:>7,}{found['ours']:>9.2%}{found['peeking']:>16.1%}")
    print("\na lead: units until it is shown (fixed: a z-test that looks once, power 0.8)")
    print(f"{'':36}{'fixed':>7}{'median':>9}{'mean':>8}{'shown by fixed':>16}{'ever':>7}{'wrong':>8}{'one stake':>11}")
    leads = {cell.name: needed(cell, SAMPLES) for cell in LEADS}
    for cell in LEADS:
        one = leads[cell.name]
        single = f"{one['one_stake']:,.0f}" if math.isfinite(one["one_stake"]) else f"> {cell.n:,}"
        print(
            f"{cell.name:36}{one['fixed']:>7,.0f}{one['median']:>9,.0f}{one['mean']:>8,.0f}{one['by_fixed']:>16.0%}"
            f"{one['shown']:>7.0%}{one['wrong']:>8.2%}{single:>11}"
        )
    worst = max(found["ours"] for found in nulls.values())
    ratio = max(found["mean"] / found["fixed"] for found in leads.values())
    print(f"\nworst rate of false winners {worst:.2%}; mean units at most {ratio:.2f} times those of a test that looks once")
    finite = {name: {key: value if math.isfinite(value) else None for key, value in one.items()} for name, one in leads.items()}
    print(json.dumps({"false_winners": nulls, "worst": worst, "leads": finite, "mean_over_fixed": ratio}))


if __name__ == "__main__":
    main()
