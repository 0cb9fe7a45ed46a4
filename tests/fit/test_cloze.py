"""Questions that a text asks about itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rungwise.fit.cloze import clozes

TEXT = (
    "The tower of Belmora was built in 1432 by the architect Lena Varga. It is 47 metres high and has two bells. "
    "Visitors may climb it between March and October."
)


def test_names_and_numbers_are_asked_for_and_stand_in_the_passage() -> None:
    rows = [row for seed in range(9) for row in clozes([TEXT], limit=50, seed=seed)]
    answers = {row.label for row in rows if row.references}
    assert {"1432", "47", "Belmora", "Lena Varga", "October"} <= answers
    for row in rows:
        assert row.text.endswith("?")
        assert row.passage is not None
        assert all(reference in row.passage for reference in row.references)


def test_an_unanswered_question_is_asked_of_the_text_without_the_sentence() -> None:
    rows = [row for seed in range(20) for row in clozes([TEXT], limit=50, seed=seed) if not row.references]
    assert rows
    assert all(row.passage is not None and len(row.passage) < len(TEXT) for row in rows)


def test_the_limit_holds_and_equal_seeds_ask_equal_questions() -> None:
    assert len(clozes([TEXT], limit=2)) == 2
    assert clozes([TEXT], limit=9, seed=3) == clozes([TEXT], limit=9, seed=3)


@given(st.lists(st.text(max_size=200), max_size=5))
def test_any_text_may_be_asked_about(texts: list[str]) -> None:
    for row in clozes(texts, limit=100):
        assert row.passage is not None
        assert all(reference and reference in row.passage for reference in row.references)
