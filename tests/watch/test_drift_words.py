"""What is named of an alarm: words and answers that moved, and no word of a single person."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.reading import ALARM, OK, Reading
from rungwise.watch.drift.features import RATE, Feature, hashed
from rungwise.watch.drift.frame import Frame
from rungwise.watch.drift.words import MOST, Reader, Said, by_labels, explained, said_in
from rungwise.watch.traffic import Traffic, traffic_of

PLAIN = ("where is my order", "cancel my plan please", "the password does not work", "send the invoice again")


def reading(monitor: str, *, state: str = ALARM, p: float = 1e-9, group: str | None = None) -> Reading:
    about = {} if group is None else {"group": group}
    return Reading(monitor=monitor, since=0.0, until=86_400.0, state=state, p=p, about=about, why="it moved")


def said(texts: list[str], *, people: int = 50) -> Said:
    n = len(texts)
    return Said(ids=tuple(f"t{one}" for one in range(n)), texts=tuple(texts), people=tuple(f"u{one % people}" for one in range(n)))


def plain(n: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [f"{PLAIN[one]} {other}" for one, other in zip(rng.integers(0, 4, n), rng.integers(0, 99, n), strict=True)]


def frame(*known: str) -> Frame:
    words = {hashed(word): -1 for word in known}
    return Frame(first=0, last=1, features=(Feature(monitor="drift.input.vocabulary", kind=RATE, only_day=words),))


def always(texts: list[str]) -> Reader:
    return lambda sides: {side: said(texts) for side in sides}


def told(one: Reading, now: list[str], *known: str) -> Reading:
    (found,) = explained([one], frame(*known), always(plain(400)), lambda days: always(now))
    return found


def test_words_that_many_people_use_now_are_named_as_new_with_their_traces() -> None:
    now = [f"{text} pay with klarna" if place % 2 else text for place, text in enumerate(plain(200))]
    found = told(reading("drift.input.meaning"), now)
    assert "'klarna'" in found.why
    assert "new: " in found.why
    assert found.traces
    assert all(int(id[1:]) % 2 for id in found.traces)


def test_a_word_of_few_people_is_never_named() -> None:
    now = [f"{text} zebulonia quagmire" if place % 50 < 4 else text for place, text in enumerate(plain(400))]
    found = told(reading("drift.input.vocabulary"), now)
    assert "zebulonia" not in found.why
    assert "zebulonia" not in str(found.details)


def test_a_word_that_the_reference_has_outside_the_sample_is_not_called_new() -> None:
    now = [f"{text} klarna" if place % 2 else text for place, text in enumerate(plain(200))]
    assert "more often: 'klarna'" in told(reading("drift.input.meaning"), now, "klarna").why


def test_without_an_alarm_nothing_is_read() -> None:
    def never(*_: object) -> Any:
        raise AssertionError("read without need")

    calm = [reading("drift.input.meaning", state=OK), reading("drift.input.length")]
    assert explained(calm, frame(), never, never) == calm


def test_of_the_groups_only_the_surest_is_explained() -> None:
    now = [f"{text} klarna" for text in plain(200)]
    found = explained(
        [reading("drift.input.meaning", p=p, group=group) for group, p in (("a", 1e-6), ("b", 1e-8))],
        frame(),
        always(plain(400)),
        lambda days: always(now),
    )
    assert [bool(one.traces) for one in found] == [False, True]


@given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 60))
def test_the_shares_of_answers_are_counted(risen: int, before: int, other: int) -> None:
    known, now = said(["B"] * before + ["c"] * 20), said(["B"] * risen + ["c"] * other)
    found = by_labels(reading("drift.output.answers"), known, now, frozenset(("b", "c")))
    words = {word["word"]: (word["now"], word["before"]) for word in found.details["words"]}
    assert words
    if "B" in words:
        assert words["B"] == pytest.approx((risen / (risen + other), before / (before + 20)), abs=1e-5)


def test_words_that_chance_moves_are_not_named() -> None:
    now = [f"{text} klarna" if place % 2 else text for place, text in enumerate(plain(200))]
    assert {word["word"] for word in told(reading("drift.input.meaning"), now).details["words"]} == {"klarna"}


def test_an_answer_of_few_people_is_named_only_where_it_is_a_label() -> None:
    known, now = said(["a"] * 50), said(["a"] * 46 + ["Zebulonia"] * 4)
    assert "Zebulonia" not in by_labels(reading("drift.output.answers"), known, now).why
    assert "new: 'Zebulonia'" in by_labels(reading("drift.output.answers"), known, now, frozenset(("zebulonia",))).why


def many(n: int) -> Traffic:
    traffic = traffic_of((), group_tag=None)
    names = np.array([f"{one:08d}" for one in range(n)], object)
    nothing = np.full(n, None, object)
    columns = dict.fromkeys(("tenant", "release", "variant", "candidate", "group"), nothing)
    columns |= dict.fromkeys(("ids", "user", "unit", "text", "answer"), names)
    numbers = ("at", "confidence", "seconds", "input_tokens", "output_tokens", "usd")
    columns |= {name: np.zeros(n) for name in numbers} | {
        name: np.zeros(n, np.bool_) for name in ("abstained", "failed", "truncated")
    }
    return type(traffic)(**columns)


def test_a_sample_is_the_same_however_the_days_are_cut() -> None:
    whole = many(3 * MOST)
    thirds = [whole.only(np.arange(place * MOST, (place + 1) * MOST)) for place in range(3)]
    side = False, None
    one = said_in([whole], frozenset((side,)))
    assert len(one[side]) == MOST
    assert one == said_in(reversed(thirds), frozenset((side,)))
