"""What solved questions teach: the passages that answer them, and the near misses that a search finds instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rungwise.core.content import Passage
from rungwise.core.dataset import Example
from rungwise.engines.search.index import How, SearchIndex

if TYPE_CHECKING:
    from rungwise.fit.rank_features import Found
    from rungwise.fit.rerank import Judged

DEPTH = 50
"""How far down a search near misses are taken from; what stands lower is easily told apart."""


def found_rows(rows: Sequence[Example], index: SearchIndex, how: How, *, by_document: bool) -> list[Found]:
    """The training rows with what a search finds for them, and what of it is relevant.

    `by_document`: the references are ids of documents, and their chunks are relevant. Else they are answers, and the chunks
    that hold one verbatim are.
    """
    from rungwise.fit.rank_features import Found

    found = []
    for row, hits in zip(rows, index.search_many([row.text for row in rows], DEPTH, how), strict=True):
        wanted = set(row.references)
        if by_document:
            relevant = tuple(hit.document in wanted for hit in hits)
        else:
            relevant = tuple(any(one in hit.text for one in row.references) for hit in hits)
        held = {hit.document for hit, right in zip(hits, relevant, strict=True) if right}
        found.append(Found(row.text, hits, relevant, row.references if by_document else tuple(sorted(held))))
    return found


def judged(found: Sequence[Found]) -> list[Judged]:
    """The same for a reranker that reads: of each relevant document the passage that the search puts first."""
    from rungwise.fit.rerank import Judged

    rows = []
    for one in found:
        pairs = list(zip(one.passages, one.relevant, strict=True))
        first: dict[str, str] = {}
        for passage, right in pairs:
            if right:
                first.setdefault(passage.document, passage.text)
        others = tuple(passage.text for passage, right in pairs if not right)
        rows.append(Judged(one.query, tuple(first.values()), others, one.sources))
    return rows


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
