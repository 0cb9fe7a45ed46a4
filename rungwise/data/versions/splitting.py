"""Splits drawn into a version of the data, and carried from one version to the next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from rungwise.core.dataset import DEV, SEALED, SPLITS, TRAIN, Example
from rungwise.core.errors import BadData, UnknownName, UsageError
from rungwise.curate.sampling import read_time, split_by_group, split_by_time, split_stratified
from rungwise.data.readers import cell_text
from rungwise.data.splits import (
    FRESH_SHARES,
    SALT_SETTING,
    SHARES,
    draw_split,
    is_fresh,
    is_split,
    proves_nothing,
    split_named,
    unit_of,
)
from rungwise.data.store import Store
from rungwise.data.versions.clusters import text_clusters
from rungwise.data.versions.records import record_cells
from rungwise.data.versions.reread import find_digests
from rungwise.data.versions.selection import Selection
from rungwise.data.versions.version import Version, Versions, column_order
from rungwise.data.versions.writing import first_half

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WAYS = ("label", "group", "time", "cover")
"""By what a split is drawn: labels in their shares, groups kept together, older rows first, clusters of texts in their shares."""

_ROWS_AT_ONCE = 1_024
_STRONGER = {"": 0, TRAIN: 1, DEV: 2, SEALED: 3}


@dataclass(frozen=True, kw_only=True)
class SplitPlan:
    """How to draw. `column` is that of the label, group or time where it is not the one of the import."""

    by: str = "label"
    column: str | None = None
    shares: Mapping[str, float] = field(default_factory=lambda: dict(SHARES))
    seed: int = 0

    def __post_init__(self) -> None:
        if self.by not in WAYS:
            raise UnknownName("way to split", self.by, WAYS)


@dataclass(frozen=True, kw_only=True)
class SplitDone:
    """What was drawn: rows by split; `kept` had a split before, `opened` were opened in a climb and stay sealed."""

    version: Version
    counts: Mapping[str, int]
    kept: int
    opened: int
    drawn: int


@dataclass(frozen=True, eq=False)
class _Facts:
    """Of each row: what must not be split, the digest of its input, the split in its own column, the cell to split by,
    whether it may be sealed, and whether it comes from traffic by a random draw."""

    units: list[Hashable]
    inputs: list[str]
    given: list[str]
    cells: list[str]
    sealable: list[bool]
    fresh: list[bool]


def read_shares(text: str) -> Mapping[str, float]:
    """Read `60/15/25`: the shares of train, dev and sealed. Raises UsageError for anything else."""
    try:
        shares = [float(part) for part in text.split("/")]
    except ValueError:
        shares = []
    if len(shares) != len(SPLITS) or not all(0 <= share < float("inf") for share in shares) or not shares[0] > 0:
        raise UsageError(f"cannot read the shares '{text}'. Write those of train, dev and test as 60/15/25")
    return {split: share / sum(shares) for split, share in zip(SPLITS, shares, strict=True)}


def split(store: Store, head: Version, plan: SplitPlan, *, anew: bool = False) -> SplitDone:
    """Draw splits into a new version of the data.

    A row that was ever opened stays sealed, and one that had a split keeps it; with `anew` all are drawn again, which
    is refused once a sealed row was opened. Rows that must stay together (a group, copies of a text) follow one another.
    """
    versions = Versions(store)
    column = _column(head, plan)
    selection = versions.selection(head)
    facts = _facts(versions, head, selection, column, grouped=plan.by == "group")
    opened = _opened(store)
    sealed = [input_id in opened for input_id in facts.inputs]
    if anew and any(sealed):
        raise UsageError(
            f"{sum(sealed):,} of these rows were opened in a climb and must stay sealed, so the splits cannot be drawn anew. "
            "Leave --anew out: rows that have no split yet get one"
        )
    known = [""] * len(selection) if anew else _had(versions, head, selection, facts)
    fixed = [SEALED if shut else own for shut, own in zip(sealed, known, strict=True)]
    found = _follow(fixed, facts.units)
    free = [row for row, own in enumerate(found) if not own]
    if free:
        values = _values(versions, head, selection.take(_array(free)), plan, [facts.cells[row] for row in free])
        drawn = _draw(plan, _left(plan.shares, found), [facts.units[row] for row in free], values)
        for row, own in zip(free, drawn, strict=True):
            found[row] = own
    found = _unsealed(found, facts)
    version = replace(
        head,
        kind="split",
        aside=head.moved.get(head.aside, head.aside),
        splits=versions.keep_json(found),
        split_by={"by": plan.by, "column": column, "shares": dict(plan.shares), "seed": plan.seed},
        parent=head.id,
        erased=0,
        moved={},
    )
    version = versions.commit(version, verb="split", made_from=[(head.id, "version")])
    kept = sum(bool(own) and not shut for own, shut in zip(known, sealed, strict=True))
    return SplitDone(
        version=version, counts={split: found.count(split) for split in SPLITS}, kept=kept, opened=sum(sealed), drawn=len(free)
    )


def carry_splits(store: Store, head: Version, version: Version, selection: Selection) -> tuple[str, ...]:
    """The splits of records of `version`, where the head has drawn ones; else nothing.

    A record (or the one it was rewritten from, or the one with the same user's id) keeps the split that it had last. New
    ones follow what they must stay together with; the others fall by the hash rule, so that no row that comes later moves
    an earlier one.
    """
    if not head.splits:
        return ()
    versions = Versions(store)
    found = _earlier(versions, head, selection)
    new = [row for row, own in enumerate(found) if not own]
    if not new:
        return tuple(found)
    grouped = head.split_by.get("by") == "group"
    facts = _facts(versions, version, selection, head.split_by.get("column") if grouped else None, grouped=grouped)
    opened = _opened(store)
    fixed = [SEALED if input_id in opened else own for input_id, own in zip(facts.inputs, found, strict=True)]
    found = _follow(fixed, facts.units)
    salt = store.setting(SALT_SETTING) or version.content
    shares = head.split_by.get("shares") or SHARES
    parts = (float(shares[TRAIN]), float(shares[DEV]), float(shares[SEALED]))
    for row in new:
        found[row] = found[row] or draw_split(str(facts.units[row]), salt, FRESH_SHARES if facts.fresh[row] else parts)
    return tuple(_unsealed(found, facts))


def _unsealed(splits: Sequence[str], facts: _Facts) -> list[str]:
    """The splits, with rows that prove nothing moved from the sealed part to dev."""
    return [DEV if own == SEALED and not sealable else own for own, sealable in zip(splits, facts.sealable, strict=True)]


def _column(head: Version, plan: SplitPlan) -> str | None:
    """The column to split by. Raises UsageError where it has to be named, UnknownName where it is not there."""
    usual = {"label": head.columns.label, "group": head.columns.group}
    column = plan.column or usual.get(plan.by)
    names = [name for source in head.sources for name in source.names]
    if plan.by == "cover":
        return None
    if column is None:
        raise UsageError(f"no column is known to split by {plan.by}. Name one: --column COLUMN ({', '.join(dict.fromkeys(names))})")
    if column not in names:
        raise UnknownName("column", column, names)
    return column


def _facts(versions: Versions, version: Version, selection: Selection, column: str | None, *, grouped: bool) -> _Facts:
    """What has to be known of each row, from one pass over the records."""
    facts = _Facts([], [], [], [], [], [])
    columns = version.columns
    for cells in _cells(versions, version, selection):
        text, passage, group, own, named = (
            cell_text(cells.get(name)) if name else None
            for name in (columns.text, columns.passage, columns.group, column, columns.split)
        )
        row = Example(text=text or "", passage=passage, group=own if grouped and own is not None else group)
        facts.units.append(unit_of(row))
        facts.inputs.append(row.input_id)
        facts.given.append(split_named(named) if named and is_split(named) else "")
        facts.cells.append(own or "")
        facts.sealable.append(not proves_nothing(cells))
        facts.fresh.append(is_fresh(cells))
    return facts


def _cells(versions: Versions, version: Version, selection: Selection) -> Iterator[dict[str, Any]]:
    import numpy as np

    naming = column_order(version)
    for start in range(0, len(selection), _ROWS_AT_ONCE):
        part = selection.take(np.arange(start, min(start + _ROWS_AT_ONCE, len(selection))))
        yield from (naming(record_cells(body)) for body in versions.bodies(part))


def _opened(store: Store) -> frozenset[str]:
    """The digests of all inputs that were ever opened."""
    from sqlalchemy import select

    from rungwise.data.schema import sealed_rows

    with store.read() as connection:
        return frozenset(connection.execute(select(sealed_rows.c.input_id)).scalars())


def _had(versions: Versions, head: Version, selection: Selection, facts: _Facts) -> list[str]:
    """The split that each row had before: drawn into a version, else given in its own column; '' for none."""
    return [own or given for own, given in zip(_earlier(versions, head, selection), facts.given, strict=True)]


def _earlier(versions: Versions, head: Version, selection: Selection) -> list[str]:
    """The split that was drawn for each record in the newest version that knows it; '' where none does."""
    import numpy as np

    moved = dict.fromkeys(move.version.id for move in versions.log())
    drawn = [one for one in (head, *(versions.get(id) for id in moved if id != head.id)) if one.splits]
    found = np.full(len(selection), "", dtype=f"<U{max(map(len, SPLITS))}")
    for version in drawn:
        open_rows = np.flatnonzero(found == "")
        if not len(open_rows):
            break
        at = _match(versions, selection.take(open_rows), versions.selection(version))
        splits = np.array(versions.splits(version))
        found[open_rows[at >= 0]] = splits[at[at >= 0]]
    return list(map(str, found.tolist()))


def _match(versions: Versions, these: Selection, those: Selection) -> NDArray[np.int64]:
    """(n,): where each of `these` stands among `those`: by content, by what it was rewritten from, by the user's id; else -1."""
    import numpy as np

    known = [first_half(part(those)) for part in (versions.ids, versions.parents)]
    at = np.full(len(these), -1, np.int64)
    for own in (first_half(versions.ids(these)), first_half(versions.parents(these))):
        for other in known:
            at = np.where(at < 0, find_digests(own, other), at)
    keys, others = versions.keys(these), versions.keys(those)
    # Keys as digests whose second half is empty: 0 is no key, and zeros are equal to nothing.
    pairs = [np.stack([part, np.zeros_like(part)], axis=1) for part in (keys, others)]
    return np.where(at < 0, find_digests(*pairs), at)


def _follow(fixed: Sequence[str], units: Sequence[Hashable]) -> list[str]:
    """The splits with those of rows that belong to a unit which has one: sealed before dev before train."""
    of_unit: dict[Hashable, str] = {}
    for unit, own in zip(units, fixed, strict=True):
        if own and _STRONGER[own] > _STRONGER[of_unit.get(unit, "")]:
            of_unit[unit] = own
    return [own or of_unit.get(unit, "") for own, unit in zip(fixed, units, strict=True)]


def _left(shares: Mapping[str, float], found: Sequence[str]) -> Mapping[str, float]:
    """The shares of the rows still to be drawn, so that all rows together come as near the wanted shares as can be."""
    have = Counter(found)
    lack = {split: max(0.0, share * len(found) - have[split]) for split, share in shares.items()}
    return lack if sum(lack.values()) > 0 else shares


def _values(versions: Versions, head: Version, part: Selection, plan: SplitPlan, cells: Sequence[str]) -> Sequence[Any]:
    """By what the rows of a part are drawn: their labels or groups, their times, or the clusters of their texts."""
    if plan.by == "time":
        return _times(cells, versions.places(part), plan)
    if plan.by == "cover":
        return text_clusters(lambda: _texts(versions, head, part), len(part), seed=plan.seed)
    return cells


def _draw(plan: SplitPlan, shares: Mapping[str, float], units: Sequence[Hashable], values: Sequence[Any]) -> list[str]:
    """The split of each row. A unit counts once, with the value of its first row."""
    if plan.by == "group":
        return split_by_group(units, shares, seed=plan.seed)
    if plan.by == "time":
        return split_by_time(values, shares, units=units)
    of_unit = dict(zip(reversed(units), reversed(values), strict=True))
    drawn = dict(zip(of_unit, split_stratified(list(of_unit.values()), shares, seed=plan.seed), strict=True))
    return [drawn[unit] for unit in units]


def _times(cells: Sequence[str], places: Sequence[str], plan: SplitPlan) -> list[float]:
    """Seconds since 1970. Raises BadData naming the first row without a time."""
    found = []
    for cell, place in zip(cells, places, strict=True):
        try:
            found.append(read_time(cell))
        except ValueError as error:
            what = f"'{cell}' in column '{plan.column}' is not a time" if cell else f"the time in column '{plan.column}' is empty"
            hint = "Write dates as 2026-03-31, or seconds since 1970"
            raise BadData(f"{what}.", where=place, hint=hint) from error
    return found


def _texts(versions: Versions, head: Version, part: Selection) -> Iterator[Sequence[str]]:
    column = head.columns.text or ""
    rows = _cells(versions, head, part)
    while batch := [cell_text(cells.get(column)) or "" for cells in islice(rows, _ROWS_AT_ONCE)]:
        yield batch


def _array(rows: Sequence[int]) -> NDArray[np.int64]:
    import numpy as np

    return np.asarray(rows, np.int64)
