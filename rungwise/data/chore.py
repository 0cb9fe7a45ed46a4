"""What a server lets be done beside answering: a chore, found by its entry point."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.types import Clock
from rungwise.data.store import Store

DOOR = "rungwise.chores"


@dataclass(frozen=True, kw_only=True)
class Chore:
    """Work on a project that comes again and again. Settings are read anew each time, so that an edited rungwise.yaml counts.

    `every_s(directory)` says how often it is looked for, `due(store, directory, clock)` whether there is anything to do: it must be
    quick. `run(store, directory, clock)` does it in a process of its own; it may be killed at any moment, and run twice at once.
    """

    every_s: Callable[[Path], float]
    due: Callable[[Store, Path, Clock], bool]
    run: Callable[[Store, Path, Clock], None]


def known_chores() -> Mapping[str, EntryPoint]:
    """Every installed chore by name; none is loaded."""
    return {entry.name: entry for entry in entry_points(group=DOOR)}


def load_chore(name: str) -> Chore:
    """A chore by its name. Raises UnknownName where none is called so, UsageError where it is no chore."""
    known = known_chores()
    if name not in known:
        raise UnknownName("chore", name, known)
    found = known[name].load()
    if not isinstance(found, Chore):
        raise UsageError(f"the chore '{name}' ({known[name].value}) is no Chore. Mend the package that brings it, or remove it")
    return found
