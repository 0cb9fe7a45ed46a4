"""Rows out of files: what is read, what is set aside, and what is refused."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.errors import BadData, MissingExtra, UsageError
from rungwise.data.lines import CELL_CAP
from rungwise.data.readers import Read, cell_text, read_rows

Rows = list[tuple[str, dict[str, object]]]


def rows_of(path: Path, content: bytes | str, *, encoding: str | None = None) -> tuple[Rows, Read]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    read = read_rows(path, encoding=encoding)
    return list(read.rows), read


def test_a_csv_row_carries_the_line_it_begins_on(tmp_path: Path) -> None:
    rows, read = rows_of(tmp_path / "a.csv", 'text,label\nhi,greet\n"two\nlines, one cell",x\nbye,leave\n')
    assert rows == [
        ("a.csv:2", {"text": "hi", "label": "greet"}),
        ("a.csv:3", {"text": "two\nlines, one cell", "label": "x"}),
        ("a.csv:5", {"text": "bye", "label": "leave"}),
    ]
    assert read.columns == ["text", "label"]
    assert read.quarantine == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "text,label\r\nhi,greet\r\n"),
        ("a.csv", "text,label\rhi,greet\r"),
        ("a.csv", "text;label\nhi;greet"),
        ("a.tsv", "text\tlabel\nhi\tgreet\n"),
        ("a.csv", "\n\ntext,label\n\nhi,greet\n\n"),
        ("a.jsonl", '{"text": "hi", "label": "greet"}\n\n'),
        ("a.csv", b"\xef\xbb\xbftext,label\nhi,greet\n"),
        ("a.csv", "\ufefftext,label\nhi,greet\n".encode("utf-16-le")),
        ("a.csv", "\ufefftext,label\nhi,greet\n".encode("utf-16-be")),
        ("a.csv.gz", gzip.compress(b"text,label\nhi,greet\n")),
        ("a.jsonl.gz", gzip.compress(b'{"text": "hi", "label": "greet"}')),
        ("a.csv", gzip.compress(b"text,label\nhi,greet\n")),
    ],
)
def test_formats_newlines_and_byte_order_marks_give_the_same_row(tmp_path: Path, name: str, content: bytes | str) -> None:
    rows, read = rows_of(tmp_path / name, content)
    assert [row for _, row in rows] == [{"text": "hi", "label": "greet"}]
    assert read.quarantine == []


def test_ragged_rows_are_set_aside_with_their_line(tmp_path: Path) -> None:
    rows, read = rows_of(tmp_path / "a.csv", "text,label\na,b\nonly\nx,y,z\nc,d\n")
    assert [place for place, _ in rows] == ["a.csv:2", "a.csv:5"]
    assert [(bad.place, bad.reason) for bad in read.quarantine] == [
        ("a.csv:3", "1 cell where the header has 2"),
        ("a.csv:4", "3 cells where the header has 2"),
    ]


def test_an_unclosed_quote_costs_its_own_row_and_not_the_rest_of_the_file(tmp_path: Path) -> None:
    rows, read = rows_of(tmp_path / "a.csv", 'text,label\n"never closed,x\na,b\nc,d\n"good ""one""",e\n')
    assert [row["label"] for _, row in rows] == ["b", "d", "e"]
    assert [bad.place for bad in read.quarantine] == ["a.csv:2"]
    assert "quotes do not match" in read.quarantine[0].reason


def test_two_unclosed_quotes_cost_two_rows(tmp_path: Path) -> None:
    rows, read = rows_of(tmp_path / "a.csv", 'text,label\n"one,x\na,b\nsay "two,x\nc,d\n')
    assert [row["label"] for _, row in rows] == ["b", "d"]
    assert [bad.place for bad in read.quarantine] == ["a.csv:2", "a.csv:4"]


