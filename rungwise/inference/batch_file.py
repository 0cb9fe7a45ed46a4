"""Batch answers: a JSONL file of questions becomes a JSONL file of answers, in constant memory, and goes on after a crash."""

from __future__ import annotations

import gzip
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from rungwise.core.content import Request
from rungwise.core.errors import BadData, EngineError, ProjectBusy, StoreError, UsageError
from rungwise.core.record import digest, short
from rungwise.core.types import Clock, Responder, collect
from rungwise.inference.window import WINDOW, in_order

CITED = ("document", "start", "end", "quote", "version")
"""What is written of a citation."""
LAST = "seconds"
"""The field of a row that was answered which is written last."""
_FLUSH_ROWS, _FLUSH_S = 1_000, 1.0
_BLOCK_BYTES = 1 << 20

Row = dict[str, msgspec.Raw]
_row = msgspec.json.Decoder(Row)
_text = msgspec.json.Decoder(str)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Rows of a batch: `rows` are `answered` or `failed` (with an `error`); `resumed` were there from an earlier run."""

    rows: int = 0
    answered: int = 0
    failed: int = 0
    resumed: int = 0


async def answer_file(
    responder: Responder,
    source: Path,
    target: Path,
    *,
    candidate: str,
    text_field: str,
    passage_field: str | None = None,
    window: int = WINDOW,
    clock: Clock,
    say: Callable[[int], None] = lambda _: None,
) -> Counts:
    """Answer every line of `source` into `target`, in order; either may end in .gz. `say` hears how many rows are done.

    Each row keeps its fields as they are written and gains `answer`, `confidence`,
    `candidate` and `seconds`, and `citations` or `abstained` where there is such; where the
    row has a field of that name already, ours is called `rungwise_answer` and so on. A line that
    cannot be read, or that the engine could not answer, gains `error` instead and is counted.
    Until all is done the answers stand in `target.partial-<digest of candidate and source>`, whose whole lines a later run keeps.
    Raises BadData when `source` cannot be read, StoreError when `target` cannot be written,
    ProjectBusy when another run is writing the same answers, UsageError when `target` is `source`.
    """
    if target.exists() and source.exists() and target.samefile(source):
        raise UsageError(f"the answers would overwrite the questions in {source}. Choose another --output")
    ask = _asker(responder, candidate=candidate, text_field=text_field, passage_field=passage_field, clock=clock)
    partial = _partial(source, target, [candidate, text_field, passage_field])
    with _Answers(partial, target, clock) as answers, _open(source) as lines:
        resumed = answers.rows
        questions = islice(_numbered(lines, source), resumed, None)
        async for line, good in in_order(ask, questions, window=window):
            if answers.add(line, good):
                say(answers.rows)
        answers.finish()
    return Counts(rows=answers.rows, answered=answers.answered, failed=answers.failed, resumed=resumed)


class _Answers:
    """The unfinished answers of a batch. They reach the disk every 1,000 rows or every second, and get their name at the end."""

    def __init__(self, partial: Path, target: Path, clock: Clock) -> None:
        self._partial, self._target, self._clock = partial, target, clock
        self._lines: list[bytes] = []
        self._flushed_at = clock.tick()
        with self._writing():
            self._file = _held(partial)
            self.answered, self.failed = _kept_lines(partial)

    def __enter__(self) -> _Answers:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """What was answered before an error is kept; after an error of the disk nothing is, lest a line stand twice."""
        try:
            if not isinstance(error, StoreError):
                self._flush()
        finally:
            self._file.close()

    @property
    def rows(self) -> int:
        """How many rows are done, those of earlier runs included."""
        return self.answered + self.failed

    def add(self, line: bytes, good: bool) -> bool:
        """Take one answered line; whether it went to the disk with those before it."""
        self._lines.append(line)
        self.answered, self.failed = self.answered + good, self.failed + (not good)
        if len(self._lines) < _FLUSH_ROWS and self._clock.tick() - self._flushed_at < _FLUSH_S:
            return False
        self._flush()
        return True

    def finish(self) -> None:
        """Make all lines durable and give the file its name."""
        self._flush()
        with self._writing():
            os.fsync(self._file.fileno())
            _rename(self._partial, self._target)

    def _flush(self) -> None:
        rest = memoryview(b"".join(self._lines))
        with self._writing():
            while rest:
                rest = rest[self._file.write(rest) :]  # one write may take less than all of it
        self._lines.clear()
        self._flushed_at = self._clock.tick()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"cannot write {self._target} ({error.strerror or error}). Free some space or choose another --output; "
                "the same command then goes on where it stopped"
            ) from error


def _asker(
    responder: Responder, *, candidate: str, text_field: str, passage_field: str | None, clock: Clock
) -> Callable[[tuple[int, bytes]], Any]:
    """A function from (line number, line) to (answered line, whether it was answered)."""
    name = msgspec.Raw(_encode(candidate))

    async def ask(question: tuple[int, bytes]) -> tuple[bytes, bool]:
        number, line = question
        row: Row = {}
        try:
            line.decode()  # fields are passed on as they are written, so all of the line has to be UTF-8
            row = _row.decode(line)
            request = Request.of(_text.decode(row[text_field]), passage=_passage(row, passage_field))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError) as error:
            return _failed(row, f"line {number}: {_why(row, text_field, error)}")
        started = clock.tick()
        try:
            response = await collect(responder(request))
        except EngineError as error:
            return _failed(row, f"line {number}: {error}")
        told: dict[str, Any] = {"answer": response.text, "confidence": response.confidence, "candidate": name}
        if response.abstained:
            told["abstained"] = True
        if response.citations:
            told["citations"] = [{place: getattr(one, place) for place in CITED} for one in response.citations]
        told["seconds"] = round(clock.tick() - started, 6)
        return _encode(row | {_free(row, key): value for key, value in told.items()}) + b"\n", True

    return ask


def _passage(row: Row, field: str | None) -> str | None:
    """The passage of a row; None where the row has none or it is null."""
    if field is None or field not in row:
        return None
    return msgspec.json.decode(row[field], type=str | None)


def _why(row: Row, text_field: str, error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 ({error.reason} at byte {error.start + 1})"
    if not row:
        return f"not a JSON object ({error})"
    if text_field not in row:
        return f"there is no field '{text_field}'; this row has {', '.join(row)}"
    return f"a field is not text ({error})"


def _failed(row: Row, why: str) -> tuple[bytes, bool]:
    return _encode({**row, _free(row, "error"): why}) + b"\n", False


def _free(row: Row, name: str) -> str:
    """A name that the row does not have, so that what is added always stands last in its line."""
    while name in row:
        name = f"rungwise_{name}"
    return name


def _open(path: Path) -> IO[bytes]:
    """The bytes of a file, unpacked when it starts like gzip. Raises BadData when it cannot be read."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        return cast("IO[bytes]", gzip.open(path)) if packed else path.open("rb")
    except OSError as error:
        raise BadData(f"cannot be read ({error.strerror})", where=str(path), hint="Check the path given to --input.") from error


