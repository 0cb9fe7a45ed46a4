"""The door: what a location is, which kind reads it, and the page that explains both."""

from __future__ import annotations

import re
from dataclasses import fields
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from rungwise.core.errors import BadData, UnknownName
from rungwise.data import lines
from rungwise.data.sources import door
from rungwise.data.sources.door import kind_of, kinds, open_source
from rungwise.data.sources.folder import TYPES
from rungwise.data.sources.options import Limits, Options
from rungwise.data.sources.table import open_table

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "reference" / "sources.md"
CODE = re.compile(r'"((?:malformed|refused|unreachable|unsupported):[a-z_]+)"')


def test_the_kinds_of_this_package_come_through_the_door() -> None:
    assert set(kinds()) >= {"table", "folder", "hub", "web"}


def test_a_location_opens_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\nb\n", encoding="utf-8")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.md").write_text("x", encoding="utf-8")
    assert open_source(tmp_path / "a.csv").kind == "table"
    assert open_source(tmp_path / "sub").kind == "folder"
    assert open_source(tmp_path / "sub" / "a.md").kind == "folder"
    assert open_source(tmp_path / "sub", kind="hub").kind == "hub"
    assert open_source("HTTPS://example.com/a.csv").kind == "web"
    for location in ("C:\\data\\a.csv", "a:b.csv", "none.parquet"):
        assert kind_of(location) == "table"


def test_an_unknown_kind_or_scheme_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'table'"):
        open_source(tmp_path, kind="tabel")
    with pytest.raises(UnknownName, match="there is no kind of source 's3'"):
        open_source("s3://bucket/key.csv")
    (tmp_path / "a.docx").write_text("x", encoding="utf-8")
    with pytest.raises(BadData, match=r"files that end in '\.docx' are not read"):
        open_source(tmp_path / "a.docx")


def test_another_package_brings_a_scheme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("shelf", "rungwise.data.sources.table:open_table", door.DOOR)
    monkeypatch.setattr(door, "_door", lambda: {"shelf": entry})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadData, match="no such file"):
        open_source("shelf://books.csv")
    assert open_table is entry.load()


def test_every_reason_code_is_explained_and_no_other() -> None:
    folder = ROOT / "rungwise" / "data"
    paths = [*(folder / f"{name}.py" for name in ("lines", "readers", "columnar", "documents")), *(folder / "sources").glob("*.py")]
    given = {code for path in paths for code in CODE.findall(path.read_text(encoding="utf-8"))}
    explained = set(re.findall(r"^\| `([a-z]+:[a-z_]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert given == explained


def test_the_page_names_every_kind_ending_option_and_limit_with_its_value() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for kind in ("table", "folder", "hub", "web"):
        assert f"| `{kind}` |" in page
    for ending in (*TYPES, ".csv", ".tsv", ".jsonl", ".parquet", ".arrow"):
        assert ending in page
    for option in fields(Options):
        assert option.name == "limits" or f"`{option.name}`" in page
    for limit in fields(Limits):
        if limit.name != "unpacking":
            assert f"| `{limit.name}` | {limit.default:,} |" in page
    for limit in fields(lines.Unpacking):
        assert f"| `unpacking.{limit.name}` | {limit.default:,} |" in page
    for cap in ("CELL_CAP", "ROW_CAP", "RAW_CAP"):
        assert f"{getattr(lines, cap):,}" in page
