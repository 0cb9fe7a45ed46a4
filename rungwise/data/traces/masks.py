"""Conditions on the columns of a segment: which of its rows can hold them, all at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from rungwise.data.traces import segments
from rungwise.data.traces.query import COMPARE, TAG, Condition
from rungwise.data.traces.rows import Row
from rungwise.data.traces.segments import PLACES, TAG_PLACES, TAGS, hash_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array: TypeAlias = "NDArray[Any]"
    Mask: TypeAlias = "NDArray[np.bool_]"

_KINDS = (
    {PLACES: "<u2", TAG_PLACES: "<u2", TAGS: "<u8"} | dict.fromkeys(segments.NUMBERS, "<f8") | dict.fromkeys(segments.NAMES, "<u8")
)

_RARE = {name: place for place, name in enumerate(("response_id", "shadow_of", "conversation", "user", TAGS, "key", "tenant"))}
"""Columns of names that most segments have not, those with the most names first."""


def columns_needed(conditions: Sequence[Condition]) -> list[str]:
    """The columns that tell something about these conditions."""
    needed: set[str] = set()
    for condition in conditions:
        needed.update(_columns(condition))
    return sorted(needed)


def decides(condition: Condition) -> bool:
    """Whether the columns alone say that a condition holds."""
    return bool(_columns(condition))


def read_columns(connection: sqlite3.Connection, segment: int, names: Sequence[str]) -> dict[str, Array]:
    """Columns of a segment; one that has the same value everywhere is an array of one."""
    marks = ",".join("?" * len(names))
    found = connection.execute(f"select name, data from columns where segment = ? and name in ({marks})", (segment, *names))
    return decoded(dict(found))


def columns_in_memory(rows: Sequence[tuple[int, Row]], fields: Sequence[str]) -> dict[str, Array]:
    """The columns of rows that no segment holds yet, of these fields; they must be of one segment."""
    return decoded(segments.columns_of(rows, fields))


def decoded(columns: Mapping[str, bytes]) -> dict[str, Array]:
    """Columns as arrays."""
    import numpy as np

    return {name: np.frombuffer(data, dtype=_KINDS[name]) for name, data in columns.items()}


def rarest(conditions: Sequence[Condition]) -> Condition | None:
    """The condition that as a rule leaves the fewest segments, if any leaves some out by one column alone."""
    names = [one for one in conditions if one.operator == "=" and isinstance(one.value, str) and set(_columns(one)) & _RARE.keys()]
    return min(names, key=lambda one: _RARE[_columns(one)[0]], default=None)


def anywhere(condition: Condition, columns: Mapping[str, Array]) -> bool:
    """Whether any row can hold a condition that is the `rarest`."""
    wanted = hash_of(
        f"{condition.field[len(TAG) :]}={condition.value}" if condition.field.startswith(TAG) else str(condition.value)
    )
    return bool((columns[_columns(condition)[0]] == wanted).any())


def mask(conditions: Sequence[Condition], columns: Mapping[str, Array]) -> Mask | None:
    """The rows of which every condition can hold; None when there is none."""
    import numpy as np

    rows = len(columns[PLACES])
    kept: Mask = np.ones(rows, dtype=bool)
    for condition in conditions:
        if not decides(condition):
            continue
        own = _mask(condition, columns, rows)
        if len(own) == 1 and not own[0]:
            return None
        kept &= own
    return kept if kept.any() else None


def _columns(condition: Condition) -> tuple[str, ...]:
    name = condition.field
    if name.startswith(TAG):
        return (TAGS, TAG_PLACES) if condition.operator == "=" and condition.value is not None else ()
    if name in segments.NUMBERS:
        return (name,)
    if name == "shadow":
        return ("shadow_of",)
    return (name,) if name in segments.NAMES and condition.operator != "~" and condition.whole else ()


def _mask(condition: Condition, columns: Mapping[str, Array], rows: int) -> Mask:
    import numpy as np

    name, value = condition.field, condition.value
    if name.startswith(TAG):
        own = np.zeros(rows, dtype=bool)
        own[columns[TAG_PLACES][columns[TAGS] == np.uint64(hash_of(f"{name[len(TAG) :]}={value}"))]] = True
        return own
    if name == "shadow":
        shadows: Mask = (columns["shadow_of"] != 0) == (value == (condition.operator == "="))
        return shadows
    wanted: Any = float(value or 0.0) if name in segments.NUMBERS else np.uint64(hash_of(None if value is None else str(value)))
    found: Mask = COMPARE[condition.operator](columns[name], wanted)
    return found
