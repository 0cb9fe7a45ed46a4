"""The text lines of a data file: unpacked, decoded, and bounded in memory."""

from __future__ import annotations

import codecs
import difflib
import gzip
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from rungwise.core.errors import BadData, UsageError

CELL_CAP = 16 * 2**20
"""The longest cell that is accepted, in characters; a row with a longer one is quarantined."""

ROW_CAP = 4 * CELL_CAP
"""The longest row that is ever held in memory, in characters."""

_BLOCK_BYTES = 1 << 18
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_FOREIGN = {
    b"PK\x03\x04": "an Excel or zip file",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
}


def require_file(path: Path) -> None:
    """Raise BadData when there is no readable file, or it holds nothing."""
    try:
        if path.is_dir():
            raise BadData("this is a folder, not a data file.", where=str(path), hint="Name the file in it")
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except FileNotFoundError as error:
        beside = [entry.name for entry in path.parent.iterdir() if entry.is_file()] if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, beside, n=1, cutoff=0.5)
        raise BadData(
            "there is no such file.", where=str(path), hint=f"Did you mean '{near[0]}'?" if near else "Check the path"
        ) from error
    except OSError as error:
        raise BadData(f"cannot be opened: {error.strerror}.", where=str(path), hint="Check its permissions") from error
    if size == 0:
        raise BadData("the file is empty.", where=str(path), hint="Export it again with a header line and at least one row")


def blocks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, unpacked if it is gzip (told by its first bytes, not its name)."""
    with path.open("rb") as raw:
        first = raw.read(4)
        raw.seek(0)
        if first in _FOREIGN:
            raise BadData(f"this is {_FOREIGN[first]}, whatever its name says.", where=str(path), hint="Save it as .csv or .jsonl")
        if first[:2] != b"\x1f\x8b":
            yield from _pieces(raw)
            return
        try:
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield from _pieces(unpacked)
        except EOFError as error:
            raise BadData(
                "the gzip file ends in the middle.", where=str(path), hint="It was cut short: copy or download it again"
            ) from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise BadData(f"the gzip file is damaged ({error}).", where=str(path), hint="Copy or download it again") from error


def _pieces(file: BinaryIO | gzip.GzipFile) -> Iterator[bytes]:
    while block := file.read(_BLOCK_BYTES):
        yield block


class Lines:
    """The lines of a file, without their newline; None stands for one beyond ROW_CAP. `number` counts those given so far."""

    def __init__(self, blocks: Iterator[bytes], name: str, encoding: str | None) -> None:
        self.name, self.number = name, 0
        self._texts = _decoded(blocks, name, encoding)
        self._back: list[str | None] = []
        self._stream = self._split()

    def __iter__(self) -> Iterator[str | None]:
        while True:
            if self._back:
                line = self._back.pop()
            else:
                try:
                    line = next(self._stream)
                except StopIteration:
                    return
            self.number += 1
            yield line

    def give_back(self, lines: list[str | None]) -> None:
        """Read these lines again, next."""
        self._back.extend(reversed(lines))
        self.number -= len(lines)

    def place(self, number: int) -> str:
        """'file:line'."""
        return f"{self.name}:{number}"

    def _split(self) -> Iterator[str | None]:
        held: list[str] = []
        size, too_long, newline = 0, False, ""
        for text in self._texts:
            # A file without any \n but with \r comes from an old Mac; \r\n keeps its \r, which the parsers drop.
            newline = newline or ("\r" if "\n" not in text and "\r" in text[:-1] else "\n" if "\n" in text else "")
            first, *rest = text.split(newline or "\n")
            size += len(first)
            too_long = too_long or size > ROW_CAP
            held = [] if too_long else [*held, first]
            if not rest:
                continue
            yield None if too_long else "".join(held)
            yield from rest[:-1]
            held, size, too_long = [rest[-1]], len(rest[-1]), False
        if too_long or any(held):
            yield None if too_long else "".join(held)


def _decoded(blocks: Iterator[bytes], name: str, encoding: str | None) -> Iterator[str]:
    """Blocks of text. Raises BadData naming line and byte where the bytes are not in the encoding."""
    first = next(blocks, b"")
    if not first:
        raise BadData("the file is empty.", where=name, hint="Export it again with a header line and at least one row")
    skip, chosen = next(((len(bom), coding) for bom, coding in _BOMS if first.startswith(bom)), (0, encoding or "utf-8"))
    if not skip and encoding is None and len(first) >= 4 and (first[0] == 0) != (first[1] == 0):
        order = "BE" if first[0] == 0 else "LE"
        hint = f"Convert it: iconv -f UTF-16{order} -t UTF-8 {name} > utf8-{name}"
        raise BadData("this looks like UTF-16 without a byte-order mark.", where=f"{name}:1", hint=hint)
    try:
        decoder = codecs.getincrementaldecoder(chosen)("strict")
    except LookupError as error:
        raise UsageError(f"there is no encoding '{chosen}'. Known ones are utf-8, utf-16, latin-1, cp1252") from error
    done, lines = skip, 1
    for block, last in chain(((block, False) for block in chain([first[skip:]], blocks)), [(b"", True)]):
        try:
            text = decoder.decode(block, last)
        except UnicodeDecodeError as error:
            pending = len(error.object) - len(block)
            good = error.object[: error.start].decode(chosen, "ignore")
            raise _wrong_encoding(name, lines + good.count("\n"), done - pending + error.start, error, chosen) from error
        done += len(block)
        lines += text.count("\n")
        if text:
            yield text


def _wrong_encoding(name: str, line: int, offset: int, error: UnicodeDecodeError, encoding: str) -> BadData:
    byte = error.object[error.start : error.start + 1].hex()
    return BadData(
        f"byte {offset} (0x{byte}) is not {encoding.upper()}: the file is in another encoding, or in several.",
        where=f"{name}:{line}",
        hint=f"Convert it: iconv -f WINDOWS-1252 -t UTF-8 {name} > utf8-{name} (or say which encoding it has, such as latin-1)",
    )
