"""A version of the data as files that others read: JSONL, Parquet, or a Hugging Face dataset folder with its card."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from rungwise.core.dataset import DEV, SEALED, TRAIN
from rungwise.core.errors import MissingExtra, StoreError, UnknownName, UsageError
from rungwise.data.readers import cell_text
from rungwise.data.splits import is_split, split_named
from rungwise.data.versions.datacard import Part, render_card
from rungwise.data.versions.version import Version, Versions, column_order

if TYPE_CHECKING:
    import pyarrow as pa

Cells = dict[str, Any]

FORMS = ("jsonl", "parquet", "hub")

HUB_SPLITS = {TRAIN: "train", DEV: "validation", SEALED: "test"}
"""What the splits are called where dataset folders are read."""

SHARD_ROWS = 1_000_000
"""A file of a dataset folder holds at most so many rows."""

VERSION_KEY = "rungwise.version"
"""The entry that names the version in a Parquet file's metadata, and in the file beside a JSONL file, which has none."""

BESIDE = ".version.json"
"""Added to the name of a JSONL file: the file that names its version."""

_ROWS_AT_ONCE = 1_024
_GROUP_ROWS = 65_536
_GROUP_LETTERS = 32 * 2**20
_ENDINGS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet", "": "hub"}
_LARGEST = 2**63


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written: `files` are the names below `path` (of a single file its own) with the SHA-256 of their bytes."""

    version: Version
    path: Path
    form: str
    rows: int
    files: Mapping[str, str]


def export(versions: Versions, version: Version, target: Path, *, form: str | None = None) -> Exported:
    """Write a version; told from the target's ending where no `form` is given. The same version gives the same bytes.

    A drawn split is a column of a file, and a file of its own in a folder. A file appears whole or not at all. Raises
    UnknownName for a form that is not there, UsageError for a folder that something else stands in.
    """
    form = form or _ENDINGS.get(target.suffix.lower())
    if form is None:
        raise UsageError(
            f"cannot tell the format from '{target.name}'. End it in .jsonl or .parquet, or add --format hub for a folder"
        )
    if form not in FORMS:
        raise UnknownName("format", form, FORMS)
    if form != "hub" and target.is_dir():
        raise UsageError(f"{target} is a folder. Name a file in it, such as {target / f'data.{form}'}, or add --format hub")
    names = _names(version)
    try:
        if form == "hub":
            return _export_folder(versions, version, target, names)
        with _durable(target) as file:
            write = _write_lines if form == "jsonl" else _write_parquet
            files = {target.name: write(versions, version, names, file)}
        if form == "jsonl":
            beside = target.with_name(target.name + BESIDE)
            about = {VERSION_KEY: version.id, "content": version.content, "rows": version.rows, "sha256": files[target.name]}
            files[beside.name] = _write_json(beside, about)
        return Exported(version=version, path=target, form=form, rows=version.rows, files=files)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror}. Free some space or choose another place") from error


def _names(version: Version) -> list[str]:
    """The columns in the order of the sources, called as in the first, the drawn split last."""
    naming = column_order(version)
    names = dict.fromkeys(name for source in version.sources for name in naming(dict.fromkeys(source.names)))
    if version.splits:
        names.setdefault(version.columns.split or "split")
    return list(names)


def _write_lines(versions: Versions, version: Version, names: Sequence[str], file: IO[bytes]) -> str:
    """One JSON object a row; gives the SHA-256 of the bytes."""
    import msgspec

    encode, written = msgspec.json.Encoder().encode, hashlib.sha256()
    rows = (cells for _, cells in versions.rows(version))
    while batch := list(islice(rows, _ROWS_AT_ONCE)):
        data = b"".join(encode({name: cells[name] for name in names if name in cells}) + b"\n" for cells in batch)
        written.update(data)
        file.write(data)
    return written.hexdigest()


def _write_json(path: Path, value: Mapping[str, Any]) -> str:
    data = (json.dumps(value, indent=2) + "\n").encode()
    with _durable(path) as file:
        file.write(data)
    return hashlib.sha256(data).hexdigest()


def _write_parquet(versions: Versions, version: Version, names: Sequence[str], file: IO[bytes]) -> str:
    schema = table_schema(versions, version, names)
    with _Sink(file, schema) as sink:
        for _, cells in versions.rows(version):
            sink.add(cells)
    return sink.digest


def table_schema(versions: Versions, version: Version, names: Sequence[str]) -> pa.Schema:
    """The types of the columns, from all rows. Columns that hold several kinds of values, or objects, become text."""
    kinds: dict[str, set[str]] = {name: set() for name in names}
    for _, cells in versions.rows(version):
        for name, value in cells.items():
            if type(value) is not str:
                kinds[name].add(_kind(value))
            elif "str" not in kinds[name]:
                kinds[name].add("str")
    pa, _ = _arrow()
    fields = [pa.field(name, _type(kinds[name] - {"null"})) for name in names]
    return pa.schema(fields, metadata={VERSION_KEY: version.id})


def _kind(value: Any) -> str:
    """`null`, `bool`, `int`, `float`, `str`; `list:` and the kind of its items; else `other`."""
    if value is None:
        return "null"
    if isinstance(value, int) and not isinstance(value, bool):
        return "int" if -_LARGEST <= value < _LARGEST else "other"
    if isinstance(value, list):
        inner = {_kind(item) for item in value} - {"null"}
        return f"list:{inner.pop() if len(inner) == 1 else 'other' if inner else 'null'}"
    return type(value).__name__ if isinstance(value, (str, bool, float)) else "other"


def _type(kinds: set[str]) -> Any:
    pa, _ = _arrow()
    plain = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "str": pa.string()}
    if kinds == {"int", "float"}:
        return pa.float64()
    if kinds and all(kind.startswith("list:") for kind in kinds):
        inner = {kind.removeprefix("list:") for kind in kinds} - {"null"}
        return pa.list_(plain[next(iter(inner))]) if len(inner) == 1 and inner <= set(plain) else pa.string()
    return plain.get(next(iter(kinds)), pa.string()) if len(kinds) == 1 else pa.string()


class _Sink:
    """A Parquet file that is being written. `digest` is known at the end, `size` is that of the rows in memory."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        pa, parquet = _arrow()
        self._pa, self._file = pa, _Digesting(file)
        self.schema, self.rows, self.size = schema, 0, 0
        self._writer = parquet.ParquetWriter(self._file, schema, compression="zstd")
        self._texts = [field.name for field in schema if field.type == pa.string()]
        self._floats = [field.name for field in schema if field.type == pa.float64()]
        self._waiting: list[Cells] = []
        self._letters = 0

    def add(self, cells: Cells) -> None:
        """The next row."""
        for name in self._texts:
            value = cells.get(name)
            if type(value) is not str and value is not None:
                cells[name] = value = cell_text(value)
            self._letters += len(value or "")
        for name in self._floats:
            if (value := cells.get(name)) is not None:
                cells[name] = float(value)
        self._waiting.append(cells)
        self.rows += 1
        if len(self._waiting) >= _GROUP_ROWS or self._letters >= _GROUP_LETTERS:
            self._flush()

    def _flush(self) -> None:
        table = self._pa.Table.from_pylist(self._waiting, schema=self.schema)
        self.size += table.nbytes
        self._writer.write_table(table)
        self._waiting, self._letters = [], 0

    def __enter__(self) -> _Sink:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and (self._waiting or not self.rows):
            self._flush()
        self._writer.close()
        self.digest = self._file.written.hexdigest()


