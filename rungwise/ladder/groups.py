"""Groups of people or cases that must not be left behind: each against the floor, in the same opening."""

from __future__ import annotations

from collections.abc import Sequence

from rungwise.core.dataset import Example
from rungwise.core.decision import GroupVerdict
from rungwise.core.usecase import Groups, UseCase
from rungwise.evaluate.answers import Answers
from rungwise.evaluate.bounds import bound
from rungwise.evaluate.metric import TargetMetric

SHOWN_GOOD, SHOWN_BAD, UNDECIDED, TOO_SMALL = "shown_good", "shown_bad", "cannot_tell", "too_small"


def judge_groups(
    case: UseCase, metric: TargetMetric, rows: Sequence[Example], answers: Answers, *, level: float
) -> tuple[GroupVerdict, ...]:
    """Each value of the group field against the floor, at an even share of the level, half of it for each side.

    A group too small to tell is one whose bounds could not reach a verdict even if
    every answer in it were right, or wrong.
    """
    if case.groups is None:
        return ()
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(row.fields.get(case.groups.field, ""), []).append(place)
    share = level / max(1, len(places)) / 2
    verdicts = []
    for name, own in sorted(places.items()):
        if not _could_decide(len(own), case.groups, share):
            verdicts.append(GroupVerdict(group=name, verdict=TOO_SMALL, n=len(own)))
            continue
        found = bound(
            metric,
            [rows[place] for place in own],
            answers.take(own),
            level_low=share,
            level_high=share,
            out_of_scope=case.out_of_scope,
            seed=case.seed,
        )
        verdict = SHOWN_BAD if found.high < case.groups.floor else SHOWN_GOOD if found.low >= case.groups.floor else UNDECIDED
        verdicts.append(GroupVerdict(group=name, verdict=verdict, n=len(own)))
    return tuple(verdicts)


def _could_decide(n: int, groups: Groups, share: float) -> bool:
    """Whether all right would be shown good, for `shown_good`; whether all wrong would be shown bad, for `not_shown_bad`."""
    if groups.require == "shown_good":
        return bool(share ** (1 / n) >= groups.floor)
    return bool(1 - share ** (1 / n) < groups.floor)


def groups_ruling(groups: Groups | None, verdicts: Sequence[GroupVerdict]) -> str | None:
    """Why the groups stand against the candidate, in words, or None when they do not."""
    if groups is None:
        return None
    bad = [one.group for one in verdicts if one.verdict == SHOWN_BAD]
    if bad:
        return f"the overall target is met, but {groups.field} {', '.join(bad)} is shown to be below its floor of {groups.floor:g}"
    open_ones = [one.group for one in verdicts if one.verdict != SHOWN_GOOD]
    if groups.require == "shown_good" and open_ones:
        return f"the overall target is met, but {groups.field} {', '.join(open_ones)} is not shown to reach {groups.floor:g}"
    return None
