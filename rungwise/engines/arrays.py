"""How a fitted part is written and read: arrays as safetensors, settings as JSON, never pickle."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import Corrupt
from rungwise.core.record import canonical_json

ARRAYS, SETTINGS = "arrays.safetensors", "settings.json"

Files = dict[str, bytes]
Arrays = Mapping[str, NDArray[Any]]


def pack(arrays: Arrays, settings: Mapping[str, Any]) -> Files:
    """The files of a fitted part. Equal arrays and settings give equal bytes."""
    from safetensors.numpy import save

    ordered = {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}
    return {ARRAYS: save(ordered), SETTINGS: canonical_json(dict(settings)).encode("utf-8", "surrogatepass")}


def unpack(files: Mapping[str, bytes], *, technique: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays and settings of a fitted part. Raises Corrupt when a file is missing, unreadable or of another technique."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        settings = json.loads(files[SETTINGS].decode("utf-8", "surrogatepass"))
        arrays = load(files[ARRAYS])
    except (KeyError, ValueError, SafetensorError) as error:
        raise _unreadable(technique, error) from error
    found = settings.get("technique") if isinstance(settings, dict) else None
    if found != technique:
        raise Corrupt(f"a fitted part holds technique '{found}', not '{technique}'. Run the climb again to make it anew")
    return arrays, settings


@contextmanager
def rebuilding(technique: str) -> Iterator[None]:
    """Turn what goes wrong while a part is put together from its arrays and settings into Corrupt."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise _unreadable(technique, error) from error


def require_shape(name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    """Raise ValueError when an array that was read has another shape."""
    if array.shape != shape:
        raise ValueError(f"{name} is {array.shape}, not {shape}")


def _unreadable(technique: str, error: Exception) -> Corrupt:
    return Corrupt(f"a fitted part of technique '{technique}' cannot be read ({error!r}). Run the climb again to make it anew")
