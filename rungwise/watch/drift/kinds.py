"""What kind of column two arrays are: numbers, names or texts, by a rule that is told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.watch.drift.categories import name_of

NUMERIC, CATEGORICAL, TEXT = KINDS = ("numeric", "categorical", "text")

TEXT_CHARACTERS = 20.0
"""Texts have so many characters at least, on average, in both samples together."""

TEXT_DISTINCT = 0.5
"""And at least this share of them are different texts."""

LOOKED_AT = 10_000
"""So many values of each side decide whether a column of strings holds texts: the first ones."""


@dataclass(frozen=True, eq=False)
class Typed:
    """A column of one kind: floats with NaN for what is missing where it is numeric, else objects. `why` says what is odd."""

    kind: str
    reference: NDArray[Any]
    current: NDArray[Any]
    why: str = ""


def typed(reference: Any, current: Any, *, text: bool = False) -> Typed:
    """The kind of a column, from both sides together.

    Arrays of numbers (not of truth values) are numeric, times become seconds since 1970. A column of objects or strings is numeric
    where every value that is not missing (None, NaN, blank) is a number or reads as one. Otherwise it is text where values are
    long (TEXT_CHARACTERS) and mostly different (TEXT_DISTINCT), else categorical. Where one side is of numbers and the other is
    not, both are compared as names.
    """
    sides = [_array(side) for side in (reference, current)]
    if text:
        return Typed(TEXT, _objects(sides[0]), _objects(sides[1]))
    numbers = [_numbers(side) for side in sides]
    if numbers[0] is not None and numbers[1] is not None and not (_nothing(sides[0]) and _nothing(sides[1])):
        return Typed(NUMERIC, numbers[0], numbers[1])
    why = _oddness(sides, numbers)
    if sides[0].dtype.kind == "b" and sides[1].dtype.kind == "b":
        return Typed(CATEGORICAL, sides[0], sides[1], why)
    first, second = _objects(sides[0]), _objects(sides[1])
    return Typed(TEXT if _are_texts(first, second) else CATEGORICAL, first, second, why)


def _array(side: Any) -> NDArray[Any]:
    """An array (n,) of what was given; what is not one-dimensional becomes objects."""
    if isinstance(side, np.ndarray) and side.ndim == 1:
        return side
    column = np.empty(len(side), dtype=object)
    for place, value in enumerate(side.tolist() if isinstance(side, np.ndarray) else side):
        column[place] = value  # one by one: numpy would unpack lists
    return column


def _nothing(side: NDArray[Any]) -> bool:
    """Whether objects or strings are all missing, so that they have no kind."""
    return side.dtype.kind in "OUSV" and all(name_of(value) is None for value in side.tolist())


def _numbers(side: NDArray[Any]) -> NDArray[np.float64] | None:
    """The column as floats (n,), or None where it is none of numbers."""
    kind = side.dtype.kind
    if kind in "iuf":
        return side.astype(np.float64, copy=False)
    if kind in "mM":
        seconds = side.astype(f"{side.dtype.kind}8[us]").astype(np.int64).astype(np.float64) / 1e6
        return np.where(np.isnat(side), np.nan, seconds)
    if kind not in "OUS":
        return None
    values = side.tolist()
    if any(isinstance(value, (bool, np.bool_, bytes)) for value in values[:LOOKED_AT]):
        return None
    return _read_numbers(values)


def _read_numbers(values: Sequence[Any]) -> NDArray[np.float64] | None:
    """Numbers, and strings that read as numbers; None at the first value that is neither that nor missing."""
    found = np.empty(len(values))
    for place, value in enumerate(values):
        if value is None or (isinstance(value, str) and not value.strip()):
            found[place] = math.nan
            continue
        if (
            isinstance(value, bool)
            or not isinstance(value, (str, int, float, np.number))
            or (isinstance(value, str) and "_" in value)
        ):
            return None
        try:
            found[place] = float(value)
        except (ValueError, OverflowError, TypeError):
            return None
    return found


def _objects(side: NDArray[Any]) -> NDArray[Any]:
    return side if side.dtype.kind == "O" else side.astype(object)


def _oddness(sides: Sequence[NDArray[Any]], numbers: Sequence[NDArray[Any] | None]) -> str:
    """What is odd about a column that is not numeric."""
    told = ["numbers" if one is not None else "names" for one in numbers]
    if told[0] != told[1] and not any(_nothing(side) for side in sides):
        return f"the reference holds {told[0]}, the current data {told[1]}: compared as names"
    for side, array in zip(("reference", "current data"), sides, strict=True):
        if array.dtype.kind == "O":
            types = sorted({_type_name(value) for value in array[:LOOKED_AT].tolist()} - {""})
            if len(types) > 1:
                return f"the {side} mixes {' and '.join(types)}: compared as names"
    return ""


def _type_name(value: Any) -> str:
    if name_of(value) is None:
        return ""
    if isinstance(value, (bool, np.bool_)):
        return "truth values"
    if isinstance(value, str):
        return "strings"
    return "numbers" if isinstance(value, (int, float, np.number)) else "objects"


def _are_texts(first: NDArray[Any], second: NDArray[Any]) -> bool:
    some = [value for side in (first, second) for value in side[:LOOKED_AT].tolist()]
    texts = [value for value in some if isinstance(value, str) and value.strip()]
    if len(texts) < 2 or sum(map(len, texts)) / len(texts) < TEXT_CHARACTERS:
        return False
    return len(set(texts)) >= TEXT_DISTINCT * len(texts)
