"""What users say: rates, thumbs, how comments sound and what they are about."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import beta

from rungwise.core.reading import CANNOT_TELL, DAY_S, OK, Reading
from rungwise.core.trace import Trace, new_trace_id
from rungwise.core.usecase import UseCase
from rungwise.core.watching import Watching
from rungwise.data.feedback import Judgements
from rungwise.data.store import Store
from rungwise.watch.scene import Scene
from rungwise.watch.voices import readings
from tests.clocks import StillClock
from tests.data.judged import answered, judge, write

DAY = 20_779  # a Sunday


def at(days_ago: float) -> float:
    return (DAY + 0.5 - days_ago) * DAY_S


def scene(store: Store, clock: StillClock, **watching: Any) -> Scene:
    case = UseCase(name="p", task="classify")
    return Scene(store=store, directory=Path(), case=case, watching=Watching(**watching), day=DAY, clock=clock)


def asked(number: int, days_ago: float, question: str = "where is my order", **more: Any) -> Trace:
    moment = at(days_ago)
    id = new_trace_id(moment, number.to_bytes(10, "big"))
    return answered(number, question, "it is on its way", at=moment, id=id, **more)


def of(found: list[Reading], monitor: str, **about: str) -> Reading:
    (one,) = [one for one in found if one.monitor == monitor and dict(one.about) == about]
    return one


WORDS = {
    "delivery": ["parcel", "delivery", "courier", "late", "package", "shipping", "waiting", "lost"],
    "login": ["password", "login", "locked", "reset", "account", "refused", "wrong", "broken"],
    "praise": ["clear", "friendly", "great", "thanks", "explanation", "helpful", "perfect", "polite"],
}


def about(subject: str, rng: random.Random) -> str:
    return " ".join(rng.sample(WORDS[subject], 5))


def subject_of(text: str) -> str:
    return next(subject for subject, words in WORDS.items() if set(text.split()) & set(words))


def comment_on(store: Store, plan: list[tuple[float, str, str]], **said: Any) -> list[Trace]:
    """Comments: how many days ago, by whom, and what."""
    traces = [asked(number, ago, user=user) for number, (ago, user, _) in enumerate(plan)]
    write(store, traces)
    for trace, (ago, user, text) in zip(traces, plan, strict=True):
        judge(store, trace, at=at(ago), by=user, comment=text, **said)
    return traces


def month_of_comments(counts: dict[str, tuple[int, int]], *, seed: int = 0) -> list[tuple[float, str, str]]:
    """For each subject, how many comments in the window before and in the window; each of a user of its own."""
    rng = random.Random(seed)
    plan = []
    for subject, (before, now) in counts.items():
        for first, count in ((28.5, before), (0.5, now)):
            for i in range(count):
                text = about(subject, rng)
                plan.append((first + 27 * rng.random(), f"{subject}{first}{i}", text))
    return sorted(plan, reverse=True)


def test_a_project_without_feedback_says_that_it_cannot_tell(store: Store, clock: StillClock) -> None:
    found = readings(scene(store, clock))
    assert {one.state for one in found} == {CANNOT_TELL}
    assert "nobody wrote a comment" in of(found, "feedback.sentiment").why


def test_the_rate_says_how_many_were_silent_and_thumbs_of_how_many_answers_they_are(store: Store, clock: StillClock) -> None:
    traces = [asked(i, 1.0) for i in range(40)]
    write(store, traces)
    for i, trace in enumerate(traces[:10]):
        judge(store, trace, at=at(0.5), thumb=i < 7)
    found = readings(scene(store, clock))
    rate, thumbs = of(found, "feedback.rate"), of(found, "feedback.thumbs")
    assert rate.value == pytest.approx(0.25)
    assert rate.details["silent"] == 30
    assert thumbs.value == pytest.approx(0.7)
    assert thumbs.details["of_all"] == pytest.approx(0.25)
    assert "say nothing of the others" in thumbs.why
    assert set(thumbs.traces) == {trace.id for trace in traces[7:10]}
    # each answer is of a user of its own: about the interval of Clopper and Pearson, a little wider for unknown variance
    low, high = beta.ppf(0.025, 7, 4), beta.ppf(0.975, 8, 3)
    assert thumbs.low == pytest.approx(low, abs=0.06)
    assert thumbs.high == pytest.approx(high, abs=0.06)
    assert thumbs.low <= low  # type: ignore[operator]


def test_thumbs_of_one_user_are_worth_less_than_those_of_many(store: Store, clock: StillClock) -> None:
    many = [asked(i, 1.0) for i in range(30)]
    few = [asked(100 + i, 1.0, variant="other", user=f"u{i % 3}") for i in range(30)]
    write(store, [*many, *few])
    for i, trace in enumerate([*many, *few]):
        judge(store, trace, at=at(0.5), thumb=i % 3 != 0)
    found = readings(scene(store, clock))
    wide, narrow = of(found, "feedback.thumbs", variant="other"), of(found, "feedback.thumbs", variant="plain")
    assert wide.value == narrow.value
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)  # type: ignore[operator]


def test_the_last_judgement_counts_and_what_comes_after_the_day_does_not(store: Store, clock: StillClock) -> None:
    traces = [asked(i, 1.0) for i in range(8)]
    write(store, traces)
    for trace in traces:
        judge(store, trace, at=at(0.9), by="ann", thumb=True)
    judge(store, traces[0], at=at(0.5), by="ann", thumb=False)
    judge(store, traces[1], at=at(-1.0), by="ann", thumb=False)
    thumbs = of(readings(scene(store, clock)), "feedback.thumbs")
    assert thumbs.value == pytest.approx(7 / 8)
    assert thumbs.traces == (traces[0].id,)


def test_an_erased_trace_takes_its_feedback_with_it(store: Store, clock: StillClock) -> None:
    traces = comment_on(store, [(1.0, f"u{i}", "not helpful") for i in range(12)], thumb=False)
    before = of(readings(scene(store, clock)), "feedback.sentiment")
    Judgements(store).erase([traces[0].id])
    after = of(readings(scene(store, clock)), "feedback.sentiment")
    assert (before.n, after.n) == (12, 11)
    assert traces[0].id not in after.traces


def test_comments_sound_good_and_bad_and_users_count_once(store: Store, clock: StillClock) -> None:
    plan = [(1.0, f"u{i}", "very helpful, thank you") for i in range(10)]
    plan += [(1.0, f"v{i}", "this did not work") for i in range(10)]
    plan += [(1.0, "loud", f"terrible answer number {i}") for i in range(200)]
    comment_on(store, plan)
    found = of(readings(scene(store, clock)), "feedback.sentiment")
    assert found.state == OK
    assert found.value == pytest.approx(10 / 21)
    assert found.details["bad"]["value"] == pytest.approx(11 / 21)
    assert found.details["model"] == "shipped"


def test_what_cannot_be_read_is_counted_and_not_judged(store: Store, clock: StillClock) -> None:
    plan = [(1.0, f"u{i}", text) for i, text in enumerate(["great answer"] * 6)]
    odd = ["", "   ", "🦑🦑", "das ist leider überhaupt nicht richtig und hilft mir nicht", "12345", "<p><br></p>", "да, это плохо"]
    plan += [(1.0, f"w{i}", text) for i, text in enumerate(odd)]
    plan += [(1.0, "html", "<p>not <b>helpful</b></p>"), (1.0, "long", "useless answer " * 7_000)]
    comment_on(store, plan)
    found = of(readings(scene(store, clock)), "feedback.sentiment")
    assert found.details["n"] == 12  # the empty ones are no comments
    assert found.details["unread"] == 4
    assert found.value == pytest.approx(6 / 8)
    assert "4 more were not read" in found.why


def test_topics_are_named_have_examples_and_say_what_is_shown_to_grow(store: Store, clock: StillClock) -> None:
    plan = month_of_comments({"delivery": (40, 40), "login": (10, 60), "praise": (50, 30)})
    traces = {trace.id: text for trace, (_, _, text) in zip(comment_on(store, plan), plan, strict=True)}
    found = of(readings(scene(store, clock)), "feedback.topics")
    topics = {subject_of(one["examples"][0]["text"]): one for one in found.details["topics"]}
    assert len(found.details["topics"]) == 3
    assert set(topics) == {"delivery", "login", "praise"}
    login = topics["login"]
    assert set(login["name"].replace(",", "").split()) <= set(WORDS["login"])
    assert login["share"] == pytest.approx(60 / 130)
    assert login["before"] == pytest.approx(0.1)
    assert login["change"]["low"] > 0
    assert login["change"]["p"] < 0.001
    assert login["bad"] > 0.9
    assert topics["praise"]["good"] > 0.9
    assert topics["delivery"]["change"]["p"] > 0.01
    assert len(login["examples"]) == 3
    assert len(login["traces"]) == 60
    assert all(subject_of(traces[id]) == "login" for id in login["traces"])


def test_the_same_comments_give_the_same_topics(store: Store, clock: StillClock) -> None:
    comment_on(store, month_of_comments({"delivery": (20, 40), "login": (30, 30)}))
    first, second = (of(readings(scene(store, clock)), "feedback.topics") for _ in range(2))
    assert first == second


def test_few_comments_or_few_users_have_no_topics(store: Store, clock: StillClock) -> None:
    comment_on(store, [(1.0, f"u{i % 4}", f"late parcel delivery {i}") for i in range(60)])
    found = of(readings(scene(store, clock)), "feedback.topics")
    assert found.state == CANNOT_TELL
    assert "4 users are too few" in found.why


def test_topics_of_the_questions_that_were_judged_badly_answered(store: Store, clock: StillClock) -> None:
    texts = [about(("delivery", "login")[i % 2], random.Random(i)) for i in range(60)]
    traces = [asked(i, 1.0, text) for i, text in enumerate(texts)]
    write(store, traces)
    for trace in traces:
        judge(store, trace, at=at(0.5), thumb=False)
    found = of(readings(scene(store, clock)), "feedback.topics", of="questions judged badly answered")
    assert found.value == pytest.approx(0.5)
    assert len(found.details["topics"]) == 2


def test_personal_data_do_not_stand_in_topics(store: Store, clock: StillClock) -> None:
    pytest.importorskip("re2")
    plan = [
        (ago, user, f"{text}, write to {user}@example.com")
        for ago, user, text in month_of_comments({"delivery": (0, 30), "login": (0, 30)})
    ]
    comment_on(store, plan)
    found = of(readings(scene(store, clock)), "feedback.topics")
    assert "example.com" not in str(found)
    assert "[EMAIL]" in str(found.details)


def test_comments_that_nobody_wants_read_are_not_read(store: Store, clock: StillClock) -> None:
    found = readings(scene(store, clock, off=("feedback.rate", "feedback.topics", "feedback.sentiment")))
    assert {one.monitor for one in found} == {"feedback.thumbs"}


def test_topics_are_looked_for_on_sundays_and_whenever_somebody_asks(store: Store, clock: StillClock) -> None:
    monday = replace(scene(store, clock), day=DAY + 1)
    assert "feedback.topics" not in {one.monitor for one in readings(monday)}
    assert "feedback.topics" in {one.monitor for one in readings(monday, days=28)}
