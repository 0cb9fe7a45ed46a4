"""What a call costs, where it is kept, and what never leaves: usage, cache, budget, the key."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from upstream import Asked, Reply, Script, Upstream, completion, fails, piece, says, sends, streams, upstream

from rungwise.core.content import Response, Usage
from rungwise.core.errors import EngineError, EngineUnavailable, OutOfBudget, UsageError
from rungwise.core.types import collect
from rungwise.core.usecase import Endpoint, Limits
from rungwise.data.calls import CallCache
from rungwise.data.commits import Commits
from rungwise.data.spend import SpendLedger, spent
from rungwise.data.store import Store
from rungwise.engines.budget import Budget
from rungwise.engines.dialect import Options
from rungwise.engines.endpoint import LanguageModel, call_key, language_model

KEY = "sk-rungwise-0123456789/abcdef+secret"
MESSAGES = [{"role": "user", "content": "say hello"}]
PRICED = {"usd_per_m_input": 2.0, "usd_per_m_output": 10.0, "usd_per_m_cached": 0.5}


class SystemClock:
    def now(self) -> float:
        return time.time()

    def tick(self) -> float:
        return time.perf_counter()


class NoWait(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return a


def model_at(
    url: str, *, store: Store | None = None, budget: Budget | None = None, environ: Any = None, **changes: Any
) -> LanguageModel:
    settings: dict[str, Any] = {
        "name": "paid",
        "base_url": url,
        "model": "m",
        "max_tokens": 100,
        "total_s": 5.0,
        **PRICED,
        **changes,
    }
    cache = CallCache(store, Commits(store)) if store is not None else None
    return language_model(
        Endpoint(**settings),
        clock=SystemClock(),
        rng=NoWait(1),
        cache=cache,
        budget=budget,
        environ={} if environ is None else environ,
    )


async def ask(model: LanguageModel, text: str = "say hello", options: Options | None = None) -> Response:
    async with model:
        return await collect(model([{"role": "user", "content": text}], options))


FULL_USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 200,
    "total_tokens": 1200,
    "prompt_tokens_details": {"cached_tokens": 400},
    "completion_tokens_details": {"reasoning_tokens": 150},
}
FULL_USD = (600 * 2.0 + 400 * 0.5 + 200 * 10.0) / 1e6  # reasoning tokens are a part of the 200


@pytest.mark.parametrize("stream", [False, True])
async def test_usage_is_exact_with_cached_and_reasoning_tokens(stream: bool) -> None:
    script = streams("hello", usage=FULL_USAGE) if stream else says(usage=FULL_USAGE)
    async with upstream(script) as server:
        answer = await ask(model_at(server.url, stream=stream))
    assert answer.usage == Usage(1000, 200, 400, 150, 1, pytest.approx(FULL_USD), False)  # type: ignore[arg-type]
    assert answer.model == "scripted-2026"
    assert answer.finish == "stop"


async def test_a_retried_call_that_the_provider_counted_is_paid_for() -> None:
    async def cut_with_usage(reply: Reply, asked: Asked) -> None:
        await reply.head(200, "text/event-stream")
        await reply.event(piece("hel"))
        await reply.event(piece(usage={"prompt_tokens": 11, "completion_tokens": 2}))

    async with upstream(cut_with_usage, streams("hello")) as server:
        answer = await ask(model_at(server.url))
    assert (answer.text, answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.calls) == ("hello", 22, 5, 2)
    assert not answer.usage.estimated


async def test_a_retried_call_that_nobody_counted_is_estimated_and_flagged() -> None:
    async with upstream(streams("hello there", finish=None, usage=None, done=False), streams("hello")) as server:
        answer = await ask(model_at(server.url))
    # 9 and 11 ASCII characters are guessed to be 3 tokens each; the second call was counted: 11 and 3
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.calls) == (14, 6, 2)
    assert answer.usage.estimated


async def test_calls_that_the_server_refused_cost_no_tokens() -> None:
    async with upstream(fails(503), fails(429), says()) as server:
        answer = await ask(model_at(server.url))
    assert answer.usage == Usage(11, 3, 0, 0, 3, pytest.approx((11 * 2 + 3 * 10) / 1e6), False)  # type: ignore[arg-type]


async def test_a_machine_of_ones_own_is_paid_by_its_seconds_not_once_per_call_in_flight() -> None:
    async def slow(reply: Reply, asked: Asked) -> None:
        await asyncio.sleep(0.3)
        await says()(reply, asked)

    nothing: dict[str, Any] = dict.fromkeys(PRICED)
    async with upstream(slow) as server:
        model = model_at(server.url, usd_per_hour=3600.0, concurrency=8, **nothing)
        async with model:
            answers = await asyncio.gather(*(collect(model(MESSAGES)) for _ in range(8)))
    total = sum(answer.usage.usd for answer in answers)
    assert 0.3 <= total <= 0.3 + 0.3  # one machine at a dollar a second for about 0.3 s, not eight of them


async def test_a_cached_call_is_not_made_again_and_gives_the_same_answer(store: Store) -> None:
    likely = {
        "content": [
            {"token": "hello", "logprob": -0.1, "bytes": None, "top_logprobs": [{"token": "hi", "logprob": -2.5, "bytes": None}]}
        ]
    }
    body = completion(usage=FULL_USAGE, tool_calls=[{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}])
    body["choices"][0]["logprobs"] = likely
    options = Options(likely=1, schema={"type": "object"})
    async with upstream(sends(json.dumps(body).encode())) as server:
        first = [chunk async for chunk in model_at_once(server.url, store, options)]
        again = [chunk async for chunk in model_at_once(server.url, store, options)]
        assert len(server.asked) == 1
    assert again == first
    assert first[-1].tokens[0].likely == (("hi", -2.5),)
    assert spent(store).calls == 0  # the budget was not given, so nothing was booked


async def model_at_once(url: str, store: Store, options: Options) -> AsyncIterator[Any]:
    async with model_at(url, store=store, logprobs=True) as model:
        async for chunk in model(MESSAGES, options):
            yield chunk


async def test_an_answer_is_in_the_store_before_it_is_used(store: Store) -> None:
    async with upstream(says()) as server:
        model = model_at(server.url, store=store)
        async with model:
            async for chunk in model(MESSAGES):
                stored = CallCache(store, Commits(store)).get_many([call_key(model.endpoint, MESSAGES, Options())])
                assert len(stored) == 1
                assert chunk.parts


async def test_equal_calls_in_flight_are_one_call_and_different_samples_are_not(store: Store) -> None:
    async with upstream(streams("hello", pause_s=0.05)) as server:
        async with model_at(server.url, store=store) as model:
            answers = await asyncio.gather(*(collect(model(MESSAGES)) for _ in range(20)))
            await asyncio.gather(*(collect(model(MESSAGES, Options(sample=number))) for number in range(3)))
        assert len(server.asked) == 3  # samples 0 (shared by the first twenty), 1 and 2
    assert {answer.text for answer in answers} == {"hello"}


async def test_a_waiting_equal_call_is_made_when_the_first_one_fails(store: Store) -> None:
    async with upstream(fails(404), says()) as server, model_at(server.url, store=store, concurrency=1) as model:
        answers = await asyncio.gather(collect(model(MESSAGES)), collect(model(MESSAGES)), return_exceptions=True)
    assert isinstance(answers[0], EngineUnavailable)
    assert isinstance(answers[1], Response)


def test_the_cache_key_holds_what_shapes_an_answer_and_nothing_else() -> None:
    base = Endpoint(name="a", base_url="http://h/v1", model="m", logprobs=True)
    other = Endpoint(name="b", base_url="http://h/v1/", model="m", logprobs=True, key_env="K", usd_per_m_input=3.0, retries=9)
    assert call_key(base, MESSAGES, Options()) == call_key(other, MESSAGES, Options())
    varied = [
        Options(temperature=1.0),
        Options(seed=1),
        Options(schema={"a": 1}),
        Options(likely=2),
        Options(stop=("x",)),
        Options(sample=1),
        Options(max_tokens=9),
    ]
    keys = {call_key(base, MESSAGES, options) for options in varied} | {
        call_key(base, [{"role": "user", "content": "x"}], Options())
    }
    assert len(keys) == len(varied) + 1
    assert call_key(base, MESSAGES, Options()) not in keys


async def test_nothing_is_sent_when_the_reservation_would_pass_the_cap(store: Store, clock: Any) -> None:
    # 9 bytes + 16 tokens of template at 2 USD, 100 tokens at 10 USD a million: 0.00105 USD at most
    for limits in (Limits(budget_usd=0.001), Limits(budget_usd=0.0), Limits(budget_calls=0), Limits(budget_s=0.0)):
        async with upstream(says()) as server:
            with pytest.raises(OutOfBudget, match=r"Nothing was spent on it.*rungwise\.yaml"):
                await ask(model_at(server.url, budget=Budget(limits, SystemClock())))
            assert server.asked == []


async def test_two_hundred_tasks_never_pass_a_budget_for_fifty(store: Store) -> None:
    ledger = SpendLedger(store, Commits(store), run="race")
    budget = Budget(Limits(budget_calls=50), SystemClock(), ledger)
    async with upstream(says()) as server:
        async with model_at(server.url, budget=budget, concurrency=32) as model:
            answers = await asyncio.gather(*(collect(model(MESSAGES)) for _ in range(200)), return_exceptions=True)
        assert len(server.asked) == 50
    assert sum(isinstance(answer, Response) for answer in answers) == 50
    assert sum(isinstance(answer, OutOfBudget) for answer in answers) == 150
    assert spent(store, run="race") == budget.spent
    assert budget.spent.calls == 50


async def test_money_is_used_to_the_last_call_that_surely_fits(store: Store) -> None:
    # each call is reserved at 0.00105 USD and costs 0.000052: with 0.002 USD, calls wait for each other instead of failing,
    # until what is left is less than one reservation: (0.002 - 0.00105) / 0.000052 = 18.3, so 19 calls
    budget = Budget(Limits(budget_usd=0.002), SystemClock(), SpendLedger(store, Commits(store), run="money"))
    async with upstream(says()) as server:
        async with model_at(server.url, budget=budget, concurrency=16) as model:
            await asyncio.gather(*(collect(model(MESSAGES)) for _ in range(60)), return_exceptions=True)
        assert len(server.asked) == 19
    assert budget.spent.usd == pytest.approx(19 * 0.000052)
    assert spent(store).usd == pytest.approx(budget.spent.usd)


async def test_the_total_time_is_cut_to_what_the_time_budget_has_left() -> None:
    async def silent(reply: Reply, asked: Asked) -> None:
        await asyncio.sleep(30)

    budget = Budget(Limits(budget_s=0.3), SystemClock())
    async with upstream(silent) as server, model_at(server.url, budget=budget) as model:
        begun = time.perf_counter()
        with pytest.raises(OutOfBudget, match="seconds ran out during a call"):
            await collect(model(MESSAGES))
        assert time.perf_counter() - begun < 1.0
        with pytest.raises(OutOfBudget, match="budget_s"):
            await collect(model(MESSAGES))
        assert budget.spent.seconds == pytest.approx(0.3, abs=0.2)


async def test_a_failed_call_is_booked_too(store: Store) -> None:
    budget = Budget(Limits(), SystemClock(), SpendLedger(store, Commits(store), run="x"))
    async with upstream(fails(500)) as server:
        with pytest.raises(EngineUnavailable):
            await ask(model_at(server.url, budget=budget, retries=2))
    assert (budget.spent.calls, spent(store).calls) == (3, 3)


async def test_an_answer_that_cannot_be_read_is_paid_for_at_an_estimate() -> None:
    budget = Budget(Limits(), SystemClock())
    async with upstream(sends(b"rubbish")) as server:
        with pytest.raises(EngineError):
            await ask(model_at(server.url, budget=budget))
    assert budget.spent.usd == pytest.approx(3 * 2.0 / 1e6)  # nine characters were sent: 3 tokens at 2 USD a million
    assert budget.spent.calls == 1


async def test_a_cancelled_call_is_settled_at_the_most_that_it_may_be_charged(store: Store) -> None:
    async def silent(reply: Reply, asked: Asked) -> None:
        await asyncio.sleep(30)

    budget = Budget(Limits(), SystemClock(), SpendLedger(store, Commits(store), run="x"))
    async with upstream(silent) as server, model_at(server.url, budget=budget) as model:
        task = asyncio.ensure_future(collect(model(MESSAGES)))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert budget.committed.calls == budget.spent.calls == spent(store).calls == 1
    # 9 bytes and 16 for the message at 2 USD a million, and every allowed token (100) at 10
    assert spent(store).usd == pytest.approx((25 * 2.0 + 100 * 10.0) / 1e6)


async def test_no_network_and_no_client_library_until_a_call_is_made() -> None:
    async with upstream(says()) as server:
        model = model_at(server.url)
        await asyncio.sleep(0.05)
        assert model._session is None
        assert server.asked == []
        await model.aclose()


@pytest.mark.parametrize(
    "base_url", ["http://user:" + KEY + "@h/v1", "http://h/v1?api_key=" + KEY, "ftp://h/v1", "http://h:x/v1", "localhost:8000", ""]
)
def test_an_address_that_cannot_be_one_or_that_holds_a_key_is_refused_without_showing_it(base_url: str) -> None:
    with pytest.raises(UsageError) as caught:
        model_at(base_url)
    assert KEY not in str(caught.value)


async def test_a_key_that_is_not_there_says_which_variable_to_set() -> None:
    async with upstream(says()) as server:
        for environ in ({}, {"MY_KEY": "  "}):
            with pytest.raises(UsageError, match="export MY_KEY="):
                await ask(model_at(server.url, key_env="MY_KEY", environ=environ))
        with pytest.raises(UsageError, match="MY_KEY") as caught:
            await ask(model_at(server.url, key_env="MY_KEY", environ={"MY_KEY": KEY + "\r\nX: y"}))
        assert KEY not in str(caught.value)
        assert server.asked == []


async def test_the_key_is_read_when_the_call_is_made() -> None:
    environ: dict[str, str] = {}
    async with upstream(says()) as server:
        model = model_at(server.url, key_env="MY_KEY", environ=environ)
        environ["MY_KEY"] = KEY
        await ask(model)
        assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"


def traces_of(error: BaseException | None) -> str:
    """Everything that an error, its causes and the frames it passed could show."""
    shown = ""
    while error is not None:
        shown += repr(error) + str(error) + repr(vars(error))
        error = error.__cause__ or error.__context__
    return shown


def echo(kind: str) -> Script:
    async def script(reply: Reply, asked: Asked) -> None:
        key = asked.headers["authorization"].removeprefix("Bearer ")
        half, rest = key[:10], key[10:]
        tokens = {"content": [{"token": part, "logprob": -0.1, "bytes": None, "top_logprobs": []} for part in ("see ", half, rest)]}
        body = completion(
            f"your key is {key}, right?", tool_calls=[{"id": "c", "function": {"name": "f", "arguments": json.dumps({"k": key})}}]
        )
        body["choices"][0]["logprobs"], body["model"] = tokens, f"model-{key}"
        if kind == "answer":
            await reply.send(200, body)
        elif kind == "error":
            await reply.send(401, {"error": {"message": f"bad key {key}"}})
        elif kind == "late error":
            await reply.send(500, ("x" * 195 + key).encode())
        elif kind == "broken":
            await reply.send(200, f"not json {key}".encode())
        elif kind == "late rubbish":
            await reply.send(200, ("x" * 190 + key).encode())
        elif kind == "status line":
            await reply.raw(f"HTTP/1.1 {key}\r\n\r\n".encode())
        elif kind == "reset":
            reply.reset()
        else:
            await reply.head(200, "text/event-stream")
            for text in ("your key is ", *key, ", right?"):
                await reply.event(piece(text))
            if kind == "stream error":
                await reply.event({"error": {"message": f"bad key {key}"}})
            await reply.event(piece(finish="stop"))
            await reply.event("[DONE]")

    return script


@pytest.mark.parametrize(
    "kind", ["answer", "error", "late error", "broken", "late rubbish", "status line", "reset", "stream", "stream error"]
)
@pytest.mark.parametrize("cached", [True, False])
async def test_the_key_is_nowhere_even_when_the_server_sends_it_back(
    kind: str, cached: bool, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    budget = Budget(Limits(budget_usd=1.0), SystemClock(), SpendLedger(store, Commits(store), run="x"))
    shown = ""
    async with upstream(echo(kind)) as server:
        settings: dict[str, Any] = {"stream": "stream" in kind, "retries": 1, "key_env": "MY_KEY", "logprobs": True}
        model = model_at(server.url, store=store if cached else None, budget=budget, environ={"MY_KEY": KEY}, **settings)
        async with model:
            try:
                async for chunk in model(MESSAGES, Options(likely=1)):
                    shown += repr(chunk)
                    shown += "".join(getattr(part, "text", "") for part in chunk.parts)
            except EngineError as error:
                shown += traces_of(error)
        shown += repr(model) + repr(model.endpoint)
    assert shown
    everything = [shown, caplog.text, "".join(map(str, (record.__dict__ for record in caplog.records))), *capfd.readouterr()]
    store.engine.dispose()
    everything += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    for text in everything:
        assert KEY not in text
        assert KEY[:10] not in text.replace("MY_KEY", "")  # nor its beginning, where an error body is cut short
    if kind in ("answer", "stream"):
        assert "[key]" in shown


async def test_an_open_upstream_is_really_what_the_fixture_serves() -> None:
    async with upstream(says("a"), says("b")) as server:
        assert isinstance(server, Upstream)
        assert [(await ask(model_at(server.url))).text for _ in range(2)] == ["a", "b"]


async def test_time_spent_waiting_for_room_in_the_budget_is_not_held_against_the_endpoint() -> None:
    async def slow(reply: Reply, asked: Asked) -> None:
        await asyncio.sleep(0.4)
        await says()(reply, asked)

    # room for one call at a time: the fourth waits 1.2 s, longer than total_s, and is answered all the same
    budget = Budget(Limits(budget_usd=0.0015), SystemClock())
    async with upstream(slow) as server, model_at(server.url, budget=budget, total_s=0.8, concurrency=8) as model:
        answers = await asyncio.gather(*(collect(model(MESSAGES)) for _ in range(4)))
    assert [answer.text for answer in answers] == ["hello"] * 4
