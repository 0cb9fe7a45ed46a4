"""Rows without a label: which are read, which are left out, and the file that people fill in."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from rungwise.core.dataset import Dataset, Example
from rungwise.core.errors import BadData
from rungwise.ladder.pool import PoolRow, read_pool, unknown_rows, write_to_fill_in

COLUMNS = {"text": "message", "label": "intent", "key": "id"}


def pool_of(texts: Sequence[str]) -> list[PoolRow]:
    return [PoolRow(place=f"pool:{row}", cells={"message": text}, text=text) for row, text in enumerate(texts)]


def test_known_rows_and_copies_within_the_pool_are_left_out() -> None:
    sealed = Example(text="Where is it?", references=("a",))
    data = Dataset(rows=(sealed,), splits=("sealed",))
    assert [row.place for row in unknown_rows(pool_of(["where is IT", "new", "NEW!", "other"]), data)] == ["pool:1", "pool:3"]


def test_a_pool_without_the_text_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pool.jsonl").write_text('{"body": "x"}\n', encoding="utf-8")
    with pytest.raises(BadData, match="no column 'message'"):
        read_pool(tmp_path / "pool.jsonl", COLUMNS)


def test_rows_that_have_a_label_or_no_text_are_not_in_the_pool(tmp_path: Path) -> None:
    (tmp_path / "pool.csv").write_text("message,intent\nfirst,\nsecond,refund\n,\n", encoding="utf-8")
    assert [row.text for row in read_pool(tmp_path / "pool.csv", COLUMNS)] == ["first"]


def test_the_file_to_fill_in_keeps_all_other_cells(tmp_path: Path) -> None:
    rows = [PoolRow(place="p:1", cells={"message": 'say "a", b', "meta": {"n": 1}, "intent": None}, text="x")]
    write_to_fill_in(tmp_path / "next.jsonl", rows, COLUMNS)
    line = json.loads((tmp_path / "next.jsonl").read_text(encoding="utf-8"))
    assert line == {"message": 'say "a", b', "meta": {"n": 1}, "intent": "", "split": "train"}
    write_to_fill_in(tmp_path / "next.csv", rows, COLUMNS)
    with (tmp_path / "next.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file)) == {"message": 'say "a", b', "meta": '{"n": 1}', "intent": "", "split": "train"}
