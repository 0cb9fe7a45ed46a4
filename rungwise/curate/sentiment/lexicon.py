"""The words and sentences that the model of sentiment is fitted on: plain text files written for this project."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import NamedTuple

FOLDER = resources.files("rungwise.curate.sentiment")
SOUNDS = {"+": 1.0, "-": 0.0, "0": 0.5}
_SLOT = re.compile(r"\{(\w+)\}")


class Comment(NamedTuple):
    """A made comment, and how it sounds: 1 good, 0 bad, 0.5 neither."""

    text: str
    sounds: float


@cache
def groups() -> dict[str, tuple[str, ...]]:
    """The word lists: each line of the file is `group: item, item`; lines of the same group are joined, quotes taken off."""
    found: dict[str, tuple[str, ...]] = {}
    for line in (FOLDER / "words.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            group, _, items = line.partition(": ")
            found[group] = found.get(group, ()) + tuple(item.strip().strip('"') for item in items.split(","))
    return {group: tuple(dict.fromkeys(items)) for group, items in found.items()}


@cache
def templates() -> tuple[tuple[str, float], ...]:
    """Each sentence with its slots, and how it sounds."""
    lines = (FOLDER / "templates.txt").read_text(encoding="utf-8").splitlines()
    return tuple((line[2:], SOUNDS[line[0]]) for line in lines if line and not line.startswith("#"))


def comments(seed: int, count: int, *, share: int = 0, held: bool = False) -> Iterator[Comment]:
    """So many made comments, good, bad and neither in turn. With `share` n only of the templates that are not every n-th;
    with `held` only of those."""
    rng = random.Random(seed)
    chosen = [one for place, one in enumerate(templates()) if not share or (place % share == 0) == held]
    kinds = [[text for text, sounds in chosen if sounds == kind] for kind in (1.0, 0.0, 1.0, 0.0, 0.5)]
    for i in range(count):
        of_kind = kinds[i % len(kinds)]
        if of_kind:
            sounds = (1.0, 0.0, 1.0, 0.0, 0.5)[i % len(kinds)]
            yield Comment(_SLOT.sub(lambda slot: rng.choice(groups()[slot[1]]), rng.choice(of_kind)), sounds)
