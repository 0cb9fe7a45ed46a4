"""Rows out of files: CSV, TSV, JSONL and Parquet, streamed, with every row that cannot be read set aside and named."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from rungwise.core.errors import BadData
from rungwise.data.columnar import Cells, parquet_rows
from rungwise.data.lines import CELL_CAP, RAW_CAP, ROW_CAP, UNPACKING, Damaged, Lines, Unpacking, blocks, require_file, shown

Row: TypeAlias = tuple[str, dict[str, Any]]
"""Where a row stands ("tickets.csv:17", the line it begins on) and its cells: str and None from tables, JSON values from JSONL."""

BLANK = frozenset({"", "nan", "NaN", "NAN", "null", "NULL", "<NA>"})
"""Cells that mean "nothing here". 'None', 'NA' and 'n/a' are not among them: they are words that people use as labels."""

_TABLES = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
DELIMITED = frozenset(_TABLES)
_OBJECTS = (".jsonl", ".ndjson")
_PARQUET = (".parquet", ".pq")
TABLE_ENDINGS = (*_TABLES, *_OBJECTS, *_PARQUET)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row that was set aside: where it stands and why.

    `reason` is the sentence and `code` its stable reason code; `raw` is the first 4,096 characters as they were found.
    """

    place: str
    reason: str
    code: str = "malformed"
    raw: str = ""


Problem: TypeAlias = tuple[str, str]
"""Why a row cannot be used: the sentence and its reason code."""

PATIENCE = 10_000
"""A file of which so many rows are bad, and more than half of them all, is not what it is taken for: a tolerant read ends."""


@dataclass(slots=True)
class Read:
    """A file being read. `quarantine` and `columns` are complete once `rows` is exhausted."""

    rows: Iterator[Row]
    quarantine: list[Quarantined] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    patience: int | None = None

    def set_aside(self, place: str, problem: Problem, raw: str, seen: int) -> None:
        """Quarantine a row, the `seen`-th of its file. Raises Damaged when the file is out of patience, which bounds the memory."""
        self.quarantine.append(Quarantined(place, *problem, shown(raw)))
        if self.patience is not None and len(self.quarantine) >= self.patience and 2 * len(self.quarantine) > seen:
            what = f"{len(self.quarantine):,} of its first {seen:,} rows cannot be read."
            hint = "It is of another format, or damaged throughout: look at the first of them"
            raise Damaged("malformed:mostly", what, where=place, hint=hint, line=seen)


def read_rows(
    path: Path,
    *,
    encoding: str | None = None,
    tolerant: bool = False,
    name: str | None = None,
    unpacking: Unpacking = UNPACKING,
) -> Read:
    """Open a data file by its ending (.csv .tsv .jsonl, each also .gz, and .parquet) and stream its rows.

    Text is UTF-8, or UTF-16 or UTF-32 where a byte-order mark says so; `encoding` ('latin-1', ...) is used only when asked for.
    `name` begins the places of its rows; the file's own, without one. Rows that cannot be read go to `quarantine`.
    Raises BadData for a file that is missing, empty, of another format, cut short, damaged, a bomb, or in another encoding.
    When `tolerant`, a file that breaks at some place ends there with one entry in the quarantine, and the rows before it
    stand. MissingExtra for Parquet without pyarrow.
    """
    kind = require_table(path)
    read, name = Read(iter(()), patience=PATIENCE if tolerant else None), name or path.name
    if kind in _PARQUET:
        rows = parquet_rows(path, read.columns, unpacking)
        read.rows = checked_rows(rows, name, read)
        return read if not tolerant else tolerated(read, name, None)
    lines = Lines(blocks(path, unpacking), name, encoding, escape=tolerant)
    read.rows = _objects(lines, read) if kind in _OBJECTS else _table(lines, read, _TABLES[kind])
    return read if not tolerant else tolerated(read, name, lines)


def require_table(path: Path) -> str:
    """The kind of a data file. Raises BadData when it is of another format, missing or empty."""
    kind = table_kind(path)
    if kind not in TABLE_ENDINGS:
        array = "Write an array as one object a line: jq -c '.[]' in.json > out.jsonl"
        hint = array if kind == ".json" else "Save it as .csv or .jsonl"
        known = "known: .csv .tsv .jsonl, also .gz, and .parquet"
        raise BadData(f"files that end in '{kind}' are not read ({known}).", where=str(path), hint=hint)
    require_file(path)
    return kind


