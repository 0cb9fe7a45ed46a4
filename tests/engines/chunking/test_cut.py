"""Whatever the text and the way of cutting, chunks are exact, in order, bounded, and miss nothing."""

from __future__ import annotations

import itertools

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rungwise.data.documents import Document
from rungwise.engines.chunking.chunk import METHODS, Chunking, TextChunk
from rungwise.engines.chunking.cut import chunk_document

FAMILY = "👩\u200d👩\u200d👧"
SIGNS = (
    "\n",
    "\n\n",
    "\r\n",
    " ",
    "\t",
    "\u2028",
    "\x1c",
    ". ",
    "# ",
    "## ",
    "```",
    "~~~",
    "| ",
    " | ",
    "- ",
    "1. ",
    "===",
    "---",
    "e\u0301",
)
WORDS = (
    "word",
    "Dr.",
    "العربية",
    "שלום",
    "日本語。",
    "ไทย",
    "한글",
    FAMILY,
    "🇵🇹🇧🇷",
    "👍🏽",
    "\ud83d",
    "\ude00",
    "\x00",
    "\u200b",
    "a" * 70,
)
texts = st.lists(st.one_of(st.sampled_from(SIGNS), st.sampled_from(WORDS), st.text(max_size=5)), max_size=60).map("".join)


@st.composite
def settings_of_chunking(draw: st.DrawFn) -> Chunking:
    size = draw(st.integers(1, 90))
    return Chunking(method=draw(st.sampled_from(METHODS)), size=size, overlap=draw(st.integers(0, size // 2)))


def checked(document: Document, chunking: Chunking, **counts: object) -> tuple[TextChunk, ...]:
    """The chunks of a document, after everything that is promised of them."""
    text = document.text
    chunks = chunk_document(document, chunking, **counts)  # type: ignore[arg-type]
    covered = bytearray(len(text))
    last = (-1, -1)
    for chunk in chunks:
        assert chunk.text == text[chunk.start : chunk.end]
        assert chunk.text.strip()
        assert chunk.start > last[0]
        assert chunk.end > last[1]
        if chunking.method != "tokens":
            assert len(chunk.text) <= chunking.size
        if chunking.overlap == 0:
            assert chunk.start >= last[1]
        last = chunk.start, chunk.end
        covered[chunk.start : chunk.end] = b"\1" * (chunk.end - chunk.start)
        assert chunk.document == document.id
    assert [sign for at, sign in enumerate(text) if not covered[at] and not sign.isspace()] == []
    return chunks


@settings(max_examples=400)
@given(text=texts, chunking=settings_of_chunking(), name=st.sampled_from(("a.md", "a.txt")))
@example(text="1" + " " * 40 + "2", chunking=Chunking(method="tokens", size=1), name="a.md")
@example(text="```\n# no heading\n\n\n", chunking=Chunking(size=5), name="a.md")
def test_chunks_are_exact_ordered_bounded_and_miss_nothing(text: str, chunking: Chunking, name: str) -> None:
    checked(Document(name, text), chunking)


@given(texts=st.lists(texts, min_size=1, max_size=5), chunking=settings_of_chunking())
def test_each_chunk_names_the_page_that_it_begins_on(texts: list[str], chunking: Chunking) -> None:
    pages, at = [], 0
    for own in texts:
        pages.append(at)
        at += len(own) + 2
    document = Document("a.pdf", "\n\n".join(texts), pages=tuple(pages))
    for chunk in checked(document, chunking):
        assert chunk.page is not None
        assert pages[chunk.page - 1] <= chunk.start
        assert chunk.page == len(pages) or chunk.start < pages[chunk.page] or pages[chunk.page] == pages[chunk.page - 1]
        if chunking.method == "pages" and chunk.page < len(pages):
            assert chunk.end <= pages[chunk.page]


@given(text=texts, chunking=settings_of_chunking())
def test_a_parent_holds_its_chunk_and_parents_do_not_overlap(text: str, chunking: Chunking) -> None:
    chunking = Chunking(method="hierarchy", size=chunking.size, overlap=0)
    parents = [chunk.parent for chunk in checked(Document("a.md", text), chunking)]
    for chunk, parent in zip(chunk_document(Document("a.md", text), chunking), parents, strict=True):
        assert parent is not None
        assert parent[0] <= chunk.start < chunk.end <= parent[1]
        assert parent[1] - parent[0] <= chunking.parent_size
    distinct = list(dict.fromkeys(parents))
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(distinct))  # type: ignore[index]
