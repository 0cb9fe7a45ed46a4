"""The word lists and templates that the tagger learns from: plain text files written for this project."""

from __future__ import annotations

from functools import cache
from importlib import resources

FOLDER = resources.files("rungwise.curate.names")
TEMPLATE_FILES = ("english", "plain", "foreign")


@cache
def groups(name: str) -> dict[str, tuple[str, ...]]:
    """The groups of one list: each line is `group: item, item`; lines of the same group are joined.

    An item that ends in a comma in the text (`Co., Ltd.`) does not exist here: a comma always parts two items.
    """
    found: dict[str, tuple[str, ...]] = {}
    for line in (FOLDER / "lexicon" / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            group, _, items = line.partition(": ")
            found[group] = found.get(group, ()) + tuple(item.strip() for item in items.split(","))
    return found


@cache
def flat(name: str) -> tuple[str, ...]:
    """All items of one list, each once, in the order of the file."""
    return tuple(dict.fromkeys(item for items in groups(name).values() for item in items))


def templates(name: str) -> tuple[str, ...]:
    """The templates of one file, with `\\n` and `\\t` made real and the language mark (`es: `) taken off."""
    lines = (FOLDER / "templates" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    plain = (line[4:] if name == "foreign" else line for line in lines if line and not line.startswith("# "))
    return tuple(line.replace("\\n", "\n").replace("\\t", "\t") for line in plain)
