"""Before the sealed rows are opened: the chance that they show the target, and how many would."""

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
ORDERS = 8  # of the sealed rows, tried to see what the bound takes off
MOST_ROWS = 1_000_000


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
        return chance_of_count(hits, n, target=_aim_of_trials(units, aim), n_sealed=n * growth, level=level, gain=gain)
    return _chance_of_mean(units, aim, growth, level, gain=gain, seed=seed)


def _aim_of_trials(units: Units, aim: float) -> float:
    """F1 >= t means that the share of hits, whose misses have the size m, reaches m t / (2 - (2 - m) t)."""
    return units.miss * aim / (2 - (2 - units.miss) * aim) if units.form == "f1" else aim


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

    What it takes off, and how much that depends on the order of the rows, comes from
    the bound itself on the dev values, repeated to the sealed size.
    """
    from scipy.special import ndtr

    n, sealed = units.n, round(units.n * growth)
    if n < 2 or sealed < 1 or units.denominator.sum() <= 0:
        return 0.0
    values = _values_above(units, aim)
    if units.form == "ratio":
        gain *= float(units.denominator.mean()) / units.most
    lows, spread = _lows(values, sealed, level, seed), _spread(values)
    noise = spread / n + spread / sealed + float(lows.var(ddof=1))
    return float(ndtr((float(lows.mean()) - gain - aim) / math.sqrt(noise)))


def _values_above(units: Units, aim: float) -> FloatArray:
    """(units,) values in [0, 1] whose mean exceeds `aim` exactly when the metric does."""
    if units.form != "ratio":
        return units.numerator
    return np.asarray((units.numerator - aim * units.denominator) / units.most + aim, dtype=np.float64)


def _spread(values: FloatArray) -> float:
    """The variance, with one more value that knows nothing."""
    return float(values.var() * len(values) + 0.25) / (len(values) + 1)


def _lows(values: FloatArray, sealed: int, level: float, seed: int) -> FloatArray:
    """The bound of the values, repeated to the sealed size, in several orders."""
    return np.asarray([betting.betting_low(_repeated(values, sealed, seed + order), level) for order in range(ORDERS)])


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


def rows_to_show(
    metric: TargetMetric,
    examples: Sequence[Example],
    answers: Answers,
    *,
    target: float,
    level: float,
    power: float = 0.8,
    out_of_scope: str | None = None,
    seed: int = 0,
) -> int | None:
    """`rows_needed` for any metric: the new sealed rows that would show the quality seen on dev, with that power.

    Rows that do not count, groups, and scores that vary less than 0-1 ones are taken
    to be as on dev. None when the dev value is not above the target, or more than a
    million rows would be needed.
    """
    if isinstance(metric, CorpusMetric):
        found, kept = statistic(metric, examples, answers, out_of_scope=out_of_scope)
        size = effective_size(found, kept, seed=seed) if kept else 0.0
        needed = rows_needed(target, found.value, level, power=power) if size > 0 else None
        return _of_rows(needed, len(examples), size)
    units = pool(metric, examples, answers, out_of_scope=out_of_scope)
    aim = (target - units.low) / (units.high - units.low)
    if units.form in ("hits", "share", "f1"):
        counted = units.denominator > 0
        hits, n = float((units.numerator[counted] > 0).sum()), float(counted.sum())
        needed = rows_needed(_aim_of_trials(units, aim), hits / n, level, power=power) if n else None
        return _of_rows(needed, len(examples), n)
    return _of_rows(_units_needed(units, aim, level, power, seed=seed), len(examples), units.n)


def _of_rows(needed: float | None, rows: int, independent: float) -> int | None:
    """From independent units to rows; None beyond a million."""
    found = math.ceil(needed * rows / independent) if needed is not None else None
    return found if found is not None and found <= MOST_ROWS else None


def _units_needed(units: Units, aim: float, level: float, power: float, *, seed: int) -> float | None:
    """n = ((c + z v) / lead)^2: the real bound takes off c / sqrt(n) on average and varies by v / sqrt(n), measured near that n."""
    from scipy.special import ndtri

    values = _values_above(units, aim) if units.n else np.zeros(0)
    if units.n < 2 or not float(values.mean()) > aim:
        return None
    lead, spread = float(values.mean()) - aim, math.sqrt(_spread(values))
    needed = 1_000.0
    for _ in range(3):
        near = round(min(10_000.0, max(20.0, needed)))
        lows = _lows(values, near, level, seed)
        taken = (float(values.mean()) - float(lows.mean())) * math.sqrt(near)
        varies = math.sqrt(spread**2 + near * float(lows.var(ddof=1)))
        needed = ((taken + float(ndtri(power)) * varies) / lead) ** 2
    return needed


def _stays_above(target: float, quality: float, n: int, level: float, wanted: float) -> bool:
    """The power falls between two steps of the critical count, which come every 1 / (1 - target) rows or more often."""
    steps = math.ceil(1 / min(target, 1 - target)) + 1
    return all(power(target, quality, n + step, level) >= wanted for step in range(min(steps, 200)))
