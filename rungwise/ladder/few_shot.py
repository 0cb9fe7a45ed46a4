"""Rung 4, few-shot: prototypes and nearest examples by embedding, or solved examples shown in the prompt."""

from __future__ import annotations

from collections.abc import Sequence

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.content import Shot
from rungwise.core.dataset import Example
from rungwise.core.evaluation import Evaluation
from rungwise.core.tasks import TASKS
from rungwise.core.types import Rung
from rungwise.ladder.asking import asks, call_forecast
from rungwise.ladder.rung import Forecast, Ground, RungKind

NEIGHBOURS = (1, 5, 15)
SIMILAR = (4, 12)
DIVERSE = 8


def by_embedding(ground: Ground) -> Rung:
    """Class prototypes, then the vote of the k nearest training examples."""

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        if seen:
            return ()
        recipe = {"encoder": ground.encoder}
        prototypes = Fitted(technique="prototypes", recipe=recipe, inputs=(ground.train_id,))
        examples = [Fitted(technique="neighbours", recipe={**recipe, "k": k}, inputs=(ground.train_id,)) for k in NEIGHBOURS]
        candidates = (
            [] if ground.case.multi_label else [ground.start.but(model="prototypes", encoder=ground.encoder, head=prototypes)]
        )
        return [*candidates, *(ground.start.but(model="neighbours", encoder=ground.encoder, head=one) for one in examples)]

    return propose


def in_prompt(ground: Ground) -> Rung:
    """First a fixed, diverse set of solved examples; then those most similar to each question, ever more."""

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        if seen:
            return ()
        prompt = parent.prompt or TASKS[ground.case.task].prompt
        similar = Fitted(technique="shots", inputs=(ground.train_id,))
        fixed = asks(parent, ground, prompt=prompt, shots=diverse_shots(train, DIVERSE))
        counts = [count for count in SIMILAR if count <= len(train)]
        chosen = [asks(parent, ground, prompt=prompt, index=similar, options={**parent.options, "shots": n}) for n in counts]
        return (fixed, *chosen)

    return propose


def diverse_shots(train: Sequence[Example], count: int) -> tuple[Shot, ...]:
    """Examples of middling length, one of each of the most frequent labels in turn: much is covered in few tokens."""
    by_label: dict[tuple[str, ...], list[Example]] = {}
    for row in train:
        by_label.setdefault(row.references if len(row.references) == 1 and len(row.label) < 60 else ("",), []).append(row)
    groups = sorted(by_label.items(), key=lambda item: (-len(item[1]), item[0]))
    picked: list[Example] = []
    depth = 0
    while len(picked) < min(count, len(train)):
        for _, rows in groups:
            typical = sorted(rows, key=lambda row: (len(row.text), row.id))
            if depth < len(typical) and len(picked) < count:
                picked.append(typical[(len(typical) // 2 + depth) % len(typical)])
        depth += 1
    return tuple(Shot(row.text, "\n".join(row.references), row.passage) for row in picked)


RUNG = RungKind(
    name="few-shot",
    place=4,
    tasks=("classify",),
    make=by_embedding,
    forecast=lambda ground: Forecast(seconds=4.0 + 8e-4 * ground.n_train + 4e-3 * ground.n_dev, answer_s=6e-3),
    extra="local",
)
RUNG_MODEL = RungKind(
    name="few-shot",
    place=4,
    tasks=("classify", "answer"),
    make=in_prompt,
    forecast=lambda ground: call_forecast(ground, candidates=1 + len(SIMILAR), shots=DIVERSE),
    each="endpoint",
    races=True,
)
