"""Every way to classify and every kind of target, climbed offline from a file to a decision."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from rungwise.cli.app import run
from rungwise.core.decision import CANNOT_TELL, MET
from rungwise.core.usecase import Groups, Target
from rungwise.ladder.expedition import Wishes
from rungwise.project import Project
from tests.terminal import TRAINING

WORDS = {
    "delivery": ("parcel", "courier", "tracking", "shipping", "doorstep"),
    "payment": ("invoice", "charged", "card", "bank", "refund"),
    "account": ("password", "login", "email", "profile", "username"),
}
FILLER = ("hello", "please", "today", "my", "the", "is", "about", "help", "with", "it", "again", "now")
NOISE = ("football", "weather", "poem", "recipe", "holiday", "guitar")
ROWS = 800

Draw = Callable[[Random], tuple[str, dict[str, str]]]


@pytest.fixture(autouse=True)
def hashed_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashed words in place of the sentence encoder: these tests are about the climb."""
    monkeypatch.setattr("rungwise.ladder.expedition.installed_encoder", lambda: "hashed")


def sentence(draw: Random, *words: str) -> str:
    """The words among filler, with a number that makes it unlike every other row."""
    said = [*words, *draw.sample(FILLER, 3), f"{draw.randrange(10**6)}"]
    draw.shuffle(said)
    return " ".join(said)


def one_label(draw: Random, *, wrong: float = 0.05) -> tuple[str, dict[str, str]]:
    """A text of one label; a few rows carry another one than their words say, so that nobody is perfect."""
    label = draw.choice(list(WORDS))
    text = sentence(draw, *draw.sample(WORDS[label], 2))
    return text, {"label": draw.choice(list(WORDS)) if draw.random() < wrong else label}


def several_labels(draw: Random) -> tuple[str, dict[str, str]]:
    chosen = draw.sample(list(WORDS), draw.choice((1, 1, 2)))
    return sentence(draw, *(word for label in chosen for word in draw.sample(WORDS[label], 2))), {"label": "|".join(chosen)}


def with_out_of_scope(draw: Random) -> tuple[str, dict[str, str]]:
    if draw.random() < 0.3:
        return sentence(draw, *draw.sample(NOISE, 2)), {"label": "out_of_scope"}
    return one_label(draw, wrong=0.02)


def write_rows(path: Path, make: Draw, *, rows: int = ROWS, seed: int = 3) -> Path:
    draw = Random(seed)
    table = []
    for place in range(rows):
        text, more = make(draw)
        split = "train" if place < rows * 0.4 else "dev" if place < rows * 0.6 else "test"
        table.append({"text": text, **more, "split": split})
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    return path


def climb(
    tmp_path: Path, make: Draw, target: str, *, until: str | None = None, rows: int = ROWS, **more: Any
) -> tuple[Project, Any]:
    source = write_rows(tmp_path / "data.csv", make, rows=rows)
    project = Project.create(tmp_path / "p", source=source, target=Target.parse(target), **more)
    return project, project.climb(wishes=Wishes(until=until)).document


def test_several_labels_are_learned_and_answered(tmp_path: Path) -> None:
    project, document = climb(tmp_path, several_labels, "micro_f1=0.85", multi_label=True)
    assert (document["verdict"], document["control"]) == (MET, "exact")
    assert document["chosen"]["rung"] == "classical"
    asked = project.ask("the courier lost my parcel and my card was charged")
    assert sorted(asked.response.labels) == ["delivery", "payment"]


