"""The drift monitors on simulated days: what alarms, what does not, what survives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks.false_alarms import FIRST, Pool, World, day_of, episodes, looks, support_pool
from rungwise.core.candidate import Candidate
from rungwise.core.feedback import Feedback
from rungwise.core.reading import ALARM, CANNOT_TELL, DAY_S, Reading
from rungwise.core.release import Release, Variant
from rungwise.core.usecase import UseCase
from rungwise.core.watching import Watching
from rungwise.data.feedback import About, Judgements
from rungwise.data.nouns import Nouns
from rungwise.data.store import EMBEDDED, Store
from rungwise.watch.drift.monitors import readings
from rungwise.watch.drift.reference import parse_days
from rungwise.watch.drift.sketch import packed, unpacked
from rungwise.watch.scene import Scene
from rungwise.watch.traffic import Traffic, empty
from tests.clocks import StillClock
from tests.decisions import met

WORLD = World(seed=1, per_day=150.0, users=60)
REFERENCE = 28
AFTER = FIRST + REFERENCE

Change = Callable[[Traffic], Traffic]


def names(values: list[str | None]) -> np.ndarray:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def some(traffic: Traffic, share: float) -> np.ndarray:
    return np.arange(len(traffic)) < share * len(traffic)


def fails(traffic: Traffic) -> Traffic:
    return replace(traffic, failed=traffic.failed | some(traffic, 0.4))


def empties(traffic: Traffic) -> Traffic:
    return replace(traffic, text=np.where(some(traffic, 0.3), "", traffic.text))


def in_german(traffic: Traffic) -> Traffic:
    text = "Guten Tag, ich möchte bitte mein Abonnement kündigen und das Geld zurück"
    return replace(traffic, text=np.where(some(traffic, 0.3), text, traffic.text))


def slow(traffic: Traffic) -> Traffic:
    return replace(traffic, seconds=traffic.seconds * 5)


def with_addresses(traffic: Traffic) -> Traffic:
    told = names([f"{text} I am anna{row}@example.org" for row, text in enumerate(traffic.text)])
    return replace(traffic, text=np.where(some(traffic, 0.4), told, traffic.text))


def one_answer(traffic: Traffic) -> Traffic:
    return replace(traffic, answer=np.where(some(traffic, 0.6), "cancel_subscription", traffic.answer))


def unsure(traffic: Traffic) -> Traffic:
    return replace(traffic, confidence=traffic.confidence * 0.4, abstained=some(traffic, 0.6))


def cut_off(traffic: Traffic) -> Traffic:
    return replace(traffic, truncated=some(traffic, 0.3), output_tokens=traffic.output_tokens * 4)


PLANTED: dict[int, tuple[Change, set[str]]] = {
    1: (fails, {"drift.output.failures"}),
    2: (empties, {"drift.data.empty"}),
    3: (in_german, {"drift.input.language", "drift.input.meaning"}),
    4: (slow, {"drift.output.latency"}),
    5: (with_addresses, {"drift.data.personal"}),
    6: (one_answer, {"drift.output.answers"}),
    7: (unsure, {"drift.output.confidence", "drift.output.abstentions"}),
    8: (cut_off, {"drift.data.truncated", "drift.output.tokens"}),
}


@pytest.fixture(scope="module")
def pool() -> Pool:
    return support_pool()


@pytest.fixture(scope="module")
def looked(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Reading]]:
    """A reference of four weeks, a plain day, then days of which each has something planted."""

    def make(day: int) -> Traffic:
        plain = day_of(WORLD, pool, day)
        return PLANTED[day - AFTER][0](plain) if day - AFTER in PLANTED else plain

    return dict(looks(make, pool.encode, range(FIRST, AFTER + 9), tmp_path_factory.mktemp("planted")))


def said_of(found: list[Reading], monitor: str) -> Reading:
    return next(one for one in found if one.monitor == monitor and not one.about and one.days == 1)


def words_in(one: Reading) -> set[str]:
    return {str(word["word"]) for word in one.details.get("words", ())}


def alarms(found: list[Reading], days: int = 1) -> set[str]:
    return {one.monitor for one in found if one.state == ALARM and one.days == days and not one.about}


@pytest.mark.parametrize("after", PLANTED)
def test_a_planted_change_is_told_the_day_it_comes_by_its_monitor(looked: dict[int, list[Reading]], after: int) -> None:
    assert PLANTED[after][1] <= alarms(looked[AFTER + after])


def test_an_alarm_about_meaning_names_the_words_that_are_new_and_shows_requests(looked: dict[int, list[Reading]]) -> None:
    one = said_of(looked[AFTER + 3], "drift.input.meaning")
    assert "new: 'abonnement'" in one.why or {"abonnement", "möchte", "geld"} & words_in(one)
    assert one.traces
    assert all(id.startswith(f"{AFTER + 3:06x}") for id in one.traces)
    assert one.details["told_apart"] > 0.55


def test_an_alarm_about_answers_names_the_answer_that_rose(looked: dict[int, list[Reading]]) -> None:
    one = said_of(looked[AFTER + 6], "drift.output.answers")
    assert "more often: 'cancel_subscription'" in one.why
    assert one.traces


def test_only_all_the_traffic_and_the_surest_group_are_explained(looked: dict[int, list[Reading]]) -> None:
    for found in looked.values():
        for monitor in ("drift.input.meaning", "drift.input.vocabulary", "drift.output.answers"):
            told = [one for one in found if one.monitor == monitor and "words" in one.details]
            assert {one.state for one in told} <= {ALARM}
            assert sum(bool(one.about) for one in told) <= 1


def test_a_reading_of_a_group_says_so_first(looked: dict[int, list[Reading]]) -> None:
    for one in looked[AFTER]:
        if one.about and one.monitor == "drift.input.language":
            assert one.why.startswith(f"for {one.about['group']}, the languages of questions are as usual on the last day: ")


def test_a_plain_day_alarms_nothing(looked: dict[int, list[Reading]]) -> None:
    assert not [one for one in looked[AFTER] if one.state == ALARM]


def test_a_reading_has_an_effect_with_its_unit_and_a_p_with_its_level(looked: dict[int, list[Reading]]) -> None:
    for one in looked[AFTER + 1]:
        assert one.p is not None
        assert 0 <= one.p <= 1
        assert one.level is not None
        assert 0 < one.level < 1e-3
        assert one.effect is not None
        assert one.unit
        assert (one.state == ALARM) == (one.p <= one.level)
    failures = next(one for one in looked[AFTER + 1] if one.monitor == "drift.output.failures" and not one.about and one.days == 1)
    assert failures.effect == pytest.approx(0.4, abs=0.15)
    assert "instead of" in failures.why


def test_the_levels_of_a_day_add_up_to_a_thirtieth_of_the_promise(looked: dict[int, list[Reading]]) -> None:
    level = looked[AFTER][0].level
    assert level is not None
    monitors = {(one.monitor, str(one.about)) for one in looked[AFTER]}
    assert level * (3 * (len(monitors) + 2)) * 30 == pytest.approx(0.1)  # three horizons; late labels count before any came


def test_groups_are_looked_at_by_themselves(looked: dict[int, list[Reading]]) -> None:
    assert {one.about["group"] for one in looked[AFTER] if one.about} == {"native", "learner"}


def test_what_is_said_before_the_reference_is_over_says_why(looked: dict[int, list[Reading]]) -> None:
    (one,) = looked[FIRST + 3]
    assert one.state == CANNOT_TELL
    assert one.why.startswith("4 of 28 days of the reference are over")


def test_the_same_days_give_the_same_readings(looked: dict[int, list[Reading]], pool: Pool, tmp_path: Path) -> None:
    again = dict(looks(lambda day: day_of(WORLD, pool, day), pool.encode, range(FIRST, AFTER + 1), tmp_path))
    assert again[AFTER] == looked[AFTER]


def scene_at(store: Store, day: int, pool: Pool, known: dict[int, Traffic], **settings: object) -> Scene:
    watching = replace(Watching(), **settings)  # type: ignore[arg-type]
    case = UseCase(name="simulated", task="classify")
    return Scene(
        store=store,
        directory=store.directory,
        case=case,
        watching=watching,
        day=day,
        clock=StillClock(),
        encoder=lambda: pool.encode,
        known=known,
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path, clock=StillClock(), url=EMBEDDED)


def dated(days: int) -> str:
    from datetime import date, timedelta

    first = date(1970, 1, 1) + timedelta(days=FIRST)
    return f"{first}..{first + timedelta(days=days - 1)}"


def test_chosen_days_are_the_reference(store: Store, pool: Pool) -> None:
    known = {day: day_of(WORLD, pool, day) for day in range(FIRST, FIRST + 15)}
    found = readings(scene_at(store, FIRST + 14, pool, known, reference=dated(14), off=("drift.input", "drift.data")))
    assert {one.monitor.split(".")[1] for one in found} == {"output"}
    assert not [one for one in found if one.state == ALARM]


def test_a_month_without_traffic_cannot_be_told_and_raises_nothing(store: Store, pool: Pool) -> None:
    known = {day: day_of(WORLD, pool, day) for day in range(FIRST, FIRST + 14)}
    known |= {day: empty() for day in range(FIRST + 14, FIRST + 45)}
    found = readings(scene_at(store, FIRST + 44, pool, known, reference=dated(14)))
    assert found
    assert {one.state for one in found} == {CANNOT_TELL}
    assert "only 0 of 28 days" in found[-1].why


def test_a_reference_without_traffic_cannot_be_told(store: Store, pool: Pool) -> None:
    known = {day: empty() for day in range(FIRST, FIRST + 30)}
    (one,) = readings(scene_at(store, FIRST + 29, pool, known, reference=dated(20)))
    assert (one.state, one.why) == (CANNOT_TELL, "fewer than 14 days of the reference have traffic")


def test_nobody_has_asked_anything_yet(store: Store, pool: Pool) -> None:
    (one,) = readings(scene_at(store, FIRST, pool, {FIRST: empty()}))
    assert one.state == CANNOT_TELL


def odd(day: int, value: float) -> Traffic:
    """30 requests that are all alike, without text, users or groups, some of them at the wrong time of another day."""
    n = 30
    nothing, same = names([None] * n), np.full(n, value)
    return Traffic(
        ids=names([f"{day}-{row}" for row in range(n)]),
        at=np.full(n, float(day * DAY_S)),
        user=nothing,
        unit=names([f"{day}-{row}" for row in range(n)]),
        tenant=nothing,
        release=nothing,
        variant=nothing,
        candidate=nothing,
        group=nothing,
        text=names([""] * n),
        answer=names([""] * n),
        confidence=np.full(n, np.nan),
        abstained=np.zeros(n, np.bool_),
        failed=np.zeros(n, np.bool_),
        truncated=np.zeros(n, np.bool_),
        seconds=same,
        input_tokens=same,
        output_tokens=same,
        usd=np.zeros(n),
    )


def test_values_that_are_all_equal_stay_quiet_until_they_are_not(store: Store, pool: Pool) -> None:
    known = {day: odd(day, 1.0) for day in range(FIRST, FIRST + 15)} | {FIRST + 15: odd(FIRST + 15, 2.0)}
    same = readings(scene_at(store, FIRST + 14, pool, known, reference=dated(14)))
    assert "drift.output.latency" in {one.monitor for one in same}
    assert not [one for one in same if one.state == ALARM]
    other = readings(scene_at(store, FIRST + 15, pool, known, reference=dated(14)))
    assert alarms(other) == {"drift.output.latency", "drift.output.tokens"}


def test_one_odd_request_of_a_constant_is_no_alarm(store: Store, pool: Pool) -> None:
    known = {day: odd(day, 1.0) for day in range(FIRST, FIRST + 15)}
    known[FIRST + 14].seconds[0] = 9.0
    found = readings(scene_at(store, FIRST + 14, pool, known, reference=dated(14)))
    assert not [one for one in found if one.state == ALARM]


def test_one_busy_person_is_no_alarm(store: Store, pool: Pool) -> None:
    """A person who sends as much as everybody else together, all of it failing."""
    known = {day: day_of(WORLD, pool, day) for day in range(FIRST, FIRST + 15)}
    today = known[FIRST + 14]
    double = today.only(np.repeat(np.arange(len(today)), 2))
    extra = np.arange(len(double)) % 2 == 1
    known[FIRST + 14] = replace(
        double, user=np.where(extra, "bot", double.user), unit=np.where(extra, "bot", double.unit), failed=double.failed | extra
    )
    found = readings(scene_at(store, FIRST + 14, pool, known, reference=dated(14)))
    assert "drift.output.failures" not in alarms(found)


def test_late_labels_that_disagree_alarm(store: Store, pool: Pool) -> None:
    rng, quick = np.random.default_rng(0), 3
    judged = []
    for day in range(FIRST, FIRST + 14 + quick + 7):
        wrong = 0.1 if day < FIRST + 14 + quick else 0.6
        for row in range(60):
            right = rng.random() >= wrong
            said = Feedback(trace=f"{day}-{row}", source="reviewer", at=day * DAY_S + row, label=str(rng.choice(["a", "b"])))
            judged.append((said, About(unit=f"user{row}", correct=float(right))))
    Judgements(store).add(judged)
    known = {day: odd(day, 1.0) for day in range(FIRST, FIRST + 14)}
    known |= {day: empty() for day in range(FIRST + 14, FIRST + 40)}
    day = FIRST + 14 + quick + 6
    found = readings(scene_at(store, day, pool, known, reference=dated(14), label_days=float(quick)))
    assert alarms(found, 1) == alarms(found, 7) == {"drift.truth.agreement"}
    one = next(one for one in found if one.monitor == "drift.truth.labels")
    assert one.why.startswith("what is said to have been right is as usual on the last day: 'a' ") or "'b' " in one.why
    before = readings(scene_at(store, FIRST + 14 + quick, pool, known, reference=dated(14), label_days=float(quick)))
    assert alarms(before) == {"drift.truth.agreement"}


def test_a_late_label_that_is_new_is_named_with_its_traces(store: Store, pool: Pool) -> None:
    rng, judged, last = np.random.default_rng(1), [], FIRST + 14
    for day in range(FIRST, last + 1):
        for row in range(60):
            label = "claims" if day == last and row % 2 else str(rng.choice(["a", "b"]))
            said = Feedback(trace=f"{day}-{row}", source="reviewer", at=day * DAY_S + row, label=label)
            judged.append((said, About(unit=f"user{row}", correct=1.0)))
    Judgements(store).add(judged)
    known = {day: odd(day, 1.0) for day in range(FIRST, last + 1)}
    found = readings(scene_at(store, last, pool, known, reference=dated(14), label_days=0.0))
    one = next(one for one in found if one.monitor == "drift.truth.labels" and one.days == 1)
    assert one.state == ALARM
    assert "those never seen before 50.00% instead of" in one.why
    assert "new: 'claims'" in one.why
    assert set(one.traces) <= {f"{last}-{row}" for row in range(1, 60, 2)}
    assert len(one.traces) == 5


def test_where_the_traces_of_the_reference_are_gone_no_words_are_named(store: Store, pool: Pool) -> None:
    known = {day: day_of(WORLD, pool, day) for day in range(FIRST, FIRST + 15)}
    day = FIRST + 14
    readings(scene_at(store, day, pool, known, reference=dated(14), off=("drift.output", "drift.data")))
    gone = {one: empty() for one in known} | {day + 1: in_german(day_of(WORLD, pool, day + 1))}
    found = readings(scene_at(store, day + 1, pool, gone, reference=dated(14), off=("drift.output", "drift.data")))
    assert "drift.input.meaning" in alarms(found)
    assert not [one for one in found if one.traces or "words" in one.details]


def test_a_sketch_survives_its_bytes(pool: Pool, store: Store) -> None:
    from rungwise.watch.drift.reference import baseline_for, sketch_of

    known = {day: day_of(WORLD, pool, day) for day in range(FIRST, FIRST + 15)}
    scene = scene_at(store, FIRST + 14, pool, known, reference=dated(14), group_tag="group")
    baseline = baseline_for(scene, FIRST, FIRST + 13)
    assert not isinstance(baseline, str)
    sketch = sketch_of(scene, baseline.frame, FIRST + 14)
    again = unpacked(packed(sketch))
    assert again.keys() == sketch.keys()
    assert packed(again) == packed(sketch)
    for key, part in sketch.items():
        np.testing.assert_allclose(again[key].mean, part.mean, atol=1e-6)
        assert [list(one) for one in again[key].who] == [list(one) for one in part.who]


def test_no_word_of_a_person_stays_in_the_reference(pool: Pool, store: Store) -> None:
    known = {day: day_of(WORLD, pool, day) for day in range(FIRST, FIRST + 15)}
    for day in range(FIRST, FIRST + 5):
        known[day].text[0] = "my name is Zebulonia Quagmire"
        known[day].answer[0] = "Zebulonia Quagmire"
    readings(scene_at(store, FIRST + 14, pool, known, reference=dated(14)))
    from sqlalchemy import select

    from rungwise.data.schema import sketches

    with store.read() as connection:
        bodies = [bytes(body) for body in connection.execute(select(sketches.c.body)).scalars()]
    assert bodies
    assert not [body for body in bodies if b"zebulonia" in body.lower()]


def answered_by(traffic: Traffic, candidate: str) -> Traffic:
    return replace(traffic, candidate=names([candidate] * len(traffic)))


def test_labels_of_the_candidate_are_kept_as_they_are_and_other_answers_as_numbers(pool: Pool, store: Store) -> None:
    from rungwise.curate.shingles import normalise
    from rungwise.watch.drift.reference import baseline_for

    chosen = pool.names[:3]
    candidate = Candidate(task="classify", model="linear", labels=chosen)
    Nouns(store).put(candidate)
    release = Release(use_case="simulated", variants=(Variant(name="a", candidate=candidate.id, weight=1.0),), evidence=())
    known = {day: answered_by(day_of(WORLD, pool, day), candidate.id) for day in range(FIRST, FIRST + 15)}
    known[FIRST + 14] = one_answer(known[FIRST + 14])
    scene = replace(scene_at(store, FIRST + 14, pool, known, reference_days=14), release=release)
    for day in range(FIRST, FIRST + 14):
        readings(replace(scene, day=day))
    one = said_of(readings(scene), "drift.output.answers")
    baseline = baseline_for(scene, FIRST, FIRST + 13)
    assert not isinstance(baseline, str)
    columns = next(one.names for one in baseline.frame.features if one.monitor == "drift.output.answers")
    assert {name for name in columns if not name.startswith(("#", "("))} == {normalise(label) for label in chosen}
    assert sum(name.startswith("#") for name in columns) >= 5
    assert one.state == ALARM
    assert "'cancel_subscription'" in one.why


@pytest.mark.parametrize("text", ["yesterday", "2026-02-01..2026-01-01", "2026-01-01..", "2026-01-01"])
def test_a_reference_that_cannot_be_read_says_how_to_write_it(text: str) -> None:
    from rungwise.core.errors import UsageError

    with pytest.raises(UsageError, match=r"2026-01-01\.\.2026-01-28"):
        parse_days(text)


@pytest.mark.slow
def test_months_without_drift_keep_the_promise(pool: Pool, tmp_path: Path) -> None:
    """Ten months at twenty times the rate: 20 alarms are promised at most; more than 20 + 3 deviations would break it."""
    found = 0
    for month in range(10):
        world = World(seed=100 + month)
        days = range(FIRST, FIRST + REFERENCE + 30)
        said = list(looks(partial(day_of, world, pool), pool.encode, days, tmp_path / str(month), rate=2.0))
        found += sum(episodes(said).values())
    assert found <= 20 + 3 * 20**0.5


def decided_on(store: Store, texts: list[str]) -> None:
    """A decision about rows with these texts."""
    from rungwise.core.dataset import DEV, TRAIN, Dataset, Example
    from rungwise.data.datasets import keep_dataset
    from rungwise.data.nouns import Nouns

    rows = tuple(Example(text=text, references=("a",), key=str(row)) for row, text in enumerate(dict.fromkeys(texts)))
    dataset = Dataset(rows=rows, splits=tuple(DEV if row % 5 == 0 else TRAIN for row in range(len(rows))))
    keep_dataset(store, dataset)
    Nouns(store).put(met(dataset.id))


@pytest.mark.parametrize("strange", [False, True])
def test_before_there_is_a_reference_traffic_is_held_against_the_rows_decided_on(store: Store, pool: Pool, strange: bool) -> None:
    known = {day: day_of(WORLD, pool, day) for day in range(FIRST, FIRST + 28)}
    said = [text for day in known for text in known[day].text.tolist() if text][:900]
    decided_on(store, [f"{text} und noch ein ganz anderer Satz auf Deutsch" for text in said] if strange else said)
    found = readings(scene_at(store, FIRST + 27, pool, known, reference="rows"))
    assert {"drift.input.length", "drift.input.meaning"} <= {one.monitor for one in found if one.p is not None}
    if strange:
        assert {"drift.input.length", "drift.input.meaning", "drift.input.language"} <= alarms(found, 28)
        longer = next(one for one in found if one.monitor == "drift.input.length" and one.days == 28)
        assert longer.effect is not None
        assert longer.effect < -0.3  # questions are shorter than the rows
    else:
        assert not [one for one in found if one.state == ALARM]
