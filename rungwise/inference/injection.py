"""Found passages in which sentences that talk to the model are left out, or shown to it as flagged data."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from rungwise.core.content import Chunk, Passage, Request
from rungwise.core.types import Responder
from rungwise.engines.injection import STRICT, find_instructions
from rungwise.inference.wrappers import Search

_FLAG_TAG = re.compile(r"<(/?)(flagged)\b", re.IGNORECASE)


def without_instructions(search: Search, *, kinds: tuple[str, ...] = STRICT) -> Search:
    """Wrap `search` so that sentences that talk to the model are cut out of what it finds.

    What stands around them becomes passages of its own, with exact offsets, in the place and with the score of the whole; there may
    so be more than k.
    """

    async def search_and_clean(query: str, k: int) -> Sequence[Passage]:
        return tuple(piece for passage in await search(query, k) for piece in cleaned(passage, kinds=kinds))

    return search_and_clean


def with_clean_passages(answer: Responder, *, kinds: tuple[str, ...] = STRICT) -> Responder:
    """Wrap `answer` so that sentences that talk to the model are cut out of the passages that it answers from. See `cleaned`.

    For passages that come with the question; what a search finds is cleaned by `without_instructions`.
    """

    async def answer_from_clean_passages(request: Request) -> AsyncIterator[Chunk]:
        pieces = tuple(piece for passage in request.passages for piece in cleaned(passage, kinds=kinds))
        async for chunk in answer(replace(request, passages=pieces)):
            yield chunk

    return answer_from_clean_passages


def cleaned(passage: Passage, *, kinds: tuple[str, ...] = STRICT) -> tuple[Passage, ...]:
    """The pieces of a passage between the sentences that talk to the model; the passage itself where there is none."""
    marked = find_instructions(passage.text, kinds=kinds)
    if not marked:
        return (passage,)
    borders = [0, *(border for one in marked for border in (one.start, one.end)), len(passage.text)]
    pieces = []
    for start, end in zip(borders[::2], borders[1::2], strict=True):
        text = passage.text[start:end]
        kept = text.strip()
        if kept:
            begin = passage.start + start + text.index(kept)
            pieces.append(replace(passage, text=kept, start=begin, end=begin + len(kept)))
    return tuple(pieces)


def with_flags(answer: Responder, *, kinds: tuple[str, ...] = STRICT) -> Responder:
    """Wrap a language model so that sentences that talk to it stand between <flagged> tags in the passages that it is shown.

    Only it sees them so: around it, `with_grounding` verifies against the text as it is.
    """

    async def answer_with_flags(request: Request) -> AsyncIterator[Chunk]:
        async for chunk in answer(replace(request, passages=tuple(flagged(one, kinds=kinds) for one in request.passages))):
            yield chunk

    return answer_with_flags


def flagged(passage: Passage, *, kinds: tuple[str, ...] = STRICT) -> Passage:
    """The passage with its instructions between tags; such a tag that stands in the text is broken."""
    pieces, at = [], 0
    for one in find_instructions(passage.text, kinds=kinds):
        pieces += [
            _shut(passage.text[at : one.start]),
            f'<flagged kind="{one.kind}">{_shut(passage.text[one.start : one.end])}</flagged>',
        ]
        at = one.end
    return replace(passage, text="".join((*pieces, _shut(passage.text[at:]))))


def _shut(text: str) -> str:
    return _FLAG_TAG.sub(r"<\1 \2", text)
