"""Compare two tables, or two windows of a project's traffic, column by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import BadData, UnknownName, UsageError
from rungwise.core.types import Clock
from rungwise.project.opening import opened

if TYPE_CHECKING:
    from rungwise.watch.drift.report import DriftReport
    from rungwise.watch.traffic import Traffic

WINDOW = "14d, 30d..14d or 2026-10-01..2026-10-15"

TRAFFIC = (
    "text", "answer", "confidence", "abstained", "failed", "truncated", "seconds",
    "input_tokens", "output_tokens", "usd", "group", "tenant", "variant", "candidate",
)  # fmt: skip
"""The columns of traffic that are compared: what users send, what they get, and what it takes."""


def compare_files(
    reference: str | Path,
    current: str | Path,
    *,
    columns: Sequence[str] = (),
    unit: str | None = None,
    level: float = 0.05,
    least: str = "small",
    texts: Sequence[str] = (),
) -> DriftReport:
    """Compare the tables in two files (CSV, TSV, JSONL, Parquet): all columns, or those of `columns`.

    `unit` is the column that names what rows belong to, such as a user; it is not compared itself. Rows that cannot be read are
    left out. Raises BadData for a file that is none, UnknownName for a column that neither file has, and UsageError.
    """
    tables = [read_columns(Path(path)) for path in (reference, current)]
    for path, table in zip((reference, current), tables, strict=True):
        if not any(len(cells) for cells in table.values()):
            raise BadData("no row of it can be read, so that nothing can be said of it.", where=str(path), hint="Check the file")
    known = list(dict.fromkeys(name for table in tables for name in table))
    for name in (*columns, *((unit,) if unit else ())):
        if name not in known:
            raise UnknownName("column", name, known, where=f"{reference} or {current}")
    units = None
    if unit is not None:
        if unit not in tables[0] or unit not in tables[1]:
            raise UsageError(f"the column '{unit}' stands in one of the two files only, so it cannot name the units of both")
        units = (tables[0][unit], tables[1][unit])
    from rungwise.watch.drift.report import drift_report

    wanted = [name for name in known if name != unit and (not columns or name in columns)]
    sides = [{name: table[name] for name in wanted if name in table} for table in tables]
    return drift_report(sides[0], sides[1], level=level, least=least, texts=texts, units=units)


def read_columns(path: Path) -> dict[str, Any]:
    """The columns of a data file as arrays of what stands in the cells, None where a row has no such field."""
    import numpy as np

    from rungwise.data.readers import read_rows

    read = read_rows(path, tolerant=True)
    found: dict[str, list[Any]] = {}
    for count, (_, row) in enumerate(read.rows):
        for name, value in row.items():
            found.setdefault(name, [None] * count).append(value)
        if len(row) < len(found):
            for name, values in found.items():
                if name not in row:
                    values.append(None)
    columns = {}
    for name, values in {**{name: [] for name in read.columns}, **found}.items():
        columns[name] = np.empty(len(values), dtype=object)
        columns[name][:] = values
    return columns


def window(text: str, *, now: float) -> tuple[float, float]:
    """[since, until) of a window as people write it: '14d' (up to now), '30d..14d', '2026-10-01..2026-10-15' (its end excluded).

    Raises UsageError for a text that is none, or a window that ends before it begins.
    """
    from rungwise.data.traces.where import moment

    first, dots, last = text.partition("..")
    try:
        since, until = moment(first, now=now), moment(last, now=now) if dots else now
    except UsageError as error:
        raise UsageError(f"'{text}' is no window. Write {WINDOW}") from error
    if since >= until:
        raise UsageError(f"the window '{text}' ends before it begins. Write {WINDOW}")
    return since, until


class ProjectDrift:
    """The traffic of a project folder, one window against another."""

    def __init__(self, directory: Path, clock: Clock, state: Path) -> None:
        self.directory, self.clock, self.state = directory, clock, state

    def compare(
        self, since: str, against: str, *, columns: Sequence[str] = (), level: float = 0.05, least: str = "small"
    ) -> DriftReport:
        """The traffic of the window `since` against that of `against`. Rows are kept together by conversation, else by user.

        Raises UsageError for windows that cannot be read, that overlap, or that no request falls into.
        """
        from rungwise.data.spec import FILE, read_use_case, read_watching
        from rungwise.watch.drift.report import drift_report
        from rungwise.watch.traffic import read_traffic

        now = self.clock.now()
        windows = [window(against, now=now), window(since, now=now)]
        if windows[0][0] < windows[1][1] and windows[1][0] < windows[0][1]:
            raise UsageError(f"the windows '{since}' and '{against}' overlap. Let one end where the other begins")
        watching, case = read_watching(self.directory / FILE), read_use_case(self.directory / FILE)
        tag = watching.group_tag or (case.groups.field if case.groups is not None else None)
        with opened(self.directory, self.state, self.clock) as store:
            sides = [read_traffic(store, *one, group_tag=tag) for one in windows]
        for side, text in zip(sides, (against, since), strict=True):
            if not len(side):
                raise UsageError(
                    f"no request falls into the window '{text}'. See which there are: rungwise traces {self.directory}"
                )
        tables = [_columns(side, columns) for side in sides]
        texts = ("text",) if "text" in tables[0] else ()
        return drift_report(tables[0], tables[1], level=level, least=least, texts=texts, units=(sides[0].unit, sides[1].unit))


def _columns(traffic: Traffic, columns: Sequence[str]) -> Mapping[str, Any]:
    """The columns that are compared."""
    for name in columns:
        if name not in TRAFFIC:
            raise UnknownName("column", name, TRAFFIC, where="the traffic")
    return {name: getattr(traffic, name) for name in columns or TRAFFIC}
