"""Cost, value and return of a project with weeks of traffic, held against adding up by hand; and of odd ones."""

from __future__ import annotations

import json
import math
import random
from collections import defaultdict

import pytest

from rungwise.core.feedback import Feedback
from rungwise.core.reading import DAY_S
from rungwise.core.release import Release
from rungwise.core.trace import Trace
from rungwise.core.usecase import UseCase
from rungwise.core.watching import Money, Watching
from rungwise.data.costs import Costs, Noted
from rungwise.data.store import Store
from rungwise.data.traces.door import archive_of
from rungwise.data.traces.query import Query
from rungwise.watch.money.days import day_costs
from rungwise.watch.value.account import Account, account
from rungwise.watch.value.document import account_document
from tests.clocks import StillClock
from tests.data.judged import write
from tests.watch.earning import answered, judged, month, release

CASE = UseCase(name="p", task="classify")
DAYS = 25


@pytest.fixture
def live(store: Store, clock: StillClock) -> Release:
    first = int(clock.at // DAY_S) - DAYS
    return release(store, [("plain", "1" * 64), ("rich", "2" * 64)], at=first * DAY_S)


@pytest.fixture
def traces(store: Store, clock: StillClock, live: Release) -> list[Trace]:
    return month(store, live, first=int(clock.at // DAY_S) - DAYS, days=DAYS, users=30, a_day=40)


def told(
    store: Store, clock: StillClock, *, money: Money | None = None, days: int = 30, fields: tuple[str, ...] = ("user",)
) -> Account:
    return account(store, CASE, Watching(money=money or Money()), clock.now(), days=days, fields=fields)


def test_every_line_of_the_bill_is_what_adding_up_gives(store: Store, clock: StillClock, traces: list[Trace]) -> None:
    fields = {"user": lambda one: one.user, "variant": lambda one: one.variant, "tag.team": lambda one: one.tags.get("team")}
    fields["operation"] = lambda one: one.operation
    found = told(store, clock, fields=tuple(fields))
    own = [one for one in traces if one.shadow_of is None]
    for field, get in fields.items():
        wanted: dict[str | None, list[float]] = defaultdict(list)
        for one in own:
            wanted[get(one)].append(one.usage.usd)
        lines = {one.value: one for one in found.by[field]}
        assert lines.keys() == wanted.keys()
        assert all(math.isclose(lines[name].usd, math.fsum(usd), rel_tol=1e-12) for name, usd in wanted.items())
        assert sum(one.requests for one in lines.values()) == len(own)
    assert found.bill.usd == pytest.approx(math.fsum(one.usage.usd for one in own), rel=1e-12)
    assert found.bill.shadow_usd == pytest.approx(math.fsum(one.usage.usd for one in traces if one.shadow_of), rel=1e-12)
    assert sum(one.usd for one in found.per_day) == pytest.approx(found.bill.usd)


def test_what_belongs_to_no_request_is_shared_out_and_adds_up(store: Store, clock: StillClock, traces: list[Trace]) -> None:
    Costs(store).add(Noted(kind="people", usd=50.0, note="a day", at=clock.now() - 1))
    Costs(store).add(Noted(kind="people", usd=7.0, note="long ago", at=clock.now() - 90 * DAY_S))
    Costs(store).add(Noted(kind="labels", usd=9.0, note="for one", at=clock.now() - 1, candidate="1" * 64))
    found = told(store, clock)
    assert found.bill.noted_usd == 50.0
    assert sum(one.total_usd for one in found.by["user"]) + found.bill.shadow_usd == pytest.approx(found.bill.total_usd)
    assert found.development.noted_usd == 66.0
    assert traces


def test_outcomes_are_counted_for_the_variant_and_user_that_brought_them(
    store: Store, clock: StillClock, traces: list[Trace]
) -> None:
    found = told(store, clock).outcomes
    by_variant = {one.variant: one for one in found.variants}
    assert set(by_variant) == {"plain", "rich"}
    for name, one in by_variant.items():
        own = [trace for trace in traces if trace.variant == name]
        assert one.units == len({trace.user for trace in own})
        assert one.requests == len(own)
        assert one.usd == pytest.approx(sum(trace.usage.usd for trace in own))
        assert one.usd_per_request is not None
        assert one.usd_per_request.value == pytest.approx(one.usd / one.requests)
        assert one.revenue_per_user is not None
        assert one.revenue_per_user.value * one.units == pytest.approx(one.revenue_usd)
    assert sum(one.revenue_usd for one in found.variants) == pytest.approx(found.revenue_usd)
    assert "revenue_per_user" in by_variant["rich"].against
    assert not by_variant["plain"].against


def test_a_price_of_an_outcome_counts_only_where_the_feedback_has_none(store: Store, clock: StillClock, live: Release) -> None:
    rng, at = random.Random(1), clock.now() - 5 * DAY_S
    own = [answered(at + n, rng, user=f"u{n}", release=live.id, variant="plain") for n in range(4)]
    write(store, own)
    said = [Feedback(trace=own[0].id, source="business", at=at + 9, outcome="sold", value_usd=30.0)]
    said.append(Feedback(trace=own[1].id, source="business", at=at + 9, outcome="sold"))
    said.append(Feedback(trace=own[2].id, source="business", at=at + 9, outcome="refunded", value_usd=-12.0))
    said.append(Feedback(trace=own[3].id, source="user", at=at + 9, thumb=True))
    judged(store, list(zip(own, said, strict=True)))
    found = told(store, clock, money=Money(outcomes={"sold": 10.0}))
    assert found.outcomes.revenue_usd == 28.0
    assert found.returned.revenue_usd == 28.0
    plain = found.outcomes.variants[0]
    assert plain.answered_with == {"refunded": 0.25, "sold": 0.5}
    assert plain.conversions["sold"].value == 0.5


def test_outcomes_of_erased_traces_are_said_to_be_gone(store: Store, clock: StillClock, live: Release) -> None:
    rng, at = random.Random(1), clock.now() - 5 * DAY_S
    own = [answered(at + n, rng, user=f"u{n}", release=live.id, variant="plain") for n in range(3)]
    write(store, own)
    judged(store, [(one, Feedback(trace=one.id, source="business", at=at + 9, outcome="sold", value_usd=1.0)) for one in own])
    archive_of(store).erase(Query().where("user", "=", "u1"))
    found = told(store, clock).outcomes
    assert (found.gone, found.revenue_usd) == (1, 2.0)


def test_late_and_doubled_feedback_counts_once_and_says_how_far_it_is_complete(
    store: Store, clock: StillClock, live: Release
) -> None:
    rng, at = random.Random(1), clock.now() - 20 * DAY_S
    own = answered(at, rng, user="u", release=live.id, variant="plain")
    write(store, [own])
    late = Feedback(trace=own.id, source="business", at=clock.now() - 60, outcome="sold", value_usd=4.0)
    judged(store, [(own, late)])
    judged(store, [(own, late)])
    found = told(store, clock)
    assert found.outcomes.revenue_usd == 4.0
    assert found.outcomes.by_day == {int(at // DAY_S): 4.0}  # the day of the question
    assert found.complete_until == int(clock.now() // DAY_S) - 15


def test_nobody_asked_anything(store: Store, clock: StillClock) -> None:
    found = told(store, clock, money=Money(budget_usd_per_month=5.0, user_budget_usd_per_month=1.0))
    plain = account_document(found)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["cost"]["requests"] == 0
    assert plain["cost"]["usd_per_request"] is None
    assert plain["return"]["roi"] is None or plain["return"]["roi"] <= 0
    assert plain["return"]["break_even"] == []


def test_traces_that_hold_nothing_and_lie_ahead_break_nothing(store: Store, clock: StillClock) -> None:
    rng = random.Random(1)
    odd = [answered(clock.now() - 100, rng, usd=0.0), answered(clock.now() + 900 * DAY_S, rng), answered(5.0, rng, usd=2.0)]
    one = answered(clock.now() - 50, rng, conversation="c")
    again = answered(clock.now() - 40, rng, conversation="c")
    write(store, [*odd, one, again])
    early = Feedback(trace=one.id, source="user", at=1.0, outcome="sold", value_usd=1.0)  # before it was asked
    judged(store, [(one, early)])
    found = told(store, clock, fields=("user", "tenant", "variant", "candidate", "operation", "tag.team"))
    (everybody,) = found.outcomes.variants
    assert (everybody.units, everybody.requests, everybody.revenue_usd) == (2, 3, 1.0)
    assert everybody.returning is None
    assert json.dumps(account_document(found), allow_nan=False)


def test_one_user_whose_every_answer_is_alike_has_no_bounds(store: Store, clock: StillClock, live: Release) -> None:
    rng = random.Random(1)
    own = {"user": "only", "release": live.id, "variant": "plain"}
    write(store, [answered(clock.now() - (n + 1) * 3600, rng, **own) for n in range(100)])
    plain, rich = told(store, clock).outcomes.variants
    assert plain.requests_per_user is not None
    assert (plain.requests_per_user.value, plain.requests_per_user.low) == (100.0, None)
    assert (rich.units, rich.revenue_per_user) == (0, None)


def test_a_day_that_was_written_down_outlives_its_traces(store: Store, clock: StillClock, traces: list[Trace]) -> None:
    today = int(clock.now() // DAY_S)
    before = day_costs(store, today - DAYS, today - 1, today=today)
    archive_of(store).expire(clock.now())
    assert day_costs(store, today - DAYS, today - 1, today=today) == before
    assert sum(one.requests for one in before) == sum(one.shadow_of is None for one in traces)


def test_the_document_lists_the_dearest_and_sums_the_others(store: Store, clock: StillClock, traces: list[Trace]) -> None:
    found = told(store, clock)
    short, whole = (account_document(found, top=top)["cost"]["by"]["user"] for top in (3, None))
    assert len(short) == 4
    assert short[:3] == whole[:3]
    assert short[3]["others"] == len(whole) - 3
    assert sum(one["usd"] for one in short) == pytest.approx(sum(one["usd"] for one in whole))
    assert traces
