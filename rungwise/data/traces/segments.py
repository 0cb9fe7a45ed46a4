"""What traces are found by, column by column: the facts of some thousand rows in a few small arrays.

Indexes in the usual sense would touch a page each for every trace that is written. Here a run of SEGMENT rows is written
down once, when it is full, as one array a column: numbers as they are, names as 64-bit hashes. To search is to compare arrays.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from rungwise.data.traces.rows import FACTS, Row, tag_words

SEGMENT = 1024
"""Rows of a segment at most: those with n from SEGMENT * number on."""

NUMBERS = ("at", "seconds", "usd", "input_tokens", "output_tokens", "status")
"""Columns whose values are kept as numbers (float64)."""
NAMES = ("user", "tenant", "key", "conversation", "release", "variant", "candidate", "engine", "model", "response_id", "shadow_of")
"""Columns whose values are kept as hashes (uint64)."""
_UNIQUE = ("response_id", "shadow_of")  # no value comes again, so that none is worth remembering
PLACES, TAGS, TAG_PLACES = "places", "tags", "tag_places"
"""Where each row stands in its segment (uint16); a hash for each tag (uint64), and the row that has it (uint16)."""

NONE = 0
"""The hash of no value."""

_AT = FACTS.index("at")


@lru_cache(maxsize=20_000)
def hash_of(value: str | None) -> int:
    """A hash of 64 bits that is the same on every machine; 0 for no value. Two of a million names are one in 40 million."""
    if value is None:
        return NONE
    return int.from_bytes(blake2b(value.encode("utf-8", "replace"), digest_size=8).digest(), "little")


def columns_of(rows: Sequence[tuple[int, Row]], fields: Sequence[str] = FACTS) -> dict[str, bytes]:
    """The columns of a segment from its rows: of each its number n and these fields. One of equal values is kept as one value."""
    made = {PLACES: _packed("H", [n % SEGMENT for n, _ in rows], whole=True)}
    for name, values in zip(fields, zip(*(row for _, row in rows), strict=True), strict=True):
        if name in NUMBERS:
            made[name] = _packed("d", [value or 0.0 for value in values])
        elif name in NAMES:
            hashed = hash_of.__wrapped__ if name in _UNIQUE else hash_of
            made[name] = _packed("Q", list(map(hashed, values)))
        elif name == "tags":
            made[TAG_PLACES], made[TAGS] = _tag_columns(values)
    return made


def fields_of(columns: Iterable[str]) -> list[str]:
    """The fields of a row that columns are made from."""
    return sorted({"tags" if name in (TAGS, TAG_PLACES) else name for name in columns if name != PLACES})


def bounds_of(rows: Iterable[tuple[int, Row]]) -> tuple[float, float]:
    """The first and the last moment of a segment."""
    times = [_number(row[_AT]) for _, row in rows]
    return min(times), max(times)


def facts_of(row: Row) -> Row:
    """The small columns of a row."""
    return row[: len(FACTS)]


def _number(value: Any) -> float:
    return float(value or 0.0)


def _packed(kind: str, values: list[Any], *, whole: bool = False) -> bytes:
    if not whole and values and values.count(values[0]) == len(values):
        del values[1:]
    return _little(array(kind, values))


def _little(values: array[Any]) -> bytes:
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def _tag_columns(values: Sequence[Any]) -> tuple[bytes, bytes]:
    places, tags = array("H"), array("Q")
    for place, text in enumerate(values):
        if text is not None:
            words = tag_words(_tags(text))
            places.extend([place] * len(words))
            tags.extend([hash_of(word) for word in words])
    return _little(places), _little(tags)


def _tags(text: Any) -> Mapping[str, str]:
    import msgspec

    found = msgspec.json.decode(text)
    return found if isinstance(found, dict) else {}
