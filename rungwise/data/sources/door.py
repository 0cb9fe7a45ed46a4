"""The door to all kinds of sources: built-in ones and those that other packages bring."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TypeAlias

from rungwise.core.errors import UnknownName
from rungwise.data.sources import Source
from rungwise.data.sources.options import Limits, Options

DOOR = "rungwise.sources"
"""The entry-point group. An entry is a function `(location, options) -> Source`, named by the kind or the scheme of its URLs."""

Opening: TypeAlias = Callable[[str, Options], Source]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_WEB = ("http", "https")


def open_source(
    location: str | Path,
    *,
    kind: str | None = None,
    encoding: str | None = None,
    subset: str | None = None,
    allow_hosts: Sequence[str] = (),
    cache: Path | None = None,
    limits: Limits | None = None,
) -> Source:
    """The source at a location: an http(s) URL, a folder, a file. `kind` says it where it is not to be told.

    The others are explained at `Options`. Raises UnknownName for a kind that nothing provides, BadData when there is
    nothing there, UsageError for a URL that is never fetched.
    """
    options = Options(encoding=encoding, subset=subset, allow_hosts=tuple(allow_hosts), cache=cache, limits=limits or Limits())
    return _opening(kind or kind_of(str(location)))(str(location), options)


def kind_of(location: str) -> str:
    """The kind of a location: by its scheme where it has one, else by what stands at the path."""
    from rungwise.data.sources.folder import TYPES
    from rungwise.data.sources.hub import is_dataset_folder

    scheme = _SCHEME.match(location)
    if scheme is not None:
        return "web" if scheme[1].lower() in _WEB else scheme[1].lower()
    path = Path(location)
    if path.is_dir():
        return "hub" if is_dataset_folder(path) else "folder"
    return "folder" if path.suffix.lower() in TYPES else "table"


def kinds() -> tuple[str, ...]:
    """The kinds that are installed, sorted."""
    return tuple(sorted(_door()))


@cache
def _door() -> dict[str, EntryPoint]:
    """Built-ins win."""
    found = sorted(entry_points(group=DOOR), key=lambda entry: entry.value.startswith("rungwise."))
    return {entry.name: entry for entry in found}


def _opening(kind: str) -> Opening:
    door = _door()
    if kind not in door:
        raise UnknownName("kind of source", kind, door)
    opening: Opening = door[kind].load()
    return opening
