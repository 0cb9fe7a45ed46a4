"""Which documents a search may find: conditions on their fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rungwise.core.errors import UsageError

_CONDITION = re.compile(r"\s*([^!<>=]+?)\s*(!=|>=|<=|=|>|<)\s*(.*?)\s*", re.DOTALL)
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")

Compare = Callable[[float | str, float | str], bool]
_COMPARE: Mapping[str, Compare] = {
    ">": lambda own, other: own > other,  # type: ignore[operator]
    "<": lambda own, other: own < other,  # type: ignore[operator]
    ">=": lambda own, other: own >= other,  # type: ignore[operator]
    "<=": lambda own, other: own <= other,  # type: ignore[operator]
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A field of a document and what it has to be. `sign`: = != < <= > >=; for = and !=, `values` are the choices."""

    field: str
    sign: str
    values: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Condition:
        """`language=en`, `team=a|b`, `year>=2020`, `state!=draft`. Raises UsageError for anything else."""
        found = _CONDITION.fullmatch(text)
        if found is None:
            raise UsageError(f"'{text}' is no condition. Write field=value, field!=value, field=a|b or field>=2020")
        name, sign, value = found.groups()
        if sign == "=" and value[:1] in ("<", ">", "="):
            raise UsageError(f"'{text}' has no sign that is known. Write one of: = != < <= > >=")
        values = tuple(one.strip() for one in value.split("|")) if sign in ("=", "!=") else (value,)
        return cls(name, sign, values)

    def holds(self, fields: Mapping[str, str]) -> bool:
        """Whether a document with these fields fulfils it. One without the field fulfils only !=.

        Sizes are compared as numbers where both sides are numbers, else as text, which is right for dates such as 2026-11-21.
        """
        own = fields.get(self.field)
        if self.sign == "!=":
            return own not in self.values
        if own is None:
            return False
        if self.sign == "=":
            return own in self.values
        other = self.values[0]
        if _NUMBER.fullmatch(own) and _NUMBER.fullmatch(other):
            return _COMPARE[self.sign](float(own), float(other))
        return _COMPARE[self.sign](own, other)


def check_fields(conditions: Sequence[Condition], known: Sequence[str]) -> None:
    """Raise UsageError for a field that no document has: a misspelt condition would silently find nothing."""
    for condition in conditions:
        if condition.field not in known:
            names = ", ".join(sorted(known)) or "none"
            raise UsageError(f"no document has a field '{condition.field}'. Fields: {names}")
