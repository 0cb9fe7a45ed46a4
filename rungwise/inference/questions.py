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
from rungwise.engines.chunking.chunk import TextChunk
from rungwise.engines.citing import content_words
from rungwise.engines.dialect import Options
from rungwise.engines.prompts import askable_messages
from rungwise.engines.questions import is_answerable
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
    model: Model, chunks: Sequence[TextChunk], answer: Responder, *, count: int = 3, options: Options | None = None
) -> Made:
    """Up to `count` questions for each chunk, with the answer in the words of the chunk.

    One stays when it says what it is about, its answer stands in its chunk and no other chunk answers it as well, and `answer`,
    who is given the question alone, gives it back. So those stay that such an answerer can answer: a score on them is higher than
    on questions of people, and a row is marked as made up, so that it never becomes a sealed one. Its group is the document. Raises
    what the model raises.
    """
    rows: list[Example] = []
    dropped: list[tuple[str, str]] = []
    usage, seen = Usage(), set[str]()
    for chunk in chunks:
        written = await ask(model, askable_messages(Passage(chunk.text), count), options)
        usage += written.usage
        for question, copied in read_pairs(written.text)[:count]:
            told = _as_written(copied, chunk.text)
            reason = fault(question, told, chunk, chunks) or ("asked before" if _flat(question) in seen else None)
            if reason is None:
                found = await collect(answer(Request((Text(question),))))
                usage += found.usage
                reason = None if _flat(told) in _flat(found.text) else "not found again"
            if reason is not None:
                dropped.append((question, reason))
                continue
            seen.add(_flat(question))
            fields = {SYNTHETIC: MODEL, "document": chunk.document}
            rows.append(Example(text=question, references=(told,), group=chunk.document, fields=fields))
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


def fault(question: str, answer: str, chunk: TextChunk, others: Sequence[TextChunk] = ()) -> str | None:
    """Why a question made from a chunk is no good beside the `others` that are searched, or None."""
    if len(content_words(question)) < 2 or not question.endswith(("?", "？", "؟")):
        return "no question"
    if _SPEAKS_OF_TEXT.search(question):
        return "speaks of the passage"
    if not answer or answer not in chunk.text:
        return "answer is not in the passage"
    if len(answer.split()) > LONGEST:
        return "answer is too long"
    return None if is_answerable(question, answer, chunk, others) else "not answered by its passage alone"


def _as_written(answer: str, text: str) -> str:
    """The answer in the letters of the passage, where it stands there but for case and white space."""
    words = re.findall(r"\S+", answer)
    found = re.search(r"\s+".join(map(re.escape, words)), text, re.IGNORECASE)
    return found[0] if found else answer


def _flat(text: str) -> str:
    """Words alone with a space around each, so that a part of a word is not found in it."""
    words = " ".join(re.findall(r"\w+", text.casefold()))
    return f" {words} " if words else ""
