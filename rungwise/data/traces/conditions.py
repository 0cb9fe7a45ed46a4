"""Conditions as SQL for PostgreSQL: what the database can leave out before a trace is looked at whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from rungwise.data.traces import segments
from rungwise.data.traces.query import CONTENT, TAG, Condition, Query, forms
from rungwise.data.traces.rows import cleaned

Clause: TypeAlias = "tuple[str, list[Any]]"
"""SQL with a %s for each value, and the values."""

_SQL_OPERATORS = {"=": "=", "!=": "<>", ">": ">", ">=": ">=", "<": "<", "<=": "<="}


def where(query: Query) -> Clause:
    """What every trace that is wanted fulfils; some that are not wanted may fulfil it too."""
    clauses, values = ["true"], list[Any]()
    if query.ids is not None:
        clauses.append("id = any(%s)")
        values.append([one for one in sorted(query.ids) if "\0" not in one])
    for condition in query.conditions:
        found = _clause(condition)
        if found is not None:
            clauses.append(f"({found[0]})")
            values += cleaned(tuple(found[1]))
    return " and ".join(clauses), values


def decides(conditions: Sequence[Condition]) -> bool:
    """Whether the clauses of all of them say exactly what is wanted."""
    return all(one.field in segments.NUMBERS or (one.field in segments.NAMES and one.operator != "~") for one in conditions)


def _clause(condition: Condition) -> Clause | None:
    name, operator, value = condition.field, condition.operator, condition.value
    if name in segments.NUMBERS:
        return f'"{name}" {_SQL_OPERATORS[operator]} %s', [float(value or 0.0)]
    if name == CONTENT:
        patterns = [f"%{_literally(form)}%" for form in forms(str(value))]
        ways = [f"{column} ilike %s escape '!'" for column in ("request", "response") for _ in patterns]
        return " or ".join(ways), patterns * 2
    if name == "shadow":
        wanted = value == (operator == "=")
        return f"shadow_of is {'not ' if wanted else ''}null", []
    if name.startswith(TAG):
        return (
            ("tag_words @> array[%s]::text[]", [f"{name[len(TAG) :]}={value}"]) if operator == "=" and value is not None else None
        )
    return _text(condition) if name in ("id", *segments.NAMES) and operator != "~" else None


def _text(condition: Condition) -> Clause:
    name, value, is_wanted = f'"{condition.field}"', condition.value, condition.operator == "="
    if value is None:
        return f"{name} is {'' if is_wanted else 'not '}null", []
    if condition.whole:
        return f"{name} {'=' if is_wanted else 'is distinct from'} %s", [value]
    begins = f"{name} ^@ %s"
    return (begins, [value]) if is_wanted else (f"{name} is null or not {begins}", [value])


def _literally(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
