"""A dataset folder as a source, held against what the `datasets` library itself wrote (datasets_written/)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rungwise.core.errors import BadData, UnknownName, UsageError
from rungwise.data.readers import Quarantined
from rungwise.data.sources.card import fits, read_card
from rungwise.data.sources.door import kind_of
from rungwise.data.sources.hub import Hub, open_hub
from rungwise.data.sources.options import Options

pytest.importorskip("pyarrow", reason="the extra 'curation' is not installed")

WRITTEN = Path(__file__).parent / "datasets_written"


def taken(path: Path, subset: str | None = None) -> tuple[list[dict[str, object]], list[Quarantined], Hub]:
    source = open_hub(str(path), Options(subset=subset))
    rows: list[dict[str, object]] = []
    aside: list[Quarantined] = []
    for piece in source.pieces():
        if isinstance(piece, Quarantined):
            aside.append(piece)
            continue
        read = source.read(piece)
        found = [cells for _, cells in read.rows]
        assert not found or set(found[-1]) <= set(read.columns)
        rows += found
        aside += read.quarantine
    return rows, aside, source


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def row(i: int, label: str, split: str | None) -> dict[str, object]:
    return {"text": f"text {i}", "label": label} | ({} if split is None else {"split": split})


def test_what_save_to_disk_wrote_has_its_splits_and_the_names_of_its_classes() -> None:
    rows, aside, source = taken(WRITTEN / "saved")
    test = [row(10 + i, ("refund", "delivery")[i % 2], "test") for i in range(2)]
    train = [row(i, ("refund", "delivery")[i % 2], "train") for i in range(4)]
    assert rows == test + train
    assert aside == []
    assert (source.kind, source.location) == ("hub", str(WRITTEN / "saved"))


def test_shards_are_read_in_order_and_without_splits_there_is_no_such_cell() -> None:
    rows, _, _ = taken(WRITTEN / "selected")
    assert rows == [row(5, "delivery", None), row(1, "delivery", None), row(3, "delivery", None)]


def test_parquet_with_a_card_has_its_splits_classes_licence_and_languages() -> None:
    rows, aside, source = taken(WRITTEN / "parquet")
    assert [cells["split"] for cells in rows] == ["test"] * 2 + ["train"] * 4
    assert rows[1] == row(11, "delivery", "test")
    assert (source.licence, source.languages, aside) == ("cc-by-4.0", ("en", "pt"), [])


def test_a_random_access_file_is_read_as_a_stream_is(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import ipc

    with ipc.open_stream((WRITTEN / "saved" / "train" / "data-00000-of-00001.arrow").read_bytes()) as stream:
        table = stream.read_all()
    with pyarrow.OSFile(str(tmp_path / "train.arrow"), "wb") as out, ipc.new_file(out, table.schema) as file:
        file.write_table(table)
    assert taken(tmp_path)[0] == [row(i, ("refund", "delivery")[i % 2], "train") for i in range(4)]


def test_damage_in_an_arrow_file_ends_it_with_one_entry(tmp_path: Path) -> None:
    shutil.copytree(WRITTEN / "saved", tmp_path / "saved")
    path = tmp_path / "saved" / "train" / "data-00000-of-00001.arrow"
    whole = path.read_bytes()
    for content in (whole[: len(whole) - 120], whole[:40], b"", b"ARROW1\0\0" + b"\0" * 40):
        path.write_bytes(content)
        rows, aside, _ = taken(tmp_path / "saved")
        assert [cells["split"] for cells in rows] == ["test", "test"]
        assert [bad.code for bad in aside] == ["malformed:arrow" if content else "malformed:empty"]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.csv", "train"),
        ("my_training-file.csv", "train"),
        ("valid.jsonl", "validation"),
        ("dev1.csv", "validation"),
        ("data/eval.csv", "test"),
        ("test/one.csv", "test"),
        ("test/train.csv", "train"),
        ("data/hard-00000-of-00002.csv", "hard"),
        ("latest.csv", None),
        ("contest.csv", None),
    ],
)
def test_a_split_is_a_word_in_the_name_of_a_file_or_folder(tmp_path: Path, name: str, split: str | None) -> None:
    content = '{"text": "x"}\n' if name.endswith("jsonl") else "text\nx\n"
    rows, _, _ = taken(write(tmp_path, {name: content}))
    assert rows == [{"text": "x"} | ({"split": split} if split else {})]


def test_a_row_that_says_its_split_keeps_it(tmp_path: Path) -> None:
    assert taken(write(tmp_path, {"train.csv": "text,split\nx,a\n"}))[0] == [{"text": "x", "split": "a"}]


CARD = """---
license: [mit, cc0-1.0]
language: de
configs:
- config_name: small
  data_files: small/*.csv
- config_name: large
  default: true
  data_files:
  - {split: learn, path: ["large/a*.csv", "large/deep/**/x.csv"]}
  - {split: prove, path: large/b.csv}
