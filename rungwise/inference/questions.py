"""Questions that a language model makes from documents, of which only those stay that hold."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from rungwise.core.content import Passage, Request, Text, Usage
from rungwise.core.dataset import Example
from rungwise.core.types import Responder, collect
from rungwise.data.splits import SYNTHETIC
from rungwise.engines.answers import strip_thinking
from rungwise.engines.citing import content_words
from rungwise.engines.dialect import Options
from rungwise.engines.prompts import askable_messages
from rungwise.inference.calling import Model, ask

MODEL = "model"
"""How such a row says that it was made up: the value of its field `synthetic`."""

LONGEST = 20
"""The most words of an answer."""

_LIST = re.compile(r"\[.*\]", re.DOTALL)
_SPEAKS_OF_TEXT = re.compile(
    r"\b(?:(?:the|this|that|above|following|given|provided) (?:\w+ )?"
    r"(?:passage|text|paragraph|document|article|excerpt|section|author)"
    r"|according to (?:it|this|the above)|mentioned (?:above|here))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Made:
    """Rows that hold, why others were dropped as (question, reason), and what all of it cost."""

    rows: tuple[Example, ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()
    usage: Usage = Usage()  # noqa: RUF009 - frozen, so it may be shared


async def make_questions(
    model: Model, passages: Sequence[Passage], answer: Responder, *, count: int = 3, options: Options | None = None
) -> Made:
    """Up to `count` questions for each passage, with the answer in the words of the passage.

    One stays when it says what it is about, its answer stands in the passage, and `answer`, who is given the question alone, gives
    it back. So those stay that such an answerer can answer: a score on them is higher than on questions of people, and a row is
    marked as made up, so that it never becomes a sealed one. Its group is the document. Raises what the model raises.
    """
    rows: list[Example] = []
    dropped: list[tuple[str, str]] = []
    usage, seen = Usage(), set[str]()
    for passage in passages:
        written = await ask(model, askable_messages(passage, count), options)
        usage += written.usage
        for question, told in read_pairs(written.text)[:count]:
            reason = fault(question, told, passage, seen)
            if reason is None:
                found = await collect(answer(Request((Text(question),))))
                usage += found.usage
                reason = None if _flat(told) in _flat(found.text) else "not found again"
            if reason is not None:
                dropped.append((question, reason))
                continue
            seen.add(_flat(question))
            rows.append(_row(question, _as_written(told, passage.text), passage))
    return Made(tuple(rows), tuple(dropped), usage)


def read_pairs(written: str) -> list[tuple[str, str]]:
    """The (question, answer) pairs of a JSON list, fenced or with words around it; none where there is no such list."""
    found = _LIST.search(strip_thinking(written))
    try:
        items = json.loads(found[0]) if found else []
    except (ValueError, RecursionError):
        return []
    pairs = [(item.get("question"), item.get("answer")) for item in items if isinstance(item, dict)]
    return [(one.strip(), other.strip()) for one, other in pairs if isinstance(one, str) and isinstance(other, str)]


def fault(question: str, answer: str, passage: Passage, seen: set[str] | frozenset[str] = frozenset()) -> str | None:
    """Why a question made from a passage is no good, or None; `seen` are flat forms of those that are there already."""
    words = set(content_words(question))
    if len(words) < 2 or not question.endswith(("?", "？", "؟")):
        return "no question"
    if _SPEAKS_OF_TEXT.search(question):
        return "speaks of the passage"
    if _flat(question) in seen:
        return "asked before"
    if not _flat(answer) or _flat(answer) not in _flat(passage.text):
        return "answer is not in the passage"
    if len(answer.split()) > LONGEST:
        return "answer is too long"
    if _flat(answer) in _flat(question):
        return "gives its answer away"
    return None if words & set(content_words(passage.text)) else "shares no word with the passage"


def _row(question: str, answer: str, passage: Passage) -> Example:
    fields = {SYNTHETIC: MODEL, **({"document": passage.document} if passage.document else {})}
    return Example(text=question, references=(answer,), group=passage.document or None, fields=fields)


def _as_written(answer: str, text: str) -> str:
    """The answer in the letters of the passage, where it stands there but for case and white space."""
    words = re.findall(r"\S+", answer)
    found = re.search(r"\s+".join(map(re.escape, words)), text, re.IGNORECASE)
    return found[0] if found else answer


def _flat(text: str) -> str:
    """Words alone with a space around each, so that a part of a word is not found in it."""
    words = " ".join(re.findall(r"\w+", text.casefold()))
    return f" {words} " if words else ""
