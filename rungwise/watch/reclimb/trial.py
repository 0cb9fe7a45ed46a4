"""How a new candidate does beside the live one: unseen first, then with a share of the traffic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np

from rungwise.core.record import to_plain
from rungwise.core.release import Release
from rungwise.core.serving import Contest
from rungwise.core.trace import Trace
from rungwise.curate.shingles import normalise
from rungwise.data.feedback import Judgements
from rungwise.data.judging import shadow_traces, traces_by_id
from rungwise.data.said import said
from rungwise.data.store import Store
from rungwise.evaluate.binomial import binomial_at_least
from rungwise.evaluate.contests import LOSER, WINNER, Standing, compare_pairs
from rungwise.release.contest import duels

ENOUGH, CANNOT_TELL = "enough", "cannot_tell"

FAILS, FAILS_EARLY = 0.05, 0.001
"""The levels at which a shadow is said to fail more often than the live candidate: at the end, and at each look before it."""
CORRECT = "correct"
_LEAST = 10  # judgements by label before they stand in for a metric that nobody gives
_AT_ONCE = 1_000


@dataclass(frozen=True, kw_only=True)
class ShadowReport:
    """What a shadow answered beside the live candidate: how many, how many failed of its own and of the live answers, the share
    on which both said the same (None where neither keeps its words), the median seconds of both, and whether it is shown to fail
    more often (`worse` and `better`: requests on which it alone failed, and on which it alone did not)."""

    answers: int
    errors: int = 0
    live_errors: int = 0
    agreement: float | None = None
    seconds: float | None = None
    live_seconds: float | None = None
    worse: int = 0
    better: int = 0

    def fails(self, level: float) -> bool:
        """Whether it is shown to fail more often than the live candidate on the same requests (McNemar, one-sided, exact)."""
        differing = self.worse + self.better
        return self.worse > self.better and float(binomial_at_least(self.worse, differing, 0.5)) <= level


def shadow_report(store: Store, releases: Sequence[str], candidate: str) -> ShadowReport:
    """What a candidate answered as a shadow of these releases."""
    shadows = [one for release in releases for one in shadow_traces(store, release) if one.candidate == candidate]
    if not shadows:
        return ShadowReport(answers=0)
    live: dict[str, Trace] = {}
    ids = [one.shadow_of for one in shadows if one.shadow_of is not None]
    for start in range(0, len(ids), _AT_ONCE):
        live |= traces_by_id(store, ids[start : start + _AT_ONCE])
    pairs = [(one, live[one.shadow_of]) for one in shadows if one.shadow_of in live]
    same = [normalise(own) == normalise(other) for own, other in (_words(*pair) for pair in pairs) if own and other]
    return ShadowReport(
        answers=len(shadows),
        errors=sum(map(failed, shadows)),
        live_errors=sum(failed(one) for _, one in pairs),
        agreement=sum(same) / len(same) if same else None,
        seconds=median(one.seconds for one in shadows),
        live_seconds=median(one.seconds for _, one in pairs) if pairs else None,
        worse=sum(failed(own) and not failed(other) for own, other in pairs),
        better=sum(failed(other) and not failed(own) for own, other in pairs),
    )


def failed(trace: Trace) -> bool:
    """Whether a request came to nothing."""
    return trace.status >= 400 or trace.error is not None


def _words(own: Trace, other: Trace) -> tuple[str, str]:
    return said(own).answer, said(other).answer


@dataclass(frozen=True, kw_only=True)
class Trial:
    """How the new candidate stands against the live one with its share of the traffic: `verdict` is winner, enough (not worse by
    more than the margin, where that is all that is asked), loser or cannot_tell. `arms` compares the two by what was judged of
    the answers of each, `pairs` by the questions that people looked at by chance, which both answered."""

    verdict: str
    why: str
    metric: str | None
    arms: Standing | None
    pairs: Standing | None

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        return to_plain(self)  # type: ignore[no-any-return]


def contest_metric(store: Store, releases: Sequence[Release], rules: Contest) -> str | None:
    """By what the two are compared: the metric of the project, or labels where nobody gives that one; None before any."""
    ids, judgements = [one.id for one in releases], Judgements(store)
    if judgements.outcomes(ids, rules.metric):
        return rules.metric
    return CORRECT if len(judgements.outcomes(ids, CORRECT)) >= _LEAST else None


def hold_trial(
    store: Store,
    releases: Sequence[Release],
    rules: Contest,
    *,
    metric: str | None,
    pairs: Sequence[tuple[float, float]] | None,
    margin: float | None,
) -> Trial:
    """How the two variants of these releases (alike but for their weights) stand now; may be asked at any time.

    The level of the project's contest is shared evenly over both comparisons where there are `pairs` (live, new) at all. With a
    `margin` it is enough not to be worse by more than that, in units of the metric (non-inferiority).
    """
    level = rules.level if pairs is None else rules.level / 2
    arms = None
    if metric is not None:
        outcomes = Judgements(store).outcomes([one.id for one in releases], metric)
        (duel,) = duels(outcomes, releases, replace(rules, metric=metric, level=level))
        arms = duel.standing
    paired = None
    if pairs is not None:
        both = np.array(pairs, np.float64).reshape(-1, 2)
        paired = compare_pairs(both[:, 0], both[:, 1], level=level)
    found = [one for one in (arms, paired) if one is not None]
    fair = [one for one in found if not one.skewed]
    verdict = CANNOT_TELL
    if any(one.verdict == WINNER for one in fair):
        verdict = WINNER
    elif margin is not None and any(one.low > -margin for one in fair):
        verdict = ENOUGH
    elif any(one.verdict == LOSER for one in found):
        verdict = LOSER
    return Trial(verdict=verdict, why="; ".join(_told(arms, paired)), metric=metric, arms=arms, pairs=paired)


def _told(arms: Standing | None, paired: Standing | None) -> Iterator[str]:
    """Both comparisons in words."""
    if arms is not None:
        yield f"{_figures(arms)} after {arms.n_first:,} and {arms.n_second:,} judged units"
        if arms.skewed:
            yield "one of the two is judged more often than its share of the traffic explains"
    if paired is not None and paired.n_first:
        yield f"{_figures(paired)} on {paired.n_first:,} reviewed questions that both answered"
    if arms is None and (paired is None or not paired.n_first):
        yield "nobody has judged an answer yet"


def _figures(one: Standing) -> str:
    return f"{one.difference:+.3g} [{one.low:+.3g}, {one.high:+.3g}]"


def pair_of(answer: str, correct: float, wanted: str | None, other: str, *, by_new: bool) -> tuple[float, float]:
    """(live, new) of a reviewed question: `answer` is what was judged, given by the new candidate where `by_new`, `other` what the
    other one says to it. Where nobody said what was right, what is unknown counts against the new one."""
    truth = answer if correct >= 1.0 else wanted
    if truth is None:
        said_same = normalise(other) == normalise(answer)
        unknown = 0.0 if said_same or not by_new else 1.0
        return (unknown, correct) if by_new else (correct, 0.0)
    second = float(normalise(other) == normalise(truth))
    return (second, correct) if by_new else (correct, second)


def counted(outputs: Mapping[str, Any]) -> str:
    """A shadow's report in one sentence."""
    agreement = outputs.get("agreement")
    same = "" if agreement is None else f", the same answer to {agreement:.0%}"
    return f"{outputs['answers']:,} answers, {outputs['errors']} failed ({outputs['live_errors']} of the live ones){same}"
