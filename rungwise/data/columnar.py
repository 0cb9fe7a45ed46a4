"""Rows out of Parquet and Arrow files, batch by batch, in memory that does not grow with the file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from rungwise.core.errors import MissingExtra
from rungwise.data.lines import Damaged, Unpacking

Cells: TypeAlias = dict[str, Any] | Damaged
"""A row, or why the row at that place cannot be had."""

_BATCH_ROWS = 4096
_BATCH_BYTES = 64 * 2**20
"""A batch holds at most so many rows, and fewer where rows are long (by the mean of the row group)."""


def parquet_rows(path: Path, columns: list[str], unpacking: Unpacking, *, labelled: bool = False) -> Iterator[Cells]:
    """The rows of a Parquet file in order; `columns` is filled before the first.

    With `labelled`, columns that a dataset library wrote as class numbers give the names of the classes. Raises Damaged
    where the file breaks, with the number of that row (from 1) as its line; MissingExtra without pyarrow.
    """
    with _reading(path) as count:
        from pyarrow import parquet

        with parquet.ParquetFile(path) as plain:
            facts, schema = plain.metadata, plain.schema_arrow
            columns.extend(schema.names)
            sizes = [facts.row_group(i).total_byte_size for i in range(facts.num_row_groups)]
        unpacking.check(path.stat().st_size, sum(sizes), str(path))
        # Texts that repeat stand once in a Parquet file; as dictionaries they stand once in memory too.
        texts = [field.name for field in schema if str(field.type) in ("string", "large_string")]
        with parquet.ParquetFile(path, read_dictionary=texts) as file:
            for i, size in enumerate(sizes):
                rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES * facts.row_group(i).num_rows // max(1, size)))
                for batch in file.iter_batches(batch_size=rows, row_groups=[i]):
                    yield from _rows(batch, class_names(schema) if labelled else {}, count)


def arrow_rows(path: Path, columns: list[str]) -> Iterator[Cells]:
    """The rows of an Arrow file, stream or random-access, as dataset libraries save them; class numbers as their names."""
    with _reading(path) as count:
        import pyarrow
        from pyarrow import ipc

        with pyarrow.memory_map(str(path)) as raw:
            random_access = raw.read(6) == b"ARROW1"
            raw.seek(0)
            file = ipc.open_file(raw) if random_access else ipc.open_stream(raw)
            columns.extend(file.schema.names)
            names = class_names(file.schema)
            batches = (file.get_batch(i) for i in range(file.num_record_batches)) if random_access else file
            for batch in batches:
                batch.validate(full=True)  # these bytes are used as they lie: offsets that lead out of them would crash
                rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES * batch.num_rows // max(1, batch.nbytes)))
                for start in range(0, batch.num_rows, rows):
                    yield from _rows(batch.slice(start, rows), names, count)


class _Count:
    """How many rows were given so far."""

    def __init__(self) -> None:
        self.rows = 0


@contextmanager
def _reading(path: Path) -> Iterator[_Count]:
    """Turns what pyarrow says about a broken file into Damaged with the number of the row."""
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtra("reading Parquet", "curation") from error
    count = _Count()
    try:
        yield count
    except (pyarrow.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        arrow = path.suffix.lower() == ".arrow"
        what = f"not a readable {'Arrow' if arrow else 'Parquet'} file ({str(error)[:300]})."
        code = "malformed:arrow" if arrow else "malformed:parquet"
        hint = "Write it again, or save it as .csv"
        raise Damaged(code, what, where=str(path), hint=hint, line=count.rows + 1) from error


def class_names(schema: Any) -> dict[str, Sequence[str]]:
    """The class names of each column that holds class numbers, as the `datasets` library notes them in a schema."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {
            name: [str(label) for label in feature["names"]]
            for name, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and isinstance(feature.get("names"), list)
        }
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}


def _rows(batch: Any, names: Mapping[str, Sequence[str]], count: _Count) -> Iterator[Cells]:
    try:
        rows: list[Cells] = _table(batch, names)
    except (ValueError, OverflowError, ArithmeticError):  # bytes that are no UTF-8, a time beyond the calendar: find the rows
        rows = [_alone(batch.slice(i, 1), names) for i in range(batch.num_rows)]
    for row in rows:
        count.rows += 1
        yield row


def _alone(batch: Any, names: Mapping[str, Sequence[str]]) -> Cells:
    try:
        row: Cells = _table(batch, names)[0]
        return row
    except UnicodeDecodeError as error:
        raw = bytes(error.object)[:4096].decode("utf-8", "backslashreplace")
        return Damaged("malformed:encoding", f"a text that is not UTF-8 (byte {error.start} of it).", raw=raw)
    except (ValueError, OverflowError, ArithmeticError) as error:
        return Damaged("malformed:value", f"a value that cannot be read ({str(error)[:200]}).", raw=str(batch)[:4096])


def _table(batch: Any, names: Mapping[str, Sequence[str]]) -> list[Any]:
    """The rows of a batch as dicts."""
    columns = [_named(_values(column), names.get(name)) for name, column in zip(batch.schema.names, batch.columns, strict=True)]
    return [dict(zip(batch.schema.names, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _values(column: Any) -> list[Any]:
    """A column as Python values. A long text that stands in many rows becomes one object."""
    if not hasattr(column, "dictionary"):
        values: list[Any] = column.to_pylist()
        return values
    import pyarrow.compute as pc

    lengths = pc.binary_length(column.dictionary).take(column.indices)
    if (pc.sum(lengths).as_py() or 0) <= _BATCH_BYTES:
        texts: list[Any] = column.dictionary_decode().to_pylist()
        return texts
    used = pc.unique(column.indices).drop_null()
    shared: dict[int | None, Any] = dict(zip(used.to_pylist(), column.dictionary.take(used).to_pylist(), strict=True))
    return [shared.get(index) for index in column.indices.to_pylist()]


def _named(values: list[Any], names: Sequence[str] | None) -> list[Any]:
    if names is None:
        return values
    return [names[value] if isinstance(value, int) and 0 <= value < len(names) else value for value in values]
