"""/v1/reviews: the next item, a verdict, taking it back, and nothing of another tenant's."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rungwise.data.reviews import Item, Reviews
from rungwise.data.store import Store
from rungwise.serve.ask import Caller
from rungwise.serve.failure import BadRequest, NotThere, Refused
from rungwise.serve.reviewing import agreement, judge, next_item, undo
from tests.cli.review_queue import waiting
from tests.data.judged import answered, write
from tests.serve.running import running

ANYBODY = Caller(key=None, scopes=frozenset({"review"}))
NORTH = Caller(key="k1", scopes=frozenset({"review"}), tenant="north")
ANN = {"reviewer": "ann"}


def queue(store: Store, count: int = 3, **more: Any) -> None:
    traces = [answered(n, f"question {n}", "refund", tenant=("north", "south")[n % 2]) for n in range(count)]
    write(store, traces)
    Reviews(store).put([Item(trace=one.id, day=7, reason="random", chance=0.5, tenant=one.tenant, **more) for one in traces])


def said(store: Store, caller: Caller = ANYBODY, **body: Any) -> dict[str, Any]:
    return judge(store, caller, json.dumps({**ANN, **body}).encode())


def test_an_item_is_given_judged_and_taken_back(store: Store) -> None:
    queue(store)
    first = next_item(store, ANYBODY, ANN)
    assert first["waiting"] == 3
    assert first["review"]["answers"] == ["refund"]
    assert first["review"]["question"].startswith("question ")
    id = first["review"]["id"]
    assert said(store, id=id, verdict="label", wanted="tracking", seconds=4.5)["state"] == "agreed"
    assert said(store, id=id, verdict="label", wanted="tracking")["state"] == "agreed"  # sent again, it changes nothing
    assert agreement(store, ANYBODY)["people"][0]["n"] == 1
    back = undo(store, ANYBODY, ANN)
    assert back["review"]["id"] == id
    assert back["waiting"] == 3
    assert undo(store, ANYBODY, ANN)["review"] is None
    assert agreement(store, ANYBODY)["people"] == []


def test_tenants_get_judge_and_see_their_own_only(store: Store) -> None:
    queue(store, 4)
    theirs = {one.id for one in Reviews(store, tenant="south").drawn(7, 7)}
    for _ in range(2):
        found = next_item(store, NORTH, ANN)["review"]
        assert found["id"] not in theirs
        said(store, NORTH, id=found["id"], verdict="right")
    assert next_item(store, NORTH, ANN) == {"object": "review.next", "waiting": 0, "review": None}
    with pytest.raises(NotThere):
        said(store, NORTH, id=min(theirs), verdict="right")
    said(store, id=min(theirs), verdict="wrong")
    assert agreement(store, NORTH)["people"][0]["n"] == 2
    undo(store, NORTH, ANN)  # their own last one, not the last of all
    assert {one.id for one in Reviews(store, tenant="south").drawn(7, 7) if one.state == "agreed"} == {min(theirs)}


def test_an_item_on_another_desk_and_one_that_is_decided_cannot_be_judged(store: Store) -> None:
    queue(store, 1)
    id = next_item(store, ANYBODY, ANN)["review"]["id"]
    with pytest.raises(Refused) as refused:
        said(store, id=id, verdict="right", reviewer="bob")
    assert (refused.value.status, refused.value.code) == (409, "not_waiting")
    said(store, id=id, verdict="right")
    with pytest.raises(Refused, match="decided"):
        said(store, id=id, verdict="right", reviewer="bob")


def test_of_a_blind_pair_nothing_tells_which_answer_is_whose(store: Store) -> None:
    pairs = [(answered(n, f"q {n}", "live"), answered(100 + n, f"q {n}", "other", shadow_of="f" * 32)) for n in range(2)]
    write(store, [one for pair in pairs for one in pair])
    items = [Item(trace=a.id, day=7, reason="disagreeing", other=b.id, swapped=bool(n)) for n, (a, b) in enumerate(pairs)]
    Reviews(store).put(items)
    for _ in range(2):
        found = next_item(store, ANYBODY, ANN)["review"]
        assert (found["trace"], found["reasons"]) == (None, [])
        with pytest.raises(BadRequest, match="two answers"):
            said(store, id=found["id"], verdict="right")
        said(store, id=found["id"], verdict=("first", "second")[found["answers"].index("live")])
    assert [one.correct for one in Reviews(store).drawn(7, 7)] == [1.0, 1.0]


def test_a_key_of_a_user_speaks_for_nobody_else(store: Store) -> None:
    queue(store)
    own = Caller(key="k2", scopes=frozenset({"review"}), user="ann")
    assert next_item(store, own, {})["review"] is not None
    with pytest.raises(BadRequest, match="belongs to"):
        next_item(store, own, {"reviewer": "bob"})
    with pytest.raises(BadRequest, match="who judges"):
        next_item(store, ANYBODY, {})
    with pytest.raises(BadRequest, match="reason"):
        next_item(store, ANYBODY, {**ANN, "reason": "boredom"})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    st.one_of(
        st.binary(max_size=40),
        st.dictionaries(
            st.sampled_from(["id", "verdict", "reviewer", "wanted", "comment", "seconds", "x"]),
            st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=5), st.sampled_from(["right", "label", "ann"])),
        ).map(lambda body: json.dumps(body).encode()),
    )
)
def test_whatever_is_sent_is_refused_with_words_and_never_breaks(store: Store, body: bytes) -> None:
    with pytest.raises((BadRequest, NotThere)):
        judge(store, ANYBODY, body)


def test_over_http_a_reviewer_works_through_the_queue(tmp_path: Path) -> None:
    project, _ = waiting(tmp_path, 3)

    async def work(url: str) -> list[int]:
        left = []
        async with aiohttp.ClientSession() as session:
            while True:
                async with session.get(f"{url}/v1/reviews", params=ANN) as reply:
                    assert reply.status == 200, await reply.text()
                    found = await reply.json()
                left.append(found["waiting"])
                if found["review"] is None:
                    break
                body = {**ANN, "id": found["review"]["id"], "verdict": "right"}
                async with session.post(f"{url}/v1/reviews", json=body) as reply:
                    assert reply.status == 200, await reply.text()
            async with session.delete(f"{url}/v1/reviews", params=ANN) as reply:
                left.append((await reply.json())["waiting"])
            async with session.get(f"{url}/v1/reviews/agreement") as reply:
                assert (await reply.json())["people"][0]["n"] == 2
            async with session.put(f"{url}/v1/reviews") as reply:
                assert reply.status == 405
                assert reply.headers["Allow"] == "DELETE, GET, POST"
        return left

    with running(project.directory, scratch=tmp_path / "scratch") as (url, _app):
        assert asyncio.run(work(url)) == [3, 2, 1, 0, 1]
