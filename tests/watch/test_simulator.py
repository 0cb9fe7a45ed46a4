from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from examples.traffic.__main__ import read_drift
from examples.traffic.answering import Confusion
from examples.traffic.people import Reviewer, Voices, people_of
from examples.traffic.pools import clinc_pool, dialogue_pool, speech_pool, support_pool
from examples.traffic.simulator import KINDS, Arm, Drift, SimulatedDay, World, history, simulate, write_day
from rungwise.core.errors import UsageError
from rungwise.core.feedback import Feedback
from rungwise.core.reading import DAY_S
from rungwise.data.feedback import Judgements
from rungwise.data.store import Store
from rungwise.data.traces.door import archive_of
from rungwise.data.traces.query import Query
from rungwise.watch.traffic import Traffic, read_traffic

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
HALF = {"strength": 0.5, "start": 3}


class Clock:
    def now(self) -> float:
        return 1_800_000_000.0

    def tick(self) -> float:
        return time.perf_counter()


def months(world: World, days: int, *drifts: Drift) -> list[SimulatedDay]:
    return [simulate(world, day, drifts) for day in range(days)]


def same(first: Traffic, second: Traffic) -> list[str]:
    """The columns in which two windows differ."""
    found = []
    for one in fields(Traffic):
        a, b = getattr(first, one.name), getattr(second, one.name)
        alike = list(a) == list(b) if a.dtype == object else np.allclose(a, b, rtol=0, atol=1e-5, equal_nan=True)
        found += [] if alike else [one.name]
    return found


def test_equal_seeds_give_equal_bytes_and_another_seed_does_not() -> None:
    first, second, other = (simulate(World(seed=seed), 4, [Drift(kind="wording", **HALF)]) for seed in (7, 7, 8))
    assert same(first.traffic, second.traffic) == []
    assert first.feedback == second.feedback
    assert list(first.traffic.text) != list(other.traffic.text)


def test_equal_seeds_give_equal_bytes_in_another_process() -> None:
    code = (
        "import hashlib; from examples.traffic.simulator import World, simulate\n"
        "day = simulate(World(seed=3), 2); print(hashlib.sha256(repr((list(day.traffic.ids), list(day.traffic.text),"
        " day.feedback)).encode()).hexdigest())"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    ]
    assert told[0] == told[1]


def test_a_drift_changes_nothing_before_its_day() -> None:
    world = World(seed=2)
    for kind in KINDS:
        assert same(simulate(world, 2, [Drift(kind=kind, **HALF)]).traffic, simulate(world, 2).traffic) == [], kind


@pytest.mark.parametrize("kind", ["new_intents", "wording", "language", "length"])
def test_a_drift_touches_as_many_requests_as_its_strength_says(kind: str) -> None:
    days = months(World(seed=5), 10, Drift(kind=kind, start=4, strength=0.3))
    share = np.mean(np.concatenate([day.changed for day in days[4:]]) == kind)
    assert share == pytest.approx(0.3, abs=0.05)  # some 1,800 requests: three standard errors are 0.032
    assert not any((day.changed != "").any() for day in days[:4])


def test_new_intents_are_ones_that_nobody_asked_about_before() -> None:
    pool = support_pool()
    days = months(World(seed=5), 6, Drift(kind="new_intents", start=3, strength=0.3))
    before, after = (set(np.concatenate([day.truth for day in some])) for some in (days[:3], days[3:]))
    assert not before & set(pool.fresh)
    assert set(pool.fresh) <= after
    assert not {row["intent"] for row in history(World(seed=5), 600)} & set(pool.fresh)


def test_a_shift_of_labels_leaves_the_words_of_each_label_alone() -> None:
    world = World(seed=9)
    days = months(world, 8, Drift(kind="label_shift", start=4, strength=0.6))
    before, after = (np.concatenate([day.truth for day in some]) for some in (days[:4], days[4:]))
    top = [max(np.mean(labels == one) for one in set(labels)) for labels in (before, after)]
    assert top[1] > top[0] + 0.1
    assert not np.concatenate([day.changed for day in days]).astype(bool).any()


