"""Which rows to take and how to part them: by label, by group, by time, by how well they cover what there is.

Pure functions on what they are given; the same arguments and seed choose the same
rows. Parts are named by the caller (train, dev, sealed), with their shares in order.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

Shares = Mapping[str, float]


def take_stratified(strata: Sequence[Hashable], n: int, *, seed: int) -> list[int]:
    """`n` rows, ascending, in which every stratum has its share of all rows to within one row.

    Takes all rows when there are no more than `n`. Raises ValueError for a negative n.
    """
    if n < 0:
        raise ValueError(f"cannot take {n} rows")
    if n >= len(strata):
        return list(range(len(strata)))
    parts = split_stratified(strata, {"taken": n / len(strata), "left": 1 - n / len(strata)}, seed=seed)
    return [row for row, part in enumerate(parts) if part == "taken"]


def split_stratified(strata: Sequence[Hashable], shares: Shares, *, seed: int) -> list[str]:
    """The part of each row: every part has its share of every stratum to within one row, and of all rows to within one.

    Whole rows of a stratum are dealt out first, in seeded order; each of those left over goes
    to the part that lacks most overall, at most one of a stratum to each part (controlled rounding,
    Cox 1987, JASA 82). Raises ValueError for shares that are not positive numbers.
    """
    names, wanted = _checked(shares)
    rows: dict[Hashable, list[int]] = defaultdict(list)
    for row, stratum in enumerate(strata):
        rows[stratum].append(row)
    rng = Random(seed)
    found = [""] * len(strata)
    lack = [0.0] * len(names)
    for own in rows.values():
        rng.shuffle(own)
        exact = [len(own) * share for share in wanted]
        counts = [math.floor(value + 1e-9) for value in exact]
        lack = [short + value - count for short, value, count in zip(lack, exact, counts, strict=True)]
        open_parts = [part for part in range(len(names)) if exact[part] - counts[part] > 1e-9]
        for part in sorted(open_parts, key=lambda part: (-lack[part], part))[: len(own) - sum(counts)]:
            counts[part] += 1
            lack[part] -= 1
        start = 0
        for name, count in zip(names, counts, strict=True):
            for row in own[start : start + count]:
                found[row] = name
            start += count
    return found


def split_by_group(groups: Sequence[Hashable], shares: Shares, *, seed: int) -> list[str]:
    """The part of each row: no group in two parts, and every part as near its share of the rows as the groups allow.

    Groups come largest first, equal ones in seeded order, each to the part that lacks
    most rows (Graham 1969, SIAM J. Appl. Math. 17): no part has more rows than its share and one group.
    Raises ValueError for shares that are not positive numbers.
    """
    names, wanted = _checked(shares)
    sizes: dict[Hashable, int] = defaultdict(int)
    for group in groups:
        sizes[group] += 1
    order = list(sizes)
    Random(seed).shuffle(order)
    lack = [share * len(groups) for share in wanted]
    place: dict[Hashable, int] = {}
    for group in sorted(order, key=lambda group: -sizes[group]):
        place[group] = max(range(len(names)), key=lambda part: (lack[part], -part))
        lack[place[group]] -= sizes[group]
    return [names[place[group]] for group in groups]


def split_by_time(times: Sequence[float], shares: Shares, *, units: Sequence[Hashable] | None = None) -> list[str]:
    """The part of each row by its time: the first part holds the oldest rows, the last the newest.

    Rows of the same time stand in the same part, so no row of an earlier part is as new
    as any cut. A unit (a customer, the copies of a text) is as new as its newest row and
    stands in one part, lest what happened after a cut be known before it; older rows
    of such a unit may then stand in a later part, never the other way round. A part
    may end up smaller than its share where many rows have one time. `times` in any unit,
    such as seconds since 1970. Raises ValueError for a time that is not a number.
    """
    names, wanted = _checked(shares)
    if any(not math.isfinite(time) for time in times):
        raise ValueError("a row without a time cannot be placed before or after a cut")
    newest: dict[Hashable, float] = {}
    keys: Sequence[Hashable] = range(len(times)) if units is None else units
    for key, time in zip(keys, times, strict=True):
        newest[key] = max(time, newest.get(key, -math.inf))
    own = [newest[key] for key in keys]
    ordered = sorted(own)
    cuts, share = [], 0.0
    for part in wanted[:-1]:
        share += part
        cuts.append(ordered[min(len(ordered) - 1, round(share * len(ordered)))] if ordered else 0.0)
    return [names[sum(time >= cut for cut in cuts)] for time in own]


def read_time(cell: str) -> float:
    """Seconds since 1970 of a cell: a number of seconds (or of milliseconds, from the year 5138 on), or a date by ISO 8601.

    A date without a zone is taken as UTC. Raises ValueError for anything else.
    """
    text = cell.strip()
    try:
        number = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(number):
        raise ValueError(f"'{cell}' is not a time")
    return number / 1000 if abs(number) >= 1e11 else number


def take_spread(
    vectors: Floats, n: int, *, seed: int, weights: Sequence[float] | None = None, known: Floats | None = None
) -> list[int]:
    """`n` rows that cover all rows, in the order chosen: each time the row farthest from those chosen before.

    The k-centre greedy choice, at most twice as far from any row as the best choice of n
    (Gonzalez 1985, TCS 38; for labelling: Sener and Savarese 2018, arXiv 1708.00489). With
    `weights` (n,) >= 0 the distance is multiplied by the row's weight. `known` (m, d) are vectors
    that count as chosen already. Without either, the first row is drawn.
    Distances are 1 - cosine; vectors (rows, d) of unit length.
    """
    import numpy as np

    count = min(n, len(vectors))
    if count <= 0:
        return []
    weight = np.ones(len(vectors)) if weights is None else np.asarray(weights, dtype=np.float64)
    distance = _farness(vectors, known)
    nothing_to_go_by = weights is None and (known is None or not len(known))
    best = Random(seed).randrange(len(vectors)) if nothing_to_go_by else int((weight * distance).argmax())
    chosen = [best]
    while len(chosen) < count:
        distance = np.minimum(distance, 1.0 - vectors @ vectors[best])
        score = weight * distance
        score[chosen] = -1.0
        best = int(score.argmax())
        chosen.append(best)
    return chosen


def _farness(vectors: Floats, known: Floats | None) -> NDArray[np.float64]:
    """1 - cosine to the nearest of `known`, (rows,), in blocks; 2, the largest distance, where nothing is known."""
    import numpy as np

    found = np.full(len(vectors), 2.0)
    if known is None:
        return found
    for start in range(0, len(known), 1_024):
        found = np.minimum(found, 1.0 - (vectors @ known[start : start + 1_024].T).max(axis=1))
    return found


def _checked(shares: Shares) -> tuple[list[str], list[float]]:
    """Names and shares, which then add up to 1."""
    total = sum(shares.values())
    if not shares or any(not share >= 0 for share in shares.values()) or not 0 < total < math.inf:
        raise ValueError(f"shares must be positive numbers, not {dict(shares)}")
    return list(shares), [share / total for share in shares.values()]
