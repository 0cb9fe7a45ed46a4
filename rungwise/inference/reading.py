"""Answers that a fitted model finds in passages: the words that a reader marks, or the sentence that a scorer puts first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from rungwise.core.content import Chunk, Citation, Passage, Request, Text, Usage
from rungwise.core.types import Responder
from rungwise.engines.reader import Reader
from rungwise.engines.sentence_scorer import SentenceScorer
from rungwise.inference.wrappers import Search

DEFAULT_PASSAGES = 3

READER_MODEL, SENTENCE_MODEL = "reader", "sentence-scorer"


def reader_responder(
    reader: Reader, search: Search | None = None, *, k: int = DEFAULT_PASSAGES, threshold: float | None = None
) -> Responder:
    """Answers with the words, of the passages given or found, that the reader marks, cited to the character.

    `search` finds `k` passages where a request has none. The confidence is the calibrated F1 to expect of the
    answer. Where it is below `threshold` (None: below the probability that there is no answer) the answer is withheld, and
    `finish` is 'abstained'. The sentence that the answer stands in comes as the passage.
    """

    async def answer(request: Request) -> AsyncIterator[Chunk]:
        passages = await _passages(request, search, k)
        found = await asyncio.to_thread(reader.answer, request.text, passages)  # the model computes, the loop stays free
        if found is None:
            yield _silence(READER_MODEL, 0.0)
            return
        best = found.readings[0]
        if found.silent if threshold is None else found.confidence < threshold:
            yield _silence(READER_MODEL, found.confidence, best.sentence)
        else:
            yield _answer(READER_MODEL, best.passage, found.confidence, best.sentence)

    return answer


def sentence_responder(
    scorer: SentenceScorer, search: Search | None = None, *, k: int = DEFAULT_PASSAGES, threshold: float = 0.0
) -> Responder:
    """Answers with the sentence, of the passages given or found, that the scorer puts first, cited to the character.

    The confidence is the calibrated probability that it holds the answer; below `threshold` it is withheld as above.
    """

    async def answer(request: Request) -> AsyncIterator[Chunk]:
        passages = await _passages(request, search, k)
        ranked = await asyncio.to_thread(scorer.rank, request.text, passages)
        if not ranked:
            yield _silence(SENTENCE_MODEL, 0.0)
            return
        best, sure = ranked[0].sentence.passage, ranked[0].probability
        yield _silence(SENTENCE_MODEL, sure, best) if sure < threshold else _answer(SENTENCE_MODEL, best, sure, best)

    return answer


async def _passages(request: Request, search: Search | None, k: int) -> tuple[Passage, ...]:
    """What the request brings; else what the search finds."""
    if request.passages or search is None:
        return request.passages
    return tuple(await search(request.text, k))


def _answer(model: str, exact: Passage, confidence: float, read: Passage) -> Chunk:
    """The characters of `exact` as the answer; a citation where it is known which document they are of."""
    cited = Citation(exact.document, exact.start, exact.end, exact.text, exact.version, (0, len(exact.text)))
    return Chunk(
        parts=(Text(exact.text),),
        confidence=confidence,
        passages=(read,),
        citations=(cited,) if exact.document else (),
        usage=Usage(),
        model=model,
        finish="stop",
    )


def _silence(model: str, confidence: float, read: Passage | None = None) -> Chunk:
    """No answer, and the sentence that did not convince."""
    passages = (read,) if read is not None else ()
    return Chunk(confidence=confidence, passages=passages, usage=Usage(), model=model, finish="abstained")
