"""Rung 1, classical: a linear model on TF-IDF for labels; BM25 for searches, and its best sentence for questions."""

from __future__ import annotations

from collections.abc import Sequence

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.dataset import Example
from rungwise.core.evaluation import Evaluation
from rungwise.core.types import Rung
from rungwise.engines.search.recipe import Recipe
from rungwise.ladder.rung import Forecast, Ground, RungKind

# Inverse regularisation, searched on dev: from heavily smoothed to nearly separable.
CS = (0.1, 0.3, 1.0, 3.0)
FEEDBACK = 10  # first hits that lend their words to a second search; RM3's usual ten


def classical(ground: Ground) -> Rung:
    """All values of C at once, since they share the features; for questions, one candidate per number of passages read."""

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        if seen:
            return ()
        if ground.case.task == "classify":
            heads = [Fitted(technique="linear", recipe={"c": c}, inputs=(ground.train_id,), seed=ground.case.seed) for c in CS]
            return tuple(ground.start.but(model="linear", encoder="tfidf", head=head) for head in heads)
        if ground.documents is None:
            return (ground.start.but(model="best-sentence"),)
        index = Fitted(technique="index", recipe=Recipe(words=ground.words).plain(), inputs=(ground.documents,))
        if ground.case.task == "search":
            plain = ground.start.but(model="search", index=index)
            return (plain, plain.but(options={"feedback": FEEDBACK}))
        return tuple(ground.start.but(model="best-sentence", index=index, options={"passages": k}) for k in (1, 3, 5))

    return propose


def _forecast(ground: Ground) -> Forecast:
    if ground.case.task != "classify":
        return Forecast(seconds=1.0 + 1e-3 * ground.n_dev, answer_s=1e-3)
    # Measured on 2 cores, clinc150: see benchmarks/classical.py.
    fit_s = 1.5 + 7e-4 * ground.n_train * max(1.0, len(ground.labels) / 150)
    return Forecast(seconds=fit_s + 1e-3 * ground.n_dev, answer_s=1e-4)


RUNG = RungKind(name="classical", place=1, tasks=("classify", "answer", "search"), make=classical, forecast=_forecast)