def table_kind(path: Path) -> str:
    """The ending that tells the format of a data file, in lower case: '.csv' for both a.csv and a.csv.gz."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else (suffixes or [""])[-1]


def tolerated(read: Read, name: str, lines: Lines | None = None) -> Read:
    """The same rows up to the place where the file breaks, which goes to the quarantine."""

    def rows(strict: Iterator[Row]) -> Iterator[Row]:
        try:
            yield from strict
        except Damaged as error:
            line = error.line or (1 if lines is None else lines.number + 1)
            read.quarantine.append(Quarantined(f"{name}:{line}", error.reason, error.code, shown(error.raw)))

    read.rows = rows(read.rows)
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


_TOO_LONG: Problem = (f"the row is longer than {ROW_CAP:,} characters", "malformed:too_long")


def _table(lines: Lines, read: Read, delimiter: str) -> Iterator[Row]:
    """Rows of a delimited file whose first non-blank line names the columns."""
    csv.field_size_limit(2**31 - 1)  # ours is CELL_CAP, and it quarantines one row where csv's own limit would end the file
    heading = next((line for line in lines if line is None or line.strip()), None)
    if heading is None:
        hint = "Begin it with the column names, such as text,label"
        raise Damaged("malformed:header", "the file holds no header line.", where=lines.place(1), hint=hint, line=1)
    if (problem := _foreign(lines, heading)) is not None:
        raise Damaged(
            problem[1], f"{problem[0]}.", where=lines.place(lines.number), hint="", raw=heading[:RAW_CAP], line=lines.number
        )
    delimiter = _delimiter(heading, delimiter)
    read.columns.extend(_columns(heading, delimiter, lines.place(lines.number), lines.number))
    columns, width, name = read.columns, len(read.columns), lines.name
    for line in lines:
        number = lines.number
        if line is None:
            read.set_aside(lines.place(number), _TOO_LONG, lines.cut, number)
            continue
        line = line.removeprefix("\ufeff")  # from a file that was appended to another
        if '"' in line:
            cells = _quoted(line, lines, delimiter, width, read)
            if cells is None:
                continue
        elif line and line != "\r":
            cells = (line[:-1] if line[-1] == "\r" else line).split(delimiter)
        else:
            continue
        problem = _ragged(len(cells), width) if len(cells) != width else _unfit(cells, columns)
        if problem is None and lines.escaped:
            problem = _foreign(lines, delimiter.join(cells))
        if problem is not None:
            read.set_aside(f"{name}:{number}", problem, line[:RAW_CAP], number)
        else:
            yield f"{name}:{number}", dict(zip(columns, cells, strict=True))


_LINE_BYTES = 64
"""What Python takes to hold a line, beside its characters: so a cell of very many short lines is bounded as well."""


def _ragged(count: int, width: int) -> Problem:
    return f"{'1 cell' if count == 1 else f'{count} cells'} where the header has {width}", "malformed:ragged"


def _foreign(lines: Lines, text: str) -> Problem | None:
    """Says which byte of a row is not UTF-8, if one is."""
    if (byte := lines.foreign(text)) is None:
        return None
    hint = "convert the file: iconv -f WINDOWS-1252 -t UTF-8, or say which encoding it has, such as latin-1"
    return f"the byte {byte} is not UTF-8: {hint}", "malformed:encoding"


def _unfit(cells: list[str], columns: list[str]) -> Problem | None:
    """Why a row of text cells cannot be used, if it cannot."""
    for position, cell in enumerate(cells):
        if "\0" in cell:
            return f"a NUL byte in column '{columns[position]}'", "malformed:nul"
        if len(cell) > CELL_CAP:
            what = f"the cell in column '{columns[position]}' has {len(cell):,} characters; the limit is {CELL_CAP:,}"
            return what, "malformed:too_long"
    return None


def _quoted(line: str, lines: Lines, delimiter: str, width: int, read: Read) -> list[str] | None:
    """The cells of a record with quotes, which may go on over the next lines; None when it was quarantined.

    A record is whole when its quotes pair up. Where they never do, or do not fit
    the cells, the lines that the open quote swallowed are read again as rows of
    their own if at least half of them have the width of one.
    """
    begin, taken = lines.number, [line]
    odd, size = line.count('"') % 2 == 1, len(line)
    try:
        for following in lines if odd else ():
            if following is None or size > ROW_CAP:
                lines.give_back([following])
                break
            taken.append(following)
            size += len(following) + _LINE_BYTES
            odd = following.count('"') % 2 == 0
            if not odd:
                break
    except Damaged as error:
        error.raw, error.line = "\n".join([*taken, error.raw])[:RAW_CAP], begin
        raise
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
    problem = 'the quotes do not match: close the cell, and write " inside it as ""', "malformed:quotes"
    raw = line[:RAW_CAP] if place == lines.place(begin) else "\n".join(taken)[:RAW_CAP]
    read.set_aside(place, problem, raw, lines.number)
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


def _columns(heading: str, delimiter: str, place: str, line: int) -> list[str]:
    """The column names of a header line; a nameless one is called by its number. Raises Damaged when two are the same."""

    def refusal(what: str, hint: str) -> Damaged:
        return Damaged("malformed:header", what, where=place, hint=hint, raw=heading[:RAW_CAP], line=line)

    cells = _parse(heading.rstrip("\r"), delimiter)
    if cells is None:
        raise refusal("the quotes of the header line do not match.", "Write it as plain column names, such as text,label")
    if "\0" in heading:
        raise refusal("the header line holds a NUL byte.", "Export the file again as UTF-8 text")
    names = [cell.strip() or f"column {position}" for position, cell in enumerate(cells, start=1)]
    if (twins := _twins(names)) is not None:
        raise refusal(twins, "Rename one of them")
    return names


def _twins(names: list[str]) -> str | None:
    """Says which two columns have one name, if two have."""
    seen: dict[str, int] = {}
    for position, name in enumerate(names, start=1):
        if name in seen:
            return f"two columns are named '{name}' (columns {seen[name]} and {position})."
        seen[name] = position
    return None


def _objects(lines: Lines, read: Read) -> Iterator[Row]:
    """Rows of a file with one JSON object a line."""
    known: dict[str, None] = {}
    for line in lines:
        if line is not None and not line.strip():
            continue
        place = lines.place(lines.number)
        row = _TOO_LONG if line is None else _foreign(lines, line) or _object(line.removeprefix("\ufeff"))
        if isinstance(row, tuple):
            read.set_aside(place, row, lines.cut if line is None else line[:RAW_CAP], lines.number)
            continue
        if not row.keys() <= known.keys():
            known.update(dict.fromkeys(row))
            read.columns[:] = known
        yield place, row


def _object(line: str) -> dict[str, Any] | Problem:
    """The object on a line, or why there is none."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        return f"not JSON: {error.msg} at character {error.colno}", "malformed:json"
    except (RecursionError, ValueError) as error:
        return f"not usable JSON: {error}", "malformed:json"
    if not isinstance(row, dict):
        return f"not a JSON object but {'null' if row is None else type(row).__name__}", "malformed:json"
    return _broken_character(row, line) or unfit_values(row) or row


