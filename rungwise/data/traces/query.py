"""What is looked for among traces: conditions on their fields, all of which must hold."""

from __future__ import annotations

import operator as op
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.trace import Trace

Wanted: TypeAlias = "str | float | bool | None"

TEXT_OPERATORS = ("=", "!=", "~")
NUMBER_OPERATORS = ("=", "!=", ">", ">=", "<", "<=")
TAG = "tag."

TEXTS: Mapping[str, Callable[[Trace], str | None]] = {
    "id": lambda trace: trace.id,
    "user": lambda trace: trace.user,
    "tenant": lambda trace: trace.tenant,
    "key": lambda trace: trace.key,
    "conversation": lambda trace: trace.conversation,
    "release": lambda trace: trace.release,
    "variant": lambda trace: trace.variant,
    "candidate": lambda trace: trace.candidate,
    "engine": lambda trace: trace.engine,
    "model": lambda trace: trace.model,
    "response_id": lambda trace: trace.response_id,
    "shadow_of": lambda trace: trace.shadow_of,
    "asked": lambda trace: trace.asked,
    "operation": lambda trace: trace.operation,
    "finish": lambda trace: trace.finish,
    "error": lambda trace: trace.error,
}
NUMBERS: Mapping[str, Callable[[Trace], float | None]] = {
    "at": lambda trace: trace.at,
    "usd": lambda trace: trace.usage.usd,
    "seconds": lambda trace: trace.seconds,
    "first_token_s": lambda trace: trace.first_token_s,
    "input_tokens": lambda trace: trace.usage.input_tokens,
    "output_tokens": lambda trace: trace.usage.output_tokens,
    "status": lambda trace: trace.status,
}
FLAGS: Mapping[str, Callable[[Trace], bool]] = {
    "streamed": lambda trace: trace.streamed,
    "cached": lambda trace: trace.cached,
    "failed": lambda trace: trace.status >= 400 or trace.error is not None,
    "shadow": lambda trace: trace.shadow_of is not None,
}
CONTENT = "text"
"""What was asked and answered, as far as it is captured."""

FIELDS = (*TEXTS, *NUMBERS, *FLAGS, CONTENT)
JUDGED = ("thumb", "feedback")
"""What is not of the trace itself but of what people said of it: looked up as ids."""

_DIGITS: Mapping[str, int] = {"id": 32, "release": 64, "candidate": 64, "shadow_of": 32}
"""Ids of so many digits, of which people may give the first."""


@dataclass(frozen=True, slots=True)
class Condition:
    """`field operator value`. `tag.NAME` is the value of a tag. A text that is wanted to be None is one that is not there.

    `~` means that a text contains another, whatever the case of its letters; of `text`, of A to Z only.
    """

    field: str
    operator: str
    value: Wanted

    @property
    def whole(self) -> bool:
        """Whether the value is all of what the field must be, not the first digits of an id."""
        digits = _DIGITS.get(self.field, 0)
        return self.value is None or not isinstance(self.value, str) or len(self.value) >= digits

    def holds(self, trace: Trace) -> bool:
        """Whether a trace is as wanted."""
        if self.field == CONTENT:
            return contains(trace, str(self.value))
        if self.field in NUMBERS:
            return _compared(NUMBERS[self.field](trace), self.operator, self.value)
        if self.field in FLAGS:
            return (FLAGS[self.field](trace) == self.value) == (self.operator == "=")
        own = trace.tags.get(self.field[len(TAG) :]) if self.field.startswith(TAG) else TEXTS[self.field](trace)
        return self._text_holds(own)

    def _text_holds(self, own: str | None) -> bool:
        if self.operator == "~":
            return own is not None and str(self.value).casefold() in own.casefold()
        if own is None or self.value is None:
            return (own == self.value) == (self.operator == "=")
        same = own == self.value if self.whole else own.startswith(str(self.value))
        return same == (self.operator == "=")


@dataclass(frozen=True, slots=True)
class Query:
    """Traces of which every condition holds and, where `ids` are given, that are among them."""

    conditions: tuple[Condition, ...] = ()
    ids: frozenset[str] | None = field(default=None)

    def where(self, field: str, operator: str, value: Wanted) -> Query:
        """The query with one more condition. Raises UnknownName or UsageError when there is no such condition."""
        return replace(self, conditions=(*self.conditions, checked(Condition(field, operator, value))))

    def among(self, ids: frozenset[str]) -> Query:
        """The query within these traces."""
        return replace(self, ids=ids if self.ids is None else self.ids & ids)

    def holds(self, trace: Trace) -> bool:
        """Whether a trace is wanted."""
        return (self.ids is None or trace.id in self.ids) and all(one.holds(trace) for one in self.conditions)


def checked(condition: Condition) -> Condition:
    """Itself, if it makes sense. Raises UnknownName for a field or an operator, UsageError for a value of another kind."""
    name, operator, value = condition.field, condition.operator, condition.value
    tag = name.startswith(TAG) and len(name) > len(TAG)
    if name not in FIELDS and not tag:
        raise UnknownName("field of traces", name, [*FIELDS, *JUDGED, "tag.NAME"])
    if name in NUMBERS:
        known: tuple[str, ...] = NUMBER_OPERATORS
    else:
        known = ("~",) if name == CONTENT else ("=", "!=") if name in FLAGS else TEXT_OPERATORS
    if operator not in known:
        raise UsageError(f"'{name}' cannot be asked for with '{operator}'. Write one of {' '.join(known)} between it and its value")
    kind: Any = (int, float) if name in NUMBERS else bool if name in FLAGS else (str, type(None))
    if not isinstance(value, kind) or (name in NUMBERS and isinstance(value, bool)):
        what = "a number" if name in NUMBERS else "true or false" if name in FLAGS else "text"
        raise UsageError(f"'{name}' is compared with {what}, not with {value!r}")
    if operator == "~" and not value:
        raise UsageError(f"'{name} ~' needs a text that it looks for. Write for instance {name}~refund")
    return condition


def contains(trace: Trace, needle: str) -> bool:
    """Whether a text stands in what was asked or answered: as it is, or as JSON writes it."""
    content = f"{trace.request or ''}\n{trace.response or ''}".translate(_LOWER)
    return any(form.translate(_LOWER) in content for form in forms(needle))


def forms(needle: str) -> tuple[str, ...]:
    """How a text can stand in JSON: with signs beyond ASCII as they are, or all of them as escapes."""
    import json

    plain, escaped = (json.dumps(needle, ensure_ascii=ascii)[1:-1] for ascii in (False, True))
    return (plain,) if plain == escaped else (plain, escaped)


COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": op.eq,
    "!=": op.ne,
    ">": op.gt,
    ">=": op.ge,
    "<": op.lt,
    "<=": op.le,
}
"""What an operator means, for numbers and for arrays of them."""

_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def _compared(own: float | None, operator: str, value: Any) -> bool:
    return operator == "!=" if own is None else bool(COMPARE[operator](own, value))