def test_a_drop_of_quality_may_hit_one_variant_alone() -> None:
    arms = (Arm(variant="a", weight=0.5), Arm(variant="b", weight=0.5))
    found = []
    for number in range(5):
        day = simulate(World(seed=4), number, [Drift(kind="quality_drop", start=0, strength=0.4, variant="b")], arms=arms)
        found.append([day.correct[day.traffic.variant == name].mean() for name in "ab"])
    quality = np.mean(found, axis=0)
    assert quality[0] == pytest.approx(0.9, abs=0.05)
    assert quality[1] == pytest.approx(0.9 * 0.6, abs=0.07)


def test_an_outage_fails_some_requests_or_leaves_a_day_empty_and_ends() -> None:
    world = World(seed=6)
    half, whole = (Drift(kind="outage", start=2, end=3, strength=strength) for strength in (0.5, 1.0))
    assert simulate(world, 2, [half]).traffic.failed.mean() == pytest.approx(0.5, abs=0.1)
    empty = simulate(world, 2, [whole])
    assert (len(empty.traffic), empty.feedback) == (0, ())
    assert np.isnan(empty.quality)
    assert simulate(world, 3, [whole]).traffic.failed.mean() < 0.05


def test_a_drift_may_grow_from_day_to_day() -> None:
    drift = Drift(kind="wording", start=2, strength=0.4, over=4)
    assert [drift.on(day) for day in range(7)] == pytest.approx([0, 0, 0.1, 0.2, 0.3, 0.4, 0.4])


def test_weekends_are_quieter_and_ask_about_other_things_only_where_there_are_seasons() -> None:
    volumes = {}
    for season in (True, False):
        days = months(World(seed=1, season=season, noise=0.05), 28)
        sizes = np.array([len(day.traffic) for day in days]).reshape(4, 7)
        volumes[season] = sizes[:, 5:].mean() / sizes[:, :5].mean()
    assert volumes[True] < 0.85
    assert volumes[False] > 0.9


