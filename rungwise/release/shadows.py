"""Candidates that answered unseen beside the live ones, against those, on whatever people said was right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rungwise.core.record import short
from rungwise.core.release import Release
from rungwise.release.contest import Duel

if TYPE_CHECKING:
    from rungwise.core.trace import Trace
    from rungwise.data.feedback import Kept
    from rungwise.data.store import Store

LIVE = "live"
"""What the live variants are called together."""


def shadow_duels(store: Store, releases: Sequence[Release], *, level: float = 0.05) -> tuple[Duel, ...]:
    """Each shadow of the first of these releases against what was answered live, where a label or correction says what is right.

    Both answered the same question, so that a pair tells more than two units of a contest. The first judged answer of a user
    or conversation counts. The level is shared evenly over the shadows, and holds whenever one looks.
    """
    from rungwise.data.feedback import Judgements

    if not releases[0].shadow:
        return ()
    own = {one.id for one in releases}
    judged = first_right(one for one in Judgements(store).since() if one.about.release in own)
    answers = _shadow_answers(store, own, judged)
    return duels_of(judged, answers, releases[0].shadow, level=level)


def first_right(judgements: Iterable[Kept]) -> dict[str, Kept]:
    """By trace, the first judgement of each user or conversation that says what was right, and whether the live answer was."""
    first: dict[str, Kept] = {}
    for one in judgements:
        if one.about.correct is not None and one.about.unit is not None:
            first.setdefault(one.about.unit, one)
    return {one.feedback.trace: one for one in first.values()}


def duels_of(
    judged: Mapping[str, Kept], answers: Mapping[tuple[str, str], str], shadows: Sequence[str], *, level: float
) -> tuple[Duel, ...]:
    """The same from judgements by trace and answers by (live trace, candidate of the shadow)."""
    import numpy as np

    from rungwise.data.judging import agreement
    from rungwise.evaluate.contests import compare_pairs

    found = []
    for candidate in shadows:
        pairs = [
            # An answer that failed is wrong; where no shadow ran, because all were busy, nothing is compared.
            (one.about.correct, agreement(one.feedback, answers[trace, candidate]) or 0.0)
            for trace, one in sorted(judged.items(), key=lambda item: item[1].n)
            if (trace, candidate) in answers
        ]
        both = np.array(pairs, np.float64).reshape(-1, 2)
        standing = compare_pairs(both[:, 0], both[:, 1], level=level / len(shadows))
        found.append(Duel(champion=LIVE, challenger=short(candidate), standing=standing))
    return tuple(found)


def _shadow_answers(store: Store, releases: Iterable[str], judged: Mapping[str, Kept]) -> dict[tuple[str, str], str]:
    """What the shadows of these traces answered."""
    from rungwise.data.judging import shadow_traces
    from rungwise.data.said import said

    def key(trace: Trace) -> tuple[str, str]:
        return trace.shadow_of or "", trace.candidate or ""

    found = (trace for release in releases for trace in shadow_traces(store, release))
    return {key(trace): said(trace).answer for trace in found if trace.shadow_of in judged}
