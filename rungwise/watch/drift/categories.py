"""Two samples of one column of names, reference and current: which became rarer, commoner, new, or vanished."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rungwise.watch.drift.columns import BLOCK, Floats, Ints, codes_of, effective, jensen_shannon, psi, share_test

LEAST_EXPECTED = 5.0
"""Categories with fewer expected rows than this on a side are tested together as one (W. G. Cochran, Biometrics 10, 1954)."""

MOVED = 10
"""So many of the categories that moved most are told, and so many of the new and of the vanished ones."""


@dataclass(frozen=True, kw_only=True)
class MovedCategory:
    """A category with its share of the known values on either side."""

    name: str
    reference_share: float
    current_share: float


@dataclass(frozen=True, kw_only=True)
class CategoriesCompared:
    """How two samples of names differ. `missing_*` are shares of all rows, everything else is of the known values.

    `total_variation` in [0, 1] is the share of rows that would have to change their category. `p` is that of the chi-squared
    test (`statistic` with `freedom` degrees), or of Fisher's where it is one against the rest and rows are few; `g_p` that of
    the likelihood-ratio test on the same cells. `pooled` categories were too rare and tested as one. `psi` has half a row added
    to each category; `js` is in bits. `new` and `vanished` are named, the commonest first, and counted.
    """

    reference_rows: int
    current_rows: int
    reference_n: int
    current_n: int
    reference_missing: float
    current_missing: float
    categories: int
    pooled: int = 0
    total_variation: float | None = None
    statistic: float | None = None
    freedom: int = 0
    p: float | None = None
    g_p: float | None = None
    psi: float | None = None
    js: float | None = None
    missing_p: float | None = None
    moved: tuple[MovedCategory, ...] = ()
    new: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    new_count: int = 0
    vanished_count: int = 0


def compare_categories(
    reference: NDArray[Any], current: NDArray[Any], *, units: tuple[NDArray[Any], NDArray[Any]] | None = None
) -> CategoriesCompared:
    """Compare two samples (n,) and (m,) of names; None, NaN and blank text are missing values.

    With `units`, the rows are worth fewer (`columns.effective`), and the statistic is divided by the mean design effect of the
    categories (J. N. K. Rao and A. J. Scott, J. Amer. Statist. Assoc. 76, 1981).
    """
    before, after = counted(reference), counted(current)
    rows, n = (len(reference), len(current)), (sum(before.values()), sum(after.values()))
    worth = _worth((reference, current), units)
    missing_p = share_test(rows[0] - n[0], rows[0], rows[1] - n[1], rows[1], deff=_missing_worth((reference, current), units))
    known = {
        "reference_rows": rows[0],
        "current_rows": rows[1],
        "reference_n": n[0],
        "current_n": n[1],
        "reference_missing": (rows[0] - n[0]) / rows[0] if rows[0] else 0.0,
        "current_missing": (rows[1] - n[1]) / rows[1] if rows[1] else 0.0,
        "missing_p": missing_p,
    }
    names = sorted(before.keys() | after.keys())
    if not n[0] or not n[1]:
        return CategoriesCompared(**known, categories=len(names))  # type: ignore[arg-type]
    first, second = (np.array([side.get(name, 0) for name in names], np.int64) for side in (before, after))
    return CategoriesCompared(**known, **_differences(names, first, second, worth))  # type: ignore[arg-type]


def _differences(names: Sequence[str], first: Ints, second: Ints, worth: tuple[float, float]) -> dict[str, Any]:
    """What is told of two vectors of counts (categories,), each row of a side being worth that share of a row."""
    p, q = first / first.sum(), second / second.sum()
    tested = chi_squared(first, second, worth)
    order = sorted(range(len(names)), key=lambda i: (-abs(q[i] - p[i]), names[i]))
    fresh = sorted((i for i in range(len(names)) if not first[i]), key=lambda i: (-second[i], names[i]))
    gone = sorted((i for i in range(len(names)) if not second[i]), key=lambda i: (-first[i], names[i]))
    moved = (MovedCategory(name=names[i], reference_share=float(p[i]), current_share=float(q[i])) for i in order[:MOVED])
    return {
        "categories": len(names),
        **tested,
        "total_variation": float(np.abs(p - q).sum() / 2),
        "psi": psi(first, second),
        "js": jensen_shannon(first, second),
        "moved": tuple(one for one in moved if one.reference_share != one.current_share),
        "new": tuple(names[i] for i in fresh[:MOVED]),
        "vanished": tuple(names[i] for i in gone[:MOVED]),
        "new_count": len(fresh),
        "vanished_count": len(gone),
    }


def chi_squared(first: Ints, second: Ints, worth: tuple[float, float] = (1.0, 1.0)) -> dict[str, Any]:
    """`statistic`, `freedom`, `p`, `g_p` and how many rare categories were `pooled`; without a p where too little is left."""
    table, pooled = pooled_counts(np.stack([first, second]) * np.array(worth)[:, None])
    if table.shape[1] < 2:
        alike = len(first) < 2  # one category on both sides is one distribution; many rare ones are nothing that can be tested
        return {"statistic": 0.0 if alike else None, "freedom": 0, "p": 1.0 if alike else None, "pooled": pooled}
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    freedom = table.shape[1] - 1
    statistic = float(((table - expected) ** 2 / expected).sum())
    held = table > 0
    g = float(2 * (table[held] * np.log(table[held] / expected[held])).sum())
    if freedom == 1 and expected.min() < LEAST_EXPECTED:
        p = float(stats.fisher_exact(np.rint(table).astype(np.int64)).pvalue)
    else:
        p = float(stats.chi2.sf(statistic, freedom))
    return {"statistic": statistic, "freedom": freedom, "p": p, "g_p": float(stats.chi2.sf(g, freedom)), "pooled": pooled}


def pooled_counts(table: Floats) -> tuple[Floats, int]:
    """A table (2, categories) whose rare categories are one, and how many went into it. Two columns are left where there were two.

    Where the rare ones together are still too few, the rarest of the others joins them.
    """
    total = table.sum(axis=0)
    smallest = float(table.sum(axis=1).min()) / float(table.sum())
    order = np.argsort(total, kind="stable")
    rare = int(np.searchsorted(total[order] * smallest, LEAST_EXPECTED, side="left"))
    if rare == 0 or table.shape[1] <= 2:
        return table, 0
    while total[order[:rare]].sum() * smallest < LEAST_EXPECTED and rare < table.shape[1] - 1:
        rare += 1
    if rare == 1:
        return table, 0
    pool = table[:, order[:rare]].sum(axis=1, keepdims=True)
    return np.concatenate([table[:, np.sort(order[rare:])], pool], axis=1), rare


def counted(values: NDArray[Any]) -> Counter[str]:
    """How often each name stands in a column; what is missing is left out, and what is no text is written as JSON writes it."""
    if values.dtype == np.bool_:
        yes = int(np.count_nonzero(values))
        return Counter({name: count for name, count in (("true", yes), ("false", len(values) - yes)) if count})
    found = _counted_objects(values)
    names: Counter[str] = Counter()
    for value, count in found.items():
        if (name := name_of(value)) is not None:
            names[name] += count
    return names


def _counted_objects(values: NDArray[Any]) -> Counter[Any]:
    """Counts of objects. Where they are of several types they are counted by what is written, as 1 and True are equal in Python."""
    blocks = [values[start : start + BLOCK] for start in range(0, len(values), BLOCK)]
    found: Counter[Any] = Counter()
    try:
        for block in blocks:
            found.update(block.tolist())
    except TypeError:  # lists and objects cannot be counted as they are
        found.clear()
    if values.dtype.kind != "O" or (found and all(isinstance(value, str) or value is None for value in found)):
        return found
    return Counter(name_of(value) for block in blocks for value in block.tolist())


def name_of(value: Any) -> str | None:
    """What a value is called, or None where it is missing."""
    if isinstance(value, str):
        return value if value.strip() else None
    if value is None or (not isinstance(value, (list, dict, tuple, np.ndarray)) and value != value):
        return None
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)
    if isinstance(value, (list, dict, tuple)):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return str(value)


def _named(values: Iterable[Any]) -> list[str | None]:
    return [name_of(value) for value in values]


def _worth(sides: tuple[NDArray[Any], NDArray[Any]], units: tuple[NDArray[Any], NDArray[Any]] | None) -> tuple[float, float]:
    """What a row of each side is worth in independent rows."""
    if units is None:
        return 1.0, 1.0
    found = []
    for values, of in zip(sides, units, strict=True):
        names = np.array(_named(values.tolist()), dtype=object)
        held = np.array([name is not None for name in names], np.bool_)
        found.append(_row_worth(names[held], of[held]) if held.any() else 1.0)
    return found[0], found[1]


def _row_worth(names: NDArray[Any], units: NDArray[Any]) -> float:
    """The mean over categories of n_effective / n, by the counts of each category within each unit."""
    codes, of = codes_of(names), codes_of(units)
    kinds, n = int(codes.max()) + 1, len(codes)
    shares = np.bincount(codes, minlength=kinds) / n
    pairs, counts = np.unique(of * kinds + codes, return_counts=True)
    sizes = np.bincount(of).astype(np.float64)
    groups = len(sizes)
    if groups == n or kinds < 2:
        return 1.0 if groups == n else groups / n
    # sum over units and kinds of (count - size * share)^2 / share, of which the cells without rows are known too
    inner = float((counts**2 / shares[pairs % kinds]).sum()) - float((sizes**2).sum())
    design = inner / (n * (kinds - 1)) * groups / max(1, groups - 1)
    return 1.0 / max(1.0, design)


def _missing_worth(
    sides: tuple[NDArray[Any], NDArray[Any]], units: tuple[NDArray[Any], NDArray[Any]] | None
) -> tuple[float, float]:
    if units is None:
        return 1.0, 1.0
    found = []
    for values, of in zip(sides, units, strict=True):
        gone = np.array([name is None for name in _named(values.tolist())], np.float64)
        found.append(len(gone) / effective(gone - gone.mean(), of) if gone.any() else 1.0)
    return found[0], found[1]
