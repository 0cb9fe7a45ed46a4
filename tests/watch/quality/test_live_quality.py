"""Live quality in a project that lives: four estimates with intervals, and a daily test of the target."""

from __future__ import annotations

from dataclasses import replace

import pytest

from examples.traffic.simulator import FIRST_DAY, Drift, World
from rungwise.core.evaluation import Evaluation
from rungwise.core.reading import ALARM, CANNOT_TELL, DAY_S, OK, Reading
from rungwise.core.usecase import Target, UseCase
from rungwise.core.watching import Review, Watching
from rungwise.data.feedback import Judgements
from rungwise.data.nouns import Nouns
from rungwise.data.store import Store
from rungwise.data.traces.door import archive_of
from rungwise.data.traces.query import Query
from rungwise.watch.quality.monitors import MONITORS, readings
from rungwise.watch.quality.target import target_reading
from rungwise.watch.scene import Scene
from tests.clocks import StillClock
from tests.data.judged import judgement, unrelated
from tests.decisions import met
from tests.watch.quality.living import CANDIDATE, Living, one_of


def unread(_: Scene) -> list[Reading]:
    """Nobody looks."""
    return []


def target_only(scene: Scene) -> list[Reading]:
    one = target_reading(scene)
    return [] if one is None else [one]


@pytest.fixture
def living(store: Store, clock: StillClock) -> Living:
    return Living(store, clock)


def decided(store: Store, *, right: float = 0.9) -> str:
    """A decision whose evaluation on dev has confidences, and the live candidate right on that share of them."""
    confidences = tuple(0.5 + n / 400 for n in range(200))
    scores = tuple(float(n % 100 < 100 * right) for n in range(200))
    one = Evaluation(
        candidate=CANDIDATE,
        dataset="d",
        split="dev",
        rows=tuple(map(str, range(200))),
        answers=("refund",) * 200,
        confidences=confidences,
        scores={"accuracy": scores},
    )
    Nouns(store).put(one)
    return Nouns(store).put(met("d", use_case="u", target=0.85, evaluations=(one.id,)))


def test_every_estimate_holds_the_share_that_was_right(living: Living) -> None:
    living.evidence = (decided(living.store),)
    living.begin()
    for day in range(9):
        living.live(day, read=unread)
    found = living.live(9)
    truth = living.share()
    for monitor in ("quality.reviewed", "quality.labelled", "quality.feedback"):
        one = one_of(found, monitor)
        assert one.low is not None
        assert one.high is not None
        assert one.low <= truth <= one.high
        assert (one.state, one.level, one.reference) == (OK, 0.95, 0.85)
        assert one.high - one.low < 0.25
    corrected = one_of(found, "quality.feedback")
    assert corrected.details["corrected"] is True
    assert corrected.details["naive"] < one_of(found, "quality.reviewed").value  # the unhappy say so three times as often
    sure = one_of(found, "quality.confidence")
    assert sure.details["estimate_only"] is True
    assert sure.details["compared_with"] in MONITORS
    assert {one.about.get("group") for one in found} > {None}
    target = one_of(found, "quality.target")
    assert (target.state, target.reference, target.level) == (OK, 0.85, 0.05)
    assert target.n > 100


def test_confidence_that_does_not_mean_what_it_meant_is_named(living: Living) -> None:
    living.evidence = (decided(living.store, right=0.99),)
    living.begin()
    drop = [Drift(kind="quality_drop", start=0, strength=0.4)]
    for day in range(7):
        living.live(day, drop, read=unread)
    found = living.live(7, drop)
    one = one_of(found, "quality.confidence")
    assert (one.state, one.details["disagrees"]) == (OK, True)
    assert "do not trust the confidence" in one.why


def test_a_fall_below_the_target_alarms_with_examples_and_stays_shown_on_the_next_day(living: Living) -> None:
    living.begin()
    states = []
    for day in range(12):
        found = living.live(day, [Drift(kind="quality_drop", start=3, strength=0.5)], read=target_only)
        states.append(one_of(found, "quality.target").state)
    assert states[0] == CANNOT_TELL
    assert ALARM not in states[:4]
    assert states[-2:] == [ALARM, ALARM]
    shown = one_of(found, "quality.target")
    assert shown.p is not None
    assert shown.p <= 0.05
    assert "shown to be below the target of 85.0%" in shown.why
    assert shown.traces
    assert not any(living.truth[trace] for trace in shown.traces)
    assert target_only(living.scene(11)) == [shown]  # looked at again, it says the same


