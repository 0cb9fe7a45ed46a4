"""What people said of a window of traffic, as columns beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rungwise.core.feedback import Feedback
from rungwise.data.feedback import Judgements, Kept
from rungwise.data.reviews import Drawn, Reviews
from rungwise.watch.scene import Scene
from rungwise.watch.traffic import Bools, Floats, Names, Traffic

REVIEWER, BUSINESS, USER = "reviewer", "business", "user"
_WEIGHT = {USER: 1, BUSINESS: 2, REVIEWER: 3}
"""Whose word on what is right counts more; a judge's, which is a model, does not count. Of equals the last one's does."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Judged:
    """n requests with what was known of each by a moment; columns (n,), NaN or None where there is nothing.

    `truth` is how right the answer is, in [0, 1], `source` who said so and `known_at` when. `chance` is that of having been
    drawn for review, 0 where it was not drawn by chance; `review` what reviewers found. `drawn` tells that it was drawn.
    `label` is what the business said later, `label_at` when. `said` is what the user said of it: by a label or correction,
    else by a thumb, else a score.
    """

    traffic: Traffic
    truth: Floats
    source: Names
    known_at: Floats
    chance: Floats
    drawn: Bools
    review: Floats
    label: Floats
    label_at: Floats
    said: Floats

    def __len__(self) -> int:
        return len(self.traffic)

    def only(self, which: Bools) -> Judged:
        """Those of a mask (n,)."""
        columns = {name: column[which] for name, column in vars(self).items() if name != "traffic"}
        return replace(self, traffic=self.traffic.only(which), **columns)


def judged_of(scene: Scene, days: int) -> Judged:
    """The traffic of the scene's last days with all that was known when its day was over."""
    traffic = scene.traffic(days)
    kept = Judgements(scene.store).of(traffic.ids.tolist())
    drawn = Reviews(scene.store).drawn(scene.day - days + 1, scene.day)
    return judged(traffic, kept, drawn, until=scene.window()["until"])


def judged(traffic: Traffic, kept: Iterable[Kept], drawn: Sequence[Drawn], *, until: float) -> Judged:
    """Join requests with judgements and reviews that were made before `until`, in seconds since 1970.

    What is said of requests that are not among them, unknown or erased, is left out. Each request has one truth: a reviewer's
    word counts more than the business's, that more than the user's; of equals the last one's does.
    """
    n = len(traffic)
    place = {id: row for row, id in enumerate(traffic.ids.tolist())}
    columns: dict[str, NDArray[np.float64]] = defaultdict(lambda: np.full(n, np.nan))
    source: Names = np.full(n, None, dtype=object)
    weighed = np.full((n, 2), -np.inf)
    chance, taken = np.zeros(n), np.zeros(n, np.bool_)

    def tell(row: int, value: float, who: str, at: float) -> None:
        if (_WEIGHT[who], at) >= tuple(weighed[row]):
            weighed[row] = _WEIGHT[who], at
            columns["truth"][row], columns["known_at"][row], source[row] = value, at, who

    for one in sorted(kept, key=lambda one: (one.feedback.at, one.n)):
        row, feedback = place.get(one.feedback.trace), one.feedback
        if row is None or feedback.at >= until:
            continue
        value = one.about.correct if one.about.correct is not None else _told(feedback)
        if value is None:
            continue
        if feedback.source == USER:
            columns["said"][row] = value
        if feedback.source == BUSINESS and one.about.correct is not None:
            columns["label"][row], columns["label_at"][row] = value, feedback.at
        if feedback.source == REVIEWER or (feedback.source in _WEIGHT and one.about.correct is not None):
            tell(row, value, feedback.source, feedback.at)
    for item in drawn:
        row = place.get(item.trace)
        if row is None:
            continue
        taken[row], chance[row] = True, max(chance[row], item.chance)
        if item.correct is not None and (item.at is None or item.at < until):
            columns["review"][row] = item.correct
            tell(row, item.correct, REVIEWER, np.inf if item.at is None else item.at)
    names = ("truth", "known_at", "review", "label", "label_at", "said")
    return Judged(traffic=traffic, source=source, chance=chance, drawn=taken, **{name: columns[name] for name in names})


def _told(feedback: Feedback) -> float | None:
    """How good the answer was by a thumb, else by a score; None where there is neither."""
    return float(feedback.thumb) if feedback.thumb is not None else feedback.score
