"""What is acknowledged is on disk, whole, and checked when it is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rungwise.core.dataset import Dataset, Example
from rungwise.core.errors import Corrupt, ProjectBusy, StoreError
from rungwise.core.evaluation import Estimate, Evaluation
from rungwise.data import artefacts
from rungwise.data.datasets import Splits, keep_dataset, load_dataset
from rungwise.data.ledger import Ledger
from rungwise.data.lock import project_lock
from rungwise.data.nouns import Lineage, Nouns
from rungwise.data.steps import Steps
from rungwise.data.store import Store


def a_dataset() -> Dataset:
    rows = tuple(Example(text=f"text {i}", references=("a" if i % 2 else "b",), fields={"channel": "app"}) for i in range(6))
    return Dataset(rows=rows, splits=("train", "train", "dev", "dev", "sealed", "sealed"), salt="s")


def test_a_dataset_comes_back_with_the_same_id(store: Store) -> None:
    dataset = a_dataset()
    keep_dataset(store, dataset)
    keep_dataset(store, dataset)
    assert load_dataset(store, dataset.id) == dataset
    assert load_dataset(store, dataset.id).id == dataset.id


def test_sealed_rows_open_only_to_a_committed_nomination(store: Store) -> None:
    sealed = Splits.of(a_dataset()).sealed
    ledger = Ledger(store)
    passed = ledger.pass_over("climb", "floor", test="t", note={})
    with pytest.raises(StoreError):
        sealed.open(passed)
    nomination = ledger.nominate("climb", "head", candidate="c", test="t", input_ids=sealed.input_ids, alpha=0.05, note={})
    assert len(sealed.open(nomination)) == 2


def test_labels_that_only_sealed_rows_carry_are_not_given_away() -> None:
    rows = (*a_dataset().rows, Example(text="x", references=("secret",)))
    dataset = Dataset(rows=rows, splits=(*a_dataset().splits, "sealed"))
    assert "secret" not in Splits.of(dataset).labels


def test_a_changed_byte_is_refused_at_load(store: Store) -> None:
    artefacts.save(store, "part", {"weights": b"12345"})
    assert artefacts.load(store, "part") == {"weights": b"12345"}
    path = store.blobs.path(Steps(store).get("part").output["weights"])  # type: ignore[union-attr]
    path.write_bytes(b"12346")
    with pytest.raises(Corrupt, match="does not match its digest"):
        artefacts.load(store, "part")


def test_the_first_output_of_a_step_stands(store: Store) -> None:
    steps = Steps(store)
    steps.put("key", "fit", {"v": 1}, seconds=2.0)
    steps.put("key", "fit", {"v": 1}, seconds=9.0)
    found = steps.get("key")
    assert found is not None
    assert found.seconds == 2.0


def test_nouns_come_back_and_lineage_walks_both_ways(store: Store) -> None:
    estimate = Estimate(mean=0.5, low=0.4, high=0.6, n=2)
    evaluation = Evaluation(candidate="c", dataset="d", split="dev", rows=("r",), answers=("a",), estimates={"accuracy": estimate})
    Nouns(store).put(evaluation, made_from=[("c", "candidate"), ("d", "dataset")])
    assert Nouns(store).get(Evaluation, evaluation.id) == evaluation
    assert set(Lineage(store).ancestors(evaluation.id)) == {"c", "d"}
    assert Lineage(store).descendants("d") == [evaluation.id]


def test_a_read_only_directory_is_a_clear_error(tmp_path: Path, clock: object) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    with pytest.raises(StoreError, match="state directory"):
        Store.open(blocked / "state", clock=clock)  # type: ignore[arg-type]


def test_the_second_climb_hears_who_holds_the_project(tmp_path: Path) -> None:
    with project_lock(tmp_path), pytest.raises(ProjectBusy, match=str(os.getpid())), project_lock(tmp_path, wait=False):
        pass
    with project_lock(tmp_path, wait=False):
        pass
