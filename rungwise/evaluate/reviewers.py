"""How far reviewers agree, what each of them says how often, and who says the same of everything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from rungwise.curate.shingles import normalise
from rungwise.data.reviews import Given
from rungwise.evaluate.agreement import Agreement, chance_of_sameness, cohen_kappa, krippendorff_alpha, raw_agreement

SAME_LEVEL = 0.01
"""A reviewer who says one thing of everything is shown where somebody who judges as the others do would so rarely."""
_PAUSE_S = 600.0
_PAIRS_SHOWN = 45


@dataclass(frozen=True, kw_only=True)
class Person:
    """A reviewer: how many verdicts they gave, the share that says 'right', and how often somebody who judged the same item said
    the same (None where nobody did).

    `says_the_same`: they said one thing of everything, which others did not; `p` is the chance of that in somebody who judges as
    the others do. `seconds` is their usual time for one item.
    """

    reviewer: str
    n: int
    right: float
    agrees: float | None
    seconds: float | None
    says_the_same: bool = False
    p: float | None = None


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Cohen's kappa of two reviewers."""

    first: str
    second: str
    kappa: Agreement


@dataclass(frozen=True, kw_only=True)
class Agreed:
    """How far reviewers agree on whether answers are right: as a share of pairs, and beyond chance (Krippendorff's alpha). Where
    answers are labels, `labels` is the alpha of what they say the label should be."""

    raw: Agreement
    alpha: Agreement
    labels: Agreement | None = None
    pairs: tuple[Pair, ...] = ()
    people: tuple[Person, ...] = ()


def agreed(given: Sequence[Given], *, labels: bool = True, seed: int = 0) -> Agreed:
    """The report of these verdicts. Those given to settle a difference do not count: their reviewers saw what others had said."""
    own = [one for one in given if one.verdict.correct is not None and not one.decides]
    right = _by_item([(one, bool(one.verdict.correct)) for one in own])
    wanted = _by_item([(one, normalise(one.verdict.wanted)) for one in own if one.verdict.wanted is not None])
    people = sorted({one.reviewer for one in own})
    both = [Pair(first=a, second=b, kappa=cohen_kappa(right, a, b, seed=seed)) for a, b in _pairs(right, people)]
    return Agreed(
        raw=raw_agreement(right, seed=seed),
        alpha=krippendorff_alpha(right, seed=seed),
        labels=krippendorff_alpha(wanted, seed=seed) if labels else None,
        pairs=tuple(both),
        people=tuple(_person(name, own, right) for name in people),
    )


def usual_seconds(given: Sequence[Given], *, otherwise: float, least: int = 5) -> float:
    """The median time for one item of the last 100 verdicts without pauses; `otherwise` where they are fewer than `least`."""
    found = [one.seconds for one in given[-100:] if 0 < one.seconds < _PAUSE_S]
    return median(found) if len(found) >= least else otherwise


def _by_item(said: Sequence[tuple[Given, Hashable]]) -> list[Mapping[str, Hashable]]:
    items: dict[str, dict[str, Hashable]] = defaultdict(dict)
    for one, what in said:
        items[one.review][one.reviewer] = what
    return list(items.values())


def _pairs(items: Sequence[Mapping[str, Hashable]], people: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs of reviewers who judged an item in common, at most 45 of them."""
    met = {pair for one in items for pair in combinations(sorted(one), 2)}
    return [pair for pair in combinations(people, 2) if pair in met][:_PAIRS_SHOWN]


def _person(name: str, given: Sequence[Given], items: Sequence[Mapping[str, Hashable]]) -> Person:
    own = [bool(one.verdict.correct) for one in given if one.reviewer == name]
    others = [bool(one.verdict.correct) for one in given if one.reviewer != name]
    equal = [one[name] == what for one in items if name in one for who, what in one.items() if who != name]
    p = chance_of_sameness(len(own), same=others.count(own[0]), others=len(others)) if len(set(own)) == 1 and others else None
    seconds = [one.seconds for one in given if one.reviewer == name and one.seconds > 0]
    return Person(
        reviewer=name,
        n=len(own),
        right=sum(own) / len(own),
        agrees=sum(equal) / len(equal) if equal else None,
        seconds=median(seconds) if seconds else None,
        says_the_same=p is not None and p < SAME_LEVEL,
        p=p,
    )