---
"""


def test_the_card_says_which_files_are_which_split_of_which_subset(tmp_path: Path) -> None:
    names = ("small/train.csv", "large/a1.csv", "large/b.csv", "large/deep/d/e/x.csv", "large/c.csv")
    write(tmp_path, {"README.md": CARD, **{name: f"text\n{name}\n" for name in names}})
    rows, _, source = taken(tmp_path)
    assert [(cells["text"], cells["split"]) for cells in rows] == [
        ("large/a1.csv", "learn"),
        ("large/b.csv", "prove"),
        ("large/deep/d/e/x.csv", "learn"),
    ]
    assert (source.licence, source.languages) == ("mit, cc0-1.0", ("de",))
    assert taken(tmp_path, "small")[0] == [{"text": "small/train.csv", "split": "train"}]
    with pytest.raises(UnknownName, match="Did you mean 'small'"):
        taken(tmp_path, "smal")
    write(tmp_path, {"README.md": CARD.replace("  default: true\n", "")})
    with pytest.raises(UsageError, match="several subsets: small, large"):
        taken(tmp_path)


@pytest.mark.parametrize(
    ("pattern", "name", "fit"),
    [
        ("data/train-*", "data/train-00000.parquet", True),
        ("*.csv", "a/b.csv", False),
        ("**/*.csv", "a/b.csv", True),
        ("**/*.csv", "b.csv", True),
        ("**", "a/b", True),
        ("a?.csv", "ab.csv", True),
        ("./a.csv", "a.csv", True),
        ("a.csv", "aXcsv", False),
    ],
)
def test_patterns_fit_as_on_the_hub(pattern: str, name: str, fit: bool) -> None:
    assert fits(pattern, name) == fit


@pytest.mark.parametrize(
    "header", ["license: [", "!!python/object/apply:os.system ['true']", "a: &a [*a, *a]\nlicense: {x: y}", "3", ""]
)
def test_a_strange_card_breaks_nothing(tmp_path: Path, header: str) -> None:
    write(tmp_path, {"README.md": f"---\n{header}\n---\n", "train.csv": "text\nx\n"})
    rows, aside, source = taken(tmp_path)
    assert (len(rows), source.licence, source.languages) == (1, None, ())
    assert [bad.code for bad in aside] == (["malformed:card"] if read_card(tmp_path).broken else [])


def test_links_of_the_hubs_own_cache_are_followed_and_others_are_not(tmp_path: Path) -> None:
    repository = tmp_path / "datasets--x--y"
    snapshot = write(repository / "snapshots" / "abc", {"README.md": "---\nlicense: mit\n---\n"})
    write(repository / "blobs", {"f00": "text\nx\n"})
    (snapshot / "train.csv").symlink_to("../../blobs/f00")
    write(tmp_path, {"outside.csv": "text\ny\n"})
    (snapshot / "test.csv").symlink_to(tmp_path / "outside.csv")
    rows, aside, _ = taken(snapshot)
    assert rows == [{"text": "x", "split": "train"}]
    assert [(bad.place, bad.code) for bad in aside] == [("test.csv", "refused:link")]


def test_json_arrays_are_named_and_the_librarys_own_notes_are_not_data(tmp_path: Path) -> None:
    write(tmp_path, {"train.jsonl": '{"a": 1}\n', "dataset_info.json": "{}", "b.json": json.dumps([1])})
    rows, aside, _ = taken(tmp_path)
    assert rows == [{"a": 1, "split": "train"}]
    assert [(bad.place, bad.code) for bad in aside] == [("b.json", "unsupported:format")]


def test_a_fingerprint_changes_with_the_split(tmp_path: Path) -> None:
    prints = []
    for split in ("train", "test"):
        card = f"---\nconfigs:\n- data_files: {{{split}: a.csv}}\n---\n"
        source = open_hub(str(write(tmp_path, {"README.md": card, "a.csv": "text\nx\n"})), Options())
        prints.append(next(iter(source.pieces())))
    assert prints[0] != prints[1]


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"a.md": "x", "b.html": "x"}, "folder"),
        ({"train.csv": "a\nb\n", "test.csv": "a\nb\n"}, "hub"),
        ({"train.csv": "a\nb\n", "README.md": "about"}, "hub"),
        ({"train.csv": "a\nb\n", "guide.md": "x"}, "folder"),
        ({"train.csv": "a\nb\n", "guide.md": "x", "README.md": "---\nlicense: mit\n---\n"}, "hub"),
        ({"state.json": "{}"}, "hub"),
        ({}, "folder"),
    ],
)
def test_a_folder_is_told_by_what_is_in_it(tmp_path: Path, files: dict[str, str], kind: str) -> None:
    assert kind_of(str(write(tmp_path, files))) == kind


def test_a_file_is_no_dataset_folder(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="not a dataset folder"):
        open_hub(str(write(tmp_path, {"a.csv": "a\n"}) / "a.csv"), Options())
