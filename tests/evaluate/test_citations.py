"""Citations are verbatim or not, needed or not, and together enough or not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.content import Citation, Passage, Response
from rungwise.core.dataset import Example
from rungwise.evaluate.answers import Answers
from rungwise.evaluate.citations import citation_precision, citation_recall, grounded_share, is_verbatim, verbatim_share
from rungwise.evaluate.metric import is_computable, metric, value

TEXT = "Standard delivery takes 3 to 5 working days. It costs $5.90 per order. Returns are free within 30 days."
FIRST, SECOND, THIRD = (0, 44), (45, 70), (71, 103)


def cite(span: tuple[int, int], claim: tuple[int, int] | None = None) -> Citation:
    return Citation("delivery", *span, TEXT[slice(*span)], claim=claim)


def by_words(sentence: str, texts: Sequence[str]) -> bool:
    """A judge for tests: every word of the sentence is in the texts."""
    return set(sentence.lower().strip(".").split()) <= set(" ".join(texts).lower().replace(".", " ").split())


@given(st.integers(0, 110), st.integers(0, 110))
def test_a_quote_cut_from_the_text_is_verbatim_and_only_at_its_place(start: int, end: int) -> None:
    quote = TEXT[start:end]
    assert is_verbatim(Citation("d", start, end, quote), TEXT) == (start < end <= len(TEXT))
    assert not is_verbatim(Citation("d", start, end, quote + "!"), TEXT)


def test_share_of_verbatim_citations_counts_unknown_documents_as_wrong() -> None:
    found = [cite(FIRST), Citation("delivery", 0, 8, "standard"), Citation("other", 0, 3, "Sta")]
    assert verbatim_share(found, {"delivery": TEXT}) == pytest.approx(1 / 3)
    assert math.isnan(verbatim_share([], {}))


def test_recall_is_the_share_of_sentences_that_their_own_citations_support() -> None:
    answer = "It costs $5.90 per order. Returns are free within 60 days."
    response = Response(answer, citations=(cite(SECOND, (0, 25)), cite(THIRD, (26, 58))))
    assert citation_recall(response) == 0.5
    assert citation_recall(Response(answer)) == 0.0
    assert math.isnan(citation_recall(Response("")))


def test_a_citation_that_its_sentence_does_not_need_lowers_precision() -> None:
    both = Response("red blue", citations=(Citation("a", 0, 3, "red"), Citation("a", 4, 8, "blue"), Citation("b", 0, 5, "green")))
    # 'red' and 'blue' are each needed; 'green' supports nothing and nobody misses it.
    assert citation_precision(both, supports=by_words) == pytest.approx(2 / 3)
    twice = Response("red", citations=(Citation("a", 0, 3, "red"), Citation("b", 0, 3, "red")))
    assert citation_precision(twice, supports=by_words) == 1.0  # each is enough alone
    assert citation_precision(Response("red", citations=(Citation("b", 0, 4, "blue"),)), supports=by_words) == 0.0
    assert citation_precision(Response("red"), supports=by_words) == 0.0
    assert math.isnan(citation_precision(Response("")))


def test_groundedness_of_an_answer_is_the_share_of_its_sentences_that_its_sources_say() -> None:
    passage = Passage(TEXT, document="delivery", end=len(TEXT))
    answer = "Standard delivery takes 3 to 5 working days. It costs €5.90 per order."
    assert grounded_share(Response(answer, passages=(passage,))) == 0.5
    assert grounded_share(Response(answer)) == 0.0
    assert grounded_share(Response("It costs $5.90 per order.", citations=(cite(SECOND),))) == 1.0


def test_metrics_of_citations_come_from_stored_answers_and_need_their_passages() -> None:
    passage = Passage(TEXT[45:], document="delivery", start=45, end=len(TEXT))
    good = Response(TEXT[45:70], passages=(passage,), citations=(cite(SECOND),))
    wrong = Response("It costs $9.50 per order.", passages=(passage,), citations=(Citation("delivery", 46, 70, TEXT[45:70]),))
    silent = Response("", passages=(passage,))
    examples = [Example(text=one) for one in ("q1", "q2", "q3")]
    answers = Answers.of([good, wrong, silent])
    assert answers.response(0) == good
    assert value(metric("groundedness"), examples, answers) == 0.5  # an answer that was withheld says nothing wrong
    assert value(metric("citation_verbatim"), examples, answers) == 0.5
    assert value(metric("citation_recall"), examples[:2], answers.take([0, 2])) == 1.0
    assert value(metric("citation_precision"), examples, answers) == 0.5
    assert not is_computable(metric("groundedness"), Answers(("a",)))


def test_a_citation_of_another_version_of_the_document_is_not_verbatim() -> None:
    passage = Passage(TEXT, document="delivery", end=len(TEXT), version="a")
    response = Response("x", passages=(passage,), citations=(Citation("delivery", *FIRST, TEXT[slice(*FIRST)], version="b"),))
    assert value(metric("citation_verbatim"), [Example(text="q")], Answers.of([response])) == 0.0


def test_answers_refuse_passages_that_are_not_as_many() -> None:
    with pytest.raises(ValueError, match="1 answers but 2 lists of passages"):
        Answers(("a",), passages=((), ()))
