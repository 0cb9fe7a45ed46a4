"""A window of traffic beside what people said of it: one truth for each request."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.trace import Trace
from rungwise.data.feedback import Kept
from rungwise.data.judging import about
from rungwise.data.reviews import Drawn
from rungwise.watch.judged import Judged, judged
from rungwise.watch.traffic import empty, traffic_of
from tests.data.judged import BEGIN, answered, judgement

LATER = BEGIN + 1e6


def kept(*said: tuple[Trace, dict[str, object]]) -> list[Kept]:
    found = []
    for n, (trace, given_) in enumerate(said, start=1):
        one = judgement(trace, **{"at": BEGIN + n, **given_})  # type: ignore[arg-type]
        found.append(Kept(n=n, feedback=one, about=about(trace, one)))
    return found


def drawn(trace: str, *, chance: float = 0.1, correct: float | None = 1.0, at: float | None = BEGIN, **more: object) -> Drawn:
    fields = {"id": trace, "day": 0, "reason": "random", "wanted": None, "state": "agreed", "reviewers": ("ann",), **more}
    return Drawn(trace=trace, chance=chance, correct=correct, at=at, **fields)  # type: ignore[arg-type]


def one_of(*said: dict[str, object], reviews: tuple[Drawn, ...] = ()) -> Judged:
    """A single request, answered 'refund', with what was said of it in this order."""
    trace = answered(1, "Where is it?", "refund")
    own = [Drawn(**{**vars_of(one), "trace": trace.id}) for one in reviews]
    return judged(traffic_of([trace], group_tag=None), kept(*((trace, one) for one in said)), own, until=LATER)


def vars_of(one: Drawn) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


def test_a_reviewers_word_counts_more_than_the_businesss_and_that_more_than_the_users() -> None:
    user, business, reviewer = ({"source": source, "label": "refund"} for source in ("user", "business", "reviewer"))
    no = {"label": "tracking"}
    assert one_of(user, {**business, **no}).truth[0] == 0.0
    assert one_of({**business, **no}, user).source[0] == "business"
    found = one_of(reviewer, {**business, **no}, {**user, **no})
    assert (found.truth[0], found.source[0], found.known_at[0]) == (1.0, "reviewer", BEGIN + 1)
    assert (found.label[0], found.said[0]) == (0.0, 0.0)  # what the others said is still there


def test_of_two_that_contradict_each_other_the_last_one_counts() -> None:
    found = one_of({"label": "refund"}, {"label": "tracking"})
    assert (found.truth[0], found.known_at[0]) == (0.0, BEGIN + 2)
    assert one_of({"label": "refund", "at": BEGIN + 9}, {"label": "tracking", "at": BEGIN + 3}).truth[0] == 1.0


def test_a_thumb_is_what_the_user_said_and_no_truth_but_a_reviewers_thumb_is() -> None:
    found = one_of({"thumb": False})
    assert (found.said[0], math.isnan(found.truth[0])) == (0.0, True)
    assert one_of({"thumb": False, "source": "reviewer"}).truth[0] == 0.0


def test_a_judges_word_is_no_truth() -> None:
    found = one_of({"source": "judge", "label": "tracking"})
    assert np.isnan([found.truth[0], found.said[0], found.label[0]]).all()


def test_a_review_of_the_queue_counts_and_an_open_one_is_only_drawn() -> None:
    found = one_of({"label": "refund"}, reviews=(drawn("x", correct=0.0),))
    assert (found.truth[0], found.review[0], found.chance[0], found.drawn[0]) == (0.0, 0.0, 0.1, True)
    still = one_of({"label": "refund"}, reviews=(drawn("x", correct=None, at=None, state="open"),))
    assert (still.truth[0], math.isnan(still.review[0]), still.drawn[0]) == (1.0, True, True)


def test_what_is_drawn_twice_has_one_chance_and_what_was_not_drawn_by_chance_none() -> None:
    twice = one_of(reviews=(drawn("x", chance=0.1), drawn("x", chance=0.3, correct=0.0)))
    assert (twice.chance[0], twice.review[0]) == (0.3, 0.0)
    assert one_of(reviews=(drawn("x", chance=0.0),)).chance[0] == 0.0


def test_judgements_on_unknown_or_erased_requests_change_nothing() -> None:
    gone, here = answered(1, "Where?", "refund"), answered(2, "What?", "refund")
    found = judged(traffic_of([here], group_tag=None), kept((gone, {"label": "refund"})), [drawn(gone.id)], until=LATER)
    assert np.isnan(found.truth).all()
    assert not found.drawn.any()


def test_what_came_after_the_moment_is_not_known_yet() -> None:
    trace = answered(1, "Where?", "refund")
    window = traffic_of([trace], group_tag=None)
    said, reviews = kept((trace, {"label": "refund", "at": BEGIN + 50})), [drawn(trace.id, at=BEGIN + 60)]
    assert np.isnan(judged(window, said, reviews, until=BEGIN + 50).truth[0])
    assert judged(window, said, reviews, until=BEGIN + 51).source[0] == "user"
    assert judged(window, said, reviews, until=BEGIN + 61).source[0] == "reviewer"


def test_no_traffic_is_no_judgement() -> None:
    assert len(judged(empty(), [], [drawn("x")], until=LATER)) == 0


_SAID = st.fixed_dictionaries(
    {"source": st.sampled_from(("user", "business", "reviewer")), "label": st.sampled_from(("refund", "tracking"))}
)


@given(st.lists(_SAID, max_size=6))
def test_there_is_a_truth_where_anybody_gave_a_label_and_it_is_the_last_one_of_the_weightiest(
    said: list[dict[str, object]],
) -> None:
    found = one_of(*said)
    order = ("user", "business", "reviewer")
    if not said:
        assert math.isnan(found.truth[0])
        return
    best = max(enumerate(said), key=lambda pair: (order.index(str(pair[1]["source"])), pair[0]))[1]
    assert (found.truth[0], found.source[0]) == (float(best["label"] == "refund"), best["source"])
