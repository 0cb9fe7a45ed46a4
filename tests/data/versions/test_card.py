"""The data card says what is in a version, whether anybody curated it or not."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.errors import UnknownName
from rungwise.core.record import from_plain, to_plain
from rungwise.core.usecase import Columns
from rungwise.data.versions.card import LISTED, Card, by_count, lengths_of
from rungwise.data.versions.tally import MOST_VALUES
from rungwise.project import Project
from rungwise.project.data import ProjectData

ENGLISH = "The parcel number {} has not arrived and I would like to know when it will be delivered to my house."
GERMAN = "Das Paket mit der Nummer {} ist noch nicht angekommen, und ich möchte wissen, wann es geliefert wird."


def table(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    """60 rows: 45 in English, 15 in German; labels late 40, lost 20; two texts come twice; one e-mail address."""
    found = []
    for number in range(60):
        text = (GERMAN if number % 4 == 3 else ENGLISH).format(number * 7919)
        found.append({"text": text, "label": "lost" if number % 3 == 0 else "late", "team": "ab"[number % 2]})
    found[10]["text"], found[21]["text"] = found[0]["text"], found[1]["text"]
    found[5]["text"] += " Write to ada.lovelace@example.org."
    return found


@pytest.fixture
def data(tmp_path: Path, rows: list[dict[str, Any]]) -> ProjectData:
    data = Project(tmp_path / "project").data
    data.take_in(table(tmp_path / "tickets.csv", rows), licence="cc by sa 4.0", columns=Columns(text="text", label="label"))
    return data


def test_counts_what_is_there_before_anybody_curated(data: ProjectData, rows: list[dict[str, Any]]) -> None:
    card = data.card(group="team")
    assert (card.rows, card.rows_before, card.kind, card.curated, card.steps) == (60, 60, "imported", False, ())
    [source] = card.sources
    assert (source.kind, source.rows, source.licence, source.share_alike) == ("table", 60, "CC-BY-SA-4.0", True)
    assert card.labels is not None
    assert dict(card.labels.counts) == {"late": 40, "lost": 20}
    assert (card.labels.smallest, card.labels.imbalance) == ("lost", 2.0)
    assert card.groups is not None
    assert dict(card.groups.counts) == {"a": 30, "b": 30}
    assert card.repeated_texts == 2
    assert card.languages == {"en": 45, "de": 15}
    sizes = [len(row["text"]) for row in rows]
    assert (card.characters.total, card.characters.least, card.characters.most) == (sum(sizes), min(sizes), max(sizes))
    assert card.words.total == sum(len(row["text"].split()) for row in rows)
    for nobody_looked in (card.duplicates, card.leaks, card.pii, card.quality):
        assert nobody_looked is None


def test_splits_are_those_that_a_climb_would_draw(data: ProjectData) -> None:
    from rungwise.core.usecase import UseCase
    from rungwise.data.versions.dataset import read_version

    card = data.card()
    assert card.splits_drawn
    with data.store() as store:
        imported = read_version(store, UseCase(name="x", task="classify", data="version:HEAD"))
    assert dict(card.splits or {}) == dict(imported.report.splits)


def test_says_what_a_curation_found_and_looks_at_nothing_twice(data: ProjectData) -> None:
    done = data.curate(("quality", "language", "dedup", "pii"))
    with data.store() as store:
        before = looks(store)
    card = data.card()
    with data.store() as store:
        assert looks(store) == before
    assert card.steps == ("quality", "language", "pii", "dedup")
    assert (card.rows, card.rows_before) == (done.kept, 60)
    assert card.rows < 60
    assert card.duplicates == {reason: n for reason, n in done.quarantined.items() if reason.startswith("dedup:")}
    assert sum(card.languages.values()) == card.rows if card.languages is not None else False
    assert card.repeated_texts == 0
    assert card.pii is not None
    assert card.pii.types["EMAIL"] == 1
    assert card.pii.rows >= 1
    assert card.quality is not None
    rules = {rule.code: rule for rule in card.quality}
    # Every text has 19 or 20 words: all fail the published rule of 50, none the calibrated one.
    assert (rules["too_few_words"].published_fails, rules["too_few_words"].fails) == (60, 0)
    assert card.leaks is None


def looks(store: Any) -> int:
    from sqlalchemy import func, select

    from rungwise.data.schema import steps

    with store.read() as connection:
        return int(connection.execute(select(func.count()).select_from(steps).where(steps.c.kind == "look")).scalar() or 0)


def test_is_made_once(data: ProjectData, monkeypatch: pytest.MonkeyPatch) -> None:
    first = data.card()
    monkeypatch.setattr("rungwise.data.versions.card.tally_rows", None)  # whoever reads the rows again fails
    again = data.card()
    assert again == first
    with pytest.raises(TypeError):
        data.card(group="team")


def test_is_plain_data_in_and_out(data: ProjectData) -> None:
    data.curate(("quality", "pii"))
    card = data.card()
    assert from_plain(Card, json.loads(json.dumps(to_plain(card)))) == card


def test_a_group_that_no_source_has_is_named(data: ProjectData) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'team'"):
        data.card(group="teams")


def test_an_older_version_has_its_own_card(data: ProjectData) -> None:
    imported = data.version()
    data.curate(("dedup",))
    assert data.card(imported.id).rows == 60
    assert data.card().rows < 60


def test_labels_in_another_column_of_a_second_source_are_counted_too(data: ProjectData, tmp_path: Path) -> None:
    more = [{"message": ENGLISH.format(f"x{number}"), "kind": "late"} for number in range(20)]
    data.take_in(table(tmp_path / "more.csv", more), columns=Columns(text="message", label="kind"))
    card = data.card()
    assert card.rows == 80
    assert card.labels is not None
    assert dict(card.labels.counts) == {"late": 60, "lost": 20}
    assert card.labels.missing == 0
    assert card.characters.least > 0
    assert [source.licence for source in card.sources] == ["CC-BY-SA-4.0", None]


def test_documents_without_labels_have_a_card(tmp_path: Path) -> None:
    folder = tmp_path / "articles"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.md").write_text(f"# Title {number}\n\n" + ENGLISH.format(number), encoding="utf-8")
    data = Project(tmp_path / "project").data
    data.take_in(folder)
    card = data.card()
    assert (card.rows, card.labels, card.splits) == (3, None, None)
    assert card.sources[0].kind == "folder"


def test_free_text_answers_are_not_listed_one_by_one(tmp_path: Path) -> None:
    rows = [{"question": f"what is {number}?", "answer": f"it is {number * 31}"} for number in range(MOST_VALUES + 8_000)]
    data = Project(tmp_path / "project").data
    data.take_in(table(tmp_path / "questions.csv", rows), columns=Columns(text="question", label="answer"))
    labels = data.card().labels
    assert labels is not None
    assert labels.more
    assert labels.distinct >= MOST_VALUES
    assert len(labels.counts) == LISTED
    assert labels.imbalance is None


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=200))
def test_the_histogram_holds_every_row_and_quantiles_are_lengths_that_occur(values: list[int]) -> None:
    found = lengths_of(np.array(values, np.int64))
    assert sum(found.counts) == len(values)
    assert found.edges[0] <= min(values) < found.edges[1]
    assert found.edges[-2] <= max(values) < found.edges[-1]
    assert list(found.edges) == sorted(set(found.edges))
    assert set(found.quantiles.values()) <= set(values)
    assert found.quantiles["0.5"] == sorted(values)[(len(values) - 1) // 2]
    for edge, count in zip(found.edges, found.counts, strict=False):
        assert count == sum(edge <= value < found.edges[found.edges.index(edge) + 1] for value in values)


def test_no_rows_have_no_lengths() -> None:
    assert lengths_of(np.zeros(0, np.int64)).counts == ()


def test_the_most_frequent_comes_first_and_ties_follow_the_alphabet() -> None:
    assert by_count({"b": 1, "a": 1, "c": 5}) == [("c", 5), ("a", 1), ("b", 1)]


def test_every_kind_of_version_has_a_card_with_all_its_rows(data: ProjectData) -> None:
    from rungwise.curate.pii.step import Pii
    from rungwise.data.versions.splitting import SplitPlan

    data.curate(("quality", Pii(action="mask"), "dedup"))
    masked = data.card()
    assert masked.pii is not None
    assert (masked.pii.types["EMAIL"], masked.pii.action) == (1, "mask")
    assert any("ada.lovelace" in cells["text"] for _, cells in data.rows("HEAD")) is False
    data.restore(reason="dedup")
    data.split(SplitPlan())
    split = data.card()
    assert not split.splits_drawn
    assert sum((split.splits or {}).values()) == split.rows == 60
    for move in data.log():
        card = data.card(move.version.id)
        assert card.kind == move.version.kind
        assert sum((card.languages or {}).values()) == card.rows == move.version.rows


def test_erased_rows_are_counted_and_gone(data: ProjectData) -> None:
    data.curate(("quality", "pii"))
    before = data.card()
    erased = next(place_cells for place_cells in data.rows() if "ada.lovelace" in place_cells[1]["text"])
    [row] = [id.hex() for id, (place, _) in zip(record_ids(data), data.rows(), strict=True) if place == erased[0]]
    data.erase([row])
    card = data.card()
    assert (card.rows, card.erased) == (before.rows - 1, 1)
    assert card.pii is not None
    assert "EMAIL" not in card.pii.types


def record_ids(data: ProjectData) -> list[bytes]:
    from rungwise.data.versions.version import Versions

    with data.store() as store:
        versions = Versions(store)
        return [id.tobytes() for id in versions.ids(versions.selection(versions.get()))]
