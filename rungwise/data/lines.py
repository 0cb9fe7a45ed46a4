"""The text lines of a data file: unpacked, decoded, and bounded in memory."""

from __future__ import annotations

import codecs
import difflib
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from rungwise.core.errors import BadData, UsageError

CELL_CAP = 16 * 2**20
"""The longest cell that is accepted, in characters; a row with a longer one is quarantined."""

ROW_CAP = 4 * CELL_CAP
"""The longest row that is ever held in memory, in characters."""

RAW_CAP = 4096
"""How much of what could not be read is kept with the reason, in characters."""

_BLOCK_BYTES = 1 << 18
_PACKED_BYTES = 1 << 14
_GZIP = 16 + zlib.MAX_WBITS
"""Asks zlib for the header and the sums of gzip."""

_ESCAPED = re.compile("[\udc80-\udcff]")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NOT_FOR_FILES = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape", "undefined", "utf-7"})
"""Python codecs that no data file is written in, some of which can give lone surrogates."""

_FOREIGN = {
    b"PK\x03\x04": "an Excel or zip file",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
}


class Damaged(BadData):
    """A file that breaks at some place: what was read before it stands, for those who want it.

    `code` is the stable reason code, `reason` the sentence without the place, `raw` the beginning of what was found there,
    `line` the line that was being read where it is known better than by counting.
    """

    def __init__(self, code: str, what: str, *, where: str = "", hint: str = "", raw: str = "", line: int | None = None) -> None:
        super().__init__(what, where=where, hint=hint)
        self.code, self.raw, self.line = code, raw, line
        self.reason = f"{what} {hint}".strip()


@dataclass(frozen=True, slots=True)
class Unpacking:
    """How far a packed file may swell before it is taken for a bomb.

    gzip packs text 3 to 30 times, repeated rows up to 100 times and zeros 1,032 times, so that `ratio` tells; it counts
    from `after_bytes` on, so that no small file meets it. `total_bytes` bounds the time that one file can take.
    """

    ratio: int = 200
    after_bytes: int = 256 * 2**20
    total_bytes: int = 64 * 2**30

    def check(self, packed: int, unpacked: int, where: str) -> None:
        """Raise Damaged when so many bytes out of so many are too many."""
        if unpacked > self.total_bytes:
            what = f"it unpacks to more than {self.total_bytes:,} bytes."
        elif unpacked > self.after_bytes and unpacked > self.ratio * max(packed, 1):
            what = f"it unpacks to more than {self.ratio} times its size, as a bomb does."
        else:
            return
        raise Damaged("malformed:bomb", what, where=where, hint="If you trust it, unpack it yourself or raise the limit")


UNPACKING = Unpacking()


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
        hint = "Export it again with a header line and at least one row"
        raise Damaged("malformed:empty", "the file is empty.", where=str(path), hint=hint)


def blocks(path: Path, unpacking: Unpacking = UNPACKING) -> Iterator[bytes]:
    """The bytes of a file, unpacked if it is gzip (told by its first bytes, not its name). Raises Damaged where it breaks."""
    try:
        with path.open("rb") as raw:
            first = raw.read(4)
            raw.seek(0)
            if first in _FOREIGN:
                what = f"this is {_FOREIGN[first]}, whatever its name says."
                raise Damaged("malformed:format", what, where=str(path), hint="Save it as .csv or .jsonl")
            yield from _unpacked(raw, unpacking, str(path)) if first[:2] == b"\x1f\x8b" else _pieces(raw)
    except EOFError as error:
        what, hint = "the gzip file ends in the middle.", "It was cut short: copy or download it again"
        raise Damaged("malformed:truncated", what, where=str(path), hint=hint) from error
    except zlib.error as error:
        what = f"the gzip file is damaged ({error})."
        raise Damaged("malformed:gzip", what, where=str(path), hint="Copy or download it again") from error
    except OSError as error:
        what = f"it cannot be read: {error.strerror or error}."
        raise Damaged("malformed:unreadable", what, where=str(path), hint="Check its permissions and the disk") from error


