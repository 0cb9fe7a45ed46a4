"""The rows to label next: informative, unlike one another, never known already, and a forecast beside them."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from terminal import ticket_rows, write_csv

import rungwise
from rungwise.core.errors import UsageError
from rungwise.core.usecase import UseCase
from rungwise.data.nouns import Nouns
from rungwise.engines.clock import SystemClock
from rungwise.engines.encoders.hashed import encode_hashed
from rungwise.engines.loop import run_in_background
from rungwise.ladder.expedition import Wishes
from rungwise.ladder.label_next import LabelNext, Wanted, choose, divergence, label_next
from rungwise.ladder.pool import PoolRow

COLUMNS = {"text": "message", "label": "intent", "key": "id"}
LABELS = ("a", "b")


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project on the first 300 of 480 tickets, and a pool of the others without their labels."""
    folder = tmp_path_factory.mktemp("next")
    rows = ticket_rows()
    project = rungwise.Project.create(folder / "tickets", source=write_csv(folder / "tickets.csv", rows[:300]))
    project.climb("accuracy=0.6", wishes=Wishes(until="classical"), report=False)
    write_csv(folder / "pool.csv", [{**row, "intent": ""} for row in rows[300:]])
    return folder


def chosen(folder: Path, n: int, pool: Path | None, output: Path) -> LabelNext:
    project = rungwise.Project(folder / "tickets")
    with project._store() as store:
        decision = project.decision(store)
        case = Nouns(store).get(UseCase, decision.use_case)
        wanted = Wanted(n=n, pool=pool, output=output)
        directory = folder / "tickets"
        return run_in_background(label_next(store, case, directory, decision, columns=COLUMNS, wanted=wanted, clock=SystemClock()))


def test_rows_are_chosen_from_the_pool_and_written_to_be_filled_in(climbed: Path, tmp_path: Path) -> None:
    found = chosen(climbed, 20, climbed / "pool.csv", tmp_path / "next.csv")
    assert len(found.rows) == 20
    assert found.rungs == ("classical",)
    assert found.pool == 180
    with (tmp_path / "next.csv").open(encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["message"] for row in written] == [row.text for row in found.rows]
    assert {(row["intent"], row["split"]) for row in written} == {("", "train")}
    assert all(row["id"].startswith("T") for row in written)
    assert json.loads(json.dumps(found.plain()))["best"] == "classical"


def test_the_rows_chosen_are_those_that_the_candidate_is_unsure_of(climbed: Path, tmp_path: Path) -> None:
    found = chosen(climbed, 20, climbed / "pool.csv", tmp_path / "next.csv")
    all_rows = chosen(climbed, 180, climbed / "pool.csv", tmp_path / "all.csv").rows
    assert np.mean([row.uncertainty for row in found.rows]) > 1.5 * np.mean([row.uncertainty for row in all_rows])


def test_the_gain_is_forecast_with_an_interval(climbed: Path, tmp_path: Path) -> None:
    found = chosen(climbed, 60, climbed / "pool.csv", tmp_path / "next.csv")
    assert found.technique == "linear"
    assert found.accuracy is not None
    assert 0.5 < found.accuracy <= 1
    assert found.gain is not None
    assert found.gain.low < found.gain.mean < found.gain.high
    assert 0 <= found.gain.mean < 0.2


def test_the_same_call_chooses_the_same_rows(climbed: Path, tmp_path: Path) -> None:
    one, two = (chosen(climbed, 10, climbed / "pool.csv", tmp_path / name) for name in ("one.csv", "two.csv"))
    assert (one.rows, one.gain) == (two.rows, two.gain)


def test_rows_of_the_data_without_a_label_are_the_pool_when_none_is_named(climbed: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--pool FILE"):
        chosen(climbed, 5, None, tmp_path / "next.csv")
    rows = ticket_rows()
    write_csv(tmp_path / "tickets.csv", [*rows[:300], *({**row, "intent": ""} for row in rows[300:320])])
    project = rungwise.Project.create(tmp_path / "tickets", source=tmp_path / "tickets.csv")
    project.climb("accuracy=0.6", wishes=Wishes(until="classical"), report=False)
    assert chosen(tmp_path, 5, None, tmp_path / "next.csv").pool == 20


@pytest.mark.parametrize(("n", "name", "said"), [(0, "next.csv", "at least 1"), (5, "next.xlsx", "must end in")])
def test_what_cannot_be_done_is_said_before_anything_is_written(
    climbed: Path, tmp_path: Path, n: int, name: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        chosen(climbed, n, climbed / "pool.csv", tmp_path / name)
    assert not (tmp_path / name).exists()


def pool_of(texts: Sequence[str]) -> list[PoolRow]:
    return [PoolRow(place=f"pool:{row}", cells={"message": text}, text=text) for row, text in enumerate(texts)]


def tables(*chances: Sequence[float]) -> dict[str, dict[str, np.ndarray]]:
    """One model for each list: its probability of label a for each row."""
    return {f"m{k}": {"a": np.array(own), "b": 1 - np.array(own)} for k, own in enumerate(chances)}


def test_disagreement_and_doubt_come_first() -> None:
    texts = ["where is my parcel", "refund the second charge", "cannot sign in any more", "change the address please"]
    found = choose(pool_of(texts), tables([0.95, 0.5, 0.9, 0.9], [0.95, 0.5, 0.1, 0.9]), "m0", encode_hashed, n=2, labels=LABELS)
    assert {place for place, _ in found} == {1, 2}
    assert found[0][1].suggested == "a"


def test_copies_of_one_thing_are_not_all_chosen() -> None:
    texts = [f"Where is my parcel number {row}?" for row in range(20)] + ["refund the second charge", "cannot sign in any more"]
    found = choose(pool_of(texts), tables([0.5] * 20 + [0.6, 0.6]), "m0", encode_hashed, n=3, labels=LABELS)
    assert {20, 21} <= {place for place, _ in found}


chances = st.lists(st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3), min_size=1, max_size=4)


@given(chances)
def test_disagreement_lies_between_none_and_one(models: list[list[float]]) -> None:
    stacked = np.array([np.stack((own, 1 - np.array(own)), axis=1) for own in models])
    found = divergence(stacked)
    assert ((found >= 0) & (found <= 1)).all()
    assert np.allclose(divergence(np.repeat(stacked[:1], 3, axis=0)), 0, atol=1e-9)


def test_models_that_never_believe_the_same_disagree_fully() -> None:
    assert divergence(np.eye(3)[:, None, :]).tolist() == pytest.approx([1.0])
