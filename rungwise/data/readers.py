"""Rows out of files: CSV, TSV, JSONL and Parquet, streamed, with every row that cannot be read set aside and named."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from rungwise.core.errors import BadData, MissingExtra
from rungwise.data.lines import CELL_CAP, ROW_CAP, Lines, blocks, require_file

Row: TypeAlias = tuple[str, dict[str, Any]]
"""Where a row stands ("tickets.csv:17", the line it begins on) and its cells: str and None from tables, JSON values from JSONL."""

BLANK = frozenset({"", "nan", "NaN", "NAN", "null", "NULL", "<NA>"})
"""Cells that mean "nothing here". 'None', 'NA' and 'n/a' are not among them: they are words that people use as labels."""

_TABLES = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_OBJECTS = (".jsonl", ".ndjson")
_PARQUET = (".parquet", ".pq")


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row that was set aside: where it stands and why."""

    place: str
    reason: str


@dataclass(slots=True)
class Read:
    """A file being read. `quarantine` and `columns` are complete once `rows` is exhausted."""

    rows: Iterator[Row]
    quarantine: list[Quarantined] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)


def read_rows(path: Path, *, encoding: str | None = None) -> Read:
    """Open a data file by its ending (.csv .tsv .jsonl, each also .gz, and .parquet) and stream its rows.

    Text is UTF-8, or UTF-16 where a byte-order mark says so; `encoding` ('latin-1', ...) is used only when asked for.
    Rows that cannot be read go to `quarantine`. Raises BadData for a file that is
    missing, empty, of another format, cut short, or in another encoding; MissingExtra for Parquet without pyarrow.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else (suffixes or [""])[-1]
    if kind not in _TABLES and kind not in _OBJECTS and kind not in _PARQUET:
        array = "Write an array as one object a line: jq -c '.[]' in.json > out.jsonl"
        hint = array if kind == ".json" else "Save it as .csv or .jsonl"
        known = "known: .csv .tsv .jsonl, also .gz, and .parquet"
        raise BadData(f"files that end in '{kind}' are not read ({known}).", where=str(path), hint=hint)
    require_file(path)
    read = Read(iter(()))
    if kind in _PARQUET:
        read.rows = _parquet(path, read)
        return read
    lines = Lines(blocks(path), path.name, encoding)
    read.rows = _objects(lines, read) if kind in _OBJECTS else _table(lines, read, _TABLES[kind])
    return read


def cell_text(value: Any) -> str | None:
    """A cell as text without surrounding space; None where it is null, NaN or blank. Lists and objects become their JSON."""
    if value is None:
        return None
    if isinstance(value, str):
        stripped = value.strip()
        return None if stripped in BLANK else stripped
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _table(lines: Lines, read: Read, delimiter: str) -> Iterator[Row]:
    """Rows of a delimited file whose first non-blank line names the columns."""
    csv.field_size_limit(2**31 - 1)  # ours is CELL_CAP, and it quarantines one row where csv's own limit would end the file
    heading = next((line for line in lines if line is None or line.strip()), None)
    if heading is None:
        raise BadData(
            "the file holds no header line.", where=lines.place(1), hint="Begin it with the column names, such as text,label"
        )
    delimiter = _delimiter(heading, delimiter)
    read.columns.extend(_columns(heading, delimiter, lines.place(lines.number)))
    columns, width, quarantine, name = read.columns, len(read.columns), read.quarantine, lines.name
    for line in lines:
        number = lines.number
        if line is None:
            quarantine.append(Quarantined(lines.place(number), f"the row is longer than {ROW_CAP:,} characters"))
            continue
        if '"' in line:
            cells = _quoted(line, lines, delimiter, width, quarantine)
            if cells is None:
                continue
        elif line and line != "\r":
            cells = (line[:-1] if line[-1] == "\r" else line).split(delimiter)
        else:
            continue
        reason = f"{_cells(len(cells))} where the header has {width}" if len(cells) != width else _unfit(cells, columns)
        if reason is not None:
            quarantine.append(Quarantined(f"{name}:{number}", reason))
        else:
            yield f"{name}:{number}", dict(zip(columns, cells, strict=True))


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _unfit(cells: list[str], columns: list[str]) -> str | None:
    """Why a row of text cells cannot be used, if it cannot."""
    for position, cell in enumerate(cells):
        if "\0" in cell:
            return f"a NUL byte in column '{columns[position]}'"
        if len(cell) > CELL_CAP:
            return f"the cell in column '{columns[position]}' has {len(cell):,} characters; the limit is {CELL_CAP:,}"
    return None


def _quoted(line: str, lines: Lines, delimiter: str, width: int, quarantine: list[Quarantined]) -> list[str] | None:
    """The cells of a record with quotes, which may go on over the next lines; None when it was quarantined.

    A record is whole when its quotes pair up. Where they never do, or do not fit
    the cells, the lines that the open quote swallowed are read again as rows of
    their own if at least half of them have the width of one.
    """
    begin, taken = lines.number, [line]
    odd, size = line.count('"') % 2 == 1, len(line)
    for following in lines if odd else ():
        if following is None or size > ROW_CAP:
            lines.give_back([following])
            break
        taken.append(following)
        size += len(following) + 1
        odd = following.count('"') % 2 == 0
        if not odd:
            break
    cells = None if odd else _parse("\n".join(taken), delimiter)
    if cells is not None and (len(taken) == 1 or len(cells) == width):
        return cells
    swallowed = taken[1:-1] if not odd else taken[1:]
    rows = sum(len(_parse(between, delimiter) or ()) == width for between in swallowed)
    if 2 * rows >= len(swallowed):
        lines.give_back(list(taken[1:]))
        place = lines.place(begin)
    else:
        place = f"{lines.place(begin)}-{begin + len(taken) - 1}"
    quarantine.append(Quarantined(place, 'the quotes do not match: close the cell, and write " inside it as ""'))
    return None


def _parse(record: str, delimiter: str) -> list[str] | None:
    """The cells of one record, or None when its quotes are malformed."""
    try:
        rows = list(csv.reader([record], delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None


def _delimiter(heading: str, usual: str) -> str:
    """The separator that the header line uses most; the usual one of the format on a tie."""
    counts = {sign: heading.count(sign) for sign in (usual, ",", ";", "\t", "|")}
    return max(counts, key=lambda sign: (counts[sign], sign == usual))


def _columns(heading: str, delimiter: str, place: str) -> list[str]:
    """The column names of a header line; a nameless one is called by its number. Raises BadData when two are the same."""
    cells = _parse(heading.rstrip("\r"), delimiter)
    if cells is None:
        raise BadData(
            "the quotes of the header line do not match.", where=place, hint="Write it as plain column names, such as text,label"
        )
    if "\0" in heading:
        raise BadData("the header line holds a NUL byte.", where=place, hint="Export the file again as UTF-8 text")
    names = [cell.strip() or f"column {position}" for position, cell in enumerate(cells, start=1)]
    _refuse_twins(names, place)
    return names


def _refuse_twins(names: list[str], place: str) -> None:
    for position, name in enumerate(names):
        if name in names[:position]:
            both = f"columns {names.index(name) + 1} and {position + 1}"
            raise BadData(f"two columns are named '{name}' ({both}).", where=place, hint="Rename one of them")


def _objects(lines: Lines, read: Read) -> Iterator[Row]:
    """Rows of a file with one JSON object a line."""
    known: dict[str, None] = {}
    for line in lines:
        if line is not None and not line.strip():
            continue
        place = lines.place(lines.number)
        row = f"the row is longer than {ROW_CAP:,} characters" if line is None else _object(line)
        if isinstance(row, str):
            read.quarantine.append(Quarantined(place, row))
            continue
        if not row.keys() <= known.keys():
            known.update(dict.fromkeys(row))
            read.columns[:] = known
        yield place, row


def _object(line: str) -> dict[str, Any] | str:
    """The object on a line, or why there is none."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        return f"not JSON: {error.msg} at character {error.colno}"
    except (RecursionError, ValueError) as error:
        return f"not usable JSON: {error}"
    if not isinstance(row, dict):
        return f"not a JSON object but {'null' if row is None else type(row).__name__}"
    return _broken_character(row, line) or _unfit_values(row) or row


