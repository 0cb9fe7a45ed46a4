"""Costs that people note, reviewers' minutes, and what is kept."""

from __future__ import annotations

import pytest
from sqlalchemy import insert

from rungwise.core.errors import UnknownName, UsageError
from rungwise.data.costs import Costs, Noted, kept_bytes, labelled_rows, review_seconds
from rungwise.data.outcomes import events
from rungwise.data.schema import members, review_verdicts, rows
from rungwise.data.store import Store
from tests.data.judged import answered, judge, write


def noted(usd: float = 120.0, **more: object) -> Noted:
    return Noted(**{"kind": "labels", "usd": usd, "note": "labels of May", "at": 1.0, **more})  # type: ignore[arg-type]


def test_a_cost_is_kept_once_and_comes_back_as_it_was(store: Store) -> None:
    first, second = noted(candidate="c" * 64), noted(30.0, at=0.5)
    assert Costs(store).add(first) == Costs(store).add(first) == first.id
    Costs(store).add(second)
    assert Costs(store).all() == [second, first]


def test_a_cost_is_taken_back_by_the_first_digits_of_its_id(store: Store) -> None:
    Costs(store).add(noted())
    with pytest.raises(UnknownName):
        Costs(store).drop("no such id")
    with pytest.raises(UnknownName):
        Costs(store).drop("")
    assert Costs(store).drop(noted().id[:8]) == noted()
    assert Costs(store).all() == []


@pytest.mark.parametrize("usd", [0.0, float("nan"), float("inf"), 1e13])
def test_a_cost_that_is_no_number_of_dollars_is_refused(store: Store, usd: float) -> None:
    with pytest.raises(UsageError, match="--note-cost"):
        Costs(store).add(noted(usd))


@pytest.mark.parametrize("wrong", [{"kind": " "}, {"note": ""}, {"note": "x" * 1_001}])
def test_a_cost_without_a_name_is_refused(store: Store, wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        Costs(store).add(noted(**wrong))


def test_a_negative_cost_takes_back_one_that_was_too_high(store: Store) -> None:
    Costs(store).add(noted(100.0))
    Costs(store).add(noted(-40.0, at=2.0))
    assert sum(one.usd for one in Costs(store).all()) == 60.0


def test_the_time_of_verdicts_that_were_taken_back_was_spent_too(store: Store) -> None:
    with store.write() as connection:
        for at, undone in ((10.0, None), (20.0, 21.0), (99.0, None)):
            values = {"review": "r", "reviewer": "ann", "body": "{}", "seconds": 7.5, "at": at, "undone_at": undone}
            connection.execute(insert(review_verdicts).values(**values))
    assert review_seconds(store, 0.0, 99.0) == 15.0
    assert review_seconds(store, 200.0, 300.0) == 0.0


def test_labels_are_counted_once_and_not_where_they_came_from_traces(store: Store) -> None:
    with store.write() as connection:
        for number in range(6):
            body = '{"fields":{"from_trace":"t"},"text":"x"}' if number >= 4 else '{"text":"x"}'
            connection.execute(insert(rows).values(id=f"r{number}", input_id=f"i{number}", body=body))
            for dataset in ("d1", "d2"):
                connection.execute(insert(members).values(dataset=dataset, position=number, row=f"r{number}", split="train"))
    assert labelled_rows(store, ["d1", "d2"]) == 4
    assert labelled_rows(store, []) == labelled_rows(store, ["nothing"]) == 0


def test_what_is_kept_grows_with_what_is_written(store: Store) -> None:
    before = kept_bytes(store)
    write(store, [answered(number, "asked " * 500, "said") for number in range(200)])
    assert kept_bytes(store) > before + 200 * 500  # a server packs long texts


def test_outcomes_are_those_that_name_one_or_a_value_in_order(store: Store) -> None:
    traces = [answered(number, "a", "b") for number in range(4)]
    write(store, traces)
    judge(store, traces[0], outcome="converted", value_usd=3.0)
    judge(store, traces[1], thumb=True)
    judge(store, traces[2], outcome="refunded")
    judge(store, traces[3], value_usd=-2.0)
    found = [(one.trace, one.outcome, one.value_usd) for one in events(store)]
    assert found == [(traces[0].id, "converted", 3.0), (traces[2].id, "refunded", None), (traces[3].id, None, -2.0)]