def test_a_project_where_nobody_judges_says_so_and_alarms_nothing(living: Living) -> None:
    living.watching = Watching(review=Review(per_day=0, uncertain_per_day=0))
    living.world = World(requests_per_day=40, users=10, voices=replace(living.world.voices, thumbs=0.0, labelled=0.0))
    living.begin()
    for one in living.live(0):
        assert (one.state, one.value, one.n) == (CANNOT_TELL, None, 0) or one.monitor == "quality.confidence"
        assert one.why


def test_months_without_traffic_cannot_tell(living: Living) -> None:
    living.begin()
    found = readings(living.scene(40))
    assert {one.state for one in found} == {CANNOT_TELL}
    assert {one.monitor for one in found} == {*MONITORS, "quality.target"}


def test_feedback_without_reviews_is_marked_as_resting_on_an_assumption(living: Living) -> None:
    living.watching = Watching(review=Review(per_day=0, uncertain_per_day=0))
    living.world = replace(living.world, voices=replace(living.world.voices, thumbs=0.4))
    living.begin()
    for day in range(2):
        living.live(day, read=unread)
    found = living.live(2)
    one = one_of(found, "quality.feedback")
    assert one.details["corrected"] is False
    assert "does not depend on what they would say" in one.details["assumes"]


def test_reviews_that_are_open_are_counted_and_do_not_stop_the_others(living: Living) -> None:
    living.begin()
    for day in range(3):
        living.live(day, review=lambda trace: int(trace[-1], 16) % 2 == 0, read=unread)
    found = living.live(3)
    one = one_of(found, "quality.reviewed", days=7)
    assert one.details["open"] > 5
    assert one.n > 5


def test_one_review_gives_an_interval_but_tells_nothing(living: Living) -> None:
    living.watching = Watching(review=Review(per_day=1, uncertain_per_day=0))
    living.begin()
    living.live(0, read=unread)
    one = one_of(living.live(1), "quality.reviewed")
    assert (one.state, one.n) == (CANNOT_TELL, 1)
    assert one.low is not None
    assert one.high is not None
    assert one.high - one.low > 0.9


def test_answers_that_are_all_right_keep_an_interval(living: Living) -> None:
    living.watching = Watching(review=Review(per_day=10, uncertain_per_day=0))
    living.begin()
    for day in range(3):
        living.live(day, says=lambda _: True, read=unread)
    found = living.live(3)
    for monitor in ("quality.reviewed", "quality.feedback"):
        one = one_of(found, monitor)
        assert (one.value, one.high) == (1.0, 1.0)
        assert one.low is not None
        assert 0.8 < one.low < 0.95  # 30 reviews: 0.025^(1/30) = 0.88


def test_a_monitor_that_is_off_is_not_computed(living: Living) -> None:
    living.watching = Watching(off=("quality.reviewed", "quality.target"))
    living.begin()
    names = {one.monitor for one in living.live(0)}
    assert names == {"quality.labelled", "quality.feedback", "quality.confidence"}
    living.watching = Watching(off=("quality",))
    assert living.live(1) == []


def test_a_target_that_is_no_share_of_right_answers_is_not_tested(living: Living) -> None:
    living.case = UseCase(name="s", task="classify", target=Target(metric="macro_f1", value=0.8))
    living.begin()
    one = one_of(living.live(0), "quality.target")
    assert (one.state, one.reference) == (CANNOT_TELL, 0.8)
    assert "macro_f1" in one.why
    living.case = UseCase(name="s", task="classify")
    assert "quality.target" not in {one.monitor for one in living.live(1)}


def test_judgements_on_unknown_and_erased_requests_change_nothing(living: Living) -> None:
    living.begin()
    for day in range(3):
        living.live(day, read=unread)
    before = readings(living.scene(2))
    lost = judgement("f" * 32, source="business", at=(FIRST_DAY + 1) * DAY_S, label="refund")
    Judgements(living.store).add([(lost, unrelated(correct=0.0))])
    assert readings(living.scene(2)) == before
    user = next(iter(archive_of(living.store).search(Query(), limit=1))).user
    archive_of(living.store).erase(Query().where("user", "=", user))
    assert readings(living.scene(2))[0].details["open"] >= 0  # and nothing raises


def test_the_same_day_reads_the_same(living: Living) -> None:
    living.begin()
    for day in range(3):
        living.live(day, read=unread)
    assert readings(living.scene(2)) == readings(living.scene(2))
