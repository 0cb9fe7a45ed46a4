"""A system that the user already has enters the climb by its recorded answers."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from rungwise.cli.app import run
from rungwise.core.decision import MET, NOT_MET, OVER_LIMIT
from rungwise.core.errors import EngineAnswer, UsageError
from rungwise.core.usecase import Included, Limits, Target
from rungwise.data.ledger import Ledger
from rungwise.data.store import Store
from rungwise.engines.clock import SystemClock
from rungwise.ladder.expedition import Wishes
from rungwise.project import STATE, Project
from tests.terminal import TRAINING

LABELS = ("red", "green", "blue")
UNTIL_INCLUDED = Wishes(until="included")


@pytest.fixture(autouse=True)
def hashed_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rungs below, on hashed words: no weights to load."""
    monkeypatch.setattr("rungwise.ladder.expedition.installed_encoder", lambda: "hashed")


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def rows() -> list[dict[str, str]]:
    """Texts that say nothing about their label, so that only the recorded system can know it."""
    draw = Random(5)
    splits = ["train"] * 60 + ["dev"] * 100 + ["test"] * 300
    names = [f"{place:03d}-{draw.randrange(10**6):06d}" for place in range(len(splits))]
    return [
        {"id": f"r{place}", "text": f"case {name}", "label": draw.choice(LABELS), "split": split}
        for place, (name, split) in enumerate(zip(names, splits, strict=True))
    ]


def predictions(rows: Sequence[dict[str, str]], *, right: float, by: str = "id", **more: str) -> list[dict[str, Any]]:
    """Answers of which exactly this share is right, evenly over the rows."""
    found = []
    for place, row in enumerate(rows):
        hit = int((place + 1) * right) > int(place * right)
        answer = row["label"] if hit else next(label for label in LABELS if label != row["label"])
        found.append({by: row[by], "prediction": answer, **more})
    return found


def project(tmp_path: Path, rows: Sequence[dict[str, str]], recorded: Sequence[dict[str, Any]], **more: Any) -> Project:
    source = write(tmp_path / "data.csv", rows)
    path = write(tmp_path / "theirs.csv", recorded)
    system = Included(path=str(path), name="theirs", **more.pop("system", {}))
    aim = Target(metric="accuracy", value=more.pop("target", 0.85))
    return Project.create(tmp_path / "p", source=source, target=aim, include=(system,), without=TRAINING, **more)


