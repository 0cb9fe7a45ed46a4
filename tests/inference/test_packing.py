"""Larger pieces around what was found, and as much of them as there is room for: every offset stays exact."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.content import Passage
from rungwise.core.errors import UsageError
from rungwise.inference.packing import packed, with_parents, within_tokens

TEXT = "One two three. Four five six. Seven eight nine ten. Eleven twelve."


def words(text: str) -> int:
    return len(text.split())


def piece(start: int, end: int, *, document: str = "d", text: str = TEXT, version: str = "v", score: float = 0.0) -> Passage:
    return Passage(text[start:end], document, start, end, score, version)


def finding(*passages: Passage):  # type: ignore[no-untyped-def]
    async def search(query: str, k: int) -> Sequence[Passage]:
        return passages[:k]

    return search


async def test_each_passage_is_read_as_its_parent_and_keeps_its_score() -> None:
    search = with_parents(
        finding(piece(4, 7, score=2.0), piece(30, 35, score=1.0)), lambda child: piece(0, 14) if child.start < 14 else None
    )
    assert await search("q", 2) == (piece(0, 14, score=2.0), piece(30, 35, score=1.0))


async def test_parents_that_overlap_become_one_at_the_place_of_the_best() -> None:
    parents = {0: piece(0, 29), 15: piece(15, 51), 60: piece(60, 66)}
    search = with_parents(
        finding(piece(0, 3, score=3.0), piece(60, 62, score=2.0), piece(15, 17, score=1.0)), lambda child: parents[child.start]
    )
    assert await search("q", 3) == (piece(0, 51, score=3.0), piece(60, 66, score=2.0))


async def test_a_parent_that_joins_two_makes_them_one() -> None:
    search = with_parents(finding(piece(0, 14, score=3.0), piece(30, 51, score=2.0), piece(10, 35, score=1.0)), lambda child: child)
    assert await search("q", 3) == (piece(0, 51, score=3.0),)


async def test_pieces_of_another_version_or_document_stay_apart() -> None:
    found = (piece(0, 14), piece(0, 14, version="w"), piece(0, 14, document="e"))
    assert await with_parents(finding(*found), lambda child: child)("q", 3) == found


async def test_when_there_are_enough_parents_later_ones_only_join() -> None:
    found = (piece(0, 14), piece(30, 51), piece(10, 20))
    assert await with_parents(finding(*found), lambda child: child)("q", 1) == (piece(0, 20),)
    assert await with_parents(finding(*found), lambda child: child)("q", 0) == ()


@given(st.text(min_size=1, max_size=60), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8), st.integers(1, 5))
async def test_parents_are_exactly_what_stands_in_the_document_and_never_overlap(
    text: str, spans: list[tuple[int, int]], k: int
) -> None:
    found = [piece(min(span), max(span), text=text) for span in spans if min(span) < max(span) <= len(text)]
    read = await with_parents(finding(*found), lambda child: child)("q", k)
    assert len(read) <= k
    for place, one in enumerate(read):
        assert one.text == text[one.start : one.end]
        assert not any(one.start < other.end and other.start < one.end for other in read[place + 1 :])


async def test_passages_fill_the_budget_best_first_and_one_without_room_is_cut_at_a_sentence() -> None:
    search = within_tokens(finding(piece(0, 14), piece(15, 66), piece(0, 7)), 8, words)
    assert await search("q", 3) == (piece(0, 14), piece(15, 29))


async def test_nothing_comes_after_a_passage_that_had_no_room() -> None:
    assert packed([piece(0, 14), piece(30, 51), piece(52, 66)], 5, words) == (piece(0, 14),)


async def test_of_a_sentence_that_is_longer_than_the_budget_whole_words_stay() -> None:
    assert packed([piece(0, 14)], 2, words) == (piece(0, 7),)


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        within_tokens(finding(), 0, words)


@given(st.lists(st.text(max_size=120), max_size=4), st.integers(1, 60), st.sampled_from([len, words]))
async def test_a_packed_prompt_is_within_its_budget_and_says_what_the_documents_say(texts: list[str], budget: int, count) -> None:  # type: ignore[no-untyped-def]
    passages = [Passage(text, str(number), 7, 7 + len(text)) for number, text in enumerate(texts)]
    kept = packed(passages, budget, count)
    assert sum(count(one.text) for one in kept) <= budget
    for one, whole in zip(kept, passages, strict=False):
        assert (one.document, one.start) == (whole.document, 7)
        assert whole.text[: one.end - 7] == one.text
    if sum(count(text) for text in texts) <= budget:
        assert list(kept) == passages
