"""What of the found passages is read: the larger pieces around them, as much as a prompt has room for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace

from rungwise.core.content import Passage
from rungwise.core.errors import UsageError
from rungwise.engines.sentences import split_sentences
from rungwise.inference.wrappers import Search

FAN = 3
"""How many small passages are looked for, for each parent that is wanted."""


def with_parents(search: Search, parent_of: Callable[[Passage], Passage | None], *, fan: int = FAN) -> Search:
    """Wrap `search` so that for each passage the larger one that holds it is read; without a parent it stays itself.

    `parent_of` gives a passage of the same document with exact offsets. Parents that overlap in one version of a document
    become one passage. A parent has the score and the place of the best passage in it. There may be fewer than k.
    """

    async def search_parents(query: str, k: int) -> Sequence[Passage]:
        if k < 1:
            return ()
        read: list[Passage] = []
        for passage in await search(query, k * max(1, fan)):
            parent = parent_of(passage)
            grown = _added(read, replace(parent, score=passage.score) if parent is not None else passage)
            if len(grown) <= k:  # a later one may still join a parent that stands
                read = grown
        return tuple(read)

    return search_parents


def _added(read: Sequence[Passage], new: Passage) -> list[Passage]:
    """The passages with one more; those that it overlaps and it are one, at the place of the first."""
    touching = [place for place, old in enumerate(read) if _overlap(old, new)]
    if not touching:
        return [*read, new]
    whole = _union(read[touching[0]], new)  # what else it overlaps, it overlaps at the new one
    for place in touching[1:]:
        whole = _union(whole, read[place])
    kept = [passage for place, passage in enumerate(read) if place not in touching[1:]]
    kept[touching[0]] = whole
    return kept


def _overlap(one: Passage, other: Passage) -> bool:
    if (one.document, one.version) != (other.document, other.version):
        return False
    if not one.document:  # given with the question, at no place of any document
        return one.text == other.text
    return one.start < other.end and other.start < one.end


def _union(one: Passage, other: Passage) -> Passage:
    """Two that overlap as one; the score is that of the better."""
    first, second = (one, other) if (one.start, -one.end) <= (other.start, -other.end) else (other, one)
    text = first.text if second.end <= first.end else first.text + second.text[first.end - second.start :]
    return replace(first, text=text, end=max(first.end, second.end), score=max(one.score, other.score))


def within_tokens(search: Search, budget: int, count: Callable[[str], int]) -> Search:
    """Wrap `search` so that its passages have at most `budget` tokens together, as `count` counts each: the best ones first.

    The first that has no room is cut at the end of a sentence, or left out where not even one fits, and none comes after it.
    When not even a sentence of the best one fits, it is cut between words. Offsets stay exact.
    """
    if budget < 1:
        raise UsageError(f"a budget is a number of tokens, at least 1, not {budget}")

    async def search_and_pack(query: str, k: int) -> Sequence[Passage]:
        return packed(await search(query, k), budget, count)

    return search_and_pack


def packed(passages: Sequence[Passage], budget: int, count: Callable[[str], int]) -> tuple[Passage, ...]:
    """As many of the passages, in their order, as have room. See `within_tokens`."""
    kept: list[Passage] = []
    left = budget
    for passage in passages:
        if (size := count(passage.text)) <= left:
            kept.append(passage)
            left -= size
            continue
        sentences = [end for _, end in split_sentences(passage.text)]
        part = _cut(passage, sentences, left, count)
        if part is None and not kept:
            words = [place for place, letter in enumerate(passage.text) if letter.isspace()]
            part = _cut(passage, words, left, count)
        return (*kept, part) if part is not None else tuple(kept)
    return tuple(kept)


def _cut(passage: Passage, ends: Sequence[int], room: int, count: Callable[[str], int]) -> Passage | None:
    """The passage up to the last of the ascending `ends` that has room; None when none has."""
    best = bisect_right(ends, room, key=lambda end: count(passage.text[:end]))
    while best and count(passage.text[: ends[best - 1]]) > room:  # tokens of a longer text may be fewer
        best -= 1
    text = passage.text[: ends[best - 1]].rstrip() if best else ""
    return replace(passage, text=text, end=passage.start + len(text)) if text else None
