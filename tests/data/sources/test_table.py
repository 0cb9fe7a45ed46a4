"""A table as a source: damage ends it with one entry, and the rows before it stand."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rungwise.core.errors import BadData
from rungwise.data.lines import Unpacking
from rungwise.data.readers import Quarantined, Read
from rungwise.data.sources import Piece
from rungwise.data.sources.options import Limits, Options
from rungwise.data.sources.table import open_table

Cells = list[dict[str, object]]


def taken(path: Path, content: bytes | str | None = None, **options: object) -> tuple[Cells, Read]:
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    source = open_table(str(path), Options(**options))  # type: ignore[arg-type]
    (piece,) = source.pieces()
    assert isinstance(piece, Piece)
    read = source.read(piece)
    return [cells for _, cells in read.rows], read


def only(read: Read) -> Quarantined:
    (bad,) = read.quarantine
    return bad


def test_a_table_is_one_piece_named_by_its_file_whose_fingerprint_is_that_of_its_bytes_and_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text\nhi\n", encoding="utf-8")
    (piece,) = open_table(str(path), Options()).pieces()
    (same,) = open_table(str(path), Options()).pieces()
    (other,) = open_table(str(path), Options(encoding="latin-1")).pieces()
    assert isinstance(piece, Piece)
    assert isinstance(other, Piece)
    assert piece == same
    assert piece.name == "a.csv"
    assert piece.fingerprint != other.fingerprint
    assert open_table(str(path), Options()).location == str(path)


def test_a_missing_file_is_refused_and_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").write_text("a\nb\n", encoding="utf-8")
    with pytest.raises(BadData, match=r"Did you mean 'tickets\.csv'"):
        open_table(str(tmp_path / "tikets.csv"), Options())


def test_a_truncated_gzip_keeps_the_rows_before_and_never_half_a_row(tmp_path: Path) -> None:
    rows = [f"row {os.urandom(8).hex()} of many,label {i}" for i in range(3000)]
    packed = gzip.compress("\n".join(["text,label", *rows]).encode())
    cells, read = taken(tmp_path / "a.csv.gz", packed[: len(packed) // 2])
    assert 500 < len(cells) < 2500
    assert [f"{row['text']},{row['label']}" for row in cells] == rows[: len(cells)]
    bad = only(read)
    assert (bad.code, bad.place) == ("malformed:truncated", f"a.csv.gz:{len(cells) + 2}")
    assert rows[len(cells)].startswith(bad.raw)
    assert "ends in the middle" in bad.reason


def test_a_damaged_gzip_keeps_what_came_before_the_damage(tmp_path: Path) -> None:
    rows = [json.dumps({"text": os.urandom(16).hex()}) for _ in range(20_000)]
    packed = bytearray(gzip.compress("\n".join(rows).encode()))
    packed[len(packed) * 3 // 4] ^= 0xFF
    cells, read = taken(tmp_path / "a.jsonl.gz", bytes(packed))
    assert read.quarantine[-1].code == "malformed:gzip"
    good = sum(json.dumps(row) == line for row, line in zip(cells, rows, strict=False))
    assert good > 10_000


def test_bytes_of_another_encoding_cost_their_row_and_are_shown(tmp_path: Path) -> None:
    content = "text,label\nfine é,a\n".encode() + "caf\xe9,b\n".encode("latin-1") + b"more,c\n"
    cells, read = taken(tmp_path / "a.csv", content)
    assert cells == [{"text": "fine é", "label": "a"}, {"text": "more", "label": "c"}]
    assert only(read) == Quarantined("a.csv:3", only(read).reason, "malformed:encoding", "caf\\xe9,b")
    assert "iconv" in only(read).reason
    assert len(taken(tmp_path / "a.csv", None, encoding="latin-1")[0]) == 3


def test_damage_within_a_quoted_cell_is_placed_where_the_cell_begins(tmp_path: Path) -> None:
    cells, read = taken(tmp_path / "a.csv", b'text,label\na,b\n"one\ntwo \xff\nthree",c\n')
    assert cells == [{"text": "a", "label": "b"}]
    assert (only(read).place, only(read).raw) == ("a.csv:3", '"one')


def test_a_million_good_lines_do_not_suffer_from_one_bad_byte(tmp_path: Path) -> None:
    content = b"".join(b'{"text": "line %d"}\n' % i for i in range(20_000))
    cells, read = taken(tmp_path / "a.jsonl", content.replace(b"line 7777", b"line \xe9777"))
    assert (len(cells), only(read).place, only(read).code) == (19_999, "a.jsonl:7778", "malformed:encoding")


def test_a_header_in_another_encoding_is_refused(tmp_path: Path) -> None:
    cells, read = taken(tmp_path / "a.csv", "caf\xe9,label\na,b\n".encode("latin-1"))
    assert (cells, only(read).place, only(read).code) == ([], "a.csv:1", "malformed:encoding")


@pytest.mark.parametrize("byte_order", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_encodings_are_read_by_their_mark_and_refused_without_one_unless_named(tmp_path: Path, byte_order: str) -> None:
    plain = "text,label\nhé,b\n"
    assert taken(tmp_path / "a.csv", ("\ufeff" + plain).encode(byte_order))[0] == [{"text": "hé", "label": "b"}]
    assert taken(tmp_path / "a.csv", plain.encode(byte_order), encoding=byte_order)[0] == [{"text": "hé", "label": "b"}]
    cells, read = taken(tmp_path / "a.csv", plain.encode(byte_order))
    assert cells == []
    assert read.quarantine


def test_a_lone_surrogate_in_utf_16_ends_the_file_and_in_json_costs_its_row(tmp_path: Path) -> None:
    cells, read = taken(tmp_path / "a.csv", b"\xff\xfe" + "text\nok\nbad ".encode("utf-16-le") + b"\x00\xd8x\x00\n\x00")
    assert (cells, only(read).code, only(read).place) == ([{"text": "ok"}], "malformed:encoding", "a.csv:3")
    cells, read = taken(tmp_path / "a.jsonl", '{"a": "\\ud83d"}\n{"a": "x"}\n')
    assert (cells, only(read).code, only(read).raw) == ([{"a": "x"}], "malformed:surrogate", '{"a": "\\ud83d"}')


@pytest.mark.parametrize(
    ("name", "line", "code"),
    [
        ("a.csv", "one,two,three", "malformed:ragged"),
        ("a.csv", '"never closed,x', "malformed:quotes"),
        ("a.csv", "a\0,b", "malformed:nul"),
        ("a.jsonl", "{not json", "malformed:json"),
        ("a.jsonl", "[1]", "malformed:json"),
        ("a.jsonl", '{"a": ' + "[" * 5000 + "]" * 5000 + "}", "malformed:json"),
        ("a.jsonl", '{"a": ' + "[" * 150 + "]" * 150 + "}", "malformed:deep"),
        ("a.jsonl", '{"a": 1e400}', "malformed:value"),
        ("a.jsonl", '{"a": [-Infinity]}', "malformed:value"),
        ("a.jsonl", '{"a": "\\u0000"}', "malformed:nul"),
    ],
)
def test_a_bad_row_has_a_code_and_is_kept_as_it_was_found(tmp_path: Path, name: str, line: str, code: str) -> None:
    good = ["x,y", "v,w"] if name == "a.csv" else ['{"x": "1"}', '{"x": "2"}']
    cells, read = taken(tmp_path / name, "\n".join([good[0], line, good[1]]) + "\n")
    bad = only(read)
    assert (bad.code, bad.place) == (code, f"{name}:2")
    assert bad.raw == line[:4096] or json.loads(bad.raw, parse_constant=str)
    assert len(cells) == (1 if name == "a.csv" else 2)


def test_nan_is_nothing_and_large_whole_numbers_stay(tmp_path: Path) -> None:
    cells, read = taken(tmp_path / "a.jsonl", '{"a": NaN, "b": 123456789012345678901234567890, "c": [NaN, 1.5]}\n')
    assert cells == [{"a": None, "b": 123456789012345678901234567890, "c": [None, 1.5]}]
    assert read.quarantine == []


@pytest.mark.parametrize("content", ["text,label\r\nhi,greet\r\n", "text,label\rhi,greet\r", "text,label\rhi,greet\n"])
def test_newlines_of_all_systems_end_lines(tmp_path: Path, content: str) -> None:
    assert taken(tmp_path / "a.csv", content)[0] == [{"text": "hi", "label": "greet"}]


def test_an_old_mac_file_that_goes_on_with_other_newlines_is_read_to_the_end(tmp_path: Path) -> None:
    first = "text,label\r" + "".join(f"row {i},a\r" for i in range(60_000))
    cells, read = taken(tmp_path / "a.csv", first + "x,b\ny,c\n")
    assert len(cells) == 60_002
    assert cells[-1] == {"text": "y", "label": "c"}
    assert read.quarantine == []


def test_a_byte_order_mark_in_the_middle_is_no_character_of_a_row(tmp_path: Path) -> None:
    assert taken(tmp_path / "a.csv", "text\na\n\ufeffb\n")[0] == [{"text": "a"}, {"text": "b"}]
    assert taken(tmp_path / "a.jsonl", '{"a": 1}\n\ufeff{"a": 2}\n')[0] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.csv", "text,label,text\na,b,c\n", "malformed:header"),
        ("a.csv", "\n\n", "malformed:header"),
        ("a.csv", 'text,"label\na,b\n', "malformed:header"),
        ("a.csv.gz", gzip.compress(b""), "malformed:empty"),
        ("a.csv", b"PK\x03\x04 sheet", "malformed:format"),
        ("a.csv.gz", b"\x1f\x8b" + b"not gzip at all", "malformed:gzip"),
        ("a.parquet", b"PAR1 not parquet PAR1", "malformed:parquet"),
    ],
)
def test_a_file_that_cannot_be_read_at_all_is_one_entry(tmp_path: Path, name: str, content: bytes | str, code: str) -> None:
    cells, read = taken(tmp_path / name, content)
    assert (cells, only(read).code) == ([], code)


def test_a_hundred_thousand_columns_are_read_and_twins_among_them_are_found(tmp_path: Path) -> None:
    names = ",".join(f"c{i}" for i in range(100_000))
    values = ",".join("1" for _ in range(100_000))
    cells, _ = taken(tmp_path / "a.csv", f"{names}\n{values}\n")
    assert len(cells[0]) == 100_000
    _, read = taken(tmp_path / "a.csv", f"{names},c77\n{values},1\n")
    assert "two columns are named 'c77' (columns 78 and 100001)" in only(read).reason


def test_a_gzip_bomb_is_left_and_may_be_let_through(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    with gzip.open(path, "wb") as out:
        out.write(b"text,label\n" + b"a,b\n" * 300_000)
    small = Limits(unpacking=Unpacking(ratio=200, after_bytes=1 << 18))
    cells, read = taken(path, None, limits=small)
    assert only(read).code == "malformed:bomb"
    assert 50_000 < len(cells) < 200_000
    _, read = taken(path, None, limits=Limits(unpacking=Unpacking(total_bytes=500_000)))
    assert "more than 500,000 bytes" in only(read).reason
    cells, read = taken(path)
    assert (len(cells), read.quarantine) == (300_000, [])  # no small file is a bomb


MEASURE = """
import resource, sys
from pathlib import Path
from rungwise.data.lines import Unpacking
from rungwise.data.sources.options import Limits, Options
from rungwise.data.sources.table import open_table
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
source = open_table(sys.argv[1], Options(limits=Limits(unpacking=Unpacking(ratio=10_000))))
read = source.read(next(iter(source.pieces())))
rows = sum(1 for _ in read.rows)
peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
print(rows, ",".join(bad.code for bad in read.quarantine) or "-", peak)
"""


def measured(path: Path) -> tuple[int, str, int]:
    """Rows, codes and MiB of memory that reading took, in a process of its own."""
    found = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True, timeout=280)
    rows, codes, mib = found.stdout.split()
    return int(rows), codes, int(mib)


@pytest.mark.slow
@pytest.mark.parametrize("before", [b"text,label\na,b\n", b'text,label\na,b\n"'])
def test_two_gigabytes_in_one_line_or_one_cell_are_passed_over_in_bounded_memory(tmp_path: Path, before: bytes) -> None:
    path = tmp_path / "a.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as out:
        out.write(before)
        block = b"x" * (1 << 20) if b'"' not in before else (b"x" * 127 + b"\n") * (1 << 13)
        for _ in range(2048):
            out.write(block)
        out.write(b'",big\nc,d\n' if b'"' in before else b",big\nc,d\n")
    rows, codes, mib = measured(path)
    assert rows >= 1
    assert codes.startswith(("malformed:too_long", "malformed:quotes"))
    assert mib < 700


def test_a_line_and_a_cell_of_three_hundred_megabytes_take_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("wb") as out:
        out.write(b"text,label\na,b\n")
        out.seek(300 * 2**20, os.SEEK_CUR)  # sparse: a line of NULs
        out.write(b"\nc,d\n")
    rows, codes, mib = measured(path)
    assert (rows, codes) == (2, "malformed:too_long")
    assert mib < 300


@pytest.mark.parametrize(("name", "bad"), [("a.csv", "one\n"), ("a.jsonl", "{\n")])
def test_a_file_that_is_mostly_unreadable_is_given_up_and_one_with_many_bad_rows_is_not(
    tmp_path: Path, name: str, bad: str
) -> None:
    good = "a,b\n" if name == "a.csv" else '{"text": "a"}\n'
    head = "text,label\n" if name == "a.csv" else ""
    cells, read = taken(tmp_path / name, head + good * 5_000 + bad * 100_000)
    assert (len(cells), len(read.quarantine), read.quarantine[-1].code) == (5_000, 10_001, "malformed:mostly")
    cells, read = taken(tmp_path / name, head + (good + good + bad) * 11_000)
    assert (len(cells), len(read.quarantine)) == (22_000, 11_000)


def parquet(path: Path, rows: int, **options: object) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"text": [f"text number {i}" for i in range(rows)], "n": list(range(rows))})
    parquet.write_table(table, path, **options)


def test_a_damaged_row_group_keeps_the_rows_before_it(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet(path, 3000, row_group_size=1000, compression="zstd", use_dictionary=False)
    from pyarrow.parquet import ParquetFile

    at = ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    content = bytearray(path.read_bytes())
    content[at + 30 : at + 300] = bytes(270)
    cells, read = taken(path, bytes(content))
    assert [row["n"] for row in cells] == list(range(1000))
    assert (only(read).code, only(read).place) == ("malformed:parquet", "a.parquet:1001")


def test_values_of_parquet_become_plain_json(tmp_path: Path) -> None:
    import datetime
    from decimal import Decimal

    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {
        "day": [datetime.date(2026, 1, 2)] * 3,
        "at": [datetime.datetime(2026, 1, 2, 3, 4)] * 3,
        "price": [Decimal("1.50")] * 3,
        "tags": [["a", None], [], None],
        "score": [float("nan"), 0.5, float("inf")],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    cells, read = taken(tmp_path / "a.parquet")
    assert cells[0] == {"day": "2026-01-02", "at": "2026-01-02T03:04:00", "price": "1.50", "tags": ["a", None], "score": None}
    assert len(json.dumps(cells, allow_nan=False)) > 0
    assert (only(read).place, only(read).code) == ("a.parquet:3", "malformed:value")


def test_a_text_that_repeats_in_parquet_stands_once_in_memory(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"text": ["x" * 100_000] * 4000}), tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 100_000
    rows, codes, mib = measured(tmp_path / "a.parquet")
    assert (rows, codes) == (4000, "-")
    assert mib < 250  # pyarrow takes 100; written out, the texts are 400


def test_a_text_in_parquet_that_is_no_utf_8_costs_its_row(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    texts = pyarrow.array([b"fine", b"bad \xff", b"fine too"], pyarrow.binary()).view(pyarrow.string())
    parquet.write_table(pyarrow.table({"text": texts}), tmp_path / "a.parquet")
    cells, read = taken(tmp_path / "a.parquet")
    assert cells == [{"text": "fine"}, {"text": "fine too"}]
    assert (only(read).place, only(read).code, only(read).raw) == ("a.parquet:2", "malformed:encoding", "bad \\xff")


GOOD = [{"text": f"row {i} é", "label": str(i % 3)} for i in range(200)]


def good_bytes(name: str, folder: Path) -> bytes:
    if name.startswith("a.jsonl"):
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in GOOD).encode()
    elif name.startswith("a.csv"):
        content = b"text,label\n" + "".join(f'"{row["text"]}",{row["label"]}\n' for row in GOOD).encode()
    else:
        from pyarrow import Table, parquet

        parquet.write_table(Table.from_pylist(GOOD), folder / name, row_group_size=50)
        return (folder / name).read_bytes()
    return gzip.compress(content, mtime=0) if name.endswith(".gz") else content


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.csv.gz", "a.jsonl.gz", "a.parquet"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8), cut=st.floats(0.1, 1)
)
def test_no_damage_raises_and_rows_before_it_stand(tmp_path: Path, name: str, flips: list[tuple[float, int]], cut: float) -> None:
    content = bytearray(good_bytes(name, tmp_path))
    for place, value in flips:
        content[int(place * len(content))] = value
    cells, read = taken(tmp_path / name, bytes(content[: max(1, int(cut * len(content)))]))
    assert len(json.dumps(cells, allow_nan=False, ensure_ascii=False).encode()) > 0
    assert all(
        bad.code.startswith(("malformed:", "unsupported:")) and bad.reason and len(bad.raw) <= 4096 for bad in read.quarantine
    )
    if name in ("a.csv", "a.jsonl"):
        first = min(int(place * len(content)) for place, _ in flips)
        whole = bytes(content[: min(first, int(cut * len(content)))]).count(b"\n") - (name == "a.csv")
        assert cells[: max(0, whole - 1)] == GOOD[: max(0, whole - 1)] or read.quarantine
