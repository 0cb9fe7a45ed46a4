"""Sums of traces by day: the same by columns, by rows, and by adding up."""

from __future__ import annotations

import math
import random
from collections import defaultdict

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rungwise.core.content import Usage
from rungwise.data.store import Store
from rungwise.data.traces.door import archive_of
from rungwise.data.traces.query import Query
from rungwise.data.traces.sums import DAY_S, of_traces
from tests.data.judged import answered, write


def test_days_are_those_of_utc_and_add_up(store: Store) -> None:
    rng = random.Random(1)
    at = [20_000 * DAY_S + rng.random() * 3 * DAY_S for _ in range(2_500)]
    at += [20_001 * DAY_S, 20_001 * DAY_S - 0.001]  # the first moment of a day, and the last of the one before
    usd = [rng.lognormvariate(-6, 1) for _ in at]
    traces = [answered(n, "a", "b", usage=Usage(usd=usd[n]), user=f"u{n % 7}") for n in range(len(at))]
    traces = [type(one)(**{**{name: getattr(one, name) for name in one.__slots__}, "at": at[n]}) for n, one in enumerate(traces)]
    write(store, traces)
    wanted: dict[str, list[float]] = defaultdict(list)
    for one in traces:
        wanted[str(int(one.at // DAY_S))].append(one.usage.usd)
    found = {str(one.value): one for one in archive_of(store).sums(Query(), by="day")}
    assert found.keys() == wanted.keys()
    for day, own in wanted.items():
        assert found[day].traces == len(own)
        assert math.isclose(found[day].usd, math.fsum(own), rel_tol=1e-12)
    some = archive_of(store).sums(Query().where("user", "=", "u3").where("at", ">=", 20_001.0 * DAY_S), by="day")
    assert sum(one.traces for one in some) == sum(one.user == "u3" and one.at >= 20_001 * DAY_S for one in traces)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(0, 4e9), max_size=30))
def test_by_looking_at_each_trace_it_is_the_same_day(moments: list[float]) -> None:
    traces = [answered(0, "a", "b", at=at) for at in moments]
    found = of_traces(traces, "day")
    assert sum(one.traces for one in found.values()) == len(moments)
    assert all(
        int(day or 0) * DAY_S <= at < (int(day or 0) + 1) * DAY_S for day in found for at in moments if str(int(at // DAY_S)) == day
    )
