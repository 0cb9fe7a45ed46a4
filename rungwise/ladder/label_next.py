"""Which rows to label next: those that the climb's rungs disagree about and the best is unsure of, spread over what there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.candidate import Candidate
from rungwise.core.dataset import DEV, TRAIN, Dataset, Example
from rungwise.core.decision import Decision
from rungwise.core.errors import UsageError
from rungwise.core.evaluation import Estimate
from rungwise.core.record import to_plain
from rungwise.core.types import Clock
from rungwise.core.usecase import UseCase
from rungwise.curate.sampling import take_spread
from rungwise.data.datasets import load_dataset
from rungwise.data.readers import Read
from rungwise.data.spec import beside
from rungwise.data.store import Store
from rungwise.data.versions.dataset import is_version
from rungwise.data.versions.version import HEAD, PREFIX, Versions
from rungwise.engines.encoders.encode import Encode
from rungwise.engines.encoders.load import load_encoder
from rungwise.engines.executors import InlineExecutor
from rungwise.evaluate.learning_curve import Fits, forecast_gain
from rungwise.fit.crossfit import Learner, head_learner, linear_learner, one_thread_each
from rungwise.inference.window import answer_stream
from rungwise.ladder.embedding import Embeddings
from rungwise.ladder.expedition import installed_encoder
from rungwise.ladder.pool import PoolRow, read_pool, unknown_rows, unlabelled, write_to_fill_in
from rungwise.ladder.serving import Serving, answering, ready

Doubles = NDArray[np.float64]

TRIED_PER_ROW = 10
"""Of so many of the most informative rows for each one wanted, those farthest apart are taken."""

MOST_ERRORS = 2.0

DRAWS = 4
PARTS = (8, 4, 2)
"""The learning curve goes through fits on these fractions of the training rows, and on all but as many as are asked for."""


@dataclass(frozen=True, kw_only=True)
class Pick:
    """A row to label: what the best candidate would say, how unsure it is, and how far the rungs disagree (each 0 to 1)."""

    place: str
    text: str
    suggested: str
    confidence: float
    uncertainty: float
    disagreement: float


@dataclass(frozen=True, kw_only=True)
class LabelNext:
    """The rows to label, most wanted first, the file to fill in, and what as many labels are expected to bring.

    `gain` is the expected rise of the dev accuracy of `technique`, linear or head, which learns as the best rung
    does; None where there is too little to forecast from.
    """

    rows: tuple[Pick, ...]
    file: str
    pool: int
    known: int
    rungs: tuple[str, ...]
    best: str
    technique: str
    train: int
    accuracy: float | None
    gain: Estimate | None

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        return to_plain(self)  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What was asked for: how many rows, from which file (None: rows of the project's data without a label), written where."""

    n: int
    pool: Path | None
    output: Path


def _pool(
    store: Store, case: UseCase, directory: Path, columns: Mapping[str, str | None], wanted: Wanted
) -> tuple[str, list[PoolRow]]:
    """What the pool is called, and its rows: those of a file, else those of the project's own data that have no label."""
    if wanted.pool is None and is_version(case.data):
        versions = Versions(store)
        version = versions.get(case.data.removeprefix(PREFIX) or HEAD)
        read = Read(versions.rows(version), columns=[name for source in version.sources for name in source.names])
        return case.data, unlabelled(read, columns, where=case.data)
    source = wanted.pool or beside(directory, case.data)
    return str(source), read_pool(source, columns)


