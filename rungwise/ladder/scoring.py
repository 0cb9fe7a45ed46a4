"""From answers to an evaluation: scores per row, estimates with intervals, price."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from functools import cached_property

from rungwise.core.candidate import Candidate
from rungwise.core.content import Citation, Passage, Response, Usage
from rungwise.core.dataset import DEV, SEALED, Example
from rungwise.core.errors import Corrupt
from rungwise.core.evaluation import Estimate, Evaluation
from rungwise.core.record import canonical_json, digest, from_plain, to_plain
from rungwise.core.tasks import TASKS
from rungwise.core.usecase import UseCase
from rungwise.data import artefacts
from rungwise.data.store import Store
from rungwise.engines.prices import Price
from rungwise.engines.wire import TokenCount
from rungwise.evaluate.answers import Answers
from rungwise.evaluate.display import estimate
from rungwise.evaluate.metric import RatioMetric, RowMetric, is_computable, metric, row_scores

SOURCES = "sources.json"
"""What answers rest on: the file of an artefact that is named by the evaluation."""


class Scorer:
    """Scores answers with the target's metric and those that the task always reports."""

    def __init__(self, store: Store, case: UseCase) -> None:
        self.store, self.case = store, case
        task = TASKS[case.task]
        wanted = [case.target.metric if case.target else task.metric, *task.metrics]
        if case.out_of_scope is not None and case.task == "classify":
            wanted += ["in_scope_accuracy", "out_of_scope_recall"]
        if case.multi_label:
            wanted = [case.target.metric if case.target else "subset_accuracy", "subset_accuracy", "micro_f1", "macro_f1"]
        self.names = tuple(dict.fromkeys(wanted))
        self._dataset = ""

    @property
    def id(self) -> str:
        """What the scores depend on beside candidate and rows."""
        return digest([self.names, self.case.out_of_scope])

    def score(
        self,
        candidate: Candidate,
        rows: Sequence[Example],
        responses: Sequence[Response],
        *,
        wall_s: float,
        fit_s: float,
        split: str,
        complete: bool,
        price: Price | None = None,
        usd_per_1k: float | None = None,
    ) -> Evaluation:
        """An evaluation of whole answers. Times are measured once, and stored.

        `price` is what the endpoint that answered charges now; `usd_per_1k` what a recorded system costs.
        """
        answers = Answers.of(responses)
        usage = sum((response.usage for response in responses), Usage())
        paid_usd = usage.usd if price is None else _at_price(price, usage)
        per_answer_usd = (paid_usd or wall_s * self.case.machine_usd_per_hour / 3600.0) / max(1, len(rows))
        evaluation = Evaluation(
            candidate=candidate.id,
            dataset=digest([row.id for row in rows]),
            split=split,
            rows=tuple(row.id for row in rows),
            answers=answers.texts,
            confidences=answers.confidences,
            scores=self._scores(rows, answers),
            estimates=self._estimates(rows, answers) if split == DEV else {},
            labels=answers.labels,
            probabilities=self._keep(answers),
            models=tuple(sorted({response.model for response in responses if response.model})),
            seconds=wall_s,
            usd=paid_usd,
            usd_per_1k=usd_per_1k if usd_per_1k is not None else 1000 * per_answer_usd,
            calls=usage.calls,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            fit_s=fit_s,
            row_seconds=tuple(round(response.usage.seconds, 6) for response in responses) if usage.calls else (),
            complete=complete,
        )
        if self.needs_sources:
            artefacts.save(self.store, _sources_key(evaluation), _sources(answers))
        return evaluation

    @cached_property
    def needs_sources(self) -> bool:
        """Whether a metric looks at the passages and citations of answers, which are kept then."""
        return any(metric(name).needs == "passages" for name in self.names)

    def answers(self, evaluation: Evaluation) -> Answers:
        """The stored answers of an evaluation, probabilities included."""
        import numpy as np

        table = None
        if evaluation.probabilities is not None:
            data = self._kept(evaluation, evaluation.probabilities)
            table = np.frombuffer(data, dtype=np.float32).reshape(len(evaluation.rows), len(evaluation.labels))
        passages, citations = self._rested_on(evaluation)
        return Answers(evaluation.answers, evaluation.confidences, evaluation.labels, table, passages, citations)

    def _rested_on(self, evaluation: Evaluation) -> tuple[tuple[tuple[Passage, ...], ...], tuple[tuple[Citation, ...], ...]]:
        """The passages and the citations of each answer, where they are kept."""
        if not self.needs_sources:
            return (), ()
        kept = json.loads(artefacts.load(self.store, _sources_key(evaluation))[SOURCES].decode("utf-8", "surrogatepass"))
        passages = tuple(tuple(from_plain(Passage, one) for one in row) for row in kept["passages"])
        return passages, tuple(tuple(from_plain(Citation, one) for one in row) for row in kept["citations"])

    def has_answers(self, evaluation: Evaluation) -> bool:
        """Whether its probabilities, if it has any, are still there, and what its answers rest on, if that is looked at."""
        if self.needs_sources and not artefacts.has(self.store, _sources_key(evaluation)):
            return False
        return evaluation.probabilities is None or self.store.blobs.has(evaluation.probabilities)

    def seconds(self, evaluation: Evaluation) -> Sequence[float]:
        """Seconds of each call as it was measured, for answers that are not asked again just to time them."""
        return evaluation.row_seconds

    def _kept(self, evaluation: Evaluation, digest: str) -> bytes:
        try:
            return self.store.blobs.get(digest)
        except Corrupt as error:
            if evaluation.split != SEALED:
                raise
            raise Corrupt(
                f"the answers to the sealed rows cannot be read again: {self.store.blobs.path(digest)} is lost or damaged. "
                "They are asked for once only. The decision stands; put back a copy of that file to recompute it"
            ) from error

    def _keep(self, answers: Answers) -> str | None:
        return self.store.blobs.put(answers.probabilities.tobytes()) if answers.probabilities is not None else None

    def _scores(self, rows: Sequence[Example], answers: Answers) -> dict[str, tuple[float | None, ...]]:
        kept = {}
        for name in self.names:
            declared = metric(name)
            if isinstance(declared, RowMetric | RatioMetric) and is_computable(declared, answers, self.case.out_of_scope):
                scores = row_scores(declared, rows, answers, out_of_scope=self.case.out_of_scope)
                kept[name] = tuple(None if math.isnan(one) else float(one) for one in scores)
        return kept

    def _estimates(self, rows: Sequence[Example], answers: Answers) -> dict[str, Estimate]:
        return {
            name: _defined(estimate(metric(name), rows, answers, out_of_scope=self.case.out_of_scope, seed=self.case.seed))
            for name in self.names
            if name == self.names[0] or is_computable(metric(name), answers, self.case.out_of_scope)
        }


def _sources_key(evaluation: Evaluation) -> str:
    return digest(["sources", evaluation.id])


def _sources(answers: Answers) -> dict[str, bytes]:
    kept = canonical_json({"passages": to_plain(answers.passages), "citations": to_plain(answers.citations)})
    return {SOURCES: kept.encode("utf-8", "surrogatepass")}


def _defined(found: Estimate) -> Estimate:
    """The estimate, or where no row counts (the precision of a label that is never given) the least there is, and nothing known."""
    if not math.isnan(found.mean):
        return found
    low, high = (bound if math.isfinite(bound) else default for bound, default in ((found.low, 0.0), (found.high, 1.0)))
    return dataclasses.replace(found, mean=low, low=low, high=high)


def _at_price(price: Price, usage: Usage) -> float:
    """What the calls cost at today's prices of tokens, in US dollars: a price that was mended counts for calls made before.

    Where a machine is paid by the hour it is what was charged when they were made.
    """
    if not (price.input or price.output or price.cached) or price.usd_per_hour:
        return usage.usd
    return price.of(TokenCount(usage.input_tokens, usage.output_tokens, usage.cached_tokens), 0.0)
