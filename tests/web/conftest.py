"""Decisions as climbs make them, for everything that shows one."""

from __future__ import annotations

import random

import pytest

from rungwise.core.dataset import Example
from rungwise.core.decision import Decision, GroupVerdict, Opening, RungResult, Spend
from rungwise.core.evaluation import Estimate, Evaluation, Latency
from rungwise.core.usecase import Groups, Target, UseCase
from rungwise.web.view import DataNotes, ForecastNotes, ReportView

TARGET = Target(metric="accuracy", value=0.9)
SKIPPED = tuple(
    RungResult(rung=name, state="not_run", why="a cheaper rung meets the target", forecast_s=20.0) for name in ("few-shot", "head")
)


def dev_evaluation(labels: tuple[str, ...], *, rows: int, accuracy: float) -> tuple[Evaluation, dict[str, Example]]:
    """Seeded answers on dev rows; about `accuracy` of them right."""
    rng = random.Random(7)
    examples, answers, confidences, scores = [], [], [], []
    for number in range(rows):
        label = labels[number % len(labels)]
        examples.append(Example(text=f"message {number}", references=(label,), fields={"channel": rng.choice(["chat", "email"])}))
        right = rng.random() < accuracy
        answers.append(label if right else labels[(number + 1) % len(labels)])
        confidences.append(round(rng.random(), 3))
        scores.append(float(right))
    evaluation = Evaluation(
        candidate="c" * 64,
        dataset="d" * 64,
        split="dev",
        rows=tuple(example.id for example in examples),
        answers=tuple(answers),
        confidences=tuple(confidences),
        scores={"accuracy": tuple(scores)},
        latency=Latency(p50_s=0.0004, p95_s=0.0009, p95_high_s=0.001, n=100),
    )
    return evaluation, {example.id: example for example in examples}


@pytest.fixture
def met() -> Decision:
    floor = RungResult(
        rung="floor",
        state="not_met",
        why="its upper bound on dev is below the target",
        candidate="a" * 64,
        dev=Estimate(mean=0.083, low=0.0632, high=0.1079, n=600),
        p95_s=0.00002,
        usd_per_1k=0.0,
        fit_s=0.01,
        total_usd=0.0,
        tried=1,
    )
    classical = RungResult(
        rung="classical",
        state="met",
        why="shown on 1000 sealed rows",
        candidate="c" * 64,
        dev=Estimate(mean=0.94, low=0.9182, high=0.9564, n=600),
        test=Opening(k=1, alpha=0.0304, low=0.91149, high=0.94777, n=1000),
        p95_s=0.0009,
        usd_per_1k=0.004,
        fit_s=12.4,
        total_usd=0.41,
        tried=4,
        groups=(
            GroupVerdict(group="chat", verdict="shown_good", n=610),
            GroupVerdict(group="fax", verdict="too_small", n=3),
        ),
    )
    rungs = (floor, classical, *SKIPPED)
    return Decision(
        use_case="u" * 64,
        dataset="d" * 64,
        target=TARGET,
        verdict="met",
        control="exact",
        reason="classical is the cheapest rung that is shown to meet accuracy=0.9",
        ladder=tuple(rung.rung for rung in rungs),
        rungs=rungs,
        alpha_total=0.05,
        alpha_spent_before=0.0,
        alpha_spent=0.0304,
        chosen_rung="classical",
        chosen="c" * 64,
        development=Spend(seconds=14.2, usd=0.01),
        saved=Spend(seconds=40.0, usd=1.2, calls=2400),
    )


@pytest.fixture
def view(met: Decision) -> ReportView:
    evaluation, examples = dev_evaluation(("parcel_lost", "refund", "out_of_scope"), rows=600, accuracy=0.94)
    return ReportView(
        use_case=UseCase(name="tickets", task="classify", target=TARGET, groups=Groups(field="channel", floor=0.8)),
        decision=met,
        project="tickets",
        version="0.1.0",
        generated_at=1_794_000_000.0,
        evaluations={"classical": evaluation},
        examples=examples,
        data=DataNotes(
            source="tickets.csv",
            rows={"train": 2400, "dev": 600, "sealed": 1000},
            labels=3,
            quarantined={"empty text": 2},
            leaks={"near-duplicate": 4},
        ),
        forecast=ForecastNotes(sealed_rows=1000, power={0.92: 0.61}, rows_needed=820, expected=Spend(seconds=370.0)),
    )
