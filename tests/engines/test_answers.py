"""What models write is read back generously, but never guessed into a label."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.content import Token
from rungwise.engines.answers import NO_ANSWER, label_scores, parse
from rungwise.engines.prompts import Prompt

LABELS = ("card_lost", "card_late", "card", "PIN", "top up, failed", "out of scope")
ONE = Prompt(template="x", labels=LABELS)
JSON = Prompt(template="x", labels=LABELS, schema=True)
REASON = Prompt(template="x", labels=LABELS, reason=True)
MANY = Prompt(template="x", labels=LABELS, many=True)
ANSWER = Prompt(template="x")


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ("card_lost", "card_lost"),
        ("  card_lost\n", "card_lost"),
        ("Card_Lost", "card_lost"),
        ("card lost", "card_lost"),
        ("'card_lost'.", "card_lost"),
        ("**Card Lost**", "card_lost"),
        ("`card_lost`", "card_lost"),
        ("Label: card-late", "card_late"),
        ("The answer is: pin", "PIN"),
        ("- card", "card"),
        ("top up, failed", "top up, failed"),
        ('{"label": "card_late"}', "card_late"),
        ('```json\n{"label": "card_late"}\n```', "card_late"),
        ('Sure! Here it is: {"label": "card late"}', "card_late"),
        ('{"reason": "it is {gone}", "label": "card_lost"}', "card_lost"),
        ('{"category": "PIN"}', "PIN"),
        ('"card_lost"', "card_lost"),
        ("<think>card_late? no</think>card_lost", "card_lost"),
        ("They say it never came, so not card_lost.\n\nLabel: card_late", "card_late"),
        ("The best label is card_late because it never came", "card_late"),  # longest of card and card_late
        ("I would say: out of scope.", "out of scope"),
        ("first line card_late\nlast line card_lost", "card_lost"),
    ],
)
@pytest.mark.parametrize("prompt", [ONE, JSON, REASON], ids=["plain", "schema", "reason"])
def test_reads_the_label(prompt: Prompt, written: str, label: str) -> None:
    read = parse(prompt, written)
    assert (read.text, read.known) == (label, True)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "refund",
        "cards",
        "PINs are hard",
        "card_lost_and_found",
        "I cannot help with that",
        '{"label": "refund"}',
        '{"label": 3}',
        "{",
        "card_lost or card_late",
    ],
)
def test_what_is_no_label_stays_raw_and_counts_as_wrong(written: str) -> None:
    read = parse(ONE, written)
    assert not read.known
    assert read.text not in LABELS


def test_labels_that_differ_in_case_only_are_not_mixed_up() -> None:
    prompt = Prompt(template="x", labels=("May", "may", "June"))
    assert parse(prompt, "may").text == "may"
    assert parse(prompt, "May").text == "May"
    assert not parse(prompt, "MAY").known


@given(st.sampled_from(LABELS), st.sampled_from(["{}", " {} ", '"{}"', "Label: {}", '{{"label": "{}"}}', "Reason.\n{}"]))
def test_every_label_is_read_from_every_usual_form(label: str, form: str) -> None:
    assert parse(ONE, form.format(label)).text == label


@given(st.text(max_size=80))
def test_never_raises_and_never_invents(written: str) -> None:
    for prompt in (ONE, MANY, ANSWER, REASON):
        read = parse(prompt, written)
        if prompt.labels and read.known:
            assert set(read.text.split("\n")) - {""} <= set(LABELS)


@pytest.mark.parametrize(
    ("written", "labels"),
    [
        ('{"labels": ["PIN", "card lost"]}', "card_lost\nPIN"),
        ("- PIN\n- card_lost", "card_lost\nPIN"),
        ("1. PIN\n2. top up, failed", "PIN\ntop up, failed"),
        ("PIN, card_late", "card_late\nPIN"),
        ("Labels: PIN; card_late", "card_late\nPIN"),
        ('["PIN"]', "PIN"),
        ("none", ""),
        ("[]", ""),
        ('{"labels": []}', ""),
        ("PIN\nrefund", "PIN"),  # one that is known and one that is not
    ],
)
def test_reads_several_labels_in_the_order_of_the_label_set(written: str, labels: str) -> None:
    read = parse(MANY, written)
    assert (read.text, read.known) == (labels, True)


def test_silence_is_not_the_answer_that_no_label_fits() -> None:
    assert parse(MANY, "") == parse(MANY, "<think>hm</think>")
    assert parse(MANY, "").text == NO_ANSWER
    assert not parse(MANY, "refund, refund").known


@pytest.mark.parametrize(
    ("prompt", "written", "answer"),
    [
        (ANSWER, "Paris", "Paris"),
        (ANSWER, ' "Paris" ', "Paris"),
        (ANSWER, "Answer: in 30 days", "in 30 days"),
        (ANSWER, '{"answer": "30 days"}', "30 days"),
        (ANSWER, "42", "42"),
        (ANSWER, "<think>\nhm\n</think>\n\nyes", "yes"),
        (Prompt(template="x", reason=True), "It says so.\nAnswer: 30 days", "30 days"),
        (Prompt(template="x", reason=True), "It says so.\n30 days\n", "30 days"),
        (ANSWER, 'He said: "no"', 'He said: "no"'),
    ],
)
def test_reads_a_short_answer(prompt: Prompt, written: str, answer: str) -> None:
    assert parse(prompt, written).text == answer


def token(text: str, p: float, **likely: float) -> Token:
    return Token(text, math.log(p), tuple((other, math.log(q)) for other, q in likely.items()))


def test_confidence_is_the_probability_of_the_tokens_that_spell_the_label() -> None:
    tokens = [token("Label", 0.9), token(":", 0.9), token(" card", 0.8), token("_", 1.0), token("lost", 0.5), token(".", 0.1)]
    scores = label_scores(("card_lost", "card_late", "PIN"), "card_lost", tokens)
    assert scores is not None
    assert scores.values[0] == pytest.approx(0.4)  # 0.8 x 1.0 x 0.5
    assert sum(scores.values) == pytest.approx(1.0)


def test_alternatives_at_the_first_token_share_what_is_left() -> None:
    tokens = [token("PI", 0.7, PI=0.7, card=0.2, xyz=0.05), token("N", 1.0)]
    scores = label_scores(("card_lost", "card_late", "PIN", "other"), "PIN", tokens)
    assert scores is not None
    # card stands for two labels, 0.1 each; 'other' was not seen and gets the remaining 0.1
    assert list(scores.values) == pytest.approx([0.1, 0.1, 0.7, 0.1])


@given(
    st.lists(
        st.tuples(st.sampled_from(["card", "_lost", "_late", "PIN", " ", "x"]), st.floats(0.001, 1.0), st.floats(0.0001, 1.0)),
        max_size=6,
    ),
    st.sampled_from(LABELS),
)
def test_scores_are_a_distribution_or_nothing(pieces: list[tuple[str, float, float]], label: str) -> None:
    tokens = [Token(text, math.log(p), (("card", math.log(q)), ("PIN", math.log(q)))) for text, p, q in pieces]
    scores = label_scores(LABELS, label, tokens)
    if scores is not None:
        assert sum(scores.values) == pytest.approx(1.0)
        assert all(-1e-12 <= value <= 1 + 1e-12 for value in scores.values)


def test_without_tokens_or_without_the_label_in_them_there_are_no_scores() -> None:
    assert label_scores(LABELS, "PIN", []) is None
    assert label_scores(LABELS, "PIN", [token("card", 1.0)]) is None
    assert label_scores(LABELS, "refund", [token("refund", 1.0)]) is None