def test_a_few_users_ask_much_and_requests_of_one_conversation_belong_together() -> None:
    days = months(World(seed=1), 28)
    users = np.concatenate([day.traffic.user for day in days])
    counts = np.sort(np.unique(users.astype(str), return_counts=True)[1])[::-1]
    assert counts[: len(counts) // 10].sum() > 0.3 * counts.sum()
    day = days[0]
    for unit in set(day.traffic.unit):
        assert len(set(day.traffic.user[day.traffic.unit == unit])) == 1
    assert len(set(day.traffic.unit)) < len(day.traffic)


def test_the_times_of_a_day_lie_in_it_in_order_and_ids_are_unique() -> None:
    world = World(seed=1, first_day=20_000)
    days = months(world, 5)
    for number, day in enumerate(days):
        assert day.number == 20_000 + number
        assert (day.traffic.days() == day.number).all()
        assert (np.diff(day.traffic.at) >= 0).all()
    ids = [id for day in days for id in day.traffic.ids]
    assert len(set(ids)) == len(ids)


def test_unhappy_users_answer_more_and_labels_come_late() -> None:
    world = World(seed=1, voices=Voices(thumbs=0.1, unhappy=4.0))
    rates: dict[bool, list[int]] = {True: [], False: []}
    delays = []
    for day in months(world, 14):
        at = dict(zip(day.traffic.ids, day.traffic.at, strict=True))
        right = dict(zip(day.traffic.ids, day.correct, strict=True))
        thumbed = {one.trace for one in day.feedback if one.thumb is not None}
        for id, failed in zip(day.traffic.ids, day.traffic.failed, strict=True):
            if not failed:
                rates[bool(right[id])].append(id in thumbed)
        labels = [one for one in day.feedback if one.label is not None]
        delays += [one.at - at[one.trace] for one in labels]
        truth = dict(zip(day.traffic.ids, day.truth, strict=True))
        assert all(one.label == truth[one.trace] for one in labels)
    assert np.mean(rates[False]) > 2 * np.mean(rates[True])
    assert np.mean(delays) > DAY_S
    assert min(delays) > 0


def test_a_confused_model_is_as_right_as_it_should_be() -> None:
    world = World(seed=1)
    arms = (Arm(answering=Confusion(labels=support_pool().labels, accuracy=0.75, abstains_below=0.2)),)
    days = [simulate(world, day, arms=arms) for day in range(14)]
    right = np.concatenate([day.correct[~day.traffic.failed] for day in days])
    assert right.mean() == pytest.approx(0.75, abs=0.03)
    sure = np.concatenate([day.traffic.confidence for day in days])
    assert np.nanmean(sure[np.concatenate([day.correct for day in days])]) > np.nanmean(sure)


def test_a_reviewer_errs_as_often_as_said_and_always_on_the_same_items() -> None:
    one, labels = Reviewer(name="ana", error=0.2), ("a", "b", "c")
    said = [one.label(f"trace-{n}", "a", labels) for n in range(2_000)]
    assert np.mean([label != "a" for label in said]) == pytest.approx(0.2, abs=0.03)
    assert said == [one.label(f"trace-{n}", "a", labels) for n in range(2_000)]
    assert Reviewer(name="ana", error=1.0).label("t", "a", ("a",)) == "a"  # there is no other label


def test_a_written_day_reads_as_the_same_columns_and_feedback_comes_on_its_day(tmp_path: Path) -> None:
    world, release = World(seed=1, requests_per_day=80), "e" * 64
    arms = (Arm(release=release, candidate="c" * 64), Arm(variant="b", candidate="d" * 64, release=release, usd=0.001))
    arms = (*arms, Arm(variant="shadow", candidate="f" * 64, release=release, shadow=True))
    store = Store.open(tmp_path, clock=Clock())
    waiting: tuple[Feedback, ...] = ()
    truth: dict[str, bool] = {}
    for number in range(4):
        day = simulate(world, number, [Drift(kind="outage", start=1, end=2, strength=0.5)], arms=arms)
        waiting = write_day(store, day, waiting=waiting)
        truth |= dict(zip(day.traffic.ids, map(bool, day.correct), strict=True))
        again = read_traffic(store, day.number * DAY_S, (day.number + 1) * DAY_S, group_tag="language_level")
        assert same(again, day.traffic) == []
        assert all(one.at >= (day.number + 1) * DAY_S for one in waiting)
        assert all(one.feedback.at < (day.number + 1) * DAY_S for one in Judgements(store).since())
    shadows = list(archive_of(store).search(Query().where("shadow", "=", True)))
    assert {one.shadow_of for one in shadows} >= set(day.traffic.ids)
    told = [one for one in Judgements(store).since() if one.about.correct is not None]
    assert len(told) > 5
    assert all(one.about.correct == truth[one.feedback.trace] for one in told)
    store.close()


def test_what_was_asked_in_the_past_is_never_asked_live_again() -> None:
    pool = support_pool()
    asked = {n for places in pool.live.values() for n in places}
    learned = {n for places in pool.before.values() for n in places}
    assert not asked & learned


@pytest.mark.parametrize(
    ("make", "folder"), [(clinc_pool, "clinc150"), (dialogue_pool, "sgd_dialogues"), (speech_pool, "dated_speeches")]
)
def test_other_pools_make_worlds_as_well(make: object, folder: str) -> None:
    if not (SHARED / folder).is_dir():
        pytest.skip(f"the public data set {folder} is not here")
    world = World(seed=1, texts=make())  # type: ignore[operator]
    day = simulate(world, 1, [Drift(kind="new_intents", start=0, strength=0.3)])
    assert len(day.traffic) > 100
    assert (day.changed == "new_intents").mean() == pytest.approx(0.3, abs=0.12)
    with pytest.raises(UsageError, match="another language"):
        simulate(world, 1, [Drift(kind="language", start=0, strength=0.9)])


def test_people_are_the_same_on_every_day() -> None:
    assert people_of(1, 50, support_pool()) is people_of(1, 50, support_pool())
    assert World(seed=1, users=50).people.habit.sum(axis=1) == pytest.approx(1.0)


def test_a_drift_is_read_from_what_people_type() -> None:
    assert read_drift("new_intents@45:0.3") == Drift(kind="new_intents", start=45, strength=0.3)
    assert read_drift("outage@20-22:1") == Drift(kind="outage", start=20, end=22, strength=1.0)
    for text in ("new_intents", "storm@3:0.5", "wording@3:1.5", "wording@3:.", "wording@-3:0.5"):
        with pytest.raises(UsageError):
            read_drift(text)
