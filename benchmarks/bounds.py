"""Do the bounds cover at their level? Exact for 0-1 scores, simulated for the others; prints a table and a JSON line.

    python benchmarks/bounds.py           under 3 minutes on 2 cores
    python benchmarks/bounds.py --full    more draws, and more of the approximate metrics

A cell fails when its coverage is below nominal beyond simulation error: the exact
one-sided 99 % test of the misses. Approximate and display intervals are published,
not failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np

from rungwise.core.dataset import Example
from rungwise.evaluate import betting
from rungwise.evaluate.answers import Answers, FloatArray
from rungwise.evaluate.binomial import binomial_at_least, clopper_pearson_high, clopper_pearson_low, wilson
from rungwise.evaluate.bounds import bound, bound_units
from rungwise.evaluate.display import bca
from rungwise.evaluate.metric import CorpusMetric, metric
from rungwise.evaluate.pooling import Units

SIZES = (20, 50, 200, 500, 1000, 2000)
RATES = (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98)
LEVELS = (0.05, 0.002)


@dataclass(frozen=True)
class Cell:
    """How often a bound was wrong, over `draws` samples (0: summed over all of them), and its mean distance to the truth."""

    kind: str
    side: str
    level: float
    n: int
    rate: float
    miss_rate: float
    draws: int
    room: float

    @property
    def failed(self) -> bool:
        if self.draws == 0:
            return self.miss_rate > self.level * (1 + 1e-9)
        return float(binomial_at_least(round(self.miss_rate * self.draws), self.draws, self.level)) < 0.01


def binomial_chances(n: int, rate: float) -> FloatArray:
    """(n + 1,) the chance of each count, as the difference of two tails."""
    tails = np.asarray(binomial_at_least(np.arange(n + 2), n, rate))
    return tails[:-1] - tails[1:]


def trials(n: int, rate: float, level: float) -> Iterator[Cell]:
    """Clopper-Pearson, by summing over all counts."""
    chances, counts = binomial_chances(n, rate), np.arange(n + 1)
    low, high = clopper_pearson_low(counts, n, level), clopper_pearson_high(counts, n, level)
    yield Cell("0-1", "low", level, n, rate, float(chances[low > rate].sum()), 0, float((chances * (rate - low)).sum()))
    yield Cell("0-1", "high", level, n, rate, float(chances[high < rate].sum()), 0, float((chances * (high - rate)).sum()))


def draw_scores(rng: np.random.Generator, n: int, rate: float, draws: int) -> FloatArray:
    """(n, draws) like token F1: six in ten are 0 or 1, the rest spread between, with mean `rate`."""
    between = rng.beta(2 * rate, 2 * (1 - rate), size=(n, draws))
    return np.where(rng.random((n, draws)) < 0.6, rng.random((n, draws)) < rate, between).astype(np.float64)


def draw_groups(rng: np.random.Generator, n: int, rate: float, draws: int) -> FloatArray:
    """(n, draws) means of groups of 1 to 12 0-1 rows whose own rates differ, with mean `rate`."""
    size = np.minimum(rng.geometric(0.3, size=(n, draws)), 12)
    own = rng.beta(3 * rate, 3 * (1 - rate), size=(n, draws))
    return rng.binomial(size, own) / size


def means(kind: str, n: int, rate: float, level: float, draws: int, rng: np.random.Generator) -> Iterator[Cell]:
    """The betting bound of bounded scores or groups: is the truth among the rejected means?

    All draws go through the test of the bound at the truth; a few also through
    the whole bound, for its room, and a miss of either counts.
    """
    draw = draw_scores if kind == "scores" else draw_groups
    values = draw(rng, n, rate, draws)
    few = min(draws, 12)
    found = [bound_units(as_units(values[:, column]), level_low=level, level_high=level) for column in range(few)]
    for side, sample, truth in (("low", values, rate), ("high", 1 - values, 1 - rate)):
        wrong = betting.rejects_at_most(sample, betting.bets(sample, level), np.full(draws, truth), level)
        room = [rate - one.low if side == "low" else one.high - rate for one in found]
        wrong[:few] |= np.asarray(room) < 0
        yield Cell(kind, side, level, n, rate, float(wrong.mean()), draws, float(np.mean(room)))


def as_units(values: FloatArray) -> Units:
    """Bounded values as units of their own."""
    return Units(values, np.ones(len(values)), "mean", False, len(values))


def ratio_cells(n: int, rate: float, level: float, draws: int, rng: np.random.Generator) -> Iterator[Cell]:
    """Micro F1 of several labels a row (2 of 5 wanted, each given or confused at `rate`), through the whole bound."""
    wrong_low = wrong_high = 0
    room = []
    for _ in range(draws):
        hits = rng.binomial(2, rate, size=n)
        told = hits + rng.binomial(2, (1 - rate) / 2, size=n)
        truth = 2 * (2 * rate) / (2 + 2 * rate + (1 - rate))
        units = Units(2.0 * hits, 2.0 + told, "ratio", False, n, most=10.0)
        found = bound_units(units, level_low=level, level_high=level)
        wrong_low, wrong_high = wrong_low + (found.low > truth), wrong_high + (found.high < truth)
        room.append((truth - found.low, found.high - truth))
    lows, highs = np.mean(room, axis=0)
    yield Cell("micro F1", "low", level, n, rate, wrong_low / draws, draws, float(lows))
    yield Cell("micro F1", "high", level, n, rate, wrong_high / draws, draws, float(highs))


def corpus_cells(
    name: str, classes: int, n: int, rate: float, level: float, draws: int, rng: np.random.Generator
) -> Iterator[Cell]:
    """Macro F1 and the like, or binary AUC, on classes of unequal size; the truth from a sample of 400,000."""
    labels = tuple(f"label {place:02d}" for place in range(classes))
    shares = 1 / np.sqrt(np.arange(1, classes + 1))
    sample = _draw_auc if name == "auc" else _draw_classes
    truth = _value(name, *sample(rng, labels, shares, 400_000 if name != "auc" else 100_000, rate))
    found_metric = metric(name)
    assert isinstance(found_metric, CorpusMetric)
    found = [bound(found_metric, *sample(rng, labels, shares, n, rate), level_low=level, level_high=level) for _ in range(draws)]
    kind = f"{name}, {classes} classes"
    lows, highs = np.asarray([one.low for one in found]), np.asarray([one.high for one in found])
    yield Cell(kind, "low", level, n, rate, float((lows > truth).mean()), draws, float((truth - lows).mean()))
    yield Cell(kind, "high", level, n, rate, float((highs < truth).mean()), draws, float((highs - truth).mean()))


def _value(name: str, examples: list[Example], answers: Answers) -> float:
    found = metric(name)
    assert isinstance(found, CorpusMetric)
    return found.prepare(examples, answers, None).value


def _draw_classes(
    rng: np.random.Generator, labels: tuple[str, ...], shares: FloatArray, n: int, rate: float
) -> tuple[list[Example], Answers]:
    wanted = rng.choice(len(labels), size=n, p=shares / shares.sum())
    hard = np.linspace(1.5, 0.5, len(labels))  # frequent classes err more than rare ones
    wrong = rng.random(n) < (1 - rate) * hard[wanted]
    given = np.where(wrong, (wanted + 1 + rng.integers(0, len(labels) - 1, size=n)) % len(labels), wanted)
    return [_ROWS.setdefault(labels[one], Example(text="", references=(labels[one],))) for one in wanted], Answers(
        tuple(labels[one] for one in given), labels=labels
    )


def _draw_auc(
    rng: np.random.Generator, labels: tuple[str, ...], shares: FloatArray, n: int, rate: float
) -> tuple[list[Example], Answers]:
    wanted = (rng.random(n) < 0.3).astype(np.int64)
    from scipy.special import ndtri

    score = rng.normal(size=n) + wanted * np.sqrt(2) * ndtri(rate)  # two normals with that area
    believed = 1 / (1 + np.exp(-score))
    rows = [_ROWS.setdefault(labels[one], Example(text="", references=(labels[one],))) for one in wanted]
    table = np.stack([1 - believed, believed], axis=1).astype(np.float32)
    return rows, Answers(tuple(labels[int(one > 0)] for one in score), labels=labels[:2], probabilities=table)


_ROWS: dict[str, Example] = {}


def display_cells(n: int, rate: float, draws: int, rng: np.random.Generator) -> Iterator[Cell]:
    """Two-sided 95 % intervals: Wilson by summing over all counts, BCa simulated on scores."""
    chances = binomial_chances(n, rate)
    intervals = np.asarray([wilson(count, n) for count in range(n + 1)])
    outside = (intervals[:, 0] > rate) | (intervals[:, 1] < rate)
    width = float((chances * (intervals[:, 1] - intervals[:, 0])).sum())
    yield Cell("Wilson", "both", 0.05, n, rate, float(chances[outside].sum()), 0, width)
    if n > 200:
        return
    values = draw_scores(rng, n, rate, draws)
    ones = np.ones(n)
    found = np.asarray([bca(values[:, column], ones, level=0.95, seed=column)[0] for column in range(draws)])
    missed = (found[:, 0] > rate) | (found[:, 1] < rate)
    yield Cell("BCa", "both", 0.05, n, rate, float(missed.mean()), draws, float((found[:, 1] - found[:, 0]).mean()))


def deciding(draws: int, *, sizes: tuple[int, ...] = SIZES, rates: tuple[float, ...] = RATES, seed: int = 0) -> list[Cell]:
    """All cells of the bounds that are promised to be exact."""
    rng = np.random.default_rng(seed)
    cells: list[Cell] = []
    for level in LEVELS:
        for n in sizes:
            for rate in rates:
                cells += trials(n, rate, level)
                cells += means("scores", n, rate, level, draws, rng)
                cells += means("groups", n, rate, level, draws, rng)
                if n <= 500:
                    cells += ratio_cells(n, rate, level, max(20, draws // 40), rng)
    return cells


def approximate(draws: int, *, full: bool, seed: int = 1) -> list[Cell]:
    """All cells of the bounds that are only approximate."""
    rng = np.random.default_rng(seed)
    sizes, rates = ((200, 500, 1000, 2000), (0.7, 0.9, 0.98)) if full else ((200, 1000), (0.9, 0.98))
    cells: list[Cell] = []
    for n in sizes:
        for rate in rates:
            for level in LEVELS:
                cells += corpus_cells("auc", 2, n, rate, level, draws * 2, rng)
                for classes in (2, 20):
                    cells += corpus_cells("macro_f1", classes, n, rate, level, draws, rng)
                    if full:
                        cells += corpus_cells("balanced_accuracy", classes, n, rate, level, draws, rng)
                        cells += corpus_cells("mcc", classes, n, rate, level, draws, rng)
    return cells


def display(draws: int, *, seed: int = 2) -> list[Cell]:
    """All cells of the intervals for display."""
    rng = np.random.default_rng(seed)
    return [cell for n in SIZES for rate in RATES for cell in display_cells(n, rate, draws, rng)]


def table(cells: list[Cell], key: Callable[[Cell], tuple[object, ...]]) -> None:
    """One line a group of cells: its worst cell and its mean room."""
    groups: dict[tuple[object, ...], list[Cell]] = {}
    for cell in cells:
        groups.setdefault(key(cell), []).append(cell)
    print(f"{'bound':24}{'side':6}{'level':>7}{'n':>6}{'draws':>8}{'worst miss rate':>17}{'at rate':>9}{'mean room':>11}")
    for some in groups.values():
        worst = max(some, key=lambda cell: cell.miss_rate)
        room = float(np.mean([cell.room for cell in some]))
        mark = "  FAILED" if worst.failed and worst.kind in ("0-1", "scores", "groups", "micro F1") else ""
        print(
            f"{worst.kind:24}{worst.side:6}{worst.level:7.3f}{worst.n:6d}{worst.draws:8d}"
            f"{worst.miss_rate:17.4f}{worst.rate:9.2f}{room:11.4f}{mark}"
        )


def main() -> int:
    """Run, print, and exit 1 when a deciding bound does not cover."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    full = parser.parse_args().full
    start = time.perf_counter()
    decided, rough, shown = (
        deciding(10_000 if full else 2_000),
        approximate(400 if full else 100, full=full),
        display(1000 if full else 150),
    )
    for cells in (decided, rough, shown):
        table(cells, lambda cell: (cell.kind, cell.side, cell.level, cell.n))
        print()
    failed = [asdict(cell) for cell in decided if cell.failed]
    print(
        json.dumps(
            {
                "claim": "every deciding bound covers at its level",
                "met": not failed,
                "cells": len(decided),
                "failed": failed,
                "worst_miss_over_level": max(
                    cell.miss_rate / cell.level for cell in decided if cell.draws == 0 or cell.draws >= 1000
                ),
                "approximate_worst_miss": {
                    str(level): max(cell.miss_rate for cell in rough if cell.level == level and cell.side == "low")
                    for level in LEVELS
                },
                "display_worst_coverage": {
                    kind: 1 - max(cell.miss_rate for cell in shown if cell.kind == kind and cell.n >= 50)
                    for kind in ("Wilson", "BCa")
                },
                "seconds": round(time.perf_counter() - start, 1),
            }
        )
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
