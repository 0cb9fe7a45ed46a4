"""Conversations as documents to learn from: those without an answer counted, long ones left out or split, some held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from rungwise.core.errors import CannotFit
from rungwise.engines.fitted.chat import ASSISTANT, Chat, Conversation
from rungwise.fit.packing import Document, Fitting, fitted_to


@dataclass(frozen=True)
class Material:
    """What is learned, what is held out to judge it, and counts by name of what became of the rows."""

    learned: list[Document]
    held: list[Document]
    told: dict[str, float] = field(default_factory=dict)


def material_of(
    rows: Sequence[Conversation], chat: Chat, *, row_tokens: int, longer: Literal["leave_out", "split"], held_out: float, seed: int
) -> Material:
    """Render the rows; the loss is on what the assistant says. About `held_out` of them are kept apart.

    Rows with the same question are held out together. Pieces of a split text that hold no answer are not learned from.
    Raises CannotFit when no row has an answer, or all are longer than `row_tokens`.
    """
    asked, documents, empty = [], [], 0
    for row in rows:
        blank = sum(one.role == ASSISTANT and not one.content.strip() for one in row)
        said = any(one.role == ASSISTANT and one.content.strip() for one in row)
        empty += blank or not said
        if said:
            rendered = chat.rendered(row)
            documents.append(Document(rendered.ids, rendered.answered))
            asked.append(repr([(one.role, one.content) for one in row[:-1]]))
    if not documents:
        raise CannotFit(f"none of the {len(rows)} rows has an answer to learn from. Give each a reference answer")
    places = _held(asked, held_out, seed)
    parts = [
        fitted_to([one for place, one in enumerate(documents) if (place in places) == held], row_tokens, longer=longer)
        for held in (False, True)
    ]
    learned, held = ([one for one in part.documents if one.learned[1:].any()] for part in parts)
    if not learned:
        longest = max(map(len, documents))
        raise CannotFit(
            f"all {len(documents)} rows are longer than {row_tokens} tokens (the longest has {longest}). "
            f"Use --set row_tokens={longest}, or --set longer=split"
        )
    return Material(learned, held, _told(learned, held, parts, empty))


def _told(learned: Sequence[Document], held: Sequence[Document], parts: Sequence[Fitting], empty: int) -> dict[str, float]:
    return {
        "rows": float(len(learned)),
        "held_rows": float(len(held)),
        "empty_answers": float(empty),
        "cut_rows": float(sum(part.left_out + part.split for part in parts)),
        "left_out_rows": float(sum(part.left_out for part in parts)),
        "row_tokens": float(sum(map(len, learned))),
        "answer_tokens": float(sum(int(one.learned[1:].sum()) for one in learned)),
    }


def _held(asked: Sequence[str], share: float, seed: int) -> set[int]:
    """Places that are held out: whole questions in random order until the share is reached, never all of them."""
    rows_of: dict[str, list[int]] = {}
    for place, one in enumerate(asked):
        rows_of.setdefault(one, []).append(place)
    questions = list(rows_of.values())
    order = np.random.default_rng([seed, len(asked)]).permutation(len(questions))
    wanted, held = round(share * len(asked)), set[int]()
    for one in order[:-1]:
        if len(held) >= wanted:
            break
        held.update(questions[one])
    return held
