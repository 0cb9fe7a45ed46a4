"""Personal data in a stream of JSON lines: one line in, one line out, in constant memory."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from rungwise.curate.pii.masking import Replacement, rewritten, with_lookalikes
from rungwise.curate.pii.span import Detector, Span
from rungwise.curate.pii.step import found_by

LINES_AT_ONCE, BYTES_AT_ONCE = 256, 4 << 20
"""A batch ends with whichever comes first, so that long lines do not pile up."""

LONGEST_LINE_BYTES = 64 << 20
_SHOWN = 4096  # bytes of a line that cannot be used which are passed on when it is too long


@dataclass(slots=True)
class Tally:
    """What a stream held: lines, lines that could not be used, and spans by type. Complete once the stream is."""

    rows: int = 0
    bad: int = 0
    types: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """How lines are changed. Without `replacement` the spans are added to each object as `pii`; with it the text is rewritten.

    `types` are those to report or rewrite, none means all. `detectors` all look at the text in `column`.
    """

    detectors: tuple[Detector, ...]
    column: str = "text"
    types: tuple[str, ...] = ()
    replacement: Replacement | None = None

    def __call__(self, lines: Iterable[bytes], tally: Tally) -> Iterator[bytes]:
        """The changed lines. One that is no object, or has no text, comes out as it is with an `error`, and is counted.

        Where texts are rewritten, nothing of such a line comes out but its number: nobody knows what it holds.
        """
        for batch in batches(lines):
            rows = [parsed(line, self.column) for line in batch]
            found = found_by(self.detectors, ["" if problem else row[self.column] for row, problem in rows])
            for (row, problem), spans in zip(rows, found, strict=True):
                tally.rows += 1
                tally.bad += bool(problem)
                if problem:
                    yield written({"error": problem, **(row if self.replacement is None else {"line": tally.rows})})
                else:
                    yield written(self._changed(row, spans, tally))

    def _changed(self, row: dict[str, Any], spans: Sequence[Span], tally: Tally) -> dict[str, Any]:
        text = row[self.column]
        wanted = [span for span in spans if not self.types or span.type in self.types]
        tally.types.update(span.type for span in wanted)
        if self.replacement is None:
            found = [{"start": one.start, "end": one.end, "type": one.type, "text": text[one.start : one.end]} for one in wanted]
            return row | {"pii": found}
        return row | {self.column: rewritten(text, with_lookalikes(text, wanted), self.replacement)}


def restoring(lines: Iterable[bytes], column: str, restore: Callable[[str], str], tally: Tally) -> Iterator[bytes]:
    """The lines with what was masked or replaced in `column` brought back."""
    for line in lines:
        row, problem = parsed(line, column)
        tally.rows += 1
        tally.bad += bool(problem)
        yield written(row | ({"error": problem} if problem else {column: restore(row[column])}))


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file. Of one that is longer than 64 MiB only the beginning comes, which is no JSON and is counted as bad."""
    while line := file.readline(LONGEST_LINE_BYTES + 1):
        if len(line) <= LONGEST_LINE_BYTES:
            yield line
            continue
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(1 << 20)
        yield line[:_SHOWN]


def batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Lines in batches bounded in number and in bytes."""
    waiting: list[bytes] = []
    size = 0
    for line in lines:
        waiting.append(line)
        size += len(line)
        if len(waiting) >= LINES_AT_ONCE or size >= BYTES_AT_ONCE:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting


def parsed(line: bytes, column: str) -> tuple[dict[str, Any], str]:
    """The object of a line, and why it cannot be used; nothing where it can."""
    try:
        row = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        return {"line": line.decode("utf-8", "backslashreplace").rstrip("\r\n")}, f"not JSON in UTF-8: {error}"
    if not isinstance(row, dict):
        return {"line": row}, "not a JSON object"
    return row, "" if isinstance(row.get(column), str) else f"no text in '{column}'"


def written(row: dict[str, Any]) -> bytes:
    """A row as a line of JSON in UTF-8; lone surrogates as escapes, since UTF-8 cannot hold them."""
    try:
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(row).encode() + b"\n"
