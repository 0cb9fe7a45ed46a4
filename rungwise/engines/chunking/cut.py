"""Documents become chunks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rungwise.core.errors import UsageError
from rungwise.data.documents import Document
from rungwise.engines.chunking.blocks import Block, blocks, is_markdown
from rungwise.engines.chunking.chunk import Chunking, Span, TextChunk
from rungwise.engines.chunking.hierarchy import hierarchy_spans
from rungwise.engines.chunking.outline import outline
from rungwise.engines.chunking.pages import page_spans
from rungwise.engines.chunking.sentences import sentence_spans
from rungwise.engines.chunking.structure import structure_spans
from rungwise.engines.chunking.tokens import token_spans

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def chunk_document(document: Document, chunking: Chunking, *, tokenizer: Tokenizer | None = None) -> tuple[TextChunk, ...]:
    """The chunks of a document in order; none where it holds nothing but white space.

    Text of a chunk is exactly the document's from `start` to `end`, and not blank. Starts and ends ascend, and every
    character that is not white space is in at least one chunk: lines of headings too, which begin the chunk of what
    stands below them. None is longer than the size, but for the method `tokens` where one character is more tokens. A
    character that a reader sees as one is parted only where it is longer than a chunk by itself.
    `tokenizer` counts the tokens of the method `tokens`. Raises UsageError where that names one and none is handed over.
    """
    text = document.text
    found = list(blocks(text, markdown=is_markdown(document)))
    above = outline(found)
    pages = document.pages
    chunks = []
    for (start, end), parent in _spans(document, found, chunking, tokenizer):
        headings, titled = above.path(text, start, end)
        page = max(1, bisect_right(pages, start)) if pages else None
        chunks.append(TextChunk(document.id, start, end, text[start:end], headings, page, parent, titled))
    return tuple(chunks)


def _spans(
    document: Document, found: list[Block], chunking: Chunking, tokenizer: Tokenizer | None
) -> Iterable[tuple[Span, Span | None]]:
    """The spans of chunks, with those of their parents where they have some."""
    text = document.text
    if chunking.method == "hierarchy":
        return hierarchy_spans(text, found, chunking)
    if chunking.method == "structure":
        return _alone(structure_spans(text, found, chunking))
    if chunking.method == "sentences":
        return _alone(sentence_spans(text, chunking))
    if chunking.method == "pages":
        return _alone(page_spans(text, found, document.pages, chunking))
    if tokenizer is None and chunking.tokenizer:
        raise UsageError(f"the tokens of '{chunking.tokenizer}' cannot be counted without its tokenizer. Load that encoder first")
    return _alone(token_spans(text, chunking, tokenizer))


def _alone(spans: Iterable[Span]) -> Iterator[tuple[Span, None]]:
    return ((span, None) for span in spans)
