"""Nouns come back from JSON as they were, with the same id."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.candidate import Candidate, Fitted
from rungwise.core.content import Shot, Usage
from rungwise.core.dataset import Dataset, Example
from rungwise.core.decision import Decision, Opening, RungResult, Spend
from rungwise.core.evaluation import Estimate, Evaluation, Latency
from rungwise.core.feedback import Feedback
from rungwise.core.record import canonical_json, digest, from_plain, to_plain
from rungwise.core.release import Release, Variant
from rungwise.core.trace import Span, Trace
from rungwise.core.usecase import Endpoint, Limits, Target, UseCase

NUMBERS = st.one_of(st.integers(-5, 5), st.floats(-1e6, 1e6))
TARGET = Target(metric="accuracy", value=0.9)
ESTIMATE = Estimate(mean=1, low=0, high=1, n=3)
NOUNS = [
    UseCase(
        name="u",
        task="classify",
        target=TARGET,
        endpoints=(Endpoint(name="a", base_url="b", model="c"),),
    ),
    UseCase(name="u", task="answer", limits=Limits(p95_s=1, licences=("mit",))),
    Candidate(task="classify", model="m", shots=(Shot("q", "a"),), head=Fitted(technique="t", recipe={"c": 1}), options={"k": [1]}),
    Evaluation(candidate="c", dataset="d", split="dev", rows=("r",), answers=("a",), estimates={"accuracy": ESTIMATE}, fit_s=0),
    Evaluation(candidate="c", dataset="d", split="dev", rows=(), answers=(), latency=Latency(p50_s=0, p95_s=1, p95_high_s=2, n=3)),
    Release(use_case="u", variants=(Variant(name="a", candidate="c", weight=1),), evidence=("d",)),
    Trace(
        id="0" * 32,
        asked="tickets",
        release="r",
        candidate="c",
        at=1,
        seconds=0,
        usage=Usage(calls=1),
        tags={"team": "a"},
        spans=(Span(name="search", kind="retrieval", start_s=0, seconds=1, details={"k": 4}),),
    ),
    Feedback(trace="t", source="user", at=0, score=1),
    Decision(
        use_case="u",
        dataset="d",
        target=TARGET,
        verdict="met",
        control="exact",
        reason="",
        ladder=("a",),
        rungs=(RungResult(rung="a", state="met", why="", dev=ESTIMATE, test=Opening(k=1, alpha=0.03, low=1, high=1, n=3), usd=0),),
        alpha_total=0.05,
        alpha_spent_before=0,
        alpha_spent=0.03,
        development=Spend(seconds=0, usd=0, calls=1),
    ),
]


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: type(noun).__name__)
def test_a_noun_keeps_its_id_through_json(noun: object) -> None:
    back = from_plain(type(noun), json.loads(canonical_json(to_plain(noun))))
    assert back == noun
    assert back.id == noun.id  # type: ignore[attr-defined]


@given(NUMBERS, NUMBERS, st.integers(0, 9))
def test_whole_numbers_in_float_fields_do_not_change_an_id(seconds: float, usd: float, calls: int) -> None:
    spend = Spend(seconds=seconds, usd=usd, calls=calls)
    again = from_plain(Spend, json.loads(canonical_json(to_plain(spend))))
    assert canonical_json(to_plain(again)) == canonical_json(to_plain(spend))


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.booleans(), st.none())))
def test_the_order_of_keys_does_not_matter(data: dict[str, object]) -> None:
    assert digest(data) == digest(dict(reversed(list(data.items()))))


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(TypeError, match="no field 'colour'"):
        from_plain(Feedback, {"trace": "t", "source": "user", "at": 0.0, "colour": "red"})


def test_the_users_key_is_not_part_of_a_row() -> None:
    row = Example(text="a", references=("x",))
    assert row.id == dataclasses.replace(row, key="17").id
    assert row.id != dataclasses.replace(row, references=("y",)).id
    assert row.input_id == dataclasses.replace(row, references=("y",)).input_id


def test_a_dataset_is_named_by_its_rows_and_splits() -> None:
    rows = (Example(text="a"), Example(text="b"))
    assert Dataset(rows=rows, splits=("train", "dev")).id != Dataset(rows=rows, splits=("dev", "train")).id
    with pytest.raises(ValueError, match="2 rows but 1 splits"):
        Dataset(rows=rows, splits=("train",))