def _numbered(lines: IO[bytes], source: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers from 1."""
    number = 0
    try:
        for number, line in enumerate(lines, start=1):
            bare = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
            if bare:
                yield number, bare
    except (OSError, EOFError, zlib.error) as error:
        raise BadData(f"is cut off or damaged after line {number} ({error})", where=str(source)) from error


def _partial(source: Path, target: Path, recipe: list[str | None]) -> Path:
    """Where unfinished answers stand: another candidate, or a source of another size or date, starts anew."""
    try:
        stat = source.stat()
    except OSError as error:
        raise BadData(f"cannot be read ({error.strerror})", where=str(source), hint="Check the path given to --input.") from error
    name = short(digest([*recipe, str(source.resolve()), stat.st_size, stat.st_mtime_ns]))
    return target.with_name(f"{target.name}.partial-{name}")


def _held(partial: Path) -> FileIO:
    """The file of unfinished answers, for this process alone; the kernel lets go of it when the process dies."""
    import fcntl

    file = FileIO(partial, "a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ProjectBusy(f"another run is writing {partial}. Wait for it, or choose another --output") from None
    return file


def _kept_lines(partial: Path) -> tuple[int, int]:
    """How many answered and failed whole lines there are; a torn last line is cut off."""
    answered = failed = whole_bytes = 0
    with partial.open("r+b") as file:
        for line in file:
            try:
                row = _row.decode(line) if line.endswith(b"\n") else None
            except msgspec.MsgspecError:
                row = None  # a machine that lost power can leave a block of zeros
            if row is None:
                break
            good = next(reversed(row), "").endswith(LAST)  # what was added stands last: `seconds`, or `error`
            answered, failed = answered + good, failed + (not good)
            whole_bytes += len(line)
        file.truncate(whole_bytes)
    return answered, failed


def _rename(partial: Path, target: Path) -> None:
    """Give the answers their name, packed if it ends in .gz, so that `target` is there whole or not at all."""
    ready = partial
    if target.suffix == ".gz":
        ready = partial.with_name(partial.name + ".gz")
        with partial.open("rb") as plain, ready.open("wb") as raw:
            with gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0) as packed:
                shutil.copyfileobj(plain, packed, _BLOCK_BYTES)
            os.fsync(raw.fileno())
    os.replace(ready, target)
    with suppress(FileNotFoundError):
        partial.unlink()
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
