"""Where documents are cut by structure, in two sizes and by page, and what leads to each chunk."""

from __future__ import annotations

import pytest

from rungwise.core.content import Passage
from rungwise.core.errors import UnknownName, UsageError
from rungwise.data.documents import Document
from rungwise.engines.chunking.blocks import blocks
from rungwise.engines.chunking.chunk import Chunking, TextChunk
from rungwise.engines.chunking.cut import chunk_document

PAGE = """# Delivery

We deliver on working days.
Saturdays do not count.

Parcels wait 7 days.

## Costs ##

Five dollars.

```
# not a heading

free = total >= 49
```

# Returns

Send it back.
"""


def cut(text: str, size: int = 1000, *, name: str = "a.md", **settings: object) -> tuple[TextChunk, ...]:
    return chunk_document(Document(name, text), Chunking(size=size, **settings))  # type: ignore[arg-type]


def test_chunks_follow_headings_begin_with_them_and_carry_the_way_to_them() -> None:
    chunks = cut(PAGE)
    assert [chunk.headings for chunk in chunks] == [("Delivery",), ("Delivery", "Costs"), ("Returns",)]
    assert chunks[1].text.startswith("## Costs ##\n\nFive")
    assert chunks[1].text.endswith("# not a heading\n\nfree = total >= 49\n```")
    assert chunks[2].passage == Passage("# Returns\n\nSend it back.", "a.md", chunks[2].start, chunks[2].end)


def test_each_heading_is_searched_once() -> None:
    chunks = cut(PAGE, 60)
    assert (
        chunks[0].searched == chunks[0].text == "# Delivery\n\nWe deliver on working days.\nSaturdays do not"[: len(chunks[0].text)]
    )
    assert [chunk.titled for chunk in chunks if chunk.headings == ("Delivery", "Costs")] == [1, 0]
    assert chunks[1].searched == "Delivery\n" + chunks[1].text
    costs = next(chunk for chunk in chunks if chunk.titled == 1 and chunk.headings == ("Delivery", "Costs"))
    assert costs.searched == "Delivery\n## Costs ##\n\nFive dollars."


def test_headings_with_nothing_between_are_of_one_chunk() -> None:
    (chunk, other) = cut("# A\n\n## B\n\ntext\n\n## C\n\n## D")[:2]
    assert (chunk.headings, chunk.titled, chunk.searched) == (("A", "B"), 2, "# A\n\n## B\n\ntext")
    assert (other.headings, other.searched) == (("A", "C"), "A\n## C")


def test_headings_are_underlined_too() -> None:
    chunks = cut("Title\n=====\n\none\n\nSub\n---\ntwo")
    assert [(chunk.headings, chunk.text) for chunk in chunks] == [
        (("Title",), "Title\n=====\n\none"),
        (("Title", "Sub"), "Sub\n---\ntwo"),
    ]
    assert cut("---\ntitle: x\n---\n\ntext")[0].headings == ()


def test_text_files_have_no_headings() -> None:
    assert [(chunk.text, chunk.headings) for chunk in cut("# one\n\ntwo", name="a.txt")] == [("# one\n\ntwo", ())]


def test_paragraphs_part_where_they_would_be_too_long_together() -> None:
    assert [chunk.text for chunk in cut("one two\n\nthree\n\nfour", 14)] == ["one two\n\nthree", "four"]


def test_a_long_paragraph_is_cut_at_a_sentence_else_at_a_space_else_anywhere() -> None:
    text = "One two three. Four five six seven eight. " + "x" * 50
    chunks = cut(text, 30, name="a.txt")
    assert [chunk.text for chunk in chunks] == ["One two three.", "Four five six seven eight.", "x" * 30, "x" * 20]
    assert [chunk.text for chunk in cut("aaa bbb ccc ddd eee", 8)] == ["aaa bbb", "ccc ddd", "eee"]


def test_a_row_of_a_table_is_never_torn() -> None:
    table = "| name | days |\n|---|---|\n" + "\n".join(f"| thing number {i} | {i} |" for i in range(20))
    html = "\n".join(f"thing number {i} | {i} | yes" for i in range(20))
    for text in (table, html):
        chunks = cut(f"# T\n\nBefore it. And more of it.\n{text}\nafter", 80)
        for chunk in chunks:
            lines = [line for line in chunk.text.split("\n") if "|" in line]
            assert all(line in text.split("\n") for line in lines)
        assert len(chunks) > 5


def test_code_between_fences_stays_whole_while_it_fits_else_lines_do() -> None:
    code = "```python\ndef f():\n    return 1\n\n\n# no heading\n```"
    chunks = cut(f"words before it\n\n{code}\n\nwords after it", 60)
    assert code in [chunk.text for chunk in chunks]
    lines = [line for chunk in cut(code, 20) for line in chunk.text.split("\n") if line]
    assert lines == [line for line in code.split("\n") if line]