def test_several_labels_on_the_command_line_with_every_rung(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_rows(tmp_path / "many.csv", several_labels, rows=400)
    options = ["--multi-label", "--target", "subset_accuracy=0.999", "--exhaustive", "--json", "--without", ",".join(TRAINING)]
    assert run(["climb", str(source), *options]) == 1
    rungs = {one["rung"]: one for one in json.loads(capsys.readouterr().out)["rungs"]}
    assert {"floor", "classical", "few-shot", "head"} <= set(rungs)
    assert all(one["state"] not in ("failed", "not_run") for one in rungs.values()), rungs
    assert rungs["classical"]["dev"]["mean"] > rungs["floor"]["dev"]["mean"]


@pytest.mark.parametrize("target", ["in_scope_accuracy=0.85", "out_of_scope_recall=0.80"])
def test_an_out_of_scope_label_has_targets_of_its_own(tmp_path: Path, target: str) -> None:
    _, document = climb(tmp_path, with_out_of_scope, target, out_of_scope="out_of_scope")
    assert (document["verdict"], document["control"]) == (MET, "exact")
    chosen = next(one for one in document["rungs"] if one["state"] == MET)
    # About 70 % of the 320 sealed rows are in scope, 30 % are not: only those are counted.
    assert (200 < chosen["test"]["n"] < 250) == target.startswith("in_scope")
    assert (70 < chosen["test"]["n"] < 120) == target.startswith("out_of_scope")


def test_the_floor_cannot_hide_behind_the_out_of_scope_label(tmp_path: Path) -> None:
    _, document = climb(tmp_path, with_out_of_scope, "in_scope_accuracy=0.85", out_of_scope="out_of_scope")
    floor = next(one for one in document["rungs"] if one["rung"] == "floor")
    assert floor["dev"]["mean"] < 0.5


@pytest.mark.parametrize(
    ("target", "control"),
    [
        ("accuracy=0.80", "exact"),
        ("micro_f1=0.80", "exact"),
        ("binary_f1@payment=0.80", "exact"),
        ("binary_precision@payment=0.80", "exact"),
        ("macro_f1=0.80", "approximate"),
        ("weighted_f1=0.80", "approximate"),
        ("balanced_accuracy=0.80", "approximate"),
        ("mcc=0.70", "approximate"),
        ("auc=0.85", "approximate"),
    ],
)
def test_every_kind_of_target_is_met_by_the_linear_model_and_not_by_the_floor(tmp_path: Path, target: str, control: str) -> None:
    project, document = climb(tmp_path, one_label, target, until="classical")
    rungs = {one["rung"]: one for one in document["rungs"]}
    assert (document["verdict"], document["chosen"]["rung"]) == (MET, "classical"), rungs
    assert document["control"] == control
    assert rungs["floor"]["state"] != MET
    assert rungs["classical"]["test"]["low"] >= Target.parse(target).value
    assert project.replay().agrees


@pytest.mark.parametrize("metric", ["log_loss", "mse", "calibration_error", "acuracy", "binary_f1", "binary_f1@nolabel"])
def test_a_metric_that_cannot_be_a_target_is_refused_with_advice(tmp_path: Path, metric: str) -> None:
    from rungwise.core.errors import UsageError

    source = write_rows(tmp_path / "data.csv", one_label, rows=200)
    project = Project.create(tmp_path / "p", source=source)
    with pytest.raises(UsageError) as caught:
        project.climb(f"{metric}=0.8")
    assert len(str(caught.value)) > 30


def test_a_coverage_target_abstains_below_the_threshold(tmp_path: Path) -> None:
    def half_clear(draw: Random) -> tuple[str, dict[str, str]]:
        if draw.random() < 0.75:
            return one_label(draw, wrong=0.01)
        return sentence(draw, *draw.sample(NOISE, 2)), {"label": draw.choice(list(WORDS))}  # no word tells

    project, document = climb(tmp_path, half_clear, "accuracy=0.9@coverage=0.6", until="classical")
    assert (document["verdict"], document["chosen"]["rung"]) == (MET, "classical")
    assert document["target"] == {"metric": "accuracy", "value": 0.9, "coverage": 0.6}
    sure = project.ask("my parcel and the courier")
    assert sure.answer == "delivery"
    unsure = project.ask("a football poem")
    assert (unsure.answer, unsure.response.finish) == ("", "abstained")
    assert sure.confidence is not None
    assert unsure.confidence is not None
    assert sure.confidence > unsure.confidence
    assert project.replay().agrees


def test_abstaining_is_said_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project, _ = climb(tmp_path, lambda draw: one_label(draw, wrong=0.02), "accuracy=0.9@coverage=0.6", until="classical")
    assert run(["ask", str(project.directory), "a football poem about nothing"]) == 0
    assert "no answer: not sure enough" in capsys.readouterr().out


def with_channel(draw: Random, *, weak: str | None = None) -> tuple[str, dict[str, str]]:
    channel = draw.choice(("app", "chat", "mail"))
    text, row = one_label(draw, wrong=0.9 if channel == weak else 0.02)
    return text, {**row, "channel": channel}


def test_groups_that_keep_their_floor_do_not_stand_in_the_way(tmp_path: Path) -> None:
    _, document = climb(tmp_path, with_channel, "accuracy=0.80", groups=Groups(field="channel", floor=0.6))
    chosen = next(one for one in document["rungs"] if one["state"] == MET)
    assert {one["group"]: one["verdict"] for one in chosen["groups"]} == dict.fromkeys(("app", "chat", "mail"), "shown_good")


def test_a_group_that_is_left_behind_stops_the_candidate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_rows(tmp_path / "weak.csv", lambda draw: with_channel(draw, weak="mail"))
    options = ["--target", "accuracy=0.60", "--groups", "channel>=0.6", "--until", "classical", "--json"]
    assert run(["climb", str(source), *options]) == 1
    document = json.loads(capsys.readouterr().out)
    found = next(one for one in document["rungs"] if one["rung"] == "classical")
    assert document["verdict"] == CANNOT_TELL
    assert {one["group"]: one["verdict"] for one in found["groups"]}["mail"] == "shown_bad"
    assert "channel mail is shown to be below its floor of 0.6" in found["why"]


def test_shown_good_is_asked_of_every_group(tmp_path: Path) -> None:
    groups = Groups(field="channel", floor=0.97, require="shown_good")
    _, document = climb(tmp_path, with_channel, "accuracy=0.80", until="classical", groups=groups)
    assert document["verdict"] == CANNOT_TELL
    assert "not shown to reach 0.97" in document["rungs"][-1]["why"]


def relabelled(path: Path, *, split: str, to: str, count: int) -> None:
    """Give the first rows of one split a label that no other split has."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in [row for row in rows if row["split"] == split][:count]:
        row["label"] = to
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize("target", ["accuracy=0.80", "macro_f1=0.60", "auc=0.80", "balanced_accuracy=0.6"])
@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_label_that_training_never_showed_is_only_a_row_to_miss(tmp_path: Path, split: str, target: str) -> None:
    source = write_rows(tmp_path / "data.csv", one_label, rows=500)
    relabelled(source, split=split, to="only_here", count=3)
    project = Project.create(tmp_path / "p", source=source, target=Target.parse(target), without=TRAINING)
    climbed = project.climb()
    assert climbed.decision.verdict in (MET, CANNOT_TELL)
    assert all(one.state != "failed" for one in climbed.decision.rungs)
    assert any("only_here" in warning for warning in climbed.warnings) == (split == "test")


def test_descriptions_of_labels_help_those_who_read_them(tmp_path: Path) -> None:
    told = {"delivery": "parcel courier tracking shipping doorstep", "payment": "invoice charged card bank refund"}
    _, document = climb(tmp_path, one_label, "accuracy=0.5", until="zero-shot", rows=300, descriptions=told)
    states: Sequence[str] = [one["state"] for one in document["rungs"]]
    assert "failed" not in states