async def label_next(
    store: Store,
    case: UseCase,
    directory: Path,
    decision: Decision,
    *,
    columns: Mapping[str, str | None],
    wanted: Wanted,
    clock: Clock,
) -> LabelNext:
    """Choose the rows to label next, write the file to fill in, and forecast what they bring.

    `columns` are those of the data by role. Raises UsageError where labels are not single, where no rung of the
    last climb answers on this machine, or where no row is left to choose from.
    """
    candidates, best = committee(decision, answering(store, decision, case))
    _require(case, candidates, wanted)
    dataset = load_dataset(store, decision.dataset)
    source, read = _pool(store, case, directory, columns, wanted)
    pool = unknown_rows(read, dataset)
    if not pool:
        raise UsageError(
            f"{source} has no row to choose from: {len(read):,} without a label, all of them in the data already. "
            "Name a file of unlabelled rows: --pool FILE"
        )
    embeddings = Embeddings(store, cache(load_encoder), InlineExecutor(), clock)
    tables = {}
    for rung, candidate in candidates.items():
        serving = ready(store, case, directory, decision, candidate, clock=clock, encode=embeddings.remembering)
        tables[rung] = await _asked(serving, pool)
    encode = embeddings.remembering(installed_encoder())
    picks = choose(pool, tables, best, encode, n=wanted.n, labels=dataset_labels(dataset), seed=case.seed)
    write_to_fill_in(wanted.output, [pool[place] for place, _ in picks], columns)
    technique, learner = await _learner(candidates[best], dataset, embeddings, seed=case.seed)
    accuracy, gain = expected_gain(dataset, learner, more=len(picks), seed=case.seed)
    return LabelNext(
        rows=tuple(pick for _, pick in picks),
        file=str(wanted.output),
        pool=len(read),
        known=len(read) - len(pool),
        rungs=tuple(candidates),
        best=best,
        technique=technique,
        train=dataset.splits.count(TRAIN),
        accuracy=accuracy,
        gain=gain,
    )


def _require(case: UseCase, candidates: Mapping[str, Candidate], wanted: Wanted) -> None:
    if case.task != "classify" or case.multi_label:
        raise UsageError("label-next chooses rows for tasks with one label a row. This project has another task")
    if not candidates:
        raise UsageError(
            "no rung of the last climb answers new rows on this machine, so none can say what it is unsure of. "
            "Climb with the local rungs too: rungwise climb DIR --until head"
        )
    if wanted.n < 1:
        raise UsageError(f"--n must be at least 1, not {wanted.n}")
    if not wanted.output.name.endswith((".csv", ".jsonl")):
        raise UsageError(f"{wanted.output} must end in .csv or .jsonl")


def committee(decision: Decision, candidates: Mapping[str, Candidate]) -> tuple[dict[str, Candidate], str]:
    """Those whose disagreement tells something, and the best of them: the chosen rung, else the one that did best on dev.

    A rung that errs more than twice as often as the best on dev mostly disagrees because it is wrong.
    """
    errors = {one.rung: 1.0 - one.dev.mean for one in decision.rungs if one.dev is not None and one.rung in candidates}
    if not errors:
        return {}, ""
    least = min(errors.values())
    chosen = decision.chosen_rung if decision.chosen_rung in errors else min(errors, key=lambda rung: errors[rung])
    return {rung: candidates[rung] for rung, error in errors.items() if error <= MOST_ERRORS * least or rung == chosen}, chosen


def dataset_labels(dataset: Dataset) -> tuple[str, ...]:
    """The labels that open rows carry, sorted."""
    pairs = zip(dataset.rows, dataset.splits, strict=True)
    return tuple(sorted({label for row, split in pairs if split in (TRAIN, DEV) for label in row.references}))


async def _asked(serving: Serving, pool: Sequence[PoolRow]) -> dict[str, Doubles]:
    """What a candidate believes of every row of the pool: the probability of each of its labels, (rows,) each."""
    requests = [Example(text=row.text, passage=row.passage).request for row in pool]
    async with serving as responder:
        scores = [response.scores async for _, response, _ in answer_stream(responder, requests)]
    labels = next((one.labels for one in scores if one is not None), ())
    even = [1 / max(1, len(labels))] * len(labels)
    table = np.array([one.values if one is not None else even for one in scores], dtype=np.float64)
    return dict(zip(labels, table.T, strict=True))


