"""Before the sealed rows are opened: the level of the next opening, the chance that it shows the target, the rows it would need."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rungwise.core.dataset import Example
from rungwise.evaluate import betting
from rungwise.evaluate.answers import Answers, FloatArray
from rungwise.evaluate.binomial import beta_binomial, binomial_at_least, critical_hits
from rungwise.evaluate.metric import CorpusMetric, TargetMetric, statistic
from rungwise.evaluate.pooling import Units, pool
from rungwise.evaluate.resampling import effective_size

LIKENESS = 0.8  # how alike candidates are taken to err when their scores are not at hand; siblings are more alike than that
MOST_ROWS = 1_000_000


def opening_level(k: int, alpha: float = 0.05) -> float:
    """The level of the k-th opening ever made on a set of rows, k from 1: alpha 6 / (pi k)^2, which sums to alpha.

    Source: the union bound with Basel weights; `shared/reference/statistics.md` section 1.
    """
    if k < 1:
        raise ValueError(f"openings are counted from 1, not {k}")
    return alpha * 6 / (math.pi * k) ** 2


def chance_of_met(
    metric: TargetMetric,
    examples: Sequence[Example],
    answers: Answers,
    *,
    target: float,
    n_sealed: int,
    level: float,
    gain: float = 0.0,
    out_of_scope: str | None = None,
    seed: int = 0,
) -> float:
    """The chance, as dev shows it, that the bound at `level` on `n_sealed` sealed rows will reach `target`.

    `gain` is what choosing among candidates is expected to have added to the dev
    score (`selection_gain`). Of the sealed rows as many are taken to count, and to
    be independent, as of the dev rows. 0 when no dev row counts.
    """
    growth = n_sealed / max(1, len(examples))
    if isinstance(metric, CorpusMetric):
        found, kept = statistic(metric, examples, answers, out_of_scope=out_of_scope)
        size = effective_size(found, kept, seed=seed) if kept else 0.0
        return chance_of_count(found.value * size, size, target=target, n_sealed=size * growth, level=level, gain=gain)
    units = pool(metric, examples, answers, out_of_scope=out_of_scope)
    return chance_of_units(units, target=target, growth=growth, level=level, gain=gain, seed=seed)


def chance_of_units(units: Units, *, target: float, growth: float, level: float, gain: float = 0.0, seed: int = 0) -> float:
    """The same for units of dev, the sealed set being `growth` times as large."""
    aim, gain = (target - units.low) / (units.high - units.low), gain / (units.high - units.low)
    if units.form in ("hits", "share", "f1"):
        counted = units.denominator > 0
        hits, n = float((units.numerator[counted] > 0).sum()), float(counted.sum())
        if units.form == "f1":  # F1 >= t means that q = hits / n reaches m t / (2 - (2 - m) t)
            aim = units.miss * aim / (2 - (2 - units.miss) * aim)
        return chance_of_count(hits, n, target=aim, n_sealed=n * growth, level=level, gain=gain)
    return _chance_of_mean(units, aim, growth, level, gain=gain, seed=seed)


def chance_of_count(hits: float, n: float, *, target: float, n_sealed: float, level: float, gain: float = 0.0) -> float:
    """The beta-binomial chance that enough of `n_sealed` trials hit, after `hits` of `n` did on dev.

    The proportion is drawn from Beta(x + 1/2, n - x + 1/2) (Jeffreys), x being the
    hits less the expected selection gain.
    """
    sealed = round(n_sealed)
    if not n > 0 or sealed < 1 or math.isnan(hits):
        return 0.0
    honest = min(n, max(0.0, hits - gain * n))
    needed = critical_hits(target, sealed, level)
    return min(1.0, float(beta_binomial(sealed, honest + 0.5, n - honest + 0.5)[needed:].sum()))


def _chance_of_mean(units: Units, aim: float, growth: float, level: float, *, gain: float, seed: int) -> float:
    """The normal chance that the sealed mean clears the aim by what the real bound takes off at that size.

    What it takes off comes from the bound itself on the dev values, repeated to the
    sealed size; for a ratio the values are the numerator - aim x denominator, whose
    mean must be shown to be above 0.
    """
    from scipy.special import ndtr

    n, sealed = units.n, round(units.n * growth)
    if n < 2 or sealed < 1 or units.denominator.sum() <= 0:
        return 0.0
    values = units.numerator
    if units.form == "ratio":
        values = (units.numerator - aim * units.denominator) / units.most + aim
        gain *= float(units.denominator.mean()) / units.most
    mean, spread = float(values.mean()), float(values.var() * n + 0.25) / (n + 1)
    taken = mean - betting.betting_low(_repeated(values, sealed, seed), level)
    return float(ndtr((mean - gain - taken - aim) / math.sqrt(spread / n + spread / sealed)))


def _repeated(values: FloatArray, size: int, seed: int) -> FloatArray:
    """(size,) the quantiles of the values, shuffled: a sample of that size with the same mean and spread, without chance."""
    ordered = np.sort(values)
    places = ((np.arange(size) + 0.5) * len(ordered) / size).astype(np.int64)
    return np.asarray(ordered[places][betting.shuffled(size, seed)], dtype=np.float64)


def selection_gain(scores: FloatArray, chosen: int) -> float:
    """How much of the chosen candidate's lead on dev is expected to be luck.

    `scores` (candidates, rows), NaN where a row does not count. The lead over the
    mean of all is shrunk by noise / (noise + true spread), as James and Stein's
    estimator does; the noise is that of paired differences, so that candidates
    which err alike gain little. Source: Efron and Morris 1973, JASA 68.
    """
    counted = ~np.isnan(scores).any(axis=0)
    scores = scores[:, counted]
    candidates, rows = scores.shape
    if candidates < 2 or rows < 2:
        return 0.0
    means = scores.mean(axis=1)
    lead = float(means[chosen] - means.mean())
    noise = float((scores - scores.mean(axis=0)).var(axis=1, ddof=1).mean()) / rows
    seen = float(means.var(ddof=1))
    return max(0.0, lead * min(1.0, noise / seen)) if seen > 0 else 0.0


def expected_gain(candidates: int, spread: float, *, likeness: float = LIKENESS) -> float:
    """The selection gain when only the number of candidates is known: `spread` is the standard error of one dev score.

    The mean of the largest of m normal draws (Blom 1958's approximation), less what they have in common.
    """
    from scipy.special import ndtri

    if candidates < 2:
        return 0.0
    return float(ndtri((candidates - 0.375) / (candidates + 0.25))) * spread * math.sqrt(1 - likeness)


def power(target: float, truth: float, n: int, level: float) -> float:
    """The exact chance that `n` rows at quality `truth` show `target` at `level`, for a 0-1 metric."""
    return float(binomial_at_least(critical_hits(target, n, level), n, truth))


def rows_needed(target: float, quality: float, level: float, *, power: float = 0.8) -> int | None:
    """The fewest new sealed rows with which a 0-1 metric at `quality` is shown to reach `target` with that power.

    From that number on the power stays there (the exact power goes up and down in
    small steps). None when the quality is not above the target, or would need more
    than a million rows to tell.
    """
    if not quality > target:
        return None
    low, high = 1, 64
    while not _stays_above(target, quality, high, level, power):
        low, high = high, high * 2
        if high > MOST_ROWS:
            return None
    while low < high:
        middle = (low + high) // 2
        if _stays_above(target, quality, middle, level, power):
            high = middle
        else:
            low = middle + 1
    return low


def _stays_above(target: float, quality: float, n: int, level: float, wanted: float) -> bool:
    """The power falls between two steps of the critical count, which come every 1 / (1 - target) rows or more often."""
    steps = math.ceil(1 / min(target, 1 - target)) + 1
    return all(power(target, quality, n + step, level) >= wanted for step in range(min(steps, 200)))