class _Digesting:
    """A file to write to that keeps the SHA-256 of what went through it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.written, self.at, self.closed = file, hashlib.sha256(), 0, False

    def write(self, data: Any) -> int:
        """Write bytes and count them in."""
        self.written.update(data)
        self.at += len(data)
        return self.file.write(data)

    def tell(self) -> int:
        """How many bytes were written."""
        return self.at

    def flush(self) -> None:
        """Hand on what is buffered."""
        self.file.flush()

    def close(self) -> None:
        """Whoever opened the file closes it."""


def _export_folder(versions: Versions, version: Version, target: Path, names: Sequence[str]) -> Exported:
    """A dataset folder: `data/SPLIT-00000-of-00001.parquet` and README.md, put in place as a whole."""
    _require_ours(target)
    fresh, old = (target.with_name(f".{target.name}.{word}") for word in ("new", "old"))
    if old.exists() and not target.exists():
        old.rename(target)  # killed between the two renames below
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    (fresh / "data").mkdir(parents=True)
    split_column = version.columns.split or "split"
    columns = [name for name in names if name != split_column or not _is_parted(version)]
    schema = table_schema(versions, version, names)
    schema = schema.empty_table().select(columns).schema.with_metadata(schema.metadata)
    parts = _write_parts(versions, version, schema, fresh / "data")
    files = {f"data/{name}": digest for part in parts for name, digest in part.files.items()}
    card = render_card(versions, version, name=target.name, schema=schema, parts=parts).encode()
    with _durable(fresh / "README.md") as file:
        file.write(card)
    _sync(fresh / "data")
    _sync(fresh)
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    _sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)
    files["README.md"] = hashlib.sha256(card).hexdigest()
    return Exported(version=version, path=target, form="hub", rows=version.rows, files=files)


def _is_parted(version: Version) -> bool:
    """Whether the rows say in which split they are."""
    return bool(version.splits or version.columns.split)


def _split_reader(version: Version) -> Callable[[Cells], str]:
    """A function from a row to the name of its file's split; rows that name none are for training."""
    column = version.columns.split or "split"

    def read(cells: Cells) -> str:
        named = cell_text(cells.get(column)) if _is_parted(version) else None
        return HUB_SPLITS[split_named(named)] if named and is_split(named) else HUB_SPLITS[TRAIN]

    return read


