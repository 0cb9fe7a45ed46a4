"""What the live candidates' confidences meant on the rows that their decision was made on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rungwise.core.decision import Decision
from rungwise.core.errors import StoreError
from rungwise.core.evaluation import Evaluation
from rungwise.data.nouns import Nouns
from rungwise.evaluate.answers import FloatArray
from rungwise.watch.scene import Scene

DEV = "dev"


@dataclass(frozen=True, eq=False, kw_only=True)
class Past:
    """Rows (m,) of dev: how sure a live candidate was of each, and how right it was, in [0, 1]."""

    confidences: FloatArray
    right: FloatArray

    @property
    def n(self) -> int:
        """How many rows there are."""
        return len(self.right)


def past_of(scene: Scene) -> Past | None:
    """Those rows of all live candidates together; None where no evaluation with confidences is kept."""
    pairs = [pair for one in _evaluations(scene) for pair in _pairs(one, scene)]
    if not pairs:
        return None
    confidences, right = np.array(pairs, dtype=np.float64).T
    return Past(confidences=confidences, right=right)


def _evaluations(scene: Scene) -> list[Evaluation]:
    """The last whole evaluation on dev of each live candidate, out of the decisions that the release rests on."""
    nouns, found = Nouns(scene.store), dict[str, Evaluation]()
    for evidence in scene.release.evidence if scene.release is not None else ():
        try:
            decision = nouns.get(Decision, evidence)
            kept = [nouns.get(Evaluation, id) for id in decision.evaluations]
        except (StoreError, ValueError, TypeError, KeyError):  # evidence of another kind, or no longer kept
            continue
        found |= {one.candidate: one for one in kept if one.split == DEV and one.complete and one.candidate in scene.candidates}
    return list(found.values())


def _pairs(evaluation: Evaluation, scene: Scene) -> list[tuple[float, float]]:
    """(confidence, score in [0, 1]) of the rows that have both."""
    metric = scene.case.target.metric if scene.case.target is not None else next(iter(evaluation.scores), "")
    scores = evaluation.scores.get(metric, evaluation.scores.get("accuracy", ()))
    rows = zip(evaluation.confidences, scores, strict=False)
    return [(sure, right) for sure, right in rows if sure is not None and right is not None and 0 <= right <= 1]
