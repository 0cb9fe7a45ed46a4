from __future__ import annotations

import hashlib
import importlib.util
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyarrow import parquet

from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.usecase import Columns
from rungwise.data.sources.door import open_source
from rungwise.data.store import Store
from rungwise.data.versions import exporting
from rungwise.data.versions.exporting import VERSION_KEY, Exported, export
from rungwise.data.versions.intake import take_in
from rungwise.data.versions.splitting import SplitPlan, split
from rungwise.data.versions.version import Version, Versions
from tests.data.versions.versioned_rows import COLUMNS, cells, imported, row

SENTENCES = ("the card was declined when I paid in the shop", "where is the parcel that I ordered two weeks ago")


@pytest.fixture
def drawn(store: Store, tmp_path: Path) -> Version:
    rows = [row(i, text=f"{SENTENCES[i % 2]}, ticket {i}") for i in range(100)]
    return split(store, imported(store, tmp_path / "tickets.csv", rows), SplitPlan()).version


def made(store: Store, version: Version, target: Path, form: str | None = None) -> Exported:
    return export(Versions(store), version, target, form=form)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def of_objects(store: Store, path: Path, rows: list[dict[str, Any]]) -> Version:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return take_in(store, open_source(str(path)), columns=Columns(text="text")).version


def header(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    return found


def test_jsonl_holds_every_row_in_order_and_names_its_version(store: Store, drawn: Version, tmp_path: Path) -> None:
    done = made(store, drawn, tmp_path / "out" / "tickets.jsonl")
    lines = [json.loads(line) for line in done.path.read_text(encoding="utf-8").splitlines()]
    assert lines == cells(store, drawn)
    assert list(lines[0]) == [*COLUMNS, "split"]
    assert done.files["tickets.jsonl"] == hashlib.sha256(done.path.read_bytes()).hexdigest()
    about = json.loads((tmp_path / "out" / "tickets.jsonl.version.json").read_text())
    assert about[VERSION_KEY] == drawn.id


def test_parquet_holds_every_row_in_order_and_names_its_version(store: Store, drawn: Version, tmp_path: Path) -> None:
    done = made(store, drawn, tmp_path / "tickets.parquet")
    table = parquet.read_table(done.path)
    assert table.to_pylist() == cells(store, drawn)
    assert table.schema.metadata[VERSION_KEY.encode()].decode() == drawn.id
    assert done.files["tickets.parquet"] == hashlib.sha256(done.path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["tickets.jsonl", "tickets.parquet"])
def test_the_same_version_gives_the_same_bytes(store: Store, drawn: Version, tmp_path: Path, name: str) -> None:
    first, second = (made(store, drawn, tmp_path / folder / name) for folder in "ab")
    assert first.path.read_bytes() == second.path.read_bytes()


def test_values_keep_their_types_and_mixed_ones_become_text(store: Store, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {
            "text": f"words {i}",
            "n": i,
            "x": i / 2,
            "ok": i % 2 == 0,
            "tags": ["a", f"t{i}"],
            "mixed": i if i % 2 else "one",
            "deep": {"a": i},
        }
        for i in range(30)
    ]
    rows[3]["n"] = None
    rows[4]["x"] = 7
    rows[5]["tags"] = []
    version = of_objects(store, tmp_path / "objects.jsonl", rows)
    table = parquet.read_table(made(store, version, tmp_path / "objects.parquet").path)
    types = {field.name: str(field.type) for field in table.schema}
    expected = {"n": "int64", "x": "double", "ok": "bool", "tags": "list<element: string>", "mixed": "string", "deep": "string"}
    assert types == {"text": "string", **expected}
    found = table.to_pylist()
    assert [one["n"] for one in found] == [one["n"] for one in rows]
    assert [one["tags"] for one in found] == [one["tags"] for one in rows]
    assert (found[0]["mixed"], found[1]["mixed"], found[4]["x"]) == ("one", "1", 7.0)
    assert json.loads(found[2]["deep"]) == {"a": 2}


def test_a_dataset_folder_has_a_file_for_each_split_and_a_card(store: Store, drawn: Version, tmp_path: Path) -> None:
    done = made(store, drawn, tmp_path / "support", "hub")
    counts = {name: parquet.read_table(done.path / name).num_rows for name in done.files if name.endswith(".parquet")}
    assert counts == {
        "data/train-00000-of-00001.parquet": 60,
        "data/validation-00000-of-00001.parquet": 15,
        "data/test-00000-of-00001.parquet": 25,
    }
    card = header(done.path)
    assert card["size_categories"] == ["n<1K"]
    assert card["language"] == ["en"]
    assert [(one["name"], one["num_examples"]) for one in card["dataset_info"]["splits"]] == [
        ("train", 60),
        ("validation", 15),
        ("test", 25),
    ]
    assert [one["name"] for one in card["dataset_info"]["features"]] == list(COLUMNS)
    text = (done.path / "README.md").read_text(encoding="utf-8")
    assert drawn.id in text
    assert all(digest in text for name, digest in done.files.items() if name != "README.md")
    assert str(tmp_path) not in text, "where a source lay is no business of readers"


def test_a_dataset_folder_is_the_same_again_and_may_be_replaced(store: Store, drawn: Version, tmp_path: Path) -> None:
    folder = tmp_path / "support"
    made(store, drawn, folder, "hub")
    first = bytes_of(folder)
    made(store, drawn, folder)
    assert bytes_of(folder) == first
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_a_folder_that_is_no_export_is_left_alone(store: Store, drawn: Version, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(UsageError, match="is no export"):
        made(store, drawn, tmp_path / "mine", "hub")
    assert bytes_of(tmp_path / "mine") == {"notes.txt": b"keep me"}


def test_an_export_that_was_killed_between_its_renames_is_put_right(store: Store, drawn: Version, tmp_path: Path) -> None:
    folder = tmp_path / "support"
    made(store, drawn, folder, "hub")
    first = bytes_of(folder)
    folder.rename(tmp_path / ".support.old")
    (tmp_path / ".support.new").mkdir()
    made(store, drawn, folder, "hub")
    assert bytes_of(folder) == first
    assert not (tmp_path / ".support.old").exists()


def test_an_export_that_fails_leaves_what_was_there(
    store: Store, drawn: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "tickets.jsonl"
    target.write_text("the last export\n")

    def fail(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(exporting, "_write_lines", fail)
    with pytest.raises(KeyboardInterrupt):
        made(store, drawn, target)
    assert target.read_text() == "the last export\n"
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


def test_many_rows_are_spread_over_several_files(
    store: Store, drawn: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "SHARD_ROWS", 25)
    done = made(store, drawn, tmp_path / "support", "hub")
    rows = Counter({name: parquet.read_metadata(done.path / name).num_rows for name in done.files if name.endswith(".parquet")})
    assert rows == {
        "data/train-00000-of-00003.parquet": 25,
        "data/train-00001-of-00003.parquet": 25,
        "data/train-00002-of-00003.parquet": 10,
        "data/validation-00000-of-00001.parquet": 15,
        "data/test-00000-of-00001.parquet": 25,
    }


def test_an_exported_folder_can_be_imported_again(store: Store, drawn: Version, tmp_path: Path) -> None:
    folder = made(store, drawn, tmp_path / "support", "hub").path
    other = Store.open(tmp_path / "other", clock=store.clock)
    back = take_in(other, open_source(str(folder)), columns=Columns(key="id", text="text", label="label")).version
    names = {"train": "train", "validation": "dev", "test": "sealed"}
    found = {one["id"]: {**one, "split": names[one["split"]]} for one in cells(other, back)}
    assert found == {one["id"]: one for one in cells(store, drawn)}
    other.close()


def test_licences_are_named_and_an_unknown_one_is_not_made_up(store: Store, drawn: Version, tmp_path: Path) -> None:
    assert header(made(store, drawn, tmp_path / "a", "hub").path)["license"] == "unknown"
    given = replace(drawn, sources=(replace(drawn.sources[0], licence="CC BY 4.0"),))
    assert header(made(store, given, tmp_path / "b", "hub").path)["license"] == "cc-by-4.0"


@pytest.mark.skipif(importlib.util.find_spec("datasets") is None, reason="the library datasets is not installed")
def test_the_dataset_library_loads_the_folder(store: Store, drawn: Version, tmp_path: Path) -> None:
    datasets = importlib.import_module("datasets")
    folder = made(store, drawn, tmp_path / "support", "hub").path
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {name: len(part) for name, part in loaded.items()} == {"train": 60, "validation": 15, "test": 25}


def test_an_ending_that_says_nothing_is_an_error_that_says_what_does(store: Store, drawn: Version, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.jsonl or \.parquet"):
        made(store, drawn, tmp_path / "tickets.xlsx")
    with pytest.raises(UnknownName, match="Did you mean 'parquet'"):
        made(store, drawn, tmp_path / "tickets", "parket")
    with pytest.raises(UsageError, match=r"Name a file in it"):
        made(store, drawn, tmp_path, "jsonl")
