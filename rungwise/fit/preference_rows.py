"""Preferences out of a file: rows of pairs, of dialogues that part at their last answer, of ratings or of corrections."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rungwise.core.content import Turn
from rungwise.core.errors import BadData
from rungwise.data.readers import Quarantined, cell_text, read_rows
from rungwise.fit.preferences import (
    Correction,
    Preference,
    Preferences,
    Rating,
    from_corrections,
    from_pairs,
    from_ratings,
    together,
)

PAIR, DIALOGUES, RATING, CORRECTION = SHAPES = (
    ("prompt", "chosen", "rejected"),
    ("chosen", "rejected"),
    ("prompt", "answer", "score"),
    ("prompt", "answer", "correction"),
)
"""The columns of a row, by which it is known what it is. `id` names the row, or `traces` those that it was made of; `weight`
weighs a pair; others are left alone."""

Said = tuple[str, tuple[Turn, ...], str]
"""What was asked last, the turns before it, and the words of the system before all."""

LEARNED = ("train", "learned")
"""What the cell `split` of a row says that is learned from; an empty one says nothing."""

_SPEAKER = re.compile(r"\n\n(Human|Assistant):")


@dataclass(frozen=True, kw_only=True)
class PreferenceFile:
    """What a file says. `quarantine` names the rows that could not be used, with their lines and why."""

    preferences: Preferences
    quarantine: tuple[Quarantined, ...] = ()


@dataclass
class _Found:
    """Rows sorted by what they are."""

    pairs: list[Preference] = field(default_factory=list)
    ratings: list[Rating] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)


def read_preferences(path: Path, *, weighted: bool = False, splits: Sequence[str] | None = LEARNED) -> PreferenceFile:
    """Read a .jsonl or .csv file (also .gz, .tsv, .parquet) of which every row has the columns of one of `SHAPES`.

    Rows of `chosen` and `rejected` alone are dialogues in the form of the HH data (Bai et al. 2022, arXiv 2204.05862):
    "\\n\\nHuman: ...\\n\\nAssistant: ..." twice, equal up to the last answer. The cells of a pair may be lists of messages
    with `role` and `content`, as chats are written. A row's id is its cell `id`, else its `traces`, else 'file:line'.
    A row whose cell `split` names none of `splits` is left out, as dev and test rows are of a training; None reads all.
    `weighted` is that of `from_ratings`. Raises BadData when no row can be used, and says why the first could not.
    """
    read, found, aside = read_rows(path, tolerant=True), _Found(), list[Quarantined]()
    for place, cells in read.rows:
        own = cell_text(cells.get("split"))
        if splits is not None and own is not None and own not in splits:
            continue
        if (problem := _sort(place, cells, found)) is not None:
            aside.append(Quarantined(place, problem, "malformed:preference"))
    aside = sorted([*aside, *read.quarantine], key=lambda one: (len(one.place), one.place))
    if not (found.pairs or found.ratings or found.corrections):
        reason = f"{aside[0].place}: {aside[0].reason}" if aside else "it has no rows"
        raise BadData(f"no preference can be read ({reason}).", where=str(path), hint=f"Give every row {_wanted()}")
    parts = [from_pairs(found.pairs), from_ratings(found.ratings, weighted=weighted), from_corrections(found.corrections)]
    return PreferenceFile(preferences=together(parts), quarantine=tuple(aside))


def parted(chosen: str, rejected: str) -> tuple[str, tuple[Turn, ...], str, str]:
    """(prompt, turns before it, chosen answer, rejected answer) of two dialogues that are equal up to the last answer.

    Raises ValueError, with the reason, for dialogues that part earlier or are not of that form.
    """
    one, other = _said(chosen), _said(rejected)
    if one[:-1] != other[:-1]:
        raise ValueError("the dialogues part before the last answer")
    before, answer = one[:-1], one[-1][1]
    speakers = [speaker for speaker, _ in one]
    if len(one) % 2 or speakers != ["Human", "Assistant"] * (len(one) // 2):
        raise ValueError("Human and Assistant do not take turns")
    turns = tuple(Turn(before[place][1], before[place + 1][1]) for place in range(0, len(before) - 1, 2))
    return before[-1][1], turns, answer, other[-1][1]


def _said(dialogue: str) -> list[tuple[str, str]]:
    """(speaker, text) in order. Raises ValueError when it does not begin with a speaker."""
    parts = _SPEAKER.split(dialogue)
    if parts[0].strip() or len(parts) < 2:
        raise ValueError("a dialogue begins with '\\n\\nHuman:'")
    return [(parts[place], parts[place + 1].strip()) for place in range(1, len(parts), 2)]


def _sort(place: str, cells: Mapping[str, Any], found: _Found) -> str | None:
    """Put a row where it belongs; why it cannot be used, if it cannot."""
    shape = next((shape for shape in SHAPES if all(name in cells for name in shape)), None)
    if shape is None:
        return f"it has the columns {', '.join(cells) or 'none'}, and a preference has {_wanted()}"
    if shape != PAIR and (wrong := next((name for name in shape if isinstance(cells[name], (list, dict))), None)):
        return f"'{wrong}' is a list or an object and must be text"
    texts = {name: cell_text(cells[name]) or "" for name in shape}
    traces = cells.get("traces")
    source = cell_text(cells.get("id")) or place
    try:
        if shape == PAIR:
            weight = _number(cells.get("weight"), "weight", otherwise=1.0)
            if weight <= 0:
                raise ValueError(f"the weight is {weight:g} and must be above 0")
            sources = tuple(map(str, traces)) if isinstance(traces, list) and traces and not cells.get("id") else (source,)
            prompt, turns, system = _asked(cells["prompt"])
            chosen, rejected = _answer(cells["chosen"], "chosen"), _answer(cells["rejected"], "rejected")
            found.pairs.append(Preference(prompt, chosen, rejected, weight, sources, turns, system))
        elif shape == DIALOGUES:
            prompt, turns, chosen, rejected = parted(str(cells["chosen"]), str(cells["rejected"]))
            found.pairs.append(Preference(prompt, chosen, rejected, 1.0, (source,), turns))
        elif shape == RATING:
            score = _number(cells["score"], "score")
            found.ratings.append(Rating(texts["prompt"], texts["answer"], score, source))
        else:
            found.corrections.append(Correction(texts["prompt"], texts["answer"], texts["correction"], source))
    except ValueError as error:
        return str(error)
    return None


def _asked(cell: Any) -> Said:
    """A prompt that is text, or a list of messages that ends with the user's. Raises ValueError for another."""
    if not isinstance(cell, (list, dict)):
        return cell_text(cell) or "", (), ""
    said = _messages(cell, "prompt")
    system = said.pop(0)[1] if said and said[0][0] == "system" else ""
    if [role for role, _ in said] != ["user", "assistant"] * (len(said) // 2) + ["user"]:
        raise ValueError("user and assistant do not take turns in 'prompt', or the user does not speak last")
    turns = tuple(Turn(said[place][1], said[place + 1][1]) for place in range(0, len(said) - 1, 2))
    return said[-1][1], turns, system


def _answer(cell: Any, name: str) -> str:
    """An answer that is text, or a list with the one message of the assistant."""
    if not isinstance(cell, (list, dict)):
        return cell_text(cell) or ""
    said = _messages(cell, name)
    if [role for role, _ in said] != ["assistant"]:
        raise ValueError(f"'{name}' must be text, or a list with one message of the assistant")
    return said[0][1]


def _messages(cell: Any, name: str) -> list[tuple[str, str]]:
    """(role, text) in order."""
    try:
        found = [(one["role"], one["content"]) for one in cell]
    except (TypeError, KeyError):
        found = [("", None)]
    if not all(isinstance(text, str) for _, text in found):
        raise ValueError(f"'{name}' must be text, or a list of messages with 'role' and 'content'")
    return found


def _number(cell: Any, name: str, *, otherwise: float | None = None) -> float:
    text = cell_text(cell)
    if text is None and otherwise is not None:
        return otherwise
    try:
        number = float(text or "")
    except ValueError:
        raise ValueError(f"'{name}' is '{text or ''}' and must be a number") from None
    if not math.isfinite(number):
        raise ValueError(f"'{name}' is {number} and must be a finite number")
    return number


def _wanted() -> str:
    return "; or ".join(", ".join(shape) for shape in SHAPES)