def choose(
    pool: Sequence[PoolRow],
    tables: Mapping[str, Mapping[str, Doubles]],
    best: str,
    encode: Encode,
    *,
    n: int,
    labels: Sequence[str],
    seed: int = 0,
) -> list[tuple[int, Pick]]:
    """The places of the rows to label and what is known of each, most wanted first.

    Uncertainty is 1 - the margin between the best candidate's two likeliest labels;
    disagreement the Jensen-Shannon divergence of the rungs, in units of its maximum
    (both: Settles 2009, Active Learning Literature Survey, sections 3.1 and 3.2). Of the rows
    highest in their mean, 10 for each one wanted, those are taken that are farthest from
    one another, weighted by it (`curate.sampling.take_spread`), lest they be n copies of one thing.
    """
    stacked = np.stack([np.stack([own.get(label, np.zeros(len(pool))) for label in labels], axis=1) for own in tables.values()])
    own = stacked[list(tables).index(best)]  # (rows, labels)
    top = np.sort(own, axis=1)
    uncertainty = 1.0 - (top[:, -1] - top[:, -2]) if len(labels) > 1 else np.zeros(len(pool))
    disagreement = divergence(stacked)
    wanted = (uncertainty + disagreement) / 2
    tried = np.argsort(-wanted, kind="stable")[: max(n, TRIED_PER_ROW * n)]
    spread = take_spread(encode([pool[place].text for place in tried]), n, seed=seed, weights=wanted[tried].tolist())
    return [
        (
            place,
            Pick(
                place=pool[place].place,
                text=pool[place].text,
                suggested=labels[int(own[place].argmax())],
                confidence=round(float(top[place, -1]), 4),
                uncertainty=round(float(uncertainty[place]), 4),
                disagreement=round(float(disagreement[place]), 4),
            ),
        )
        for place in tried[spread].tolist()
    ]


def divergence(tables: Doubles) -> Doubles:
    """Jensen-Shannon divergence of probabilities (models, rows, labels), (rows,) in [0, 1]: 1 where no two believe in one label."""
    models = len(tables)
    if models < 2:
        return np.zeros(tables.shape[1])
    found = _entropy(tables.mean(axis=0)) - _entropy(tables).mean(axis=0)
    return np.asarray(np.clip(found / np.log(min(models, max(2, tables.shape[2]))), 0.0, 1.0), dtype=np.float64)


def _entropy(tables: Doubles) -> Any:
    """In nats, over the last axis."""
    return -(tables * np.log(np.maximum(tables, 1e-12))).sum(axis=-1)


async def _learner(candidate: Candidate, dataset: Dataset, embeddings: Embeddings, *, seed: int) -> tuple[str, Learner]:
    """What learns as the best candidate does, over the training and dev rows: a head for whatever looks at embeddings."""
    labels, parts = dataset_labels(dataset), (dataset.part(TRAIN), dataset.part(DEV))
    rows = [row for part in parts for row in part]
    given = np.array([labels.index(row.label) for row in rows], dtype=np.int64)
    recipe = candidate.head.recipe if candidate.head is not None else {}
    if candidate.model == "linear" or candidate.encoder is None:
        return "linear", linear_learner([row.text for row in rows], given, len(labels), c=float(recipe.get("c", 1.0)), seed=seed)
    vectors = np.concatenate([await embeddings.of_rows(candidate.encoder, part) for part in parts])
    return "head", head_learner(vectors, given, len(labels), c=float(recipe.get("c", 10.0)))


def expected_gain(dataset: Dataset, learn: Learner, *, more: int, seed: int) -> tuple[float | None, Estimate | None]:
    """The dev accuracy of a fit on all training rows, and the rise that `more` labels are expected to bring.

    It is forecast for rows drawn like those that there are; rows that were chosen bring as much or more
    (`benchmarks/label_next.py`). None where there are under 64 training rows or no dev rows.
    """
    now, n_dev = dataset.splits.count(TRAIN), dataset.splits.count(DEV)
    if now < 8 * max(PARTS) or not n_dev:
        return None, None
    labels = dataset_labels(dataset)
    truth = np.array([labels.index(row.label) for row in dataset.part(DEV)])
    train, dev = np.arange(now), np.arange(now, now + n_dev)
    sizes = sorted({now // part for part in PARTS} | {now - min(more, now // 2)})
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(train) for _ in range(DRAWS)]
    plan = [(size, order[:size]) for order in orders for size in sizes] + [(now, train)]
    with one_thread_each():
        right = np.stack([learn(np.sort(rows), dev).argmax(axis=1) == truth for _, rows in plan])
    fits = Fits(np.array([size for size, _ in plan]), right)
    return float(right[-1].mean()), forecast_gain(fits, now=now, more=more, seed=seed)