def test_a_system_that_is_enough_is_chosen_at_its_place_by_cost(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    source = write(tmp_path / "data.csv", rows)
    theirs = write(tmp_path / "theirs.csv", predictions(rows, right=0.93))
    folder = tmp_path / "p"
    options = ["--include", str(theirs), "--include-price", "0.5", "--target", "accuracy=0.85", "--until", "included", "--json"]
    options += ["--without", ",".join(TRAINING)]
    assert run(["climb", str(source), "--project", str(folder), *options]) == 0
    decision = Project(folder).climb(wishes=UNTIL_INCLUDED).decision
    assert (decision.verdict, decision.chosen_rung) == (MET, "included:theirs")
    # 0.5 USD per 1,000 answers times 100,000 answers: dearer than the floor and the linear model, which stand before it.
    assert [one.rung for one in decision.rungs][:2] == ["floor", "classical"]
    found = decision.rungs[-1]
    assert found.usd_per_1k == 0.5
    assert found.total_usd == pytest.approx(50.0, rel=0.01)
    assert found.dev is not None
    assert found.dev.mean == pytest.approx(0.93)


def test_a_free_system_stands_among_the_first(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    ladder = [one.rung for one in project(tmp_path, rows, predictions(rows, right=0.93)).forecast().rungs]
    assert ladder.index("included:theirs") <= 1


def test_answers_are_joined_by_text_where_the_file_has_no_id(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    decision = project(tmp_path, rows, predictions(rows, right=0.93, by="text")).climb(wishes=UNTIL_INCLUDED).decision
    assert decision.chosen_rung == "included:theirs"


def test_a_system_that_is_not_enough_is_shown_to_be_below(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    decision = project(tmp_path, rows, predictions(rows, right=0.6)).climb(wishes=UNTIL_INCLUDED).decision
    assert decision.rungs[-1].state == NOT_MET


def test_rows_without_an_answer_count_as_wrong_and_are_told(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    recorded = [one for place, one in enumerate(predictions(rows, right=0.999)) if place % 2]
    climbed = project(tmp_path, rows, recorded).climb(wishes=UNTIL_INCLUDED)
    dev = climbed.decision.rungs[-1].dev
    assert dev is not None
    assert dev.mean == pytest.approx(0.5)
    assert any("theirs has no answer for 200 dev and sealed rows" in one for one in climbed.warnings)


def test_confidences_serve_a_target_with_a_coverage(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    # Right with 0.9 where it is sure, wrong with 0.2 elsewhere: 70 % answered, all of them right.
    recorded = predictions(rows, right=0.7)
    for row, one in zip(rows, recorded, strict=True):
        one["confidence"] = 0.9 if one["prediction"] == row["label"] else 0.2
    made = project(tmp_path, rows, recorded)
    made.configure(target=Target(metric="accuracy", value=0.95, coverage=0.6))
    decision = made.climb(wishes=UNTIL_INCLUDED).decision
    assert (decision.verdict, decision.chosen_rung) == (MET, "included:theirs")
    sure, unsure = (next(one for one in zip(rows, recorded, strict=True) if one[1]["confidence"] == c)[0] for c in (0.9, 0.2))
    assert made.ask(sure["text"]).answer == sure["label"]
    withheld = made.ask(unsure["text"])
    assert (withheld.answer, withheld.response.finish) == ("", "abstained")


def test_asks_only_what_was_recorded_and_says_so(
    tmp_path: Path, rows: list[dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    recorded = predictions(rows, right=0.93)
    made = project(tmp_path, rows, recorded)
    made.climb(wishes=UNTIL_INCLUDED)
    assert made.ask(rows[0]["text"]).answer == recorded[0]["prediction"]
    with pytest.raises(EngineAnswer, match=r"'theirs' is known by its recorded answers only.*--endpoint"):
        made.ask("something new")
    assert run(["ask", str(made.directory), "something new"]) == 3
    assert "recorded answers only" in capsys.readouterr().err
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": "something new"}) + "\n" + json.dumps(rows[0]) + "\n")
    counts = made.ask_file(tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert (counts.answered, counts.failed) == (1, 1)
    first = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])
    assert "recorded answers only" in first["error"]


def test_another_price_is_not_another_system(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    made = project(tmp_path, rows, predictions(rows, right=0.93), system={"usd_per_1k": 0.5})
    first = made.climb(wishes=UNTIL_INCLUDED).decision
    system = made.case.include[0]
    made.configure(include=(Included(path=system.path, name="theirs", usd_per_1k=0.7),))
    second = made.climb(wishes=UNTIL_INCLUDED).decision
    assert second.rungs[-1].usd_per_1k == 0.7
    assert (second.chosen, second.rungs[-1].test) == (first.chosen, first.rungs[-1].test)
    store = Store.open(made.directory / STATE, clock=SystemClock())
    try:
        assert Ledger(store).count(_sealed_ids(store, second.dataset)) == 1
    finally:
        store.close()


def _sealed_ids(store: Store, dataset: str) -> Sequence[str]:
    from rungwise.data.datasets import Splits, load_dataset

    return Splits.of(load_dataset(store, dataset)).sealed.input_ids


@pytest.mark.parametrize(("p95_s", "state"), [(2.0, OVER_LIMIT), (0.2, MET)])
def test_its_declared_latency_is_held_against_the_limit(
    tmp_path: Path, rows: list[dict[str, str]], p95_s: float, state: str
) -> None:
    made = project(tmp_path, rows, predictions(rows, right=0.93), system={"p95_s": p95_s}, limits=Limits(p95_s=1.0))
    found = made.climb(wishes=UNTIL_INCLUDED).decision.rungs[-1]
    assert (found.state, found.p95_s) == (state, p95_s)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ([{"id": "r1", "guess": "red"}], "no column with the answers. Name it 'prediction'; it has: id, guess"),
        ([{"number": "r1", "prediction": "red"}], "can be joined neither by 'id' nor by 'text'"),
        ([{"id": "x1", "prediction": "red"}], "no dev or sealed row of the data is in"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_before_anything_is_spent(
    tmp_path: Path, rows: list[dict[str, str]], broken: list[dict[str, Any]], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        project(tmp_path, rows, broken).climb(wishes=UNTIL_INCLUDED)


def test_an_empty_file_and_a_missing_one_are_refused(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    made = project(tmp_path, rows, predictions(rows, right=0.93))
    (tmp_path / "theirs.csv").write_text("id,prediction\n")
    with pytest.raises(UsageError):
        made.climb(wishes=UNTIL_INCLUDED)
    (tmp_path / "theirs.csv").unlink()
    with pytest.raises(UsageError, match=r"theirs\.csv"):
        made.climb(wishes=UNTIL_INCLUDED)


def test_several_labels_are_read_with_the_separator(tmp_path: Path) -> None:
    splits = ["train"] * 40 + ["dev"] * 60 + ["test"] * 200
    rows = [
        {"id": f"r{place}", "text": f"case {place * 7919 % 100_003}", "label": "a|b" if place % 2 else "c", "split": split}
        for place, split in enumerate(splits)
    ]
    recorded = [{"id": row["id"], "prediction": "b | a" if row["label"] == "a|b" else "c"} for row in rows]
    made = project(tmp_path, rows, recorded, multi_label=True)
    made.configure(target=Target(metric="subset_accuracy", value=0.85))
    decision = made.climb(wishes=UNTIL_INCLUDED).decision
    assert decision.chosen_rung == "included:theirs"
    assert sorted(made.ask(rows[1]["text"]).response.labels) == ["a", "b"]


def test_a_metric_that_a_system_gives_nothing_for_fails_its_rung_and_not_the_climb(
    tmp_path: Path, rows: list[dict[str, str]]
) -> None:
    opened = project(tmp_path, rows, predictions(rows, right=0.93))
    decision = opened.climb("auc=0.9", wishes=Wishes(until="classical"), report=False).decision
    theirs = next(one for one in decision.rungs if one.rung == "included:theirs")
    assert theirs.state == "failed"
    assert "probabilities" in theirs.why
    assert decision.verdict == "cannot_tell"
    assert [one.state for one in decision.rungs if one.rung in ("floor", "classical")] == ["not_met", "not_met"]
