"""Answers that are found and not written: a known answer, the first sentence of a passage, or its best one."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from rungwise.core.candidate import Candidate
from rungwise.core.content import Chunk, Citation, Passage, Request, Text, Usage
from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.types import Responder
from rungwise.engines.search.index import SearchIndex
from rungwise.engines.search.lexical import LexicalIndex
from rungwise.engines.search.postings import index_terms
from rungwise.engines.search.questions import load_questions
from rungwise.engines.search.terms import Words
from rungwise.engines.sentences import split_sentences
from rungwise.inference.injection import without_instructions
from rungwise.inference.retrieving import Load, passages_wanted, search_of
from rungwise.inference.wrappers import Search

# Probability that the chosen sentence holds a right answer: logistic regressions (intercept, share of the question's rarity
# covered, lead over the next sentence) on the 1,318 answerable rows of squad2_part, whose passages were given, or had to be
# found among all of them. On the shipped example they still rank (AUC 0.72 to 0.85) but are 0.17 to 0.34
# too sure, since its questions share fewer words with the text: benchmarks/extract.py. Thresholds are chosen on dev.
_GIVEN, _FOUND = (-0.729, 2.167, 3.720), (-2.196, 4.089, 3.098)

_WORDS = Words(stem=True)
_HEADING = re.compile(r"#{1,6}[ \t][^\n]*\Z")


@dataclass(frozen=True, slots=True)
class Found:
    """A sentence as a passage with its exact place, and how sure it is that it answers, in [0, 1]."""

    passage: Passage
    confidence: float


def answer_responder(candidate: Candidate, load: Load, *, index: SearchIndex | None = None) -> Responder:
    """The responder of an extractive candidate.

    'nearest-question' needs an index made by `question_files`; 'lead' needs none and answers from the passage that comes
    with the request; 'best-sentence' does too, unless there is an `index` of documents, which is then searched as the
    candidate says. Raises UnknownName for another model.
    """
    if candidate.model == "nearest-question":
        return nearest_question(candidate, load)
    if candidate.model == "lead":
        return lead()
    if candidate.model == "best-sentence":
        if index is None:
            return best_sentence()
        return best_sentence(without_instructions(search_of(candidate, index)), k=passages_wanted(candidate), within=index.lexical)
    raise UnknownName("extractive model", candidate.model, ("nearest-question", "lead", "best-sentence"))


def nearest_question(candidate: Candidate, load: Load) -> Responder:
    """Answers with what was right for the known question that shares most words; the share is the confidence."""
    if candidate.index is None:
        raise UsageError("the candidate 'nearest-question' has no index of known questions. Run the climb again to make it")
    known = load_questions(load(candidate.index.id))

    async def answer(request: Request) -> AsyncIterator[Chunk]:
        text, confidence = known.nearest(request.text) or ("", 0.0)
        yield _chunk("nearest-question", text, confidence, ())

    return answer


def lead() -> Responder:
    """Answers with the first sentence of the passage; the share of the question's words in it is the confidence."""

    async def answer(request: Request) -> AsyncIterator[Chunk]:
        first = next((found for passage in request.passages[:1] for found in sentences_of(passage)), None)
        if first is None:
            yield _chunk("lead", "", 0.0, ())
            return
        asked, held = set(_WORDS.terms(request.text)), set(_WORDS.terms(first.text))
        yield _chunk("lead", first.text, len(asked & held) / max(1, len(asked)), (first,))

    return answer


def best_sentence(search: Search | None = None, *, k: int = 3, within: LexicalIndex | None = None) -> Responder:
    """Answers with the sentence, of the passages given or found, that shares the rarest words with the question."""

    async def answer(request: Request) -> AsyncIterator[Chunk]:
        passages = request.passages or (await search(request.text, k) if search is not None else ())
        found = find_sentence(request.text, passages, within=within)
        if found is None:
            yield _chunk("best-sentence", "", 0.0, ())
        else:
            yield _chunk("best-sentence", found.passage.text, found.confidence, (found.passage,))

    return answer


def find_sentence(question: str, passages: Sequence[Passage], *, within: LexicalIndex | None = None) -> Found | None:
    """The sentence whose words in common with the question have the highest total rarity; the earlier one on a tie.

    Rarity is the inverse document frequency in `within`, else among the sentences themselves. None when there is no sentence.
    Measured against BM25 over the sentences, with and without stop words and stems: benchmarks/extract.py.
    """
    sentences = [sentence for passage in passages for sentence in sentences_of(passage)]
    if not sentences:
        return None
    words = within.words if within is not None else _WORDS
    among = within or LexicalIndex.of([index_terms([sentence.text for sentence in sentences], words=words)])
    rarity = among.rarity
    asked = {term: rarity(term) for term in dict.fromkeys(words.terms(question))}
    scores = [sum(asked.get(term, 0.0) for term in dict.fromkeys(words.terms(sentence.text))) for sentence in sentences]
    best = max(range(len(scores)), key=lambda place: (scores[place], -place))
    second = max((score for place, score in enumerate(scores) if place != best), default=0.0)
    covered = scores[best] / total if (total := sum(asked.values())) > 0 else 0.0
    ahead = (scores[best] - second) / scores[best] if scores[best] > 0 else 0.0
    base, by_cover, by_lead = _GIVEN if within is None else _FOUND
    confidence = 1 / (1 + math.exp(-(base + by_cover * covered + by_lead * ahead))) if scores[best] > 0 else 0.0
    return Found(sentences[best], confidence)


def sentences_of(passage: Passage) -> tuple[Passage, ...]:
    """The sentences of a passage, headings aside, as passages of the same document with their own offsets."""
    begin = passage.start
    spans = [(start, end) for start, end in split_sentences(passage.text) if not _HEADING.match(passage.text, start, end)]
    return tuple(
        Passage(passage.text[start:end], passage.document, begin + start, begin + end, passage.score, passage.version)
        for start, end in spans
    )


def _chunk(model: str, text: str, confidence: float, passages: tuple[Passage, ...]) -> Chunk:
    parts = (Text(text),) if text else ()
    cited = tuple(citation(passage, text) for passage in passages if passage.document)
    finish = "stop" if text else "abstained"
    return Chunk(parts=parts, confidence=confidence, passages=passages, usage=Usage(), model=model, finish=finish, citations=cited)


def citation(passage: Passage, answer: str) -> Citation:
    """The passage as the source of a whole answer."""
    return Citation(passage.document, passage.start, passage.end, passage.text, passage.version, (0, len(answer)))