def test_a_cell_of_many_lines_with_a_stray_quote_is_set_aside_whole(tmp_path: Path) -> None:
    content = 'text,label\n"dear sir\nmy order ""7""\nis late\nso "late now\nbye",late\na,b\n'
    rows, read = rows_of(tmp_path / "a.csv", content)
    assert [row for _, row in rows] == [{"text": "a", "label": "b"}]
    assert read.quarantine[0].place == "a.csv:2-5"


@given(
    table=st.lists(
        st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1) for _ in range(2)]), min_size=1
    )
)
def test_whatever_the_csv_module_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, str]]
) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([("text", "label"), *table])
    rows, read = rows_of(tmp_path_factory.mktemp("t") / "a.csv", out.getvalue())
    assert [(row["text"], row["label"]) for _, row in rows] == table
    assert read.quarantine == []


@given(content=st.binary(max_size=300))
def test_random_bytes_give_rows_or_a_clear_refusal_and_lose_no_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("t") / "a.jsonl"
    path.write_bytes(content)
    try:
        read = read_rows(path)
        count = sum(1 for _ in read.rows)
    except BadData:
        return
    text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    newline = "\n" if "\n" in text or "\r" not in text[:-1] else "\r"
    assert count + len(read.quarantine) == sum(1 for line in text.split(newline) if line.strip())


@pytest.mark.parametrize("line", ["{not json", "[1]", "3", "null", "[" * 100_000, '{"a": ' + "1" * 5000 + "}"])
def test_one_bad_jsonl_line_is_set_aside_and_the_others_stay(tmp_path: Path, line: str) -> None:
    rows, read = rows_of(tmp_path / "a.jsonl", '{"a": "x"}\n' + line + '\n{"b": null}\n')
    assert rows == [("a.jsonl:1", {"a": "x"}), ("a.jsonl:3", {"b": None})]
    assert [bad.place for bad in read.quarantine] == ["a.jsonl:2"]
    assert read.columns == ["a", "b"]


def test_nul_bytes_set_a_row_aside(tmp_path: Path) -> None:
    _, read = rows_of(tmp_path / "a.csv", b"text,label\ngo\0od,b\n")
    assert [(bad.place, bad.reason) for bad in read.quarantine] == [("a.csv:2", "a NUL byte in column 'text'")]
    _, read = rows_of(tmp_path / "a.jsonl", '{"text": "go\\u0000od"}\n')
    assert read.quarantine[0].reason == "a NUL byte in column 'text'"


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_cell_of_ten_megabytes_is_read_and_one_beyond_the_cap_is_set_aside(tmp_path: Path, name: str) -> None:
    def content(size: int) -> str:
        cell = "x" * size
        quoted = '"' + cell + '",big\n' if size % 2 else cell + ",big\n"
        return "text,label\n" + quoted if name.endswith("csv") else json.dumps({"text": cell, "label": "big"}) + "\n"

    for size in (10_000_000, 10_000_001):
        rows, read = rows_of(tmp_path / name, content(size))
        assert len(str(rows[0][1]["text"])) == size
    rows, read = rows_of(tmp_path / name, content(CELL_CAP + 1) + content(2).splitlines()[-1])
    assert len(rows) == 1
    assert "16,777,217 characters; the limit is 16,777,216" in read.quarantine[0].reason


def test_a_row_beyond_what_is_held_in_memory_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rungwise.data.lines.ROW_CAP", 1 << 19)  # the real one is 64 Mi characters
    rows, read = rows_of(tmp_path / "a.csv", "text,label\na,b\n" + "x" * (1 << 20) + ",y\nc,d\n")
    assert [place for place, _ in rows] == ["a.csv:2", "a.csv:4"]
    assert read.quarantine[0].place == "a.csv:3"


