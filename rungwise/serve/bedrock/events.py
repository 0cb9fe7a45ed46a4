"""Frames of `application/vnd.amazon.eventstream`.

    u32 total | u32 headers | u32 CRC-32 of these 8 bytes | headers | payload | u32 CRC-32 of everything before

All numbers are big-endian; a header is u8 length, name, u8 7 (text), u16 length, value.
Source: Amazon Transcribe's guide, "Event stream encoding"; botocore's `eventstream.py` reads the same.
"""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache

CONTENT_TYPE = b"application/vnd.amazon.eventstream"
_HEAD = struct.Struct(">II")
_WORD = struct.Struct(">I")
_TEXT = 7


def event(kind: str, payload: bytes) -> bytes:
    """The frame of an event whose payload is JSON."""
    return _frame(_headers((":event-type", kind), (":content-type", "application/json"), (":message-type", "event")), payload)


def exception(kind: str, payload: bytes) -> bytes:
    """The frame that ends a stream in an error; `kind` as the service model writes it: throttlingException ..."""
    return _frame(
        _headers((":exception-type", kind), (":content-type", "application/json"), (":message-type", "exception")), payload
    )


def _frame(headers: bytes, payload: bytes) -> bytes:
    head = _HEAD.pack(16 + len(headers) + len(payload), len(headers))
    front = b"".join((head, _WORD.pack(zlib.crc32(head)), headers, payload))
    return front + _WORD.pack(zlib.crc32(front))


@lru_cache(maxsize=64)
def _headers(*pairs: tuple[str, str]) -> bytes:
    """The bytes of headers; a stream repeats a handful of them."""
    written = bytearray()
    for name, value in pairs:
        written += bytes((len(name),)) + name.encode() + struct.pack(">BH", _TEXT, len(value)) + value.encode()
    return bytes(written)
