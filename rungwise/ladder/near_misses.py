"""What solved questions teach: the passages that answer them, and the near misses that a search finds instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rungwise.core.content import Passage
from rungwise.core.dataset import Example
from rungwise.engines.search.index import How, SearchIndex

if TYPE_CHECKING:
    from rungwise.fit.rerank import Judged

DEPTH = 50
"""How far down a search near misses are taken from; what stands lower is easily told apart."""


def judged_rows(rows: Sequence[Example], index: SearchIndex, how: How, *, by_document: bool) -> list[Judged]:
    """The training rows with what a search finds for them.

    `by_document`: the references are ids of documents, and of each the chunk that the search puts first is relevant, other
    chunks of it are nothing. Else they are answers, and the chunks that hold one verbatim are relevant.
    """
    from rungwise.fit.rerank import Judged

    judged = []
    for row, hits in zip(rows, index.search_many([row.text for row in rows], DEPTH, how), strict=True):
        wanted = set(row.references)
        relevant: dict[str, str] = {}
        others = []
        for hit in hits:
            right = hit.document in wanted if by_document else any(one in hit.text for one in row.references)
            if right:
                relevant.setdefault(hit.document, hit.text)
            else:
                others.append(hit.text)
        sources = row.references if by_document else tuple(sorted(relevant))
        judged.append(Judged(row.text, tuple(relevant.values()), tuple(others), sources))
    return judged


def with_passages(rows: Sequence[Example], found: Sequence[Sequence[Passage]]) -> list[Example]:
    """The rows as a reader learns from them: each with a passage that answers, and again, unanswered, with one that does not.

    `found[i]` are what row i would be answered from, best first. A row stays with its own passage, where it has one.
    """
    taught = []
    for row, passages in zip(rows, found, strict=True):
        if row.passage is not None:
            taught.append(row)
            continue
        right = [one for one in passages if any(answer in one.text for answer in row.references)]
        wrong = [one for one in passages if one not in right]
        taught += [replace(row, passage=one.text, group=row.group or row.id) for one in right[:1]]
        taught += [replace(row, passage=one.text, references=(), group=row.group or row.id) for one in wrong[:1]]
    return taught
