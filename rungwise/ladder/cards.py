"""The card of a model that a training rung fitted: from the candidate, its evaluation, and what the project says."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Any

from rungwise.core.candidate import ON, Candidate, Fitted
from rungwise.core.evaluation import Evaluation
from rungwise.core.record import to_plain
from rungwise.data.versions.licences import read_licence
from rungwise.fit.card import ModelCard
from rungwise.ladder.expedition import Terrain
from rungwise.ladder.rung import Stair


def card_of(
    terrain: Terrain,
    stair: Stair,
    *,
    technique: str,
    part: Fitted,
    candidate: Candidate,
    evaluation: Evaluation,
    story: Mapping[str, Any],
    seconds: float,
    took: Mapping[str, float],
) -> ModelCard:
    """What a fitted model is. `story` is how its training went, `took` what it took beside `seconds`."""
    origin = stair.kind.origin(stair.ground)
    told = story.get("told", {})
    return ModelCard(
        id=part.id,
        technique=technique,
        part=part.technique,
        task=terrain.case.task,
        use_case=terrain.case.name,
        candidate=candidate.id,
        base=origin.name if origin is not None else "",
        made_from=_made_from(terrain, part),
        rows=len(terrain.splits.train),
        licences=_licences(terrain, stair),
        settings={name: value for name, value in part.recipe.items() if name != ON},
        seed=part.seed,
        metrics={name: to_plain(one) for name, one in evaluation.estimates.items()},
        told=told,
        seconds=seconds,
        bytes=int(took.get("bytes", 0)),
        tokens_per_s=float(took.get("tokens_per_s", 0.0)),
        forecast={"seconds": stair.forecast.seconds, "bytes": float(stair.forecast.bytes)},
        intended_use=(
            f"To answer requests like the rows of {terrain.dataset.source}, for the task {terrain.case.task}. "
            "It was measured on rows of that kind alone."
        ),
        limits=_limits(terrain, evaluation, told),
        version=importlib.metadata.version("rungwise"),
    )


def _made_from(terrain: Terrain, part: Fitted) -> dict[str, str]:
    found = {"training rows": terrain.splits.train_id, "dataset": terrain.splits.dataset}
    if terrain.ground.documents is not None and any(terrain.ground.documents in one.inputs for one in part.line):
        found["documents"] = terrain.ground.documents
    if terrain.ground.preferences is not None and any(terrain.ground.preferences in one.inputs for one in part.line):
        found["preferences"] = terrain.ground.preferences
    beneath = {f"beneath: {one.recipe.get('name', one.technique)}": one.id for one in part.line[:-1]}
    return {**found, **beneath}


def _licences(terrain: Terrain, stair: Stair) -> dict[str, str]:
    """Of the base, and of the data where its version says; whoever passes the model on owes what each asks for."""
    origin = stair.kind.origin(stair.ground)
    return {"the base": read_licence(origin.licence).name} if origin is not None else {}


def _limits(terrain: Terrain, evaluation: Evaluation, told: Mapping[str, float]) -> list[str]:
    limits = [
        f"Measured on {evaluation.n:,} dev rows of {terrain.dataset.source}; settings may have been chosen on them, "
        "so that the figures flatter it a little. Only a climb's sealed rows prove a figure.",
        "Nothing is known of other languages, other groups of users or other times than those of its rows.",
    ]
    cut = int(told.get("cut_rows", 0))
    if cut:
        limits.append(f"{cut:,} training rows were longer than it reads.")
    return limits
