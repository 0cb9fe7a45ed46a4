"""What the card of a dataset folder (the YAML at the top of its README.md) says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rungwise.core.errors import UnknownName, UsageError

_HEADER_BYTES = 1 << 20
_HEADER = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)

Patterns = tuple[tuple[str, str], ...]
"""(pattern of file names, split) pairs; the first that fits counts."""


@dataclass(frozen=True, slots=True)
class Card:
    """Licence, languages, and per subset the files of each split. `broken` says why the card could not be read."""

    licence: str | None = None
    languages: tuple[str, ...] = ()
    subsets: Mapping[str, Patterns] | None = None
    first: str | None = None
    broken: str | None = None

    def patterns(self, subset: str | None) -> Patterns | None:
        """The files of a subset, or of the only or default one; None where the card does not say.

        Raises UnknownName for one that is not there, UsageError when there are several and none was asked for.
        """
        if not self.subsets:
            if subset is not None:
                raise UnknownName("subset", subset, ())
            return None
        name = subset or self.first or ("default" if "default" in self.subsets else None)
        if name is None and len(self.subsets) > 1:
            raise UsageError(f"the dataset has several subsets: {', '.join(self.subsets)}. Say which one")
        name = name or next(iter(self.subsets))
        if name not in self.subsets:
            raise UnknownName("subset", name, self.subsets)
        return self.subsets[name]


def read_card(folder: Path) -> Card:
    """The card of a folder; an empty one where there is none."""
    import yaml

    try:
        with (folder / "README.md").open("rb") as file:
            found = _HEADER.match(file.read(_HEADER_BYTES).decode("utf-8", "replace"))
    except OSError:
        return Card()
    if found is None:
        return Card()
    try:
        facts = yaml.safe_load(found[1])
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return Card(broken=f"the header of the card is not YAML ({' '.join(str(error).split())[:200]})")
    if not isinstance(facts, dict):
        return Card()
    subsets = dict(_subsets(facts.get("configs")))
    first = next((name for name, default in _defaults(facts.get("configs")) if default), None)
    return Card(_licence(facts), tuple(_texts(facts.get("language"))), subsets or None, first if first in subsets else None)


def has_header(folder: Path) -> bool:
    """Whether there is a README.md that begins as a card does."""
    try:
        with (folder / "README.md").open("rb") as file:
            return file.read(16).lstrip(b"\xef\xbb\xbf").startswith((b"---\n", b"---\r\n"))
    except OSError:
        return False


def fits(pattern: str, name: str) -> bool:
    """Whether a file name fits a pattern in which * and ? stay within a folder and ** does not."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern.removeprefix("./"))
    wild = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.fullmatch("".join(wild.get(part, re.escape(part)) for part in parts), name, re.DOTALL) is not None


def _licence(facts: Mapping[str, Any]) -> str | None:
    named = ", ".join(_texts(facts.get("license")))
    own = facts.get("license_name")
    return own if named == "other" and isinstance(own, str) else named or None


def _texts(value: Any) -> list[str]:
    return [str(item) for item in (value if isinstance(value, list) else [value]) if isinstance(item, (str, bool))][:1000]


def _defaults(configs: Any) -> Iterator[tuple[str, bool]]:
    for config in configs if isinstance(configs, list) else []:
        if isinstance(config, dict):
            yield str(config.get("config_name", "default")), config.get("default") is True


def _subsets(configs: Any) -> Iterator[tuple[str, Patterns]]:
    for config in configs if isinstance(configs, list) else []:
        if isinstance(config, dict) and config.get("data_files"):
            folder = config.get("data_dir")
            prefix = f"{folder.strip('/')}/" if isinstance(folder, str) else ""
            files = tuple((prefix + pattern, split) for pattern, split in _files(config["data_files"]))
            yield str(config.get("config_name", "default")), files


def _files(entry: Any, split: str = "train") -> Iterator[tuple[str, str]]:
    """The (pattern, split) pairs of `data_files`: a pattern, a list, a mapping of splits, or a list of {split, path}."""
    if isinstance(entry, str):
        yield entry, split
    elif isinstance(entry, Sequence):
        for item in entry:
            yield from _files(item, split)
    elif isinstance(entry, Mapping) and "path" in entry:
        yield from _files(entry["path"] if isinstance(entry["path"], (str, list)) else [], str(entry.get("split", split)))
    elif isinstance(entry, Mapping):
        for name, paths in entry.items():
            yield from _files(paths if isinstance(paths, (str, list)) else [], str(name))
