"""POST /v1/feedback: kept with the trace of the answer, once, and only by whom it concerns."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rungwise.core.trace import Trace
from rungwise.data.feedback import Judgements
from rungwise.data.store import Store
from rungwise.data.traces.door import open_traces
from rungwise.serve.ask import Caller
from rungwise.serve.failure import BadRequest, NotThere, Refused
from rungwise.serve.feedback import post_feedback
from tests.clocks import StillClock
from tests.data.judged import answered

ANYBODY = Caller(key=None, scopes=frozenset({"feedback:write"}))
NORTH = Caller(key="k1", scopes=frozenset({"feedback:write"}), tenant="north")


@dataclass
class Desk:
    """A project that is being served, as far as judgements need one."""

    store: Store
    clock: StillClock


@pytest.fixture
def desk(store: Store, clock: StillClock) -> Desk:
    return Desk(store, clock)


async def written(store: Store, *traces: Trace) -> None:
    writer = open_traces(store, worker=0, disk_full="refuse")
    await asyncio.gather(*map(writer.add, traces))
    await writer.close()


async def post(desk: Desk, body: Any, caller: Caller = ANYBODY) -> dict[str, Any]:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return json.loads(await post_feedback(desk, caller, sent))  # type: ignore[no-any-return]


async def test_an_answer_s_id_that_several_were_given_means_ones_own(desk: Desk) -> None:
    mine = answered(1, "Where is it?", "delivery", tenant="north", response_id="chatcmpl-same")
    theirs = answered(2, "Where is it?", "delivery", tenant="south", response_id="chatcmpl-same")
    await written(desk.store, mine, theirs)
    assert (await post(desk, {"response_id": "chatcmpl-same", "thumb": "up"}, NORTH))["trace"] == mine.id
    assert (await post(desk, {"response_id": "chatcmpl-same", "thumb": "up"}))["trace"] == theirs.id


async def test_a_judgement_is_kept_with_the_trace_of_the_answer(desk: Desk) -> None:
    trace = answered(1, "Where is it?", "delivery", conversation="c1")
    await written(desk.store, trace)
    done = await post(desk, {"trace": trace.id, "thumb": "down", "label": "tracking", "by": "ann"})
    (kept,) = Judgements(desk.store).since()
    assert done == {"object": "feedback", "id": kept.feedback.id, "trace": trace.id, "new": True}
    assert (kept.feedback.thumb, kept.feedback.label, kept.feedback.at) == (False, "tracking", desk.clock.now())
    assert (kept.about.unit, kept.about.variant, kept.about.correct) == ("c1", "plain", 0.0)


async def test_the_id_of_the_answer_names_it_as_well(desk: Desk) -> None:
    trace = answered(7, "q", "a")
    await written(desk.store, trace)
    assert (await post(desk, {"response_id": "chatcmpl-7", "score": 0.5}))["trace"] == trace.id


async def test_what_is_sent_twice_is_kept_once_also_much_later(desk: Desk) -> None:
    trace = answered(1, "q", "a")
    await written(desk.store, trace)
    sent = {"trace": trace.id, "thumb": "up"}
    first = await post(desk, sent)
    desk.clock.advance(3600)
    again = await post(desk, sent)
    assert (first["id"], first["new"], again["new"]) == (again["id"], True, False)
    changed = await post(desk, {**sent, "thumb": "down"})
    assert changed["new"]
    dated = {"trace": trace.id, "outcome": "refunded", "value_usd": -9.5, "source": "business", "at": desk.clock.now() - 60}
    assert [(await post(desk, dated))["new"] for _ in range(2)] == [True, False]


async def test_somebody_elses_answer_is_told_like_one_that_does_not_exist(desk: Desk) -> None:
    own, other = answered(1, "q", "a", tenant="north"), answered(2, "q", "a", tenant="south")
    await written(desk.store, own, other)
    assert (await post(desk, {"trace": own.id, "thumb": "up"}, NORTH))["new"]
    told = []
    for body in (
        {"trace": other.id, "thumb": "up"},
        {"trace": "f" * 32, "thumb": "up"},
        {"response_id": "chatcmpl-2", "thumb": "up"},
    ):
        with pytest.raises(NotThere) as refused:
            await post(desk, body, NORTH)
        told.append((refused.value.status, refused.value.code))
        assert "south" not in refused.value.message
    assert set(told) == {(404, "trace_not_found")}
    assert Judgements(desk.store).judged() == {own.id}
    ann = Caller(key="k2", scopes=ANYBODY.scopes, tenant="north", user="ann")
    with pytest.raises(NotThere):
        await post(desk, {"trace": own.id, "thumb": "up"}, ann)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"\xff\xfe", None),
        (b"[]", None),
        (b"[" * 100_000, None),
        ({"thumb": "up"}, "trace"),
        ({"trace": 5, "thumb": "up"}, "trace"),
        ({"trace": "T", "thumb": "maybe"}, "thumb"),
        ({"trace": "T"}, "thumb"),
        ({"trace": "T", "score": 2}, "score"),
        ({"trace": "T", "thumb": "up", "stars": 5}, None),
    ],
)
async def test_what_makes_no_sense_is_refused_with_words(desk: Desk, body: Any, param: str | None) -> None:
    trace = answered(1, "q", "a")
    await written(desk.store, trace)
    if isinstance(body, dict) and body.get("trace") == "T":
        body = {**body, "trace": trace.id}
    with pytest.raises(BadRequest) as refused:
        await post(desk, body)
    assert refused.value.status == 400
    assert refused.value.param == param
    assert list(Judgements(desk.store).since()) == []


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.binary(max_size=60)
    | st.dictionaries(st.text(max_size=6), st.integers() | st.text(max_size=6)).map(json.dumps).map(str.encode)
)
def test_whatever_is_sent_is_refused_as_the_api_refuses(desk: Desk, body: bytes) -> None:
    with pytest.raises(Refused):
        asyncio.run(post_feedback(desk, ANYBODY, body))


async def test_what_cannot_be_kept_is_not_acknowledged(desk: Desk) -> None:
    trace = answered(1, "q", "a")
    await written(desk.store, trace)
    with desk.store.write() as connection:
        connection.exec_driver_sql("drop table feedback")
    with pytest.raises(Refused) as refused:
        await post(desk, {"trace": trace.id, "thumb": "up"})
    assert (refused.value.status, refused.value.code) == (507, "cannot_keep")
    assert str(desk.store.directory) not in refused.value.message


async def test_judgements_that_come_at_once_are_all_kept(desk: Desk) -> None:
    traces = [answered(n, f"q{n}", "a") for n in range(20)]
    await written(desk.store, *traces)
    done = await asyncio.gather(*(post(desk, {"trace": trace.id, "thumb": "up"}) for trace in traces for _ in range(2)))
    assert sum(one["new"] for one in done) == 20
    assert len(list(Judgements(desk.store).since())) == 20