def _pieces(file: BinaryIO, size: int = _BLOCK_BYTES) -> Iterator[bytes]:
    while block := file.read(size):
        yield block


def _unpacked(raw: BinaryIO, unpacking: Unpacking, where: str) -> Iterator[bytes]:
    """The bytes of a gzip file of one or more members, checked by their sums. Raises EOFError and zlib.error where it breaks.

    Not by the gzip module: it gives nothing of the block in which the file breaks, and rows before the damage are to stand.
    """
    member, done, size = zlib.decompressobj(_GZIP), False, 0
    for packed in _pieces(raw, _PACKED_BYTES):
        while packed:
            if done:
                packed = packed.lstrip(b"\0")  # the padding that gzip allows between members and after the last
                if not packed:
                    break
                member, done = zlib.decompressobj(_GZIP), False
            before = member.copy()
            try:
                block = member.decompress(packed, _BLOCK_BYTES)
            except zlib.error:
                yield from _to_the_damage(before, packed)
                raise
            size += len(block)
            unpacking.check(raw.tell(), size, where)
            if block:
                yield block
            done = member.eof
            packed = member.unused_data if done else member.unconsumed_tail
    if not done:
        raise EOFError


def _to_the_damage(member: Any, packed: bytes) -> Iterator[bytes]:
    """What can still be unpacked, byte by byte, of a piece that is damaged somewhere."""
    for byte in packed:
        try:
            block = member.decompress(bytes([byte]), _BLOCK_BYTES)
        except zlib.error:
            return
        if block:
            yield block


class Lines:
    """The lines of a file, without their newline; None stands for one beyond ROW_CAP, and `cut` holds its beginning.

    `number` counts the lines given so far. Raises Damaged after the last whole line before the place where the file breaks.
    With `escape`, bytes that are not UTF-8 do not break it: `escaped` says that there were some, `foreign` tells them in a line.
    """

    def __init__(self, blocks: Iterator[bytes], name: str, encoding: str | None, *, escape: bool = False) -> None:
        self.name, self.number, self.cut = name, 0, ""
        self.escaped = False
        self._texts = self._noticed(_decoded(blocks, name, encoding, escape=escape)) if escape else _decoded(blocks, name, encoding)
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

    def foreign(self, line: str) -> str | None:
        """The first byte of a line that is not UTF-8, as 0xe9; None where all are."""
        found = _ESCAPED.search(line) if self.escaped else None
        return f"0x{ord(found[0]) - 0xDC00:02x}" if found else None

    def _noticed(self, texts: Iterator[str]) -> Iterator[str]:
        """The same texts; whether any of them holds escaped bytes is remembered."""
        for text in texts:
            self.escaped = self.escaped or (not text.isascii() and _ESCAPED.search(text) is not None)
            yield text

    def _split(self) -> Iterator[str | None]:
        held: list[str] = []
        size, too_long, newline = 0, False, ""
        try:
            for text in self._texts:
                newline = newline or _newline(text)
                # An old Mac file that goes on with \n was glued together from two: both end a line.
                first, *rest = (text.replace("\n", "\r") if newline == "\r" else text).split(newline or "\n")
                size += len(first)
                if size > ROW_CAP and not too_long:
                    too_long, self.cut = True, "".join([*held, first])[:RAW_CAP]
                held = [] if too_long else [*held, first]
                if not rest:
                    continue
                yield None if too_long else "".join(held)
                yield from rest[:-1]
                held, size, too_long = [rest[-1]], len(rest[-1]), False
        except Damaged as error:
            error.raw = ((self.cut if too_long else "".join(held)) + error.raw)[:RAW_CAP]
            raise
        if too_long or any(held):
            yield None if too_long else "".join(held)


