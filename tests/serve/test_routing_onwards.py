"""Who is asked next when an engine fails: fallbacks, retries within their budget, rests, and what is final."""

from __future__ import annotations

import asyncio
import json
import random
import time

import pytest

from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.serving import Breaker, Serving
from rungwise.engines.clock import SystemClock
from rungwise.serve.ask import EMBEDDINGS
from rungwise.serve.failure import BadRequest, EngineDown, Limited, NotThere, Refused, TimedOut
from rungwise.serve.routing.router import Router
from tests.clocks import StillClock
from tests.engines.upstream import Asked, Reply, fails, says, sends, upstream
from tests.serve.routed import KEY, ask, engine, router, tape, text_of


async def test_what_may_pass_is_tried_again_so_often_and_no_more() -> None:
    async with upstream(fails(500), fails(503), says()) as server, router(engine(server.url), retries=2) as routing:
        on = tape()
        assert text_of(await ask(routing, on=on)) == "hello"
        assert [span.error for span in on.spans] == ["answered with status 500", "answered with status 503", None]
        assert on.usage is not None
        assert on.usage.calls == 3
    async with upstream(fails(500)) as server, router(engine(server.url), retries=2) as routing:
        with pytest.raises(EngineDown, match="answered with status 500"):
            await ask(routing)
        assert len(server.asked) == 3


async def test_all_requests_together_are_tried_again_only_within_the_budget() -> None:
    async with (
        upstream(fails(500)) as server,
        router(engine(server.url), retries=5, retry_share=0.1, breaker=Breaker(failures=10_000)) as routing,
    ):
        for _ in range(100):
            with pytest.raises(EngineDown):
                await ask(routing)
        assert len(server.asked) <= 100 + 10 + 0.1 * 100
    async with upstream(fails(500)) as server, router(engine(server.url), retries=5, retry_share=0.0) as routing:
        with pytest.raises(EngineDown):
            await ask(routing)
        assert len(server.asked) == 1


async def test_a_short_wait_that_the_engine_asks_for_is_kept_and_a_long_one_is_told_to_the_client() -> None:
    async with upstream(fails(429, Retry_After="0.3"), says()) as server, router(engine(server.url)) as routing:
        begun = time.perf_counter()
        await ask(routing)
        assert time.perf_counter() - begun >= 0.3
    async with upstream(fails(429, Retry_After="30")) as server, router(engine(server.url)) as routing:
        with pytest.raises(Limited) as caught:
            await ask(routing)
        assert caught.value.retry_after_s == 30.0
        assert len(server.asked) == 1


async def test_retries_end_before_the_total_of_the_engine_would_run_out() -> None:
    async with upstream(fails(503, Retry_After="0.9")) as server, router(engine(server.url, total_s=0.5)) as routing:
        begun = time.perf_counter()
        with pytest.raises(EngineDown):
            await ask(routing)
        assert time.perf_counter() - begun < 0.5
        assert len(server.asked) == 1


async def test_the_total_is_for_all_tries_of_an_engine_together() -> None:
    async def slow_failure(reply: Reply, asked: Asked) -> None:
        await asyncio.sleep(0.25)
        await fails(500)(reply, asked)

    async with upstream(slow_failure) as server, router(engine(server.url, total_s=0.6), retries=10) as routing:
        begun = time.perf_counter()
        with pytest.raises((TimedOut, EngineDown)):
            await ask(routing)
        assert time.perf_counter() - begun < 0.6 + 0.5
        assert len(server.asked) <= 3


async def test_an_engine_that_asks_for_rest_comes_last_until_then(clock: StillClock) -> None:
    async with (
        upstream(fails(429, Retry_After="30"), says("first")) as first,
        upstream(says("second")) as second,
        router(engine(first.url), engine(second.url, "second"), clock=clock, fallback={"first": ("second",)}) as routing,
    ):
        assert [text_of(await ask(routing)) for _ in range(3)] == ["second"] * 3
        assert len(first.asked) == 1
        clock.advance(31)
        assert text_of(await ask(routing)) == "first"


async def test_fallbacks_are_asked_in_their_order_with_a_model_of_their_own() -> None:
    async with (
        upstream(fails(500)) as first,
        upstream(fails(401)) as second,
        upstream(says("third")) as third,
        router(
            engine(first.url),
            engine(second.url, "second"),
            engine(third.url, "third"),
            fallback={"first": ("first", "second", "third/tiny", "third")},
        ) as routing,
    ):
        on = tape()
        assert text_of(await ask(routing, on=on)) == "third"
        assert [span.name for span in on.spans] == ["first", "second", "third"]
        assert third.asked[0].body["model"] == "tiny"
        assert on.usage is not None
        assert on.usage.calls == 3
        assert [len(one.asked) for one in (first, second, third)] == [1, 1, 1]


async def test_a_fallback_of_an_engine_serves_whichever_model_it_was_asked_for() -> None:
    async with (
        upstream(fails(500)) as first,
        upstream(says("second")) as second,
        router(engine(first.url), engine(second.url, "second"), fallback={"first": ("second",)}) as routing,
    ):
        assert text_of(await ask(routing, engine="first/large")) == "second"


