"""Answers that are found and not written."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.content import Passage, Request, Response
from rungwise.core.dataset import Example
from rungwise.core.errors import Corrupt, UnknownName, UsageError
from rungwise.core.types import collect
from rungwise.data.documents import Document
from rungwise.engines.encoders.load import load_encoder
from rungwise.engines.search.building import build_segment
from rungwise.engines.search.questions import ANSWERS, load_questions, question_files
from rungwise.engines.search.recipe import Recipe
from rungwise.evaluate.text import token_f1
from rungwise.inference.extract import answer_responder, find_sentence
from rungwise.inference.retrieving import load_index

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"

DELIVERY = Document(
    "delivery.md",
    "# Delivery\n\nStandard delivery takes 3 to 5 working days. Saturdays do not count.\n\n"
    "## Costs\n\nIt costs $5.90 for each order. Orders of $49 or more are free.\n",
)
RETURNS = Document("returns.md", "# Returns\n\nYou may return an item within 30 days. The label is in the parcel.\n")
INDEX = Fitted(technique="index", recipe=Recipe().plain(), inputs=("documents",))
KNOWN = Fitted(technique="nearest-question", inputs=("train",))
TRAIN = (
    Example(text="How long does delivery take?", references=("3 to 5 working days", "five days")),
    Example(text="Can I return an opened item?", references=("yes, within 30 days",)),
)


def load(id: str) -> Mapping[str, bytes]:
    return {INDEX.id: build_segment([DELIVERY, RETURNS], Recipe(), None).files(), KNOWN.id: question_files(TRAIN)}[id]


async def answered(candidate: Candidate, request: Request) -> Response:
    index = load_index(INDEX, load, load_encoder) if candidate.index is INDEX else None
    return await collect(answer_responder(candidate, load, index=index)(request))


def candidate(model: str, index: Fitted | None = None, **options: int) -> Candidate:
    return Candidate(task="answer", model=model, index=index, options=options)


async def test_the_nearest_known_question_lends_its_first_answer() -> None:
    found = await answered(candidate("nearest-question", KNOWN), Request.of("how long may delivery take"))
    assert found.text == "3 to 5 working days"
    assert found.confidence == pytest.approx(4 / 6)  # {how, long, delivery, take} of those and {does, may}
    assert (found.model, found.finish, found.usage.calls) == ("nearest-question", "stop", 0)


async def test_a_question_that_shares_no_word_gets_no_answer_and_no_confidence() -> None:
    found = await answered(candidate("nearest-question", KNOWN), Request.of("warranty?"))
    assert (found.text, found.confidence) == ("", 0.0)


async def test_lead_is_the_first_sentence_of_the_passage_given() -> None:
    found = await answered(candidate("lead"), Request.of("Do Saturdays count?", passage="It takes days. Saturdays do not count."))
    assert found.text == "It takes days."
    assert found.confidence == 0.0
    assert found.passages == (Passage("It takes days.", "", 0, 14),)
    assert (await answered(candidate("lead"), Request.of("no passage"))).text == ""


async def test_the_best_sentence_of_the_passage_given_holds_the_rare_words_of_the_question() -> None:
    passage = "The tower is in Paris. The tower was built in 1889 by Eiffel. The tower is tall."
    found = await answered(candidate("best-sentence"), Request.of("Who built the tower?", passage=passage))
    assert found.text == "The tower was built in 1889 by Eiffel."
    place = found.passages[0]
    assert passage[place.start : place.end] == found.text


async def test_over_a_folder_the_sentence_comes_with_its_exact_place_in_the_document() -> None:
    found = await answered(candidate("best-sentence", INDEX, passages=1), Request.of("What does an order cost?"))
    assert found.text == "It costs $5.90 for each order."
    place = found.passages[0]
    assert place.document == "delivery.md"
    assert DELIVERY.text[place.start : place.end] == found.text
    assert place.score > 0
    assert place.version == DELIVERY.version
    assert [(one.document, one.quote, one.claim) for one in found.citations] == [("delivery.md", found.text, (0, len(found.text)))]


async def test_headings_are_searched_but_never_answered() -> None:
    found = await answered(candidate("best-sentence", INDEX), Request.of("returns"))
    assert found.passages[0].document == "returns.md"
    assert "#" not in found.text


async def test_nothing_found_is_an_empty_answer_without_confidence() -> None:
    for one in (candidate("best-sentence", INDEX), candidate("best-sentence")):
        found = await answered(one, Request.of("zzz qqq"))
        assert (found.text, found.confidence, found.passages) == ("", 0.0, ())


def test_confidence_grows_with_the_words_covered_and_the_lead_over_the_next_sentence() -> None:
    def confidence(question: str, passage: str) -> float:
        found = find_sentence(question, [Passage(passage)])
        assert found is not None
        assert 0.0 <= found.confidence <= 1.0
        return found.confidence

    clear = confidence("parcel lost", "The parcel is lost. Call us now.")
    partly = confidence("parcel lost", "The parcel is here. Call us now.")
    tied = confidence("parcel lost", "The parcel is lost. A parcel lost again.")
    assert clear > partly > confidence("parcel lost", "Nothing fits. Call us now.") == 0.0
    assert clear > tied


def test_unknown_models_and_missing_or_damaged_parts_say_so() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'lead'"):
        answer_responder(candidate("leed"), load)
    with pytest.raises(UsageError, match="no index of known questions"):
        answer_responder(candidate("nearest-question"), load)
    files = question_files(TRAIN)
    with pytest.raises(Corrupt, match="belong together"):
        load_questions({**files, ANSWERS: b'["one"]'})
    with pytest.raises(Corrupt, match="Run the climb again"):
        load_questions({})
    with pytest.raises(Corrupt, match="Make the index again"):
        load_index(INDEX, lambda _: {}, load_encoder)


async def test_the_best_sentence_doubles_the_lead_on_real_questions() -> None:
    if not (DATA / "squad2_part").is_dir():
        pytest.skip("squad2_part is not beside the checkout")
    with gzip.open(DATA / "squad2_part" / "dev.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if row["answers"]]
    examples = [Example(text=row["question"], passage=row["context"], references=tuple(row["answers"])) for row in rows]
    scores = {}
    for model in ("lead", "best-sentence"):
        answer = answer_responder(candidate(model), load)
        scores[model] = sum([token_f1(one, await collect(answer(one.request))) for one in examples]) / len(examples)
    assert len(rows) == 1318
    assert scores == pytest.approx({"lead": 0.120, "best-sentence": 0.246}, abs=0.002)