def _newline(text: str) -> str:
    r"""How lines end, by a block that tells: \r in a file of an old Mac, else \n; the \r of \r\n stays, and the parsers drop it."""
    plain = text.replace("\r\n", "\n")
    if "\r" in plain[:-1] and "\n" not in plain.rstrip("\n"):
        return "\r"
    return "\n" if "\n" in text else ""


def shown(line: str) -> str:
    r"""A line for people and for UTF-8: escaped bytes are written as \xe9."""
    return line if line.isascii() else _ESCAPED.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", line)


def _decoded(blocks: Iterator[bytes], name: str, encoding: str | None, *, escape: bool = False) -> Iterator[str]:
    """Blocks of text. Raises BadData naming line and byte where the bytes are not in the encoding; in UTF-8 they may be escaped."""
    first = next(blocks, b"")
    if not first:
        hint = "Export it again with a header line and at least one row"
        raise Damaged("malformed:empty", "the file is empty.", where=name, hint=hint)
    skip, chosen = next(((len(bom), coding) for bom, coding in _BOMS if first.startswith(bom)), (0, encoding or "utf-8"))
    if not skip and encoding is None and len(first) >= 4 and (first[0] == 0) != (first[1] == 0):
        order = "BE" if first[0] == 0 else "LE"
        hint = f"Convert it: iconv -f UTF-16{order} -t UTF-8 {name} > utf8-{name} (or say that it is utf-16-{order.lower()})"
        what = "this looks like UTF-16 without a byte-order mark."
        raise Damaged("malformed:encoding", what, where=f"{name}:1", hint=hint, raw=_shown(first[:RAW_CAP], chosen))
    decoder = text_decoder(chosen, "surrogateescape" if escape and chosen == "utf-8" else "strict")
    done, lines = skip, 1
    for block, last in chain(((block, False) for block in chain([first[skip:]], blocks)), [(b"", True)]):
        try:
            text = decoder.decode(block, last)
        except UnicodeDecodeError as error:
            pending = len(error.object) - len(block)
            good = error.object[: error.start].decode(chosen, "ignore")
            if good:
                yield good
            raise _wrong_encoding(name, lines + good.count("\n"), done - pending + error.start, error, chosen) from error
        done += len(block)
        lines += text.count("\n")
        if text:
            yield text


def text_decoder(encoding: str, errors: str = "strict") -> codecs.IncrementalDecoder:
    """Raises UsageError for what is no encoding of text files."""
    try:
        found = codecs.lookup(encoding)
        known = found._is_text_encoding and found.name.replace("_", "-") not in _NOT_FOR_FILES  # rot13, hex and zip are codecs too
    except (LookupError, ValueError):
        known = False
    if not known:
        raise UsageError(f"there is no encoding '{encoding}'. Known ones are utf-8, utf-16, latin-1, cp1252")
    return codecs.getincrementaldecoder(encoding)(errors)


def _shown(found: bytes, encoding: str) -> str:
    """Bytes that are no text, for people."""
    wide = encoding.startswith(("utf-16", "utf-32", "utf_16", "utf_32"))
    return found.decode("latin-1") if wide else found.decode("utf-8", "backslashreplace")


def _wrong_encoding(name: str, line: int, offset: int, error: UnicodeDecodeError, encoding: str) -> Damaged:
    byte = error.object[error.start : error.start + 1].hex()
    rest = re.split(rb"[\r\n]", error.object[error.start : error.start + RAW_CAP], maxsplit=1)[0]
    return Damaged(
        "malformed:encoding",
        f"byte {offset} (0x{byte}) is not {encoding.upper()}: the file is in another encoding, or in several.",
        where=f"{name}:{line}",
        hint=f"Convert it: iconv -f WINDOWS-1252 -t UTF-8 {name} > utf8-{name} (or say which encoding it has, such as latin-1)",
        raw=_shown(rest, encoding),
    )
