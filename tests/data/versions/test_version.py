"""Versions: named by their content, found by tag or id, and kept apart from when and where they were made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from clocks import StillClock

from rungwise.core.errors import UnknownName, UsageError
from rungwise.data.sources.door import open_source
from rungwise.data.store import Store
from rungwise.data.versions.intake import take_in
from rungwise.data.versions.provenance import find_records
from rungwise.data.versions.version import Version, Versions


def imported(store: Store, path: Path, count: int) -> Version:
    rows = [{"id": f"k{i}", "text": f"please look after parcel number {i}", "label": "ab"[i % 2]} for i in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return take_in(store, open_source(path)).version


def test_the_same_content_has_the_same_id_anywhere_at_any_time(store: Store, tmp_path: Path) -> None:
    other = Store.open(tmp_path / "elsewhere", clock=StillClock(at=9.0))
    (tmp_path / "there").mkdir()
    assert imported(store, tmp_path / "rows.jsonl", 30).id == imported(other, tmp_path / "there" / "rows.jsonl", 30).id
    assert imported(other, tmp_path / "there" / "rows.jsonl", 31).id != imported(store, tmp_path / "rows.jsonl", 30).id
    other.close()


def test_a_version_is_found_by_head_tag_and_first_digits(store: Store, tmp_path: Path) -> None:
    versions = Versions(store)
    first = imported(store, tmp_path / "rows.jsonl", 30)
    second = imported(store, tmp_path / "rows.jsonl", 31)
    versions.tag("small", first)
    assert [versions.get(name).id for name in ("HEAD", "small", second.id[:6])] == [second.id, first.id, second.id]
    versions.tag("small", second)
    assert versions.get("small").id == second.id
    with pytest.raises(UnknownName, match="Did you mean 'small'"):
        versions.get("smal")


@pytest.mark.parametrize("name", ["HEAD", "", "version:x", "beef", "12345"])
def test_a_tag_cannot_be_taken_for_head_or_an_id(store: Store, tmp_path: Path, name: str) -> None:
    version = imported(store, tmp_path / "rows.jsonl", 30)
    with pytest.raises(UsageError, match="cannot be a tag"):
        Versions(store).tag(name, version)


def test_before_the_first_import_it_says_how_to_make_one(store: Store) -> None:
    with pytest.raises(UsageError, match="Type: rungwise data import FILE --into"):
        Versions(store).get()


def test_going_back_to_a_content_goes_back_to_its_version(store: Store, tmp_path: Path) -> None:
    first = imported(store, tmp_path / "rows.jsonl", 30)
    imported(store, tmp_path / "rows.jsonl", 40)
    assert imported(store, tmp_path / "rows.jsonl", 30).content == first.content
    assert [move.verb for move in Versions(store).log()] == ["import"] * 3


def test_a_record_is_found_by_the_users_id_and_by_its_digest(store: Store, tmp_path: Path) -> None:
    versions = Versions(store)
    first = imported(store, tmp_path / "rows.jsonl", 30)
    second = imported(store, tmp_path / "rows.jsonl", 31)
    (found,) = find_records(versions, "k7")
    assert (found.place, found.held, found.aside, found.parent) == ("rows.jsonl:8", (first.id, second.id), (), None)
    assert find_records(versions, found.id[:10]) == [found]
    (last,) = find_records(versions, "k30")
    assert last.held == (second.id,)
    assert find_records(versions, "k99") == []
