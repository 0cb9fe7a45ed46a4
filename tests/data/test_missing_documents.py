"""Rows and documents that cannot meet: relevant documents that are not there, ids that cannot be told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rungwise.core.errors import UsageError
from rungwise.core.usecase import UseCase
from rungwise.data.documents import read_documents
from rungwise.data.importing import Imported, read_dataset

SEARCH = UseCase(name="s", task="search", documents="docs")


def imported(folder: Path, named: list[list[str]]) -> Imported:
    (folder / "docs").mkdir()
    for number in range(10):
        (folder / "docs" / f"{number}.md").write_text(f"Page {number}.", encoding="utf-8")
    table = [{"query": f"where is thing {place}?", "relevant": ids} for place, ids in enumerate(named)]
    (folder / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table), encoding="utf-8")
    return read_dataset(folder / "q.jsonl", SEARCH, documents=folder / "docs")


def test_relevant_documents_that_are_not_there_are_told_with_what_may_be_meant(tmp_path: Path) -> None:
    found = imported(tmp_path, [[f"{place % 10}.md", *(["7.mdx"] if place < 3 else [])] for place in range(40)])
    (told,) = [warning for warning in found.report.warnings if "not among the documents" in warning]
    assert "1 relevant document is not among the documents, in 3 rows" in told
    assert "Is '7.mdx' meant to be '7.md'?" in told


def test_rows_whose_relevant_documents_are_all_missing_are_no_test(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none of the relevant documents is among the documents: 0, 1, .* ids such as '0.md'"):
        imported(tmp_path, [[str(place % 10)] for place in range(40)])


def test_where_all_are_there_nothing_is_said(tmp_path: Path) -> None:
    found = imported(tmp_path, [[f"{place % 10}.md"] for place in range(40)])
    assert not any("among the documents" in warning for warning in found.report.warnings)


def test_an_id_with_a_line_break_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a\nb.md").write_text("Text.", encoding="utf-8")
    (tmp_path / "docs" / "c.md").write_text("Text.", encoding="utf-8")
    (tmp_path / "t.jsonl").write_text('{"id": "x\\ny", "text": "one"}\n{"id": "z", "text": "two"}\n', encoding="utf-8")
    for source, kept, code in (("docs", "c.md", "refused:name"), ("t.jsonl", "z", "malformed:no_id")):
        found = read_documents(tmp_path / source)
        assert [one.id for one in found.documents] == [kept]
        assert [one.code for one in found.quarantine] == [code]
        assert "a line break" in found.quarantine[0].reason