def _broken_character(row: dict[str, Any], line: str) -> Problem | None:
    r"""Why a row that was cut in the middle of a character (half an emoji: \ud83d alone) cannot be used: UTF-8 cannot hold it."""
    for name, value in row.items() if "\\u" in line else ():
        try:
            json.dumps([name, value], ensure_ascii=False).encode()
        except UnicodeEncodeError:
            what = f"half a character (a lone surrogate) in field '{name.encode('utf-8', 'replace').decode()}'"
            return what, "malformed:surrogate"
        except RecursionError as error:
            return f"not usable JSON: {error}", "malformed:json"
    return None


def unfit_values(row: dict[str, Any]) -> Problem | None:
    """Why a row of JSON values cannot be used, if it cannot."""
    for name, value in row.items():
        if isinstance(value, str):
            if "\0" in value or len(value) > CELL_CAP:
                return _unfit([value], [name])
        elif isinstance(value, list):
            texts = [item for item in value if isinstance(item, str)]
            if texts and (problem := _unfit(texts, [name] * len(texts))) is not None:
                return problem
        elif isinstance(value, bytes):
            return f"column '{name}' holds bytes, not text", "malformed:bytes"
    return None


def checked_rows(rows: Iterator[Cells], name: str, read: Read) -> Iterator[Row]:
    """Rows of a columnar file; the number in the place counts them from 1."""
    twins_seen = False
    for number, row in enumerate(rows, start=1):
        if not twins_seen and (twins := _twins(read.columns)) is not None:
            raise Damaged("malformed:header", twins, where=name, hint="Rename one of them", line=1)
        twins_seen = True
        place = f"{name}:{number}"
        if isinstance(row, Damaged):
            read.set_aside(place, (row.reason, row.code), row.raw, number)
            continue
        problem = unfit_values(row)
        if problem is None:
            yield place, row
        else:
            read.set_aside(place, problem, json.dumps(row, default=repr, ensure_ascii=False)[:RAW_CAP], number)
