"""Folders of documents and their sections."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.content import Passage
from rungwise.core.errors import BadData
from rungwise.data.documents import Document, read_documents, split_sections

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


def test_sections_follow_headings_and_carry_the_way_to_them() -> None:
    sections = split_sections(Document("a.md", PAGE))
    assert [section.headings for section in sections] == [("Delivery",), ("Delivery", "Costs"), ("Returns",)]
    assert sections[0].text == "We deliver on working days.\nSaturdays do not count.\n\nParcels wait 7 days."
    assert sections[1].text.endswith("# not a heading\n\nfree = total >= 49\n```")
    assert all(PAGE[section.start : section.end] == section.text for section in sections)
    assert sections[2].passage == Passage("Send it back.", "a.md", sections[2].start, sections[2].end)


def test_paragraphs_part_where_they_would_be_too_long_together() -> None:
    sections = split_sections(Document("a.md", PAGE), cap=60)
    assert [section.text for section in sections[:2]] == [
        "We deliver on working days.\nSaturdays do not count.",
        "Parcels wait 7 days.",
    ]


def test_a_long_paragraph_is_cut_at_the_end_of_a_sentence_else_at_a_space_else_at_the_cap() -> None:
    sections = split_sections(Document("a.txt", "One two three. Four five six seven eight. " + "x" * 50), cap=30)
    assert [section.text for section in sections] == ["One two three.", "Four five six seven eight.", "x" * 30, "x" * 20]


def test_text_files_have_no_headings() -> None:
    assert [section.text for section in split_sections(Document("a.txt", "# one\n\ntwo"))] == ["# one\n\ntwo"]


@given(text=st.text(alphabet="ab .#\n`\t-ü", max_size=200), cap=st.integers(5, 60))
def test_sections_are_exact_ordered_bounded_and_miss_nothing_but_headings(text: str, cap: int) -> None:
    sections = split_sections(Document("a.txt", text), cap=cap)
    kept, last = [], 0
    for section in sections:
        assert section.text == text[section.start : section.end] == section.text.strip()
        assert 0 < len(section.text) <= cap
        assert section.start >= last
        last = section.end
        kept.append(section.text)
    assert re.sub(r"\s", "", "".join(kept)) == re.sub(r"\s", "", text)


def test_a_folder_is_read_in_order_and_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.md").write_text("x", encoding="utf-8")
    (tmp_path / "sub" / "b.txt").write_bytes(b"\xef\xbb\xbfsecond\r\nline")
    (tmp_path / "a.md").write_text("first", encoding="utf-8")
    (tmp_path / "bad.md").write_bytes(b"ok\n\xff")
    (tmp_path / "empty.md").write_text("\n", encoding="utf-8")
    (tmp_path / "page.html").write_text("<p>", encoding="utf-8")
    found = read_documents(tmp_path)
    assert [(document.id, document.text) for document in found.documents] == [("a.md", "first"), ("sub/b.txt", "second\nline")]
    assert [bad.place for bad in found.quarantine] == ["bad.md", "empty.md", "page.html"]
    assert "bad.md:2: byte 3" in found.quarantine[0].reason
    assert [bad.code for bad in found.quarantine] == ["malformed:encoding", "malformed:no_text", "unsupported:format"]
    assert read_documents(tmp_path).id == found.id


def test_a_folder_without_documents_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="no such folder"):
        read_documents(tmp_path / "none")
    with pytest.raises(BadData, match="no document could be read"):
        read_documents(tmp_path)
