"""Rung 0, the floor: what anyone can do without a model. Whatever cannot beat it is not worth its price."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.dataset import Example
from rungwise.core.evaluation import Evaluation
from rungwise.core.types import Rung
from rungwise.ladder.rung import Forecast, Ground, RungKind


def floor(ground: Ground) -> Rung:
    """The most frequent label; for questions, the answer to the nearest known question, or the start of the passage."""

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        if seen:
            return ()
        if ground.case.task == "classify":
            counts = Counter(row.references for row in train)
            most = max(counts, key=lambda references: (counts[references], references))
            share = counts[most] / len(train)
            return (ground.start.but(model="majority", options={"answer": "\n".join(most), "share": round(share, 6)}),)
        nearest = Fitted(technique="nearest-question", inputs=(ground.train_id,))
        candidates = [ground.start.but(model="nearest-question", index=nearest)]
        if any(row.passage for row in train):
            candidates.append(ground.start.but(model="lead"))
        return candidates

    return propose


RUNG = RungKind(
    name="floor",
    place=0,
    tasks=("classify", "answer", "search"),
    make=floor,
    forecast=lambda ground: Forecast(seconds=0.1 + 2e-5 * ground.n_dev, answer_s=1e-5),
)
