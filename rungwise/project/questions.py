"""Questions for those who have documents and no questions: made by rules, or by a language model, and marked as made up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rungwise.core.dataset import Example
from rungwise.core.errors import UsageError
from rungwise.core.types import Clock
from rungwise.core.usecase import Endpoint

if TYPE_CHECKING:
    from rungwise.data.documents import Document
    from rungwise.inference.questions import Made

ASKED_A_CHUNK = 2
"""Questions that a model is asked to make of one chunk."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """How many questions were written where, how many were dropped, and what they cost in US dollars."""

    path: Path
    questions: int
    dropped: int = 0
    usd: float = 0.0


def write_questions(
    source: str | Path,
    target: Path,
    *,
    count: int,
    task: str,
    seed: int,
    endpoint: Endpoint | None = None,
    clock: Clock | None = None,
) -> Written:
    """Make up to `count` questions from the documents of a source and write them as JSONL, for the task answer or search.

    With an endpoint, its model writes them, and those that do not hold are dropped. A row says by its field `synthetic` how it
    was made; the climb never seals such a row. Raises BadData when nothing can be read, UsageError when nothing can be asked.
    """
    from rungwise.data.blobs import write_durably
    from rungwise.data.documents import read_documents
    from rungwise.engines.questions import questions_of, searches_of

    documents = read_documents(source).documents
    dropped, usd = 0, 0.0
    if endpoint is None:
        rows: Sequence[Example] = questions_of(documents, count=count, seed=seed)
    else:
        made = _by_model(documents, endpoint, count=count, seed=seed, clock=clock)
        rows, dropped, usd = made.rows[:count], len(made.dropped), made.usage.usd
    if not rows:
        raise UsageError(
            f"nothing in {source} can be asked by rules: it takes whole sentences or headings. Add --endpoint URL#MODEL"
        )
    lines = [_line(number, row, task) for number, row in enumerate(searches_of(rows) if task == "search" else rows, start=1)]
    write_durably(target, "".join(lines).encode("utf-8", "surrogatepass"))
    return Written(path=target, questions=len(lines), dropped=dropped, usd=usd)


def _line(number: int, row: Example, task: str) -> str:
    role = "documents" if task == "search" else "answer"
    told = {"id": f"made-{number}", "question": row.text, role: list(row.references), **row.fields}
    return json.dumps(told, ensure_ascii=False) + "\n"


def _by_model(documents: Sequence[Document], endpoint: Endpoint, *, count: int, seed: int, clock: Clock | None) -> Made:
    """Ask a model about chunks drawn at random, and try whether the best sentence of the documents answers what it asks."""
    from random import Random

    from rungwise.engines.chunking.chunk import Chunking
    from rungwise.engines.chunking.cut import chunk_document
    from rungwise.engines.clock import SystemClock
    from rungwise.engines.endpoint import LanguageModel
    from rungwise.engines.loop import run_in_background
    from rungwise.engines.prices import price_of
    from rungwise.engines.search.building import build_segment
    from rungwise.engines.search.index import LEXICAL, How, SearchIndex
    from rungwise.engines.search.recipe import Recipe
    from rungwise.inference.extract import best_sentence
    from rungwise.inference.questions import make_questions
    from rungwise.inference.retrieving import searching

    rng = Random(seed)
    chunks = [chunk for document in documents for chunk in chunk_document(document, Chunking())]
    drawn = rng.sample(chunks, min(len(chunks), -(-2 * count // ASKED_A_CHUNK)))
    index = SearchIndex(Recipe(), [build_segment(documents, Recipe(), None)])
    answer = best_sentence(searching(index, How(mode=LEXICAL)), within=index.lexical)
    model = LanguageModel(endpoint, clock=clock or SystemClock(), rng=rng, cache=None, budget=None, price=price_of(endpoint, ()))

    async def made() -> Made:
        try:
            return await make_questions(model, drawn, answer, count=ASKED_A_CHUNK)
        finally:
            await model.aclose()

    return run_in_background(made())
