"""Nouns to JSON and back, and the id that equal content always has."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, Union

T = TypeVar("T")


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, no NaN. Raises ValueError on NaN or infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 in hex of the canonical JSON of plain data."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()


def short(id: str) -> str:
    """The first 12 digits of an id, as people are shown it."""
    return id[:12]


def to_plain(value: Any) -> Any:
    """Dataclasses, tuples and mappings as the dicts, lists and scalars of JSON; infinities become None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _field(getattr(value, field.name), field.type) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _field(value: Any, kind: Any) -> Any:
    """A field as JSON. A whole number in a float field is written as one, so that reading back gives the same bytes and id."""
    if isinstance(value, int) and not isinstance(value, bool) and str(kind).startswith("float"):
        return float(value)
    return to_plain(value)


def from_plain(shape: type[T], data: Any) -> T:
    """Rebuild a dataclass from `to_plain` of it. Raises TypeError or KeyError on data of another shape."""
    return typing.cast(T, _build(shape, data))


@cache
def _hints(shape: type) -> dict[str, Any]:
    return typing.get_type_hints(shape)


def _build(shape: Any, data: Any) -> Any:
    origin, args = typing.get_origin(shape), typing.get_args(shape)
    if origin in (Union, types.UnionType):
        if data is None:
            return None
        return _build_union(args, data)
    if origin is tuple:
        inner = args[0] if len(args) == 2 and args[1] is Ellipsis else Any
        return tuple(_build(inner, item) for item in data)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: _build(args[1], item) for key, item in data.items()}
    if dataclasses.is_dataclass(shape) and isinstance(shape, type):
        hints = _hints(shape)
        unknown = set(data) - set(hints)
        if unknown:
            raise TypeError(f"{shape.__name__} has no field {sorted(unknown)[0]!r}")
        return shape(**{name: _build(hints[name], item) for name, item in data.items()})
    if shape is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    return data


def _build_union(args: tuple[Any, ...], data: Any) -> Any:
    """The one member that fits: dataclasses are told apart by their field names."""
    shapes = [arg for arg in args if dataclasses.is_dataclass(arg)]
    for shape in shapes:
        if isinstance(data, Mapping) and set(data) == {field.name for field in dataclasses.fields(shape)}:
            return _build(shape, data)
    others = [arg for arg in args if arg is not type(None) and not dataclasses.is_dataclass(arg)]
    return _build(others[0], data) if others else _build(shapes[0], data)
