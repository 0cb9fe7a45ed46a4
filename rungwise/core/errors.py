"""Every error that Rungwise raises on purpose, and the exit code each one becomes.

    RungwiseError                 3  something failed at run time
    ├── UsageError                2  the command, the spec or the data is not usable as given
    │   ├── UnknownName           2  a column, metric, rung or key that does not exist; names the nearest
    │   ├── BadData               2  a file or row that cannot be read; says where
    │   ├── LeaksFound            2  sealed rows also stand in another split
    │   ├── CannotScore           2  a metric needs what a candidate does not give
    │   ├── CannotFit             2  there is too little to learn a technique from
    │   └── TooLong               2  a question has more tokens than a model reads
    ├── MissingExtra              3  a feature needs a package that is not installed
    ├── EngineError               3  a model endpoint did not answer as it should
    │   ├── EngineUnavailable     3  down, refused, rate-limited or too slow, after all retries
    │   └── EngineAnswer          3  it answered, but not in the agreed protocol
    ├── TrainingFailed            3  a training went astray, or does not fit into memory
    ├── OutOfBudget               3  the next call would pass a hard cap; nothing was spent on it
    ├── StoreError                3  the project's state cannot be read or written
    │   └── ProjectBusy           3  another climb holds the project
    └── Corrupt                   3  stored bytes do not match their digest

A message says what happened, where, and what to type next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class RungwiseError(Exception):
    """Something failed; the message says what and what to type next. It comes back whole from another process."""

    exit_code = 3

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[RungwiseError], arguments: tuple[Any, ...], state: dict[str, Any]) -> RungwiseError:
    """The error as it was, without its constructor, which may want other arguments."""
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    error.__dict__.update(state)
    return error


class UsageError(RungwiseError):
    """The command, the spec or the data is not usable as given."""

    exit_code = 2


class UnknownName(UsageError):
    """A name that is not among the known ones; the message offers the nearest."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, where: str = "") -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        near = difflib.get_close_matches(name, self.known, n=1, cutoff=0.5)
        hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(self.known[:20]) or 'none'}."
        place = f" in {where}" if where else ""
        super().__init__(f"there is no {kind} '{name}'{place}. {hint}")


class BadData(UsageError):
    """A file or a row that cannot be read; `where` is the file and line."""

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        self.where = where
        super().__init__(f"{where}: {what}" * bool(where) + what * (not where) + (f" {hint}" if hint else ""))


class LeaksFound(UsageError):
    """Too many sealed rows also stand in another split."""


class CannotScore(UsageError):
    """A metric needs what a candidate does not give, for instance probabilities."""


class TooLong(UsageError):
    """A question has more tokens than a model reads."""


class CannotFit(UsageError):
    """There is too little to learn a technique from: too few rows, or none of the kind that it learns from."""


class TrainingFailed(RungwiseError):
    """A training went astray, or does not fit into memory."""


class MissingExtra(RungwiseError):
    """A feature needs a package that is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        self.feature, self.extra = feature, extra
        super().__init__(f"{feature} needs an optional package. Run: pip install 'rungwise[{extra}]'")


class EngineError(RungwiseError):
    """A model endpoint did not answer as it should."""


class EngineUnavailable(EngineError):
    """The endpoint was down, refused, rate-limited or too slow, after all retries."""


class EngineAnswer(EngineError):
    """The endpoint answered, but not in the agreed protocol."""


class OutOfBudget(RungwiseError):
    """The next call would pass a hard cap; nothing was spent on it."""


class StoreError(RungwiseError):
    """The project's state cannot be read or written."""


class ProjectBusy(StoreError):
    """Another climb holds the project."""


class Corrupt(RungwiseError):
    """Stored bytes do not match their digest."""
