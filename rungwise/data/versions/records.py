"""A row as it is kept: its cells as canonical JSON, and the digest of them that names it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from rungwise.data.readers import cell_text

_ENCODER = msgspec.json.Encoder(order="sorted")
_DECODER = msgspec.json.Decoder()


def record_bytes(cells: Mapping[str, Any]) -> bytes:
    """The cells as JSON with sorted keys, in UTF-8. NaN and infinities become null.

    Raises ValueError for text that UTF-8 cannot hold (half a character) and for numbers of more than 64 bits.
    """
    try:
        return _ENCODER.encode(cells)
    except (OverflowError, UnicodeEncodeError, TypeError) as error:
        raise ValueError(str(error)) from error


def record_id(body: bytes) -> bytes:
    """The name of a record: SHA-256 of its bytes (32 bytes)."""
    return hashlib.sha256(body).digest()


def unread_id(raw: str) -> bytes:
    """The name of what could not be read, so that once erased it is known again (32 bytes)."""
    return hashlib.sha256(b"unread\0" + raw.encode("utf-8", "surrogatepass")).digest()


def key_hash(key: str | None) -> int:
    """A user's id as a number of 64 bits, never 0; 0 for none."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little") or 1 if key is not None else 0


def record_cells(body: bytes) -> dict[str, Any]:
    """The cells of a record."""
    return _DECODER.decode(body)  # type: ignore[no-any-return]


def column_reader(column: str | None) -> Callable[[bytes], str]:
    """A function from a record to the text in one of its columns, '' where there is none; it reads nothing else of the record."""
    if column is None:
        return lambda _: ""
    shape = msgspec.defstruct("Cell", [("value", Any, msgspec.field(name=column, default=None))])
    decode = msgspec.json.Decoder(shape).decode

    def read(body: bytes) -> str:
        value = decode(body).value  # type: ignore[attr-defined]
        return value if type(value) is str else cell_text(value) or ""

    return read


def texts_of(bodies: Sequence[bytes], column: str | None) -> list[str]:
    """The text of each record."""
    return list(map(column_reader(column), bodies))