async def test_vectors_come_from_another_engine_only_where_it_has_the_same_model() -> None:
    vectors = json.dumps(
        {"object": "list", "data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 1, "total_tokens": 1}}
    ).encode()
    async with upstream(fails(500)) as first, upstream(sends(vectors)) as second:
        for fallback, works in (("second", False), ("second/first-model", True)):
            async with router(
                engine(first.url), engine(second.url, "second"), retries=0, fallback={"first": (fallback,)}
            ) as routing:
                asking = routing.whole("first", EMBEDDINGS, {"input": "x"}, tape())
                if works:
                    assert json.loads(await asking) == json.loads(vectors)
                else:
                    with pytest.raises(EngineDown):
                        await asking


async def test_an_engine_that_fails_again_and_again_is_not_asked_while_it_rests(
    clock: StillClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        upstream(*[fails(500)] * 3, says()) as server,
        router(engine(server.url), clock=clock, retries=0, breaker=Breaker(failures=3, rest_s=10.0)) as routing,
    ):
        for _ in range(3):
            with pytest.raises(EngineDown, match="status 500"):
                await ask(routing)
        clock.advance(4)
        with pytest.raises(EngineDown, match="rests after failures") as caught:
            await ask(routing)
        assert (caught.value.status, caught.value.code, caught.value.retry_after_s) == (503, "engine_unavailable", 6.0)
        assert routing.states()[0].circuit == "open"
        assert len(server.asked) == 3
        clock.advance(6)
        assert text_of(await ask(routing)) == "hello"
        assert routing.states()[0].circuit == "closed"
    assert caplog.messages == ["the engine 'first' rests for 10 s: it answered with status 500", "the engine 'first' is back"]


async def test_while_one_request_tries_whether_an_engine_is_back_the_others_go_elsewhere(clock: StillClock) -> None:
    back = asyncio.Event()

    async def slowly(reply: Reply, asked: Asked) -> None:
        await back.wait()
        await says("first")(reply, asked)

    async with (
        upstream(fails(500), slowly) as first,
        upstream(says("second")) as second,
        router(
            engine(first.url),
            engine(second.url, "second"),
            clock=clock,
            breaker=Breaker(failures=1, rest_s=10.0),
            fallback={"first": ("second",)},
        ) as routing,
    ):
        assert text_of(await ask(routing)) == "second"
        clock.advance(10)
        trying = asyncio.ensure_future(ask(routing))
        while len(first.asked) < 2:
            await asyncio.sleep(0.001)
        assert {text_of(await ask(routing)) for _ in range(5)} == {"second"}
        back.set()
        assert text_of(await trying) == "first"
        assert text_of(await ask(routing)) == "first"


async def test_while_the_one_that_stands_in_rests_the_first_is_tried_again(clock: StillClock) -> None:
    async with (
        upstream(fails(500), fails(500), says("first")) as first,
        upstream(fails(500)) as second,
        router(
            engine(first.url),
            engine(second.url, "second"),
            clock=clock,
            retries=1,
            breaker=Breaker(failures=2),
            fallback={"first": ("second",)},
        ) as routing,
    ):
        for _ in range(2):
            with pytest.raises(EngineDown):
                await ask(routing, engine="second")
        assert routing.states()[1].circuit == "open"
        first.scripts[1] = says("first")
        assert text_of(await ask(routing)) == "first"
        assert len(second.asked) == 2


async def test_what_is_wrong_with_the_request_speaks_against_no_engine() -> None:
    told = {"error": {"message": f"too long for {KEY}", "code": "context_length_exceeded", "param": "messages"}}
    async with (
        upstream(fails(400, told)) as first,
        upstream(says()) as second,
        router(
            engine(first.url, key_env="KEY"), engine(second.url, "second"), environ={"KEY": KEY}, fallback={"first": ("second",)}
        ) as routing,
    ):
        for _ in range(20):
            with pytest.raises(BadRequest) as caught:
                await ask(routing)
        refused = caught.value
        assert (refused.status, refused.code, refused.param) == (400, "context_length_exceeded", "messages")
        assert refused.message == "too long for [key]"
        assert (len(first.asked), len(second.asked)) == (20, 0)
        assert routing.states()[0].circuit == "closed"


async def test_a_missing_key_is_a_fault_of_the_engine_that_a_fallback_mends() -> None:
    async with (
        upstream(says("first")) as first,
        upstream(says("second")) as second,
        router(engine(first.url, key_env="MISSING"), engine(second.url, "second"), fallback={"first": ("second",)}) as routing,
    ):
        assert text_of(await ask(routing)) == "second"
        assert first.asked == []
    async with upstream(says()) as first, router(engine(first.url, key_env="MISSING")) as routing:
        with pytest.raises(EngineDown, match="has no key on this server"):
            await ask(routing)


async def test_a_name_that_is_no_engine_is_not_there_and_as_a_fallback_a_mistake_in_the_file() -> None:
    async with router(engine("http://127.0.0.1:9/v1")) as routing:
        for name in ("second", "", "/", "first/", "/model"):
            with pytest.raises(NotThere):
                await ask(routing, engine=name)
    for fallback in ({"first": ("secnod",)}, {"frist": ("first",)}):
        with pytest.raises(UnknownName, match="Did you mean"):
            Router(
                [engine("http://a/v1"), engine("http://b/v1", "second")],
                Serving(fallback=fallback),
                clock=SystemClock(),
                rng=random.Random(0),
            )
    with pytest.raises(UsageError, match="base_url"):
        Router([engine("ftp://x")], Serving(), clock=SystemClock(), rng=random.Random(0))


async def test_the_states_say_how_each_engine_does() -> None:
    async with (
        upstream(fails(500)) as first,
        router(engine(first.url), engine("http://127.0.0.1:9/v1", "second"), retries=1) as routing,
    ):
        with pytest.raises(Refused):
            await ask(routing)
        one, two = routing.states()
    assert (one.name, one.circuit, one.attempts, one.failures, one.in_flight) == ("first", "closed", 2, 2, 0)
    assert (two.name, two.attempts, two.rests_s) == ("second", 0, 0.0)