def test_a_fence_that_is_never_closed_hides_no_heading() -> None:
    assert [chunk.headings for chunk in cut("```\ncode\n\n# A\n\ntext")] == [(), ("A",)]
    assert [chunk.headings for chunk in cut("````\n# x\n```\n# y\n````\n\n# A\n\ntext")] == [(), ("A",)]


def test_a_list_is_cut_between_its_items() -> None:
    text = "- first of all\n  and its second line\n- second\n  - inside\n- third"
    assert [chunk.text for chunk in cut(text, 36)] == ["- first of all\n  and its second line", "- second\n  - inside\n- third"]


def test_neighbours_share_whole_pieces_up_to_the_overlap() -> None:
    chunks = cut("One is. Two is. Three is. Four is. Five is.", 26, method="sentences", overlap=10)
    assert [chunk.text for chunk in chunks] == ["One is. Two is. Three is.", "Three is. Four is.", "Four is. Five is."]


def test_what_a_reader_sees_as_one_character_stays_whole() -> None:
    for sign in ("👩\u200d👩\u200d👧", "🇵🇹", "👍🏽", "e\u0301", "각", "\u1112\u1161\u11ab", "\ud83d\ude00", "नि"):
        for chunk in cut(sign * 40, len(sign) * 3 + len(sign) // 2, name="a.txt"):
            assert chunk.text.strip() in (sign * 3, sign * 2, sign, (sign * 3).strip(), sign.strip())


def test_a_character_longer_than_a_chunk_is_cut_all_the_same() -> None:
    assert [len(chunk.text) for chunk in cut("a" + "\u0301" * 24, 10)] == [10, 10, 5]


@pytest.mark.parametrize("text", ["", " \n\t\u2003\n", "\ufeff"[:0]])
def test_a_blank_document_has_no_chunk(text: str) -> None:
    for method in ("structure", "tokens", "sentences", "hierarchy", "pages"):
        assert cut(text, method=method) == ()


def test_mixed_scripts_and_right_to_left_text_are_cut_at_their_sentences() -> None:
    text = "שלום עולם. זה משפט שני. هذه جملة. 日本語の文です。次の文。 English."
    chunks = cut(text, 24, method="sentences")
    assert [chunk.text for chunk in chunks] == ["שלום עולם. זה משפט שני.", "هذه جملة. 日本語の文です。次の文。", "English."]


def test_small_chunks_carry_the_larger_piece_that_is_read() -> None:
    chunks = cut(PAGE, 50, method="hierarchy", parent=200)
    assert all(chunk.parent == (0, len(PAGE.rstrip())) for chunk in chunks)
    apart = cut(PAGE, 30, method="hierarchy", parent=60)
    for chunk in apart:
        assert chunk.parent is not None
        assert chunk.parent[0] <= chunk.start < chunk.end <= chunk.parent[1] <= chunk.parent[0] + 60
    assert len({chunk.parent for chunk in apart}) > 2


def test_pages_are_chunks_of_their_own_and_long_ones_are_cut() -> None:
    first, second = "Page one. It goes on", "to page two. " + "More words. " * 5
    document = Document("a.pdf", f"{first}\n\n{second}", pages=(0, len(first) + 2))
    chunks = chunk_document(document, Chunking(method="pages", size=40))
    assert [(chunk.page, chunk.text) for chunk in chunks][:2] == [(1, first), (2, "to page two. More words. More words.")]
    assert {chunk.page for chunk in chunks} == {1, 2}


def test_blocks_are_told_by_their_kinds() -> None:
    text = "# H\ntext\n- item\n  goes on\n| a | b |\nafter\n\n```\ncode\n```"
    assert [block.kind for block in blocks(text, markdown=True)] == ["heading", "text", "list", "table", "text", "code"]
    assert [block.kind for block in blocks(text, markdown=False)] == ["text", "text"]


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'sentences'"):
        Chunking(method="sentence")
    for settings in ({"size": 0}, {"size": 10, "overlap": 6}, {"overlap": -1}, {"size": 100, "parent": 50}):
        with pytest.raises(UsageError):
            Chunking(**settings)
    assert Chunking(method="hierarchy").plain() == {"method": "hierarchy", "size": 1000, "overlap": 0, "parent": 4000}
    assert Chunking(method="tokens", size=9).plain()["tokenizer"] == "estimate"


@pytest.mark.parametrize("method", ["structure", "tokens", "sentences", "hierarchy", "pages"])
@pytest.mark.parametrize(
    "text",
    [
        "x" * 100_000,
        "." * 100_000,
        "a\u0301" * 50_000,
        "| a " * 25_000,
        "```x\ny\n" * 15_000,
        "# a\n" * 10_000,
        " \n" * 50_000 + "a",
    ],
    ids=["word", "dots", "marks", "row", "fences", "headings", "space"],
)
def test_texts_made_to_be_slow_are_cut_like_any_other(method: str, text: str) -> None:
    chunks = cut(text, 500, method=method)
    at = 0
    for chunk in chunks:
        assert text[at : chunk.start].strip() == ""
        at = chunk.end
    assert text[at:].strip() == ""