def _broken_character(row: dict[str, Any], line: str) -> str | None:
    r"""Why a row that was cut in the middle of a character (half an emoji: \\ud83d alone) cannot be used: UTF-8 cannot hold it."""
    for name, value in row.items() if "\\u" in line else ():
        try:
            json.dumps([name, value], ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return f"half a character (a lone surrogate) in field '{name.encode('utf-8', 'replace').decode()}'"
    return None


def _unfit_values(row: dict[str, Any]) -> str | None:
    """Why a row of JSON values cannot be used, if it cannot."""
    for name, value in row.items():
        texts = (
            [value]
            if isinstance(value, str)
            else [item for item in value if isinstance(item, str)]
            if isinstance(value, list)
            else []
        )
        reason = _unfit(texts, [name] * len(texts))
        if reason is not None:
            return reason
    return None


def _parquet(path: Path, read: Read) -> Iterator[Row]:
    """Rows of a Parquet file; the number in the place counts rows from 1."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra("reading Parquet", "curation") from error
    try:
        with parquet.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            _refuse_twins(names, path.name)
            read.columns.extend(names)
            number = 0
            for batch in file.iter_batches(batch_size=4096):
                for row in batch.to_pylist():
                    number += 1
                    place = f"{path.name}:{number}"
                    reason = _unfit_values(row) or next(
                        (_bytes(name) for name, cell in row.items() if isinstance(cell, bytes)), None
                    )
                    if reason is None:
                        yield place, row
                    else:
                        read.quarantine.append(Quarantined(place, reason))
    except (pyarrow.ArrowException, OSError) as error:
        raise BadData(
            f"not a readable Parquet file ({error}).", where=str(path), hint="Write it again, or save it as .csv"
        ) from error


def _bytes(name: str) -> str:
    return f"column '{name}' holds bytes, not text"
