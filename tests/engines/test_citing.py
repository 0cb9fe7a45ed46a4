"""Markers of citations are read in the ways in which models write them, and a statement is aligned with an exact span."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.engines.citing import align, content_words, read_cited, sentences_that_say
from rungwise.engines.prompts import NO_EVIDENCE

DOCUMENT = (
    "Standard delivery takes 3 to 5 working days. Saturdays do not count. It costs $5.90 for each order.\n\n"
    "Orders of $49 or more are free. Mia Huxlow packs them herself."
)


@pytest.mark.parametrize(
    ("written", "marks"),
    [
        ("It is free [1].", (1,)),
        ("It is free. [1]", (1,)),
        ("It is free[2].", (2,)),
        ("It is free [1][2].", (1, 2)),
        ("It is free [1] [2].", (1, 2)),
        ("It is free [1, 2].", (1, 2)),
        ("It is free [1], [2] and [3].", (1, 2, 3)),
        ("It is free [1-3].", (1, 2, 3)),
        ("It is free [1–2; 3].", (1, 2, 3)),
        ("It is free [passage 2].", (2,)),
        ("It is free (passages 1 and 3).", (1, 3)),
        ("It is free [^2].", (2,)),
        ("It is free 【2†source】.", (2,)),
        ("It is free [2](https://example.com/a#b).", (2,)),
        ("It is free <sup>2</sup>.", (2,)),
        ("It is free [2.", (2,)),
        ("It is free [2", (2,)),
        ("It is free 2].", (2,)),
        ("According to [2], it is free.", (2,)),
        ("[2] It is free.", (2,)),
        ("It is free.", ()),
    ],
)
def test_a_marker_is_read_in_whichever_way_it_is_written(written: str, marks: tuple[int, ...]) -> None:
    (statement,) = read_cited(written, 3)
    assert (statement.text.rstrip("."), statement.marks, statement.wrong) == ("It is free", marks, ())


@pytest.mark.parametrize(
    "written", ["In [2019] it was free.", "Use `prices[1]` for it.", "It is free (1).", "It holds 5 [sic] items."]
)
def test_brackets_that_cite_nothing_stay_text(written: str) -> None:
    (statement,) = read_cited(written, 3)
    assert (statement.text, statement.marks) == (written, ())


def test_numbers_of_no_passage_are_told_apart() -> None:
    (statement,) = read_cited("It is free [7] and light [0-2].", 3)
    assert (statement.marks, statement.wrong) == ((1, 2), (7, 0))


def test_a_marker_behind_a_sentence_belongs_to_it_and_one_that_begins_a_line_to_the_next() -> None:
    statements = read_cited("It is free. [1] It is light. [2]\n- [3] It is red.\n- It is new [1]", 3)
    assert [(one.text, one.marks) for one in statements] == [
        ("It is free.", (1,)),
        ("It is light.", (2,)),
        ("- It is red.", (3,)),
        ("- It is new", (1,)),
    ]


def test_a_marker_that_is_a_word_of_its_sentence_becomes_one() -> None:
    (statement,) = read_cited("[2] says that it is free.", 2)
    assert (statement.text, statement.marks) == ("The passage says that it is free.", (2,))


@given(st.lists(st.tuples(st.sampled_from(["It is free.", "Nobody pays.", "Is it so?"]), st.sets(st.integers(1, 9))), max_size=5))
def test_what_is_written_as_asked_for_is_read_as_written(told: list[tuple[str, set[int]]]) -> None:
    written = " ".join(f"{text[:-1]}{''.join(f' [{mark}]' for mark in sorted(marks))}{text[-1]}" for text, marks in told)
    assert [(one.text, set(one.marks)) for one in read_cited(written, 9)] == told


@given(st.text(max_size=300), st.integers(0, 5))
def test_any_text_is_read_without_an_error_and_cites_only_what_there_is(text: str, count: int) -> None:
    for statement in read_cited(text, count):
        assert statement.text == statement.text.strip() != ""
        assert all(1 <= mark <= count for mark in statement.marks)


@given(st.text(alphabet="ab .!?\n[](),-", max_size=200))
def test_a_text_without_a_number_loses_nothing(text: str) -> None:
    statements = read_cited(text, 3)
    assert "".join(one.gap + one.text for one in statements) == text.rstrip() if statements else not text.strip()


@pytest.mark.parametrize(
    ("statement", "evidence"),
    [
        ("Saturdays do not count.", "Saturdays do not count."),
        ("Delivery takes 3 to 5 days.", "Standard delivery takes 3 to 5 working days."),
        ("An order of $49 is free.", "Orders of $49 or more are free."),
        # Two facts that stand two sentences apart: the span is what lies from one to the other.
        ("Delivery takes 3 to 5 days and costs $5.90.", DOCUMENT.split("\n")[0]),
    ],
)
def test_a_statement_is_aligned_with_the_sentences_that_say_it(statement: str, evidence: str) -> None:
    span = align(statement, DOCUMENT)
    assert span is not None
    assert DOCUMENT[slice(*span)] == evidence


def test_words_that_stand_inside_a_sentence_bring_the_whole_of_it() -> None:
    text = "It is not true that returns are free. Returns cost $2."
    assert align("Returns are free", text.replace("returns", "Returns")) == (0, 37)


def test_what_is_barred_is_no_evidence() -> None:
    text = "Are returns free? Returns are free for members. Say that returns are free."
    question, order = (0, 17), (48, len(text))
    assert align("Returns are free", text, barred=[question, order]) == (18, 47)
    assert align("Say that returns are free.", text, barred=[question, order]) == (18, 47)
    assert align("Say that returns are free.", text, barred=[(0, len(text))]) is None


def test_a_statement_that_shares_no_word_is_aligned_with_nothing() -> None:
    assert align("Quarks have colour.", DOCUMENT) is None
    assert align("", DOCUMENT) is None
    assert align("anything", "") is None


@given(st.text(max_size=60), st.text(max_size=300))
def test_an_aligned_span_lies_in_the_text(statement: str, text: str) -> None:
    span = align(statement, text)
    assert span is None or (0 <= span[0] < span[1] <= len(text) and text[slice(*span)].strip())


def test_scripts_without_spaces_are_aligned_by_their_characters() -> None:
    text = "配送は3日から5日かかります。土曜日は含みません。"
    span = align("土曜日は数えません", text)
    assert span is not None
    assert text[slice(*span)] == "土曜日は含みません。"


def test_words_that_say_nothing_are_no_content() -> None:
    assert content_words("Yes, it is so.") == []


@pytest.mark.parametrize("said", [NO_EVIDENCE, NO_EVIDENCE.upper().rstrip("."), f"Sorry: {NO_EVIDENCE} [1]"])
def test_the_fixed_sentence_is_known_in_any_dress(said: str) -> None:
    assert sentences_that_say(said, (NO_EVIDENCE,))
    assert not sentences_that_say("The passages answer the question.", (NO_EVIDENCE,))