def test_another_encoding_is_refused_naming_line_and_byte_and_the_way_to_convert(tmp_path: Path) -> None:
    content = "text,label\nfine é,a\n".encode() + "caf\xe9,b\n".encode("latin-1")
    with pytest.raises(BadData, match=r"^a\.csv:3: byte 24 \(0xe9\) is not UTF-8: .* iconv -f WINDOWS-1252"):
        rows_of(tmp_path / "a.csv", content)
    assert content[24] == 0xE9
    rows, _ = rows_of(tmp_path / "a.csv", "text\ncaf\xe9 au lait\n".encode("latin-1"), encoding="latin-1")
    assert rows[0][1] == {"text": "caf\xe9 au lait"}
    with pytest.raises(UsageError, match="no encoding 'klingon'"):
        rows_of(tmp_path / "a.csv", content, encoding="klingon")


def test_a_bad_byte_far_into_a_file_is_located_exactly(tmp_path: Path) -> None:
    good = "é,a\n" * 200_000  # 1,000,000 bytes: several blocks, with characters over their edges
    with pytest.raises(BadData, match=r"^a\.csv:200002: byte 1000012 \(0xff\)"):
        rows_of(tmp_path / "a.csv", b"text,label\n" + good.encode() + b"x\xff,b\n")


def test_utf_16_without_a_mark_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"iconv -f UTF-16LE"):
        rows_of(tmp_path / "a.csv", "text,label\n".encode("utf-16-le"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv.gz", gzip.compress(b""), "is empty"),
        ("a.csv", b"\n\n", "no header line"),
        ("a.csv", b"text,label,text\n", r"two columns are named 'text' \(columns 1 and 3\)"),
        ("a.csv.gz", gzip.compress(b"text,label\n" + b"hello,world\n" * 9000)[:-20], "ends in the middle"),
        ("a.csv.gz", b"\x1f\x8b" + b"not gzip at all", "damaged"),
        ("a.csv", b"PK\x03\x04 sheet", "an Excel or zip file"),
        ("a.json", b"[]", "jq -c"),
        ("a.docx", b"x", "files that end in '.docx'"),
        ("a.parquet", b"not parquet", "not a readable Parquet file"),
    ],
)
def test_files_that_cannot_be_read_are_refused_with_a_way_out(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(BadData, match=message):
        rows_of(tmp_path / name, content)


def test_a_missing_file_names_the_nearest_and_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").write_text("a\nb\n", encoding="utf-8")
    with pytest.raises(BadData, match=r"Did you mean 'tickets\.csv'"):
        read_rows(tmp_path / "tikets.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(BadData, match="folder"):
        read_rows(tmp_path / "folder.csv")


def test_a_nameless_column_is_called_by_its_number(tmp_path: Path) -> None:
    rows, _ = rows_of(tmp_path / "a.csv", ",text\n0,hi\n")
    assert rows[0][1] == {"column 1": "0", "text": "hi"}


def test_parquet_gives_values_and_their_row_numbers(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"text": ["a", None, "c\0"], "tags": [["x", "y"], [], ["z"]], "n": [1.0, float("nan"), 2.0]})
    parquet.write_table(table, tmp_path / "a.parquet")
    read = read_rows(tmp_path / "a.parquet")
    rows = list(read.rows)
    assert rows[0] == ("a.parquet:1", {"text": "a", "tags": ["x", "y"], "n": 1.0})
    assert rows[1][1]["text"] is None
    assert cell_text(rows[1][1]["n"]) is None
    assert [bad.place for bad in read.quarantine] == ["a.parquet:3"]


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"rungwise\[curation\]"):
        rows_of(tmp_path / "a.parquet", b"PAR1")


def test_blank_cells_are_none_and_words_are_words() -> None:
    blanks = [None, "", "  ", "nan", "NaN", "null", float("nan")]
    assert [cell_text(cell) for cell in blanks] == [None] * len(blanks)
    assert [cell_text(cell) for cell in (" None ", "NA", 3, 3.0, 0.5, True, ["a"])] == [
        "None",
        "NA",
        "3",
        "3",
        "0.5",
        "true",
        '["a"]',
    ]
