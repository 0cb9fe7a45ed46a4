"""What a statement changes is found and named; what it only says in other words is let pass."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.content import Passage
from rungwise.evaluate.groundedness import is_grounded, supported
from rungwise.evaluate.groundedness.numbers import quantities
from rungwise.evaluate.groundedness.tokens import read

DELIVERY = (
    "Standard delivery takes 3 to 5 working days from the moment you receive the email. It costs $5.90 per order and is free for "
    "orders of $49 or more. Our shop in Lisbon is open from 8 a.m. to 6 p.m. and was founded by Ada Moreira on 12 March 1990. "
    "Items heavier than 30 kg do not travel this way. Of the 1,250 customers asked in 2019, 50% were men. "
    "Sales increased in the early 1990s. Members get a credit before they order."
)
TRIAL = "Mortality fell from 12% in 17 preterm infants to 7% in 40 term infants treated at Leeds, but it did not fall in York."

CHANGED = [
    ("It costs $6.90 per order.", "number", "6.90"),
    ("It is free for orders of $490 or more.", "number", "490"),
    ("Standard delivery takes 3 to 5 weeks from the email.", "unit", "3"),
    ("It costs €5.90 per order.", "unit", "5.90"),
    ("Of the 1,250 customers asked in 2019, 50 percentage points were men.", "unit", "50 percentage points"),
    ("Items heavier than 30 g do not travel this way.", "unit", "30 g"),
    ("The shop in Lisbon was founded by Ada Moreira on 12 March 1991.", "date", "12 March 1991"),
    ("The shop in Lisbon was founded by Ada Moreira on 12 May 1990.", "date", "12 May 1990"),
    ("Sales increased in the late 1990s.", "date", "late"),
    ("Sales increased in the early 1980s.", "date", "1980s"),
    ("The shop in Porto is open from 8 a.m. to 6 p.m.", "entity", "Porto"),
    ("The shop in Lisbon was founded by Ada Ferreira.", "entity", "Ferreira"),
    ("Items heavier than 30 kg travel this way.", "negation", "travel"),
    ("It does not cost $5.90 per order.", "negation", "not"),
    ("Sales decreased in the early 1990s.", "negation", "decreased"),
    ("Members get a credit after they order.", "negation", "after"),
    ("The shop in Lisbon is open from 8:00 to 16:00.", "number", "16:00"),
]


@pytest.mark.parametrize(("statement", "kind", "text"), CHANGED)
def test_a_changed_fact_is_found_and_named(statement: str, kind: str, text: str) -> None:
    found = is_grounded(statement, [DELIVERY]).findings
    assert (kind, text) in [(one.kind, one.text) for one in found]
    assert all(statement[one.start : one.end] == one.text for one in found)


@pytest.mark.parametrize(
    "statement",
    [
        "It costs 5.90 dollars per order.",
        "It costs US$5.90 per order.",
        "30 kg",
        "Standard delivery takes three to five working days.",
        "Our shop in Lisbon is open from 8:00 to 18:00.",
        "The shop was founded by Ada Moreira on March 12, 1990.",
        "The shop was founded by Ada Moreira on 1990-03-12.",
        "Of the 1250 customers asked in 2019, half were men.",
        "Items heavier than 30 kilograms don't travel this way.",
        "According to the document, items heavier than 30 kg do not travel this way.",
        "In the early 1990s, sales increased.",
        "Before they order, members get a credit.",
        "Items heavier than 30,000 g do not travel this way.",
    ],
)
def test_the_same_in_other_words_is_grounded(statement: str) -> None:
    assert is_grounded(statement, [DELIVERY]).findings == ()


def test_numbers_that_changed_places_are_found() -> None:
    found = is_grounded(
        "Mortality fell from 12% in 40 preterm infants to 7% in 17 term infants treated at Leeds.", [TRIAL]
    ).findings
    assert {("number", "40"), ("number", "17")} <= {(one.kind, one.text) for one in found}
    assert is_grounded("Mortality fell from 12% in 17 preterm infants.", [TRIAL]).grounded


def test_a_statement_about_something_else_is_not_grounded() -> None:
    found = is_grounded("Penguins breed on the ice of Antarctica.", [DELIVERY])
    assert [one.kind for one in found.findings] == ["source"]
    assert found.covered == 0.0
    assert [one.kind for one in is_grounded("It costs money.", []).findings] == ["source"]


def test_each_sentence_is_checked_and_places_are_those_of_the_whole_statement() -> None:
    statement = "It costs $5.90 per order. It is free for orders of $94 or more."
    (found,) = is_grounded(statement, [DELIVERY]).findings
    assert statement[found.start : found.end] == "94"
    assert found.evidence == "49"
    assert "the statement has '94', but the source has '49'" in str(found)


def test_evidence_names_the_passage_and_the_sentence() -> None:
    passages = [Passage("Nothing is said here about it."), Passage(DELIVERY)]
    grounding = is_grounded("Sales increased in the early 1990s.", passages)
    passage, start, end = grounding.evidence[0]
    assert passages[passage].text[start:end] == "Sales increased in the early 1990s."


def test_a_name_of_another_sentence_may_stand_for_a_pronoun_but_not_for_another_name() -> None:
    text = "Rollo led the raiders. He swore fealty to Charles in Rouen. William came later."
    assert supported("Rollo swore fealty to Charles in Rouen.", text)
    assert not supported("He swore fealty to William in Rouen.", text)


def test_an_encoder_is_asked_only_when_words_do_not_find_the_source() -> None:
    asked = []

    def encode(texts):  # type: ignore[no-untyped-def]
        asked.append(list(texts))
        vectors = np.zeros((len(texts), 2), dtype=np.float32)
        vectors[:, 0] = [1.0 if "sold" in text or "Sales" in text else 0.0 for text in texts]
        return vectors

    assert is_grounded("Sales increased in the early 1990s.", [DELIVERY], encode=encode).grounded
    assert not asked
    found = is_grounded("The company sold ever more goods by 1993.", [DELIVERY], encode=encode)
    assert len(asked) == 1
    assert "source" not in {one.kind for one in found.findings}
    assert DELIVERY[slice(*found.evidence[0][1:])] == "Sales increased in the early 1990s."


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("twenty-five of 1,000 or 2.5 million", [25.0, 1000.0, 2_500_000.0]),
        ("three quarters of it", [75.0]),
        ("8h and 5kg", [8.0, 5.0]),
        ("1·14 million", [1_140_000.0]),
        ("3 p.m. or 15:00", [900.0, 900.0]),
        ("IL-10, CD4 and H2O", []),
    ],
)
def test_numbers_are_read_in_all_their_forms(text: str, values: list[float]) -> None:
    assert [one.value for one in quantities(read(text))] == values


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_can_be_checked_and_findings_point_into_the_statement(statement: str, passage: str) -> None:
    grounding = is_grounded(statement, [passage])
    assert 0.0 <= grounding.covered <= 1.0
    assert all(0 <= one.start < one.end <= len(statement) for one in grounding.findings)
    assert all(statement[one.start : one.end] == one.text for one in grounding.findings if one.kind != "source")


@given(st.integers(1, 10**6), st.sampled_from(["km", "kg", "%", " days", " euros", ""]))
def test_a_number_agrees_with_itself_however_it_is_grouped_and_with_no_other(value: int, unit: str) -> None:
    source = f"The tower weighs {value}{unit} after the repair."
    assert supported(f"The tower weighs {value:,}{unit} after the repair.", source)
    assert not supported(f"The tower weighs {value + 1}{unit} after the repair.", source)
