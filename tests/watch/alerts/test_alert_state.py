"""Alerts open, go on and are over by the days of the readings, and each is told once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.core.reading import ALARM, CANNOT_TELL, DAY_S, OK, Reading
from rungwise.core.watching import CRITICAL, TO_FILE, WARNING, WEBHOOK, Rule, Sink, Watching
from rungwise.data.alerts import ACKNOWLEDGED, OPEN, OPENED, RESOLVED, STATES, Alert, Alerts, Deliveries, queue_resolved
from rungwise.data.store import Store
from rungwise.watch.alerts.state import FORGOTTEN_DAYS, TOLD_AT_ONCE, note

FILE = Sink(kind=TO_FILE, to="alerts.jsonl")
WATCHING = Watching(sinks=(FILE,))


def read(day: int, monitor: str = "drift.input.length", state: str = ALARM, *, days: int = 1, **more: Any) -> Reading:
    window = {"since": float((day - days + 1) * DAY_S), "until": float((day + 1) * DAY_S)}
    return Reading(monitor=monitor, state=state, why="Questions are longer.", **{**window, **more})


def look(store: Store, readings: Sequence[Reading], watching: Watching = WATCHING) -> list[Alert]:
    with store.write(alone=True) as connection:
        return note(connection, watching, readings, at=store.clock.now())


def states(store: Store) -> list[str]:
    return [one.state for one in Alerts(store).list(STATES)]


def test_an_alarm_opens_one_alert_that_stands_while_it_holds(store: Store) -> None:
    (opened,) = look(store, [read(100, p=0.001)])
    assert (opened.state, opened.rule, opened.severity, opened.since) == (OPEN, "drift", WARNING, 100.0 * DAY_S)
    assert look(store, [read(101, p=0.0001)]) == []
    (standing,) = Alerts(store).list()
    assert (standing.id, standing.reading.p, standing.heard_until) == (opened.id, 0.0001, 102.0 * DAY_S)
    assert [(one.event, one.sink) for one in Deliveries(store).pending()] == [(OPENED, "file alerts.jsonl")]


def test_it_is_over_when_it_has_not_held_for_as_long_as_its_window(store: Store) -> None:
    look(store, [read(100, days=7), read(100, days=1)])
    for day in range(101, 107):
        look(store, [read(day, state=OK)])
        assert states(store) == [OPEN]
    look(store, [read(107, state=OK)])
    (over,) = Alerts(store).list(STATES)
    assert (over.state, over.by, over.quiet_days) == (RESOLVED, None, 7)
    assert [one.event for one in Deliveries(store).pending()] == [OPENED, RESOLVED]


def test_a_day_in_between_on_which_it_holds_begins_the_count_anew(store: Store) -> None:
    look(store, [read(100, days=2)])
    for day, state in enumerate((OK, ALARM, OK), start=101):
        look(store, [read(day, state=state)])
    assert states(store) == [OPEN]
    look(store, [read(104, state=OK)])
    assert states(store) == [RESOLVED]


def test_days_without_a_word_count_neither_way_and_a_month_of_them_ends_it(store: Store) -> None:
    look(store, [read(100, days=2)])
    look(store, [read(101, state=OK)])
    for day in range(102, 100 + FORGOTTEN_DAYS + 1):
        look(store, [read(day, state=CANNOT_TELL)])
        assert states(store) == [OPEN]
    look(store, [read(101 + FORGOTTEN_DAYS, state=CANNOT_TELL)])
    assert "nothing could be said" in Alerts(store).list(STATES)[0].note


def test_a_look_that_read_nothing_changes_nothing(store: Store) -> None:
    look(store, [read(100)])
    assert look(store, []) == []
    assert states(store) == [OPEN]


def test_taken_up_it_is_not_told_again_and_gone_and_back_it_is_another(store: Store) -> None:
    (first,) = look(store, [read(100)])
    Alerts(store).acknowledge(first.id[:8], by="ann", at=5.0)
    look(store, [read(101)])
    assert [(one.state, one.by) for one in Alerts(store).list()] == [(ACKNOWLEDGED, "ann")]
    look(store, [read(102, state=OK)])
    (back,) = look(store, [read(103)])
    assert back.id != first.id
    assert sorted(states(store)) == [OPEN, RESOLVED]
    assert [(one.alert.id, one.event) for one in Deliveries(store).pending()].count((first.id, OPENED)) == 1


def test_only_sinks_whose_least_severity_allows_it_are_told(store: Store) -> None:
    sinks = (FILE, Sink(kind=WEBHOOK, to="http://127.0.0.1:1/secret", least=CRITICAL))
    watching = Watching(sinks=sinks, rules=(Rule(name="a", metric="drift"), Rule(name="b", metric="cost", severity=CRITICAL)))
    look(store, [read(100), read(100, "cost.budget")], watching)
    told = {(one.alert.rule, one.sink.split()[0]) for one in Deliveries(store).pending()}
    assert told == {("a", "file"), ("b", "file"), ("b", "webhook")}
    assert not any("secret" in one.sink for one in Deliveries(store).pending())


def test_parts_of_the_traffic_and_rules_have_alerts_of_their_own(store: Store) -> None:
    watching = Watching(rules=(Rule(name="low", metric="quality.target", when="high < 0.9"), Rule(name="any", metric="quality")))
    readings = [read(100, "quality.target", high=0.8, about={"variant": one}) for one in "ab"]
    opened = look(store, [*readings, read(100, "quality.target", OK, high=0.95)], watching)
    assert {(one.rule, one.reading.about["variant"]) for one in opened} == {
        (rule, variant) for rule in ("low", "any") for variant in "ab"
    }


def test_of_many_at_once_the_gravest_are_told_and_all_are_kept(store: Store) -> None:
    readings = [read(100, about={"group": str(n)}, p=n / 1e6) for n in range(10_000)]
    opened = look(store, [*readings, read(100, "drift.output.failures")])
    assert len(opened) == 10_001
    assert opened[0].severity == CRITICAL
    assert opened[1].reading.about == {"group": "0"}
    assert len(Deliveries(store).pending()) == TOLD_AT_ONCE
    assert [one.more for one in opened if one.more] == [10_001 - TOLD_AT_ONCE]


def test_a_rule_that_was_taken_away_ends_its_alerts(store: Store) -> None:
    look(store, [read(100)])
    look(store, [read(101)], Watching(rules=(Rule(name="else", metric="cost"),)))
    assert "no longer in rungwise.yaml" in Alerts(store).list(STATES)[0].note


def test_a_monitor_that_broke_is_told_and_its_silence_ends_it(store: Store) -> None:
    (broken,) = look(store, [read(100, "watch.drift", CANNOT_TELL), read(100, "drift", CANNOT_TELL)])
    assert (broken.rule, broken.reading.monitor) == ("broken", "watch.drift")
    look(store, [read(101, "drift", OK)])
    assert states(store) == [RESOLVED]


def test_the_same_readings_give_the_same_ids(store: Store) -> None:
    first = look(store, [read(100)])
    with store.write() as connection:
        queue_resolved(connection, [])
    assert [one.id for one in first] == [one.id for one in Alerts(store).list()]


def test_the_state_is_what_a_straight_recount_says(store: Store) -> None:
    names = (f"drift.m{n}" for n in count())

    @settings(max_examples=20, deadline=None)
    @given(held=st.lists(st.sampled_from([ALARM, OK, CANNOT_TELL]), max_size=25), days=st.integers(1, 4))
    def recount(held: list[str], days: int) -> None:
        name, stands, quiet, opened = next(names), False, 0, 0
        for day, state in enumerate(held, start=100):
            look(store, [read(day, name, state, days=days)])
            if state == ALARM:
                opened, stands, quiet = opened + (not stands), True, 0
            elif state == OK and stands:
                quiet += 1
                stands = quiet < days
        found = [one for one in Alerts(store).list(STATES) if one.reading.monitor == name]
        assert (len(found), sum(one.state != RESOLVED for one in found)) == (opened, int(stands))

    recount()


def test_counts_by_rule_severity_and_state(store: Store) -> None:
    opened = look(store, [read(100), read(100, "drift.output.failures"), read(100, "drift.input.language")])
    Alerts(store).acknowledge(opened[0].id, by="ann", at=1.0)
    expected: Mapping[tuple[str, str, str], int] = {
        ("drift", WARNING, OPEN): 2,
        ("failures", CRITICAL, ACKNOWLEDGED): 1,
    }
    assert Alerts(store).count() == expected
