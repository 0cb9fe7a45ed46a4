"""Texts with marked spans out of a file: rows of text and spans, or of tokens and BIO tags."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rungwise.core.errors import BadData
from rungwise.data.readers import Quarantined, read_rows
from rungwise.evaluate.spans import Span
from rungwise.fit.tagging import Tagged

TEXT, SPANS, TOKENS, TAGS = "text", "spans", "tokens", "tags"


@dataclass(frozen=True, kw_only=True)
class TaggedFile:
    """What a file says. `quarantine` names the rows that could not be used, with their lines and why."""

    rows: tuple[Tagged, ...]
    quarantine: tuple[Quarantined, ...] = ()


class _Unusable(Exception):
    """A row that has to be set aside, with the reason."""


def read_tagged(path: Path) -> TaggedFile:
    """Read a .jsonl file (also .gz, or .csv with JSON in its cells) of texts with spans.

    A row has `text` and `spans`, a list of [start, end, type] in characters, or of objects with these keys; or `tokens` and
    `tags`, one BIO tag for each token, which are joined by blanks. Raises BadData when no row can be used, and says why the first
    could not.
    """
    read = read_rows(path)
    rows: list[Tagged] = []
    aside: list[Quarantined] = []
    for place, cells in read.rows:
        try:
            rows.append(_tagged(cells))
        except _Unusable as error:
            aside.append(Quarantined(place, str(error), "bad_row"))
    aside = [*read.quarantine, *aside]
    if not rows:
        first = f" The first: {aside[0].place}: {aside[0].reason}" if aside else ""
        raise BadData(
            f"no row can be used ({len(aside)} set aside).{first}",
            where=str(path),
            hint="Give each row text and spans, or tokens and tags",
        )
    return TaggedFile(rows=tuple(rows), quarantine=tuple(aside))


def _tagged(cells: Mapping[str, Any]) -> Tagged:
    if cells.get(TEXT) is not None:
        text = str(cells[TEXT])
        return text, tuple(_span(one, text) for one in _list(cells.get(SPANS, []), SPANS))
    if cells.get(TOKENS) is not None and cells.get(TAGS) is not None:
        return _joined([str(one) for one in _list(cells[TOKENS], TOKENS)], [str(one) for one in _list(cells[TAGS], TAGS)])
    raise _Unusable("it has neither text and spans nor tokens and tags")


def _list(cell: Any, name: str) -> Sequence[Any]:
    try:
        found = json.loads(cell) if isinstance(cell, str) else cell
    except ValueError as error:
        raise _Unusable(f"{name} cannot be read as JSON") from error
    if not isinstance(found, (list, tuple)):
        raise _Unusable(f"{name} is no list")
    return found


def _span(one: Any, text: str) -> Span:
    try:
        start, end, kind = (one["start"], one["end"], one["type"]) if isinstance(one, Mapping) else one
        span = int(start), int(end), str(kind)
    except (KeyError, TypeError, ValueError) as error:
        raise _Unusable(f"the span {one!r} is not [start, end, type]") from error
    if not 0 <= span[0] < span[1] <= len(text) or not span[2]:
        raise _Unusable(f"the span {one!r} does not lie in its text of {len(text)} characters")
    return span


def _joined(tokens: Sequence[str], tags: Sequence[str]) -> Tagged:
    """Tokens joined by blanks, and the spans of their BIO tags; an I tag that follows no span of its type begins one."""
    if len(tokens) != len(tags):
        raise _Unusable(f"it has {len(tokens)} tokens and {len(tags)} tags")
    spans: list[Span] = []
    start, before = 0, "O"
    for token, tag in zip(tokens, tags, strict=True):
        end, kind = start + len(token), tag[2:]
        if tag != "O" and (tag[:2] not in ("B-", "I-") or not kind):
            raise _Unusable(f"'{tag}' is no BIO tag")
        if tag.startswith("I-") and before[2:] == kind and spans:
            spans[-1] = (spans[-1][0], end, kind)
        elif tag != "O":
            spans.append((start, end, kind))
        start, before = end + 1, tag
    return " ".join(tokens), tuple(spans)
