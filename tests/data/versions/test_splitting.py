from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from rungwise.core.dataset import Example
from rungwise.core.errors import BadData, UnknownName, UsageError
from rungwise.core.usecase import Columns
from rungwise.data.ledger import Ledger
from rungwise.data.sources.door import open_source
from rungwise.data.store import Store
from rungwise.data.versions.curation import curate
from rungwise.data.versions.intake import take_in
from rungwise.data.versions.splitting import SplitPlan, read_shares, split
from rungwise.data.versions.version import Version, Versions
from rungwise.engines.executors import InlineExecutor
from tests.data.versions.steps import SetAside
from tests.data.versions.versioned_rows import cells, imported, row, write_table


def of(store: Store, version: Version) -> dict[str, str]:
    """The split of each row by its id."""
    return {one["id"]: one["split"] for one in cells(store, version)}


def open_rows(store: Store, version: Version, keys: set[str]) -> None:
    rows = [Example(text=one["text"]).input_id for one in cells(store, version) if one["id"] in keys]
    Ledger(store).nominate("climb", "rung", candidate="c", test="t", input_ids=rows, alpha=0.05, note={})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "tickets.csv"


def test_every_label_has_its_share_in_every_split(store: Store, table: Path) -> None:
    head = imported(store, table, [row(i) for i in range(200)])
    done = split(store, head, SplitPlan(by="label"))
    assert done.counts == {"train": 120, "dev": 30, "sealed": 50}
    each = Counter((one["label"], one["split"]) for one in cells(store, done.version))
    assert set(each.values()) == {24, 6, 10}


def test_no_group_stands_in_two_splits(store: Store, table: Path) -> None:
    head = imported(store, table, [row(i) for i in range(200)])
    done = split(store, head, SplitPlan(by="group", column="person"))
    splits = defaultdict(set)
    for one in cells(store, done.version):
        splits[one["person"]].add(one["split"])
    assert all(len(own) == 1 for own in splits.values())
    assert min(done.counts.values()) >= 20


def test_by_time_the_sealed_rows_are_the_newest(store: Store, table: Path) -> None:
    head = imported(store, table, [row(i) for i in range(100)])
    days = defaultdict(list)
    for one in cells(store, split(store, head, SplitPlan(by="time", column="day")).version):
        days[one["split"]].append(one["day"])
    assert max(days["train"]) < min(days["dev"]) < max(days["dev"]) < min(days["sealed"])


def test_a_row_without_a_time_is_named(store: Store, table: Path) -> None:
    head = imported(store, table, [row(i, day="" if i == 3 else "2026-01-01") for i in range(30)])
    with pytest.raises(BadData, match=r"tickets\.csv:5.*'day' is empty"):
        split(store, head, SplitPlan(by="time", column="day"))


def test_every_cluster_of_texts_is_in_every_split(store: Store, table: Path) -> None:
    subjects = ["refund money card payment bank", "password login account reset mail", "parcel delivery late courier street"]
    head = imported(store, table, [row(i, text=f"{subjects[i % 3]} {i}") for i in range(300)])
    done = split(store, head, SplitPlan(by="cover", seed=3))
    each = Counter((one["text"].split()[0], one["split"]) for one in cells(store, done.version))
    assert all(each[subject.split()[0], "sealed"] in range(18, 33) for subject in subjects)
    again = split(store, done.version, SplitPlan(by="cover", seed=3), anew=True)
    assert of(store, again.version) == of(store, done.version)


def test_copies_of_a_text_stay_together(store: Store, table: Path) -> None:
    head = imported(store, table, [row(i, text=f"the same words {i // 2}") for i in range(100)])
    splits = defaultdict(set)
    for one in cells(store, split(store, head, SplitPlan()).version):
        splits[one["text"]].add(one["split"])
    assert all(len(own) == 1 for own in splits.values())


def test_a_second_split_keeps_what_was_drawn_and_anew_draws_again(store: Store, table: Path) -> None:
    first = split(store, imported(store, table, [row(i) for i in range(100)]), SplitPlan(seed=1))
    second = split(store, first.version, SplitPlan(seed=2))
    assert (second.drawn, second.kept) == (0, 100)
    assert of(store, second.version) == of(store, first.version)
    anew = split(store, second.version, SplitPlan(seed=2), anew=True)
    assert anew.drawn == 100
    assert of(store, anew.version) != of(store, first.version)


def test_rows_that_were_opened_stay_sealed_and_cannot_be_drawn_anew(store: Store, table: Path) -> None:
    head = imported(store, table, [row(i) for i in range(100)])
    opened = {f"t{i}" for i in range(10)}
    open_rows(store, head, opened)
    done = split(store, head, SplitPlan(seed=5))
    assert done.opened == 10
    assert {of(store, done.version)[key] for key in opened} == {"sealed"}
    assert done.counts == {"train": 60, "dev": 15, "sealed": 25}
    with pytest.raises(UsageError, match="Leave --anew out"):
        split(store, done.version, SplitPlan(seed=6), anew=True)


