"""How often answers are right, by the best evidence there is, and what a right one is worth."""

from __future__ import annotations

from dataclasses import dataclass

from rungwise.core.decision import Decision, RungResult
from rungwise.core.errors import StoreError
from rungwise.core.reading import DAY_S
from rungwise.core.usecase import UseCase
from rungwise.core.watching import Money
from rungwise.data.readings import Readings
from rungwise.data.store import Store
from rungwise.release.evidence import decision_of, decisions
from rungwise.release.registry import Releases

DAYS_BACK = 28
_BEST_FIRST = {"quality.reviewed": "by a random sample that people reviewed", "quality.labelled": "by labels that came later"}


@dataclass(frozen=True, kw_only=True)
class Success:
    """The share of right answers with its interval, and in words where it comes from."""

    value: float
    low: float
    high: float
    source: str


@dataclass(frozen=True, kw_only=True)
class Worth:
    """What one right answer brings, in USD, and in words of what that is made up."""

    usd: float
    why: str


def success(store: Store, now: float) -> Success | None:
    """How often live answers are right: by reviews of the last weeks, else by late labels, else as measured on dev before the
    release. None where nothing says so."""
    day = int(now // DAY_S)
    for monitor, source in _BEST_FIRST.items():
        for one in reversed(Readings(store).between(day - DAYS_BACK, day, monitor=monitor)):
            if not one.about and one.value is not None and one.low is not None and one.high is not None:
                return Success(value=one.value, low=one.low, high=one.high, source=source)
    live = live_rung(store)
    if live is None or live[1].dev is None:
        return None
    dev = live[1].dev
    return Success(value=dev.mean, low=dev.low, high=dev.high, source="as measured on dev before the release")


def live_rung(store: Store) -> tuple[Decision, RungResult] | None:
    """The rung of the candidate that answers most users, else of the last that was chosen; None before either."""
    release = Releases(store).live()
    found = None
    if release is not None:
        first = max(release.variants, key=lambda one: one.weight)
        try:
            decision = decision_of(store, release, first.candidate)
        except StoreError:
            decision = None
        found = _rung(decision, first.candidate)
    if found is None and release is None:
        found = next((rung for one in decisions(store) if (rung := _rung(one, one.chosen)) is not None), None)
    return found


def worth(case: UseCase, money: Money, *, earns: bool) -> Worth:
    """What a right answer brings: work that nobody has to do, minutes that are saved, and its own value.

    The last only where no outcome has a price (`earns`): else it would be counted twice.
    """
    parts = [
        (money.baseline_usd_per_request, "what a request costs without the product"),
        (money.saved_minutes_per_success * money.minute_usd, "minutes saved"),
        (0.0 if earns else case.value_per_success_usd, "value_per_success_usd"),
    ]
    return Worth(usd=sum(usd for usd, _ in parts), why=", ".join(f"{name} {usd:g} USD" for usd, name in parts if usd))


def _rung(decision: Decision | None, candidate: str | None) -> tuple[Decision, RungResult] | None:
    if decision is None or candidate is None:
        return None
    rung = next((one for one in decision.rungs if one.candidate == candidate), None)
    return None if rung is None else (decision, rung)
