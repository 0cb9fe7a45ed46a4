"""`rungwise data diff`: what changed between two versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.core.record import short

if TYPE_CHECKING:
    from rungwise.data.versions.difference import Changed, Words

_COLOURS = {"-": "red", "+": "green"}
_SIGNS = {"changed": "~", "added": "+", "removed": "-"}
_AROUND = 40
"""Of a stretch that stayed, so many characters are shown on each side of what changed."""


@click.command("diff")
@click.argument("directory", metavar="DIR")
@click.argument("old", metavar="A")
@click.argument("new", metavar="B", default="HEAD")
@click.option("--limit", type=click.IntRange(min=0), default=10, show_default=True, help="How many rows to show.")
@as_json
def difference(directory: str, old: str, new: str, limit: int, as_json: bool) -> int:
    """Compare version A with version B: rows added, removed and changed, and the words that changed in them."""
    from rungwise.project import Project

    found, shown = Project(directory).data.diff(old, new, limit=limit)
    counts = {
        "added": len(found.added),
        "removed": len(found.removed),
        "changed": len(found.changed[0]),
        "kept": len(found.kept[0]),
        "resplit": found.resplit,
    }
    if as_json:
        head = {"from": found.old.id, "to": found.new.id, **counts, "quarantined": dict(found.quarantined)}
        print_json({**head, "examples": [_document(one) for one in shown]})
        return 0
    say(f"{short(found.old.id)} -> {short(found.new.id)}")
    say("  " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    for reason, more in found.quarantined.items():
        say(f"  {more:+,} set aside as {reason}")
    for one in shown:
        say(click.style(f"{_SIGNS[one.kind]} {one.place}", fg=_COLOURS.get(_SIGNS[one.kind], "yellow")))
        for name, words in _columns(one).items():
            say(f"    {name}: {words}")
    return 0


def _columns(one: Changed) -> Mapping[str, str]:
    """What to show of a row: of a changed one the columns that changed."""
    if one.words is not None:
        return {name: _painted(words) for name, words in one.words.items()}
    return {name: str(value) for name, value in (one.after or one.before or {}).items()}


def _painted(words: Words) -> str:
    """Words that went in red as [-so-], words that came in green as {+so+}, as git shows them; the signs stay without colour."""
    found = []
    for number, (sign, text) in enumerate(words):
        if sign == "=":
            found.append(_shortened(text, first=number == 0, last=number == len(words) - 1))
        else:
            left, right = ("[-", "-]") if sign == "-" else ("{+", "+}")
            found.append(click.style(f"{left}{text}{right}", fg=_COLOURS[sign]))
    return "".join(found)


def _shortened(text: str, *, first: bool, last: bool) -> str:
    head, tail = "" if first else text[:_AROUND], "" if last else text[-_AROUND:]
    return text if len(text) <= len(head) + len(tail) + _AROUND else f"{head} ... {tail}"


def _document(one: Changed) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": one.kind, "id": one.id, "place": one.place}
    if one.before is not None:
        found["before"] = dict(one.before)
    if one.after is not None:
        found["after"] = dict(one.after)
    if one.words is not None:
        found["words"] = {name: [list(pair) for pair in words] for name, words in one.words.items()}
    return found