def test_the_split_column_of_the_data_is_respected(store: Store, table: Path) -> None:
    given = ["train", "test", "dev", ""]
    rows = [row(i, day=given[i % 4]) for i in range(80)]
    write_table(table, rows)
    columns = Columns(key="id", text="text", label="label", split="day")
    head = take_in(store, open_source(str(table)), columns=columns).version
    done = split(store, head, SplitPlan())
    found = {one["id"]: one["day"] for one in cells(store, done.version)}
    assert [found[f"t{i}"] for i in range(3)] == ["train", "sealed", "dev"]
    assert done.kept == 60
    assert done.drawn == 20


def test_a_later_import_keeps_the_splits_of_known_rows_and_draws_new_ones(store: Store, table: Path) -> None:
    rows = [row(i) for i in range(100)]
    drawn = split(store, imported(store, table, rows), SplitPlan(seed=7))
    before = of(store, drawn.version)
    changed = [{**rows[0], "label": "label4"}, *rows[2:], *(row(i) for i in range(100, 140))]
    later = imported(store, table, changed)
    after = of(store, later)
    # The edited row keeps its split by its id, so that a mended label moves no row out of the sealed part.
    assert {key: after[key] for key in before if key != "t1"} == {key: own for key, own in before.items() if key != "t1"}
    assert {after[f"t{i}"] for i in range(100, 140)} >= {"train", "sealed"}
    assert later.split_by["by"] == "label"


def test_a_new_row_follows_its_group(store: Store, table: Path) -> None:
    rows = [row(i) for i in range(100)]
    drawn = split(store, imported(store, table, rows), SplitPlan(by="group", column="person"))
    person = {one["person"]: one["split"] for one in cells(store, drawn.version)}
    later = imported(store, table, [*rows, *(row(i) for i in range(100, 150))])
    assert all(one["split"] == person[one["person"]] for one in cells(store, later))


def test_the_same_source_again_changes_nothing_after_a_split(store: Store, table: Path) -> None:
    rows = [row(i) for i in range(50)]
    drawn = split(store, imported(store, table, rows), SplitPlan()).version
    assert imported(store, table, rows).id == drawn.id
    assert Versions(store).get().id == drawn.id


def test_curation_keeps_the_split_of_every_row_it_keeps(store: Store, table: Path) -> None:
    rows = [row(i, text=f"bad words {i}" if i % 7 == 3 else f"message {i}") for i in range(100)]
    drawn = split(store, imported(store, table, rows), SplitPlan(seed=2))
    before = of(store, drawn.version)
    done = asyncio.run(curate(store, drawn.version, [SetAside("bad")], executor=InlineExecutor()))
    after = of(store, done.version)
    assert len(after) == done.kept == len(Versions(store).splits(done.version)) < 100
    assert after == {key: before[key] for key in after}
    # Another curation of the curated version starts from all rows again: those that come back have their splits too.
    again = asyncio.run(curate(store, done.version, [SetAside("number 1 ")], executor=InlineExecutor()))
    assert of(store, again.version) == before


def test_a_curated_version_can_be_split_and_curated_again(store: Store, table: Path) -> None:
    rows = [row(i, text=f"bad words {i}" if i % 7 == 3 else f"message {i}") for i in range(100)]
    head = imported(store, table, rows)
    curated = asyncio.run(curate(store, head, [SetAside("bad")], executor=InlineExecutor())).version
    drawn = split(store, curated, SplitPlan()).version
    before = of(store, drawn)
    assert Versions(store).get(drawn.base or "").id == head.id
    again = asyncio.run(curate(store, drawn, [SetAside("nothing")], executor=InlineExecutor())).version
    after = of(store, again)
    assert len(after) == 100
    assert {key: after[key] for key in before} == before


def test_shares_and_ways_that_cannot_be_used_say_what_can() -> None:
    assert read_shares("80/10/10") == {"train": 0.8, "dev": 0.1, "sealed": 0.1}
    for wrong in ("60/40", "a/b/c", "0/50/50", "60/-1/41", "nan/1/1"):
        with pytest.raises(UsageError, match="60/15/25"):
            read_shares(wrong)
    with pytest.raises(UnknownName, match="Did you mean 'label'"):
        SplitPlan(by="labels")


def test_a_column_that_is_not_there_names_the_nearest(store: Store, table: Path) -> None:
    head = imported(store, table, [row(i) for i in range(30)])
    with pytest.raises(UnknownName, match="Did you mean 'person'"):
        split(store, head, SplitPlan(by="group", column="persn"))
    with pytest.raises(UsageError, match="--column"):
        split(store, head, SplitPlan(by="time"))
