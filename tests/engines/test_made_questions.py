"""Questions made from documents: exact, without their answers, with one right document, the same every time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rungwise.core.dataset import Example
from rungwise.data.documents import Document, read_documents
from rungwise.engines.chunking.chunk import TextChunk
from rungwise.engines.questions import is_answerable, questions_of, searches_of

ROOT = Path(__file__).parents[2]
ARTICLES = ROOT / "examples" / "support" / "articles"
DOCUMENTS = read_documents(ARTICLES).documents


@pytest.fixture(scope="module")
def made() -> list[Example]:
    return questions_of(DOCUMENTS, count=120, seed=7)


def test_answers_are_exactly_in_the_document_that_is_named(made: list[Example]) -> None:
    texts = {document.id: document.text for document in DOCUMENTS}
    assert len(made) == 120
    for row in made:
        assert row.group == row.fields["document"]
        assert row.references[0] in texts[row.fields["document"]]


def test_both_kinds_are_made_and_marked(made: list[Example]) -> None:
    kinds = [row.fields["synthetic"] for row in made]
    assert set(kinds) == {"cloze", "heading"}
    assert 50 <= kinds.count("cloze") <= 70


def test_no_question_gives_its_answer_away_and_none_is_asked_twice(made: list[Example]) -> None:
    assert len({row.text.casefold() for row in made}) == len(made)
    for row in made:
        assert row.text.endswith("?")
        assert f" {row.references[0].casefold()} " not in f" {row.text.casefold()} "


def test_documents_are_asked_about_evenly(made: list[Example]) -> None:
    asked = [row.group for row in made]
    assert {len(DOCUMENTS)} == {len(set(asked))}
    assert max(map(asked.count, set(asked))) <= 5


def test_the_same_documents_count_and_seed_give_the_same_questions_in_another_process(made: list[Example]) -> None:
    code = (
        "from rungwise.data.documents import read_documents; from rungwise.engines.questions import questions_of;"
        f"print([row.id for row in questions_of(read_documents({str(ARTICLES)!r}).documents, count=120, seed=7)])"
    )
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == str([row.id for row in made])
    assert [row.id for row in questions_of(DOCUMENTS, count=120, seed=8)] != [row.id for row in made]


def test_what_is_asked_is_told_by_the_answer() -> None:
    texts = {
        "a": "The warranty of the copper kettle covers repairs for 24 months after delivery of the order.",
        "b": "Express delivery of one small wooden crate costs $19 for customers outside the northern district.",
        "c": "About 85% of the reviewers in the panel recommended the turquoise lantern to their neighbours.",
        "d": "The observatory on the eastern ridge was opened to all visitors of the valley in 1987.",
    }
    rows = questions_of([Document(name, text) for name, text in texts.items()], count=40, seed=1)
    numbers = {row.references[0]: row.text for row in rows if any(sign.isdigit() for sign in row.references[0])}
    asked = {"24": "how many months", "$19": "how much", "85%": "what percentage", "1987": "which year"}
    assert numbers
    assert all(asked[answer] in text.lower() for answer, text in numbers.items())


def test_a_sentence_that_two_documents_hold_is_not_asked_about() -> None:
    twin = "The observatory on the eastern ridge was opened to all visitors of the valley in 1987."
    assert questions_of([Document("a", twin), Document("b", twin)], count=5, seed=1) == []


def test_nothing_to_ask_about_is_no_error() -> None:
    assert questions_of([], count=5, seed=1) == []
    assert questions_of([Document("a", "🙂 12"), Document("b", "\n")], count=5, seed=1) == []
    assert questions_of(DOCUMENTS, count=0, seed=1) == []


def test_other_languages_are_asked_with_a_gap() -> None:
    text = "A garantia da chaleira cobre consertos durante 24 meses depois da entrega em Lisboa, segundo a Marta Figueiredo."
    rows = questions_of([Document("a", text)], count=5, seed=1)
    assert rows
    assert all("___" in row.text for row in rows)


def test_for_a_search_the_document_is_what_is_to_be_found(made: list[Example]) -> None:
    rows = searches_of(made)
    assert [row.references for row in rows] == [(row.group,) for row in made]
    assert all(row.fields["synthetic"] for row in rows)
    assert searches_of([Example(text="a real one", references=("x",))]) == []


def test_a_question_holds_when_its_chunk_alone_answers_it() -> None:
    chunk = TextChunk("a", 0, 40, "The kettle has a warranty of 24 months.")
    assert is_answerable("How long is the warranty of the kettle?", "24 months", chunk)
    assert not is_answerable("How long is the warranty of the kettle?", "25 months", chunk)
    assert not is_answerable("Is the warranty of the kettle 24 months?", "24 months", chunk)
    assert not is_answerable("What does it say?", "24 months", chunk)
    assert not is_answerable("How long is the warranty of the kettle?", " ", chunk)
    alike = TextChunk("b", 0, 44, "The warranty of the kettle ends after 24 months.")
    less = TextChunk("b", 0, 30, "The lamp has one of 24 months.")
    assert not is_answerable("How long is the warranty of the kettle?", "24 months", chunk, [chunk, alike])
    assert is_answerable("How long is the warranty of the kettle?", "24 months", chunk, [chunk, less])