def _write_parts(versions: Versions, version: Version, schema: pa.Schema, folder: Path) -> list[Part]:
    """Write each split in as many files as it needs."""
    split_of = _split_reader(version)
    counts = Counter(split_of(cells) for _, cells in versions.rows(version))
    shards = {name: -(-counts[name] // SHARD_ROWS) for name in HUB_SPLITS.values() if counts[name]}
    written: dict[str, dict[str, str]] = {name: {} for name in shards}
    sizes, seen = Counter[str](), Counter[str]()
    sinks: dict[str, tuple[ExitStack, _Sink, str]] = {}

    def close(split: str) -> None:
        stack, sink, name = sinks.pop(split)
        stack.close()
        written[split][name] = sink.digest
        sizes[split] += sink.size

    with ExitStack() as all_files:
        for _, cells in versions.rows(version):
            split = split_of(cells)
            if split not in sinks:
                stack = all_files.enter_context(ExitStack())
                name = f"{split}-{seen[split] // SHARD_ROWS:05}-of-{shards[split]:05}.parquet"
                sinks[split] = (stack, stack.enter_context(_Sink(stack.enter_context(_durable(folder / name)), schema)), name)
            sinks[split][1].add(cells)
            seen[split] += 1
            if seen[split] % SHARD_ROWS == 0:
                close(split)
        for split in list(sinks):
            close(split)
    return [Part(split=name, rows=counts[name], size=sizes[name], files=written[name]) for name in shards]


def _require_ours(target: Path) -> None:
    """Raise UsageError where something stands that an export did not write."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    card = target / "README.md"
    if not card.is_file() or VERSION_KEY not in card.read_text(encoding="utf-8", errors="replace"):
        raise UsageError(f"{target} is there already and is no export. Choose another folder, or move it away")


@contextmanager
def _durable(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears whole under its name, or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra("exporting Parquet", "curation") from error
    return pyarrow, parquet
