"""What changed between two tables, column by column: how much, how surely, and what moved."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.record import to_plain
from rungwise.watch.drift.categories import CategoriesCompared, compare_categories
from rungwise.watch.drift.columns import SIZES, NumbersCompared, Prepared, compare_numbers, holm, judged, prepared, size
from rungwise.watch.drift.domain import DomainShift, domain_shift
from rungwise.watch.drift.kinds import NUMERIC, TEXT, Typed, typed

Table: TypeAlias = Mapping[str, Any]
Units: TypeAlias = tuple[NDArray[Any], NDArray[Any]]

DRIFT, TINY, NONE, CANNOT_TELL = VERDICTS = ("drift", "tiny", "none", "cannot_tell")

THREADS = 2
"""Columns that are sorted at once; numpy lets other threads run while it sorts."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was tested about a column: its 'values', what is 'missing', or the 'length' of its texts.

    `effect` is in `unit`: 'sd' (normed Wasserstein distance), 'share' (of rows) or 'auc'. `size` is it in a word. `p` is of this
    test alone, `adjusted` by Holm over all tests of the report, and `shown` says that it is at most the report's level.
    """

    about: str
    effect: float
    unit: str
    size: str
    p: float
    adjusted: float = 1.0
    shown: bool = False


@dataclass(frozen=True, kw_only=True)
class ColumnDrift:
    """One column. `verdict` is 'drift' (shown, and at least as large as the report's `least`), 'tiny' (shown, but smaller),
    'none' (not shown), or 'cannot_tell'. `what` says in words what moved, `why` what is odd about the column, if anything."""

    column: str
    kind: str
    verdict: str
    what: str
    why: str = ""
    findings: tuple[Finding, ...] = ()
    numbers: NumbersCompared | None = None
    categories: CategoriesCompared | None = None
    texts: DomainShift | None = None

    @property
    def first(self) -> Finding | None:
        """The finding that speaks loudest: shown before not shown, larger before smaller, then the smaller p."""
        order = sorted(self.findings, key=lambda one: (not one.shown, -SIZES.index(one.size), one.p))
        return order[0] if order else None


@dataclass(frozen=True, kw_only=True)
class DriftReport:
    """All columns in the order of the reference. At most `level` of reports on data that did not change show anything (Holm)."""

    level: float
    least: str
    reference_rows: int
    current_rows: int
    columns: tuple[ColumnDrift, ...]

    @property
    def drifted(self) -> tuple[str, ...]:
        """The columns whose verdict is 'drift'."""
        return tuple(one.column for one in self.columns if one.verdict == DRIFT)

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        return {**to_plain(self), "drifted": list(self.drifted)}


def drift_report(
    reference: Table,
    current: Table,
    *,
    level: float = 0.05,
    least: str = "small",
    texts: Sequence[str] = (),
    units: Units | None = None,
) -> DriftReport:
    """Compare two tables, each a mapping of column names to arrays (n,) and (m,).

    Columns are typed by `kinds.typed`; those of `texts` are texts. `level` is shared by Holm over all tests of all columns;
    `least` is the size (tiny, small, medium, large) from which a change that is shown counts as drift. `units` names what the
    rows belong to, (n,) and (m,). Odd columns get a line that says why, never an error. Same inputs, same bytes.
    Raises UsageError for a level outside (0, 1), an unknown size, units of another length, or names of `texts` without a column.
    """
    _check(reference, current, level, least, texts, units)
    names = [*reference, *(name for name in current if name not in reference)]
    kinds = {
        name: typed(reference[name], current[name], text=name in texts) for name in names if _on_both(name, reference, current)
    }
    ready = _prepared(kinds)
    found = [
        _column(name, kinds[name], ready.get(name), units) if name in kinds else _one_sided(name, name in reference)
        for name in names
    ]
    adjusted = iter(holm([one.p for column in found for one in column.findings]))
    shared = tuple(_with_verdict(column, adjusted, level, least) for column in found)
    return DriftReport(level=level, least=least, reference_rows=_rows(reference), current_rows=_rows(current), columns=shared)


def _check(reference: Table, current: Table, level: float, least: str, texts: Sequence[str], units: Units | None) -> None:
    if not 0.0 < level < 1.0:
        raise UsageError(f"a level of {level:g} is none. Choose one between 0 and 1, such as 0.05")
    if least not in SIZES:
        raise UnknownName("size", least, SIZES)
    for name in texts:
        if name not in reference and name not in current:
            raise UnknownName("column", name, [*reference, *current])
    for of, table, side in zip(units or (), (reference, current), ("reference", "current"), strict=False):
        if len(of) != _rows(table):
            raise UsageError(f"there are {len(of)} units for {_rows(table)} {side} rows. Give one unit a row")


def _rows(table: Table) -> int:
    return max((len(column) for column in table.values()), default=0)


def _on_both(name: str, reference: Table, current: Table) -> bool:
    return name in reference and name in current


def _one_sided(name: str, before: bool) -> ColumnDrift:
    what = "it stands only in the reference: it is gone" if before else "it stands only in the current data: it is new"
    return ColumnDrift(column=name, kind="", verdict=CANNOT_TELL, what="", why=what)


def _prepared(kinds: Mapping[str, Typed]) -> dict[str, Prepared]:
    """The sorted numeric columns, several at a time."""
    names = [name for name, one in kinds.items() if one.kind == NUMERIC]
    with ThreadPoolExecutor(THREADS) as threads:
        return dict(zip(names, threads.map(lambda name: prepared(kinds[name].reference, kinds[name].current), names), strict=True))


def _column(name: str, one: Typed, ready: Prepared | None, units: Units | None) -> ColumnDrift:
    fitting = units if units is not None and (len(one.reference), len(one.current)) == (len(units[0]), len(units[1])) else None
    blank = ColumnDrift(column=name, kind=one.kind, verdict=NONE, what="", why=one.why)
    if one.kind == NUMERIC and ready is not None:
        return _numbers(blank, judged(ready, units=fitting, raw=(one.reference, one.current)))
    if one.kind == TEXT:
        return _texts(blank, one, fitting)
    return _categories(blank, compare_categories(one.reference, one.current, units=fitting))


def _finding(about: str, effect: float, unit: str, p: float) -> Finding:
    return Finding(about=about, effect=effect, unit=unit, size=size(effect, unit), p=p)


def _numbers(blank: ColumnDrift, one: NumbersCompared) -> ColumnDrift:
    """The verdict is still to come: it needs all p-values."""
    before, after = one.reference, one.current
    findings = _missing(before.missing, after.missing, one.missing_p)
    if one.p is not None:
        findings = (_finding("values", one.normed or 0.0, "sd", one.p), *findings)
    odd = [blank.why] if blank.why else []
    for side, of in (("reference", before), ("current data", after)):
        odd += [f"the {side} has no rows" if not of.rows else f"all values of the {side} are missing"] if not of.n else []
        odd += [f"{of.infinite:.2%} of the {side} are infinite and left out"] if of.infinite else []
    if before.n and after.n and not (before.sd or after.sd) and before.mean == after.mean:
        odd.append(f"all values are {_number(before.mean)}")
    return replace(blank, why="; ".join(odd), findings=findings, numbers=one, what=_moved_numbers(one))


def _moved_numbers(one: NumbersCompared) -> str:
    before, after = one.reference, one.current
    if before.mean is None or after.mean is None:
        return ""
    middles = f"median {_number(before.quantiles[3])} -> {_number(after.quantiles[3])}"
    return f"mean {_number(before.mean)} -> {_number(after.mean)}, {middles}{_gone(before.missing, after.missing)}"


def _gone(before: float, after: float) -> str:
    return f", missing {before:.1%} -> {after:.1%}" if before != after else ""


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _missing(before: float, after: float, p: float | None) -> tuple[Finding, ...]:
    """The test of what is missing, where anything is."""
    if p is None or before == after == 0 or before == after == 1:
        return ()
    return (_finding("missing", abs(after - before), "share", p),)


def _categories(blank: ColumnDrift, one: CategoriesCompared) -> ColumnDrift:
    findings = _missing(one.reference_missing, one.current_missing, one.missing_p)
    odd = [blank.why] if blank.why else []
    if one.p is not None and one.total_variation is not None:
        findings = (_finding("values", one.total_variation, "share", one.p), *findings)
    elif one.total_variation is not None:
        odd.append("every value is too rare to be tested")
    for side, rows, n in (("reference", one.reference_rows, one.reference_n), ("current data", one.current_rows, one.current_n)):
        odd += [f"the {side} has no rows" if not rows else f"all values of the {side} are missing"] if not n else []
    return replace(blank, why="; ".join(odd), findings=findings, categories=one, what=_moved_categories(one))


def _moved_categories(one: CategoriesCompared) -> str:
    parts = [f"{_short(cat.name)} {cat.reference_share:.1%} -> {cat.current_share:.1%}" for cat in one.moved[:2]]
    for word, count, names in (("new", one.new_count, one.new), ("vanished", one.vanished_count, one.vanished)):
        if count:
            parts.append(f"{count} {word} ({', '.join(_short(name) for name in names[:2])}{', ...' if count > 2 else ''})")
    return ", ".join(parts) + _gone(one.reference_missing, one.current_missing)


def _short(name: str) -> str:
    plain = " ".join(name.split())
    return plain if len(plain) <= 24 else f"{plain[:21]}..."


def _texts(blank: ColumnDrift, one: Typed, units: Units | None) -> ColumnDrift:
    """Texts: whether a classifier tells them apart, how long they are, and how many are missing."""
    held = [
        np.array([isinstance(text, str) and bool(text.strip()) for text in side], np.bool_) for side in (one.reference, one.current)
    ]
    sides = [side[known].tolist() for side, known in zip((one.reference, one.current), held, strict=True)]
    of = [None, None] if units is None else [side[known].tolist() for side, known in zip(units, held, strict=True)]
    lengths = [
        np.array([float(len(text)) if known else math.nan for text, known in zip(side, is_held.tolist(), strict=True)])
        for side, is_held in zip((one.reference, one.current), held, strict=True)
    ]
    told = domain_shift(sides[0], sides[1], reference_units=of[0], current_units=of[1])
    places = np.flatnonzero(held[1])
    told = replace(told, examples=tuple(int(places[i]) for i in told.examples))
    length = compare_numbers(lengths[0], lengths[1], units=units)
    findings = () if told.why else (_finding("values", max(0.5, told.auc), "auc", told.p),)
    if length.p is not None:
        findings = (*findings, _finding("length", length.normed or 0.0, "sd", length.p))
    findings = (*findings, *_missing(length.reference.missing, length.current.missing, length.missing_p))
    odd = "; ".join(filter(None, (blank.why, told.why)))
    words = ", ".join(f"'{word.word}' {word.reference_share:.1%} -> {word.current_share:.1%}" for word in told.words[:3])
    size_told = (
        ""
        if length.reference.mean is None or length.current.mean is None
        else (f"length {_number(length.reference.mean)} -> {_number(length.current.mean)} characters")
    )
    what = "; ".join(filter(None, (words, size_told)))
    return replace(blank, why=odd, findings=findings, numbers=length, texts=told, what=what)


def _with_verdict(column: ColumnDrift, adjusted: Any, level: float, least: str) -> ColumnDrift:
    """The column with its share of the level: what is shown, and whether that is large enough to count."""
    findings = tuple(replace(one, adjusted=p, shown=p <= level) for one, p in zip(column.findings, adjusted, strict=False))
    if not findings:
        return replace(column, verdict=CANNOT_TELL)
    shown = [one for one in findings if one.shown]
    counts = any(SIZES.index(one.size) >= SIZES.index(least) for one in shown)
    return replace(column, findings=findings, verdict=DRIFT if counts else TINY if shown else NONE)
