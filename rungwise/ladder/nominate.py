"""Who stands for a rung: the cheapest candidate with at least an even chance of being shown, else the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rungwise.core.candidate import Candidate
from rungwise.core.evaluation import Evaluation

# Nominate at an even chance, open at one in five.
EVEN = 0.5
WORTH_OPENING = 0.2


@dataclass(frozen=True, slots=True)
class Tried:
    """A measured candidate: its predictive chance of `met`, its dev score, and its total cost in US dollars."""

    candidate: Candidate
    evaluation: Evaluation
    chance: float
    quality: float
    total_usd: float


def in_order_of_merit(tried: Sequence[Tried]) -> list[Tried]:
    """The nominee first, then whom to turn to if it breaks a limit.

    First those with an even chance, cheapest first; totals within a factor of 2
    count as equal, since measured seconds are no finer than that, and then the
    better chance goes first. After them the rest, best first. Only candidates that
    were measured on all of dev can stand. Ties end by id, so the order never depends on time.
    """
    standing = [one for one in tried if one.evaluation.complete] or list(tried)
    cheapest = min(one.total_usd for one in tried)  # of all, so that a race does not move the steps

    def merit(one: Tried) -> tuple[float, ...]:
        fair = one.chance >= EVEN
        price = price_step(one.total_usd, cheapest) if fair else 0
        return (0.0 if fair else 1.0, float(price), -one.chance, -one.quality)

    return sorted(standing, key=lambda one: (merit(one), one.candidate.id))


def price_step(usd: float, cheapest_usd: float) -> int:
    """How many times the price of the cheapest doubles before it passes this one; prices on one step count as equal."""
    return math.floor(math.log2(max(usd, 1e-12) / max(cheapest_usd, 1e-12)) + 1e-9)
