"""Cells as plain JSON values, whatever a table held."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from rungwise.data.lines import RAW_CAP
from rungwise.data.readers import Problem, Quarantined, Read, Row

DEPTH_CAP = 100
"""Lists and objects within each other: more is an attack or a mistake, and others could not read it back."""

_PLAIN = frozenset({str, int, bool, type(None)})


def plain_rows(read: Read) -> Read:
    """The same rows with plain cells; a row with a cell that cannot be one goes to the quarantine."""

    def rows(found: Iterator[Row]) -> Iterator[Row]:
        for place, cells in found:
            if _PLAIN.issuperset(map(type, cells.values())):
                yield place, cells
                continue
            problem: Problem | None = None
            for name, cell in cells.items():
                try:
                    cells[name] = _plain(cell, 0)
                except ValueError as error:
                    problem = (f"column '{name}' {error}", "malformed:deep" if "deep" in str(error) else "malformed:value")
            if problem is None:
                yield place, cells
            else:
                read.quarantine.append(Quarantined(place, *problem, _raw(cells)))

    read.rows = rows(read.rows)
    return read


def _plain(value: Any, depth: int) -> Any:
    """NaN is nothing; times are ISO 8601, decimals their digits. Raises ValueError for what JSON cannot hold."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, float):
        if math.isinf(value):
            raise ValueError("holds a number beyond what a float can hold (as 1e400 is), or infinity")
        return None if math.isnan(value) else value
    if depth >= DEPTH_CAP:
        raise ValueError(f"is more than {DEPTH_CAP} lists or objects deep")
    if isinstance(value, dict):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise ValueError("holds bytes, not text")
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _raw(cells: dict[str, Any]) -> str:
    try:
        return json.dumps(cells, default=repr, ensure_ascii=False)[:RAW_CAP]
    except (ValueError, RecursionError):
        return repr(sorted(cells))[:RAW_CAP]
