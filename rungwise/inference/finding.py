"""Answers that are documents: what a search finds, each document once, best first."""

from __future__ import annotations

from collections.abc import AsyncIterator

from rungwise.core.content import Chunk, Passage, Request, Text, Usage
from rungwise.core.types import Responder
from rungwise.inference.wrappers import Search

DOCUMENTS = 10
FAN = 4
"""How many passages are looked for, for each document that is wanted: several may lie in one."""


def finding(search: Search, *, count: int = DOCUMENTS) -> Responder:
    """Answers with the ids of `count` documents, one a line, best first; each comes with its best passage."""

    async def answer(request: Request) -> AsyncIterator[Chunk]:
        first: dict[str, Passage] = {}
        for passage in await search(request.text, FAN * count):
            first.setdefault(passage.document, passage)
        best = tuple(first.values())[:count]
        text = "\n".join(passage.document for passage in best)
        yield Chunk(parts=(Text(text),) if text else (), passages=best, usage=Usage(), model="search", finish="stop")

    return answer
