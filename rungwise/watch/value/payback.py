"""When a product has paid for itself: against doing nothing, and against the neighbouring rungs of the decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rungwise.core.decision import Decision, RungResult
from rungwise.core.evaluation import Evaluation
from rungwise.core.usecase import UseCase
from rungwise.watch.money.days import DayCost, written
from rungwise.watch.money.development import making_usd
from rungwise.watch.money.forecast import foresee
from rungwise.watch.value.success import Success, Worth

Doubles: TypeAlias = NDArray[np.float64]

ALREADY, DATED, NEVER, CANNOT_TELL = "already", "dated", "never", "cannot_tell"
LEVEL = 0.9
DRAWS = 2_000
AHEAD_DAYS = 28
"""What is expected of the coming days is expected of so many, four of each weekday."""
ENDLESS_DAYS = 36_525
"""A date more than a hundred years away is never."""
_Z = 1.6449  # of a two-sided interval at LEVEL
_Z95 = 1.96
_ROUNDING = 1e-9  # of a day, so that what is even at the end of a day is not the next day's


@dataclass(frozen=True, kw_only=True)
class BreakEven:
    """When something has paid for itself `against` something else. `day`, `low` and `high` count days since 1970; None in the
    place of a bound is never. `state` is already, dated, never or cannot_tell; `why` says it in a sentence.

    `once_usd` is what has to be paid back, `each_usd` what every day (or, against a rung, every request) pays back.
    """

    against: str
    state: str
    why: str
    day: int | None = None
    low: int | None = None
    high: int | None = None
    once_usd: float | None = None
    each_usd: float | None = None


@dataclass(frozen=True, kw_only=True)
class Life:
    """A product's days so far, oldest first: what was asked, what it cost with its share of everything else, what outcomes brought.

    Each is (n,); `first` is the first day since 1970. `today` may not be over yet.
    """

    first: int
    requests: Doubles
    costs: Doubles
    revenue: Doubles

    @property
    def today(self) -> int:
        """The last of the days."""
        return self.first + len(self.requests) - 1


def life_of(days: Sequence[DayCost], revenue: Mapping[int, float], *, per_day_usd: float) -> Life | None:
    """The days with what they brought; `per_day_usd` is what is paid each day whatever is asked. None without a day."""
    if not days:
        return None
    return Life(
        first=days[0].day,
        requests=np.array([one.requests for one in days], np.float64),
        costs=np.array([one.usd + one.shadow_usd + per_day_usd for one in days], np.float64),
        revenue=np.array([revenue.get(one.day, 0.0) for one in days], np.float64),
    )


def against_nothing(life: Life, invested: float, right: Success | None, worth: Worth, *, seed: int = 0) -> BreakEven:
    """When what it brought is more than all that was spent on it. The interval holds what is not known of how often answers are
    right, and what is not known of the days to come, which are expected to be like the last six weeks."""
    name = "doing nothing"
    if not worth.usd and not life.revenue.any():
        why = "nothing says what a right answer is worth: set value_per_success_usd, or watch.money.outcomes"
        return BreakEven(against=name, state=CANNOT_TELL, why=why, once_usd=invested)
    if worth.usd and right is None and not life.revenue.any():
        return BreakEven(against=name, state=CANNOT_TELL, why="nothing says how often answers are right", once_usd=invested)
    shares = _drawn_shares(right, seed)  # (draws + 1,), the first is the estimate itself
    per_request = shares * worth.usd
    asked, plain = np.cumsum(life.requests), np.cumsum(life.revenue - life.costs)
    rates = _rates(life, per_request, seed)
    crossed = _crossings(np.outer(per_request, asked) + plain - invested, rates)
    return _told(name, life, crossed, once=invested, each=float(rates[0]), unit="day")


def against_rung(
    life: Life,
    own: RungResult,
    other: RungResult,
    case: UseCase,
    worth: Worth,
    *,
    up: RungResult,
    gain: tuple[float, float],
    seed: int = 0,
) -> BreakEven:
    """Two rungs of a decision: when `up`, the one that is higher on the ladder, has paid for the difference in development, by
    what each answer costs and how often it is right. `gain` is by how much more often it is right, with its standard error.

    `own` is live since the first day: of a cheaper `other` it is asked when the climb to `own` paid; of a dearer one, when it
    would pay to move up from today on.
    """
    down = own if up is other else other
    once = making_usd(up, case) - making_usd(down, case)
    name = f"the rung {other.rung}"
    rng = np.random.default_rng([seed, 2])
    more = np.concatenate([[gain[0]], rng.normal(gain[0], gain[1], DRAWS)])
    each = more * worth.usd - (_price(up) - _price(down))
    with np.errstate(divide="ignore"):
        needed = np.where(each > 0, max(0.0, once) / np.where(each > 0, each, 1.0), np.inf)  # requests
    before = np.zeros(len(life.requests)) if up is other else np.cumsum(life.requests)
    rates = np.maximum(0.0, _requests_a_day(life, seed))
    short = np.where(np.isfinite(needed), needed, 0.0)
    crossed = np.where(np.isfinite(needed), _crossings(before[None, :] - short[:, None], rates), np.inf)
    if up is other and float(needed[0]) == 0.0:
        crossed[0] = len(life.requests)
    found = _told(name, life, crossed, once=once, each=float(each[0]), unit="request")
    return BreakEven(**{**vars(found), "why": _rung_sentence(found, own, other, up)})


def quality_gain(
    up: Evaluation | None, down: Evaluation | None, metric: str, rungs: tuple[RungResult, RungResult]
) -> tuple[float, float]:
    """By how much more often the first is right on dev, with its standard error: by the rows that both answered, where their
    scores are kept, else as if they had answered different rows."""
    if up is not None and down is not None:
        scores = [dict(zip(one.rows, one.scores.get(metric, ()), strict=False)) for one in (up, down)]
        both = [(scores[0][row], scores[1][row]) for row in scores[0] if row in scores[1]]
        differences = np.array([a - b for a, b in both if a is not None and b is not None], np.float64)
        if len(differences) > 1:
            return float(differences.mean()), float(differences.std(ddof=1)) / np.sqrt(len(differences))
    one, other = (rung.dev for rung in rungs)
    if one is None or other is None:
        return 0.0, 0.0
    spread = np.hypot(one.high - one.low, other.high - other.low) / (2 * _Z95)
    return one.mean - other.mean, float(spread)


def neighbours(decision: Decision, own: RungResult) -> tuple[RungResult | None, RungResult | None]:
    """The next rung below and the next above that were measured and have a price."""
    measured = [one for one in decision.rungs if one.dev is not None and one.usd_per_1k is not None and one.candidate is not None]
    place = next((number for number, one in enumerate(measured) if one.rung == own.rung), None)
    if place is None:
        return None, None
    return (measured[place - 1] if place else None), (measured[place + 1] if place + 1 < len(measured) else None)


def _price(rung: RungResult) -> float:
    """US dollars for an answer."""
    return (rung.usd_per_1k or 0.0) / 1000


def _drawn_shares(right: Success | None, seed: int) -> Doubles:
    if right is None:
        return np.zeros(DRAWS + 1)
    rng = np.random.default_rng([seed, 1])
    drawn = rng.normal(right.value, (right.high - right.low) / (2 * _Z95), DRAWS)
    return np.asarray(np.clip(np.concatenate([[right.value], drawn]), 0.0, 1.0), np.float64)


def _rates(life: Life, per_request: Doubles, seed: int) -> Doubles:
    """(draws + 1,) what a coming day brings on balance."""
    over = slice(None, -1)  # today is not over
    net = life.requests * per_request[0] + life.revenue - life.costs
    ahead = foresee(list(net[over]), life.first, [1.0] * AHEAD_DAYS, level=LEVEL, least=-np.inf)
    if ahead is None:
        return np.full(len(per_request), float(net.mean()))
    requests = _mean_requests(life)
    rng = np.random.default_rng([seed, 3])
    spread = (ahead.high - ahead.low) / (2 * _Z) / AHEAD_DAYS
    noise = np.concatenate([[0.0], rng.normal(0.0, spread, len(per_request) - 1)])
    return np.asarray(ahead.mean / AHEAD_DAYS + noise + (per_request - per_request[0]) * requests, np.float64)


def _requests_a_day(life: Life, seed: int) -> Doubles:
    """(draws + 1,) requests of a coming day."""
    ahead = foresee(list(life.requests[:-1]), life.first, [1.0] * AHEAD_DAYS, level=LEVEL)
    if ahead is None:
        return np.full(DRAWS + 1, float(life.requests.mean()))
    rng = np.random.default_rng([seed, 4])
    drawn = rng.normal(ahead.mean, (ahead.high - ahead.low) / (2 * _Z), DRAWS)
    return np.concatenate([[ahead.mean], drawn]) / AHEAD_DAYS


def _mean_requests(life: Life) -> float:
    return float(life.requests[-AHEAD_DAYS - 1 : -1].mean()) if len(life.requests) > 1 else float(life.requests.mean())


def _crossings(balances: Doubles, rates: Doubles) -> Doubles:
    """(draws,) the day (from the first on) on which each balance (draws, days) comes to stay at 0 or above, going on at its rate;
    endless where it never will."""
    days = balances.shape[1]
    below = balances < 0
    after_last = days - np.argmax(below[:, ::-1], axis=1)  # the day behind the last one below
    known = np.where(below.any(axis=1), after_last, 0)
    last = balances[:, -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        coming = np.where(rates > 0, np.ceil(-last / rates - _ROUNDING), np.inf)
    coming = np.where(coming < ENDLESS_DAYS, coming, np.inf)
    return np.asarray(np.where(last < 0, days - 1 + coming, known), np.float64)


def _told(name: str, life: Life, crossed: Doubles, *, once: float, each: float, unit: str) -> BreakEven:
    """The first of `crossed` is the estimate, the others say how sure it is."""
    low, high = np.quantile(crossed[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="inverted_cdf")
    low, high = min(low, crossed[0]), max(high, crossed[0])
    day, first, last = (None if not np.isfinite(one) else life.first + int(one) for one in (crossed[0], low, high))
    state = NEVER if day is None else ALREADY if day <= life.today else DATED
    bounds = _between(first, last)
    paid = f"{once:,.2f} USD once, {each:,.4g} USD each {unit}"
    if day is None:
        luck = "" if first is None else f"; with luck by {written(first)}"
        why = f"against {name} it never pays at this rate{luck}: {paid}"
    elif state == ALREADY:
        why = f"against {name} it has paid for itself since {written(day)}{bounds}"
    else:
        why = f"against {name} it will have paid for itself on {written(day)}{bounds}: {paid}"
    return BreakEven(against=name, state=state, why=why, day=day, low=first, high=last, once_usd=once, each_usd=each)


def _rung_sentence(found: BreakEven, own: RungResult, other: RungResult, up: RungResult) -> str:
    bounds = _between(found.low, found.high)
    each = f"{found.each_usd or 0.0:+.4g} USD each request, {found.once_usd or 0.0:,.2f} USD once"
    if up is own:
        begun = f"climbing to {own.rung} instead of staying at {other.rung}"
        if found.state == NEVER:
            return f"{begun} never pays at this rate: {each}. Consider {other.rung}"
        tense = "has paid since" if found.state == ALREADY else "will have paid on"
        return f"{begun} {tense} {_date(found.day)}{bounds}: {each}"
    begun = f"moving up from {own.rung} to {other.rung}"
    if found.state == NEVER:
        return f"{begun} would never pay at this rate: {each}"
    return f"{begun} today would have paid on {_date(found.day)}{bounds}: {each}"


def _between(first: int | None, last: int | None) -> str:
    """The interval of a date in words; nothing where it is one day."""
    return "" if first == last else f" (between {_date(first)} and {_date(last)})"


def _date(day: int | None) -> str:
    return "never" if day is None else written(day)
