"""A language model behind an OpenAI-compatible address: cached, within budget, tried again, timed, priced."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rungwise.core.content import Chunk, Part, Text, Token, ToolCall, Usage
from rungwise.core.decision import Spend
from rungwise.core.errors import EngineAnswer, EngineUnavailable, OutOfBudget
from rungwise.core.record import digest, from_plain, to_plain
from rungwise.core.types import Clock
from rungwise.core.usecase import Endpoint
from rungwise.data.calls import Call, CallCache
from rungwise.engines.address import address, chat_url
from rungwise.engines.budget import Budget, Reservation
from rungwise.engines.dialect import Dialect, Options
from rungwise.engines.exchange import Sending, Timing, exchange
from rungwise.engines.prices import Price, SharedSeconds, guess_tokens, price_of, token_bound, usage_of
from rungwise.engines.prompts import Message
from rungwise.engines.resilience import Failed, Failure, delay_s
from rungwise.engines.secrets import StreamRedactor, read_key, redact, redact_calls, redact_tokens
from rungwise.engines.wire import Completion, TokenCount, write_json

if TYPE_CHECKING:
    from aiohttp import ClientSession

CODE_VERSION = "1"  # raise it when the same call would now be sent or read differently: cached calls of before are then not used
CONNECT_S = 10.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished call as it is kept and handed on."""

    text: str
    finish: str | None
    model: str
    tool_calls: tuple[ToolCall, ...] = ()
    tokens: tuple[Token, ...] = ()
    usage: Usage = Usage()  # noqa: RUF009 - frozen, so it may be shared


class LanguageModel:
    """Call it with messages and options: it streams chunks, the last of which has usage, model and finish.

    With a cache, text is handed on only after the whole answer is committed, a cut
    answer is tried again, and a call that was made before costs nothing (its usage is
    what it cost then). Without one, an endpoint with `stream` hands text on as it
    comes, and a stream that breaks after its first text is an error.
    One instance is one limit of `endpoint.concurrency` calls. No network unless it is called. Close it when done.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        clock: Clock,
        rng: random.Random,
        cache: CallCache | None = None,
        budget: Budget | None = None,
        price: Price | None = None,
        session: ClientSession | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.endpoint, self.url = endpoint, chat_url(endpoint)
        self.price = price_of(endpoint) if price is None else price
        self._clock, self._rng, self._cache, self._budget = clock, rng, cache, budget
        self._environ = os.environ if environ is None else environ
        self._given, self._session = session, session
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dialect = Dialect()
        self._machine = SharedSeconds(clock)
        self._in_flight: dict[str, asyncio.Future[Answer]] = {}
        self._rest_until = 0.0  # loop time before which the server asked not to be called

    async def __call__(self, messages: Sequence[Message], options: Options | None = None) -> AsyncIterator[Chunk]:
        """Answer one conversation.

        Raises EngineUnavailable or EngineAnswer when the endpoint fails, OutOfBudget before anything
        is sent, UsageError when the key is not in the environment.
        """
        options = options or Options()
        if self._cache is None:
            async with aclosing(self._live(messages, options)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        key = call_key(self.endpoint, messages, options)
        answer = await self._cached(key, messages, options, self._cache)
        parts: tuple[Part, ...] = (*((Text(answer.text),) if answer.text else ()), *answer.tool_calls)
        yield Chunk(parts, usage=answer.usage, model=answer.model, finish=answer.finish, tokens=answer.tokens)

    async def aclose(self) -> None:
        """Close the connections that it opened itself."""
        session, self._session = self._session, self._given
        if session is not None and session is not self._given:
            await session.close()

    async def __aenter__(self) -> LanguageModel:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def _cached(self, key: str, messages: Sequence[Message], options: Options, cache: CallCache) -> Answer:
        """The stored answer, or that of a new call once it is committed; equal calls in flight are one call."""
        while True:
            self._enter_loop()
            if (stored := await cache.get(key)) is not None:
                return _restore(stored)
            if key not in self._in_flight:
                break
            # if that call fails or is cancelled, this one is made in its place
            await asyncio.wait([self._in_flight[key]])
        done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._in_flight[key] = done
        try:
            answer = await self._whole(messages, options)
            await cache.put(key, _store(answer))
            return answer
        finally:
            del self._in_flight[key]
            done.cancel()

    async def _whole(self, messages: Sequence[Message], options: Options) -> Answer:
        answers = [piece async for piece in self._attempts(messages, options, live=False) if isinstance(piece, Answer)]
        return answers[0]  # attempts end with an answer or raise

    async def _live(self, messages: Sequence[Message], options: Options) -> AsyncGenerator[Chunk, None]:
        self._enter_loop()
        said = 0
        async with aclosing(self._attempts(messages, options, live=self.endpoint.stream)) as pieces:
            async for piece in pieces:
                if isinstance(piece, str):
                    said += len(piece)
                    yield Chunk((Text(piece),))
                    continue
                rest = piece.text[said:]
                parts: tuple[Part, ...] = (*((Text(rest),) if rest else ()), *piece.tool_calls)
                yield Chunk(parts, usage=piece.usage, model=piece.model, finish=piece.finish, tokens=piece.tokens)

    async def _attempts(self, messages: Sequence[Message], options: Options, *, live: bool) -> AsyncGenerator[str | Answer, None]:
        """Try until there is an answer; with `live` its text comes first, in pieces, as it arrives."""
        endpoint, key = self.endpoint, read_key(self.endpoint.key_env, self._environ, endpoint=self.endpoint.name)
        async with self._places:
            total_s = self._total_s()
            deadline = asyncio.get_running_loop().time() + total_s
            usage, tries, dialect = Usage(), 0, self._dialect
            started, waited_s = self._clock.tick(), 0.0
            while True:
                await self._rest(deadline)
                attempt = _Attempt(self, messages, options, dialect, key=key, deadline=deadline, total_s=total_s)
                async with aclosing(attempt.run(live=live)) as pieces:
                    async for piece in pieces:
                        yield piece
                usage, deadline = usage + attempt.usage, deadline + attempt.waited_s
                waited_s += attempt.waited_s
                if (failure := attempt.failure) is None:
                    self._dialect = dialect
                    yield attempt.answer(replace(usage, seconds=max(0.0, self._clock.tick() - started - waited_s)))
                    return
                if failure.status is not None and (other := dialect.without(attempt.body, failure.status, failure.body)):
                    dialect, change = other
                    _log.warning("endpoint '%s' refused a part of the call: %s", endpoint.name, change)
                    continue
                tries += 1
                late = asyncio.get_running_loop().time() >= deadline - 1e-3
                if not failure.retry or tries > endpoint.retries or attempt.told:
                    break
                wait_s = delay_s(tries - 1, self._rng, asked_s=failure.retry_after_s)
                if asyncio.get_running_loop().time() + wait_s >= deadline:
                    failure = replace(failure, what=f"{failure.what}, and the next try would be after total_s = {total_s:g} s")
                    late = True
                    break
                if failure.retry_after_s is not None:
                    self._rest_until = max(self._rest_until, asyncio.get_running_loop().time() + failure.retry_after_s)
                await asyncio.sleep(wait_s)
        if late and total_s < endpoint.total_s:  # the budget was shorter than the endpoint's own time
            raise OutOfBudget(
                f"out of budget: the seconds ran out during a call to {endpoint.name}. "
                "Raise budget_s under limits in rungwise.yaml and run the same command again"
            )
        raise self._error(failure, tries, key)

    def _total_s(self) -> float:
        left_s = self._budget.left_s if self._budget is not None else float("inf")
        return max(0.0, min(self.endpoint.total_s, left_s))

    async def _rest(self, deadline: float) -> None:
        """Wait for as long as the server asked all callers to stay away."""
        now = asyncio.get_running_loop().time()
        if now < self._rest_until:
            await asyncio.sleep(min(self._rest_until, deadline) - now)

    def _enter_loop(self) -> None:
        """Connections and the concurrency limit belong to the running event loop; another loop needs new ones."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._in_flight, self._rest_until = loop, {}, 0.0
            self._places = asyncio.Semaphore(max(1, self.endpoint.concurrency))
            self._session = self._given

    def _open(self) -> ClientSession:
        """The connections; opened at the first call that is really sent."""
        import aiohttp

        if self._session is None or self._session.closed:
            connect_s = min(CONNECT_S, self.endpoint.first_token_s)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),  # the limit is `concurrency`
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "rungwise"},
            )
        return self._session

    def _error(self, failure: Failure, tries: int, key: str | None) -> EngineUnavailable | EngineAnswer:
        body = f": {failure.body[:200]!r}" if failure.body else ""
        times = f" after {tries} tries" if tries > 1 else ""
        message = f"endpoint '{self.endpoint.name}' at {address(self.endpoint)} {failure.what}{times}{body}. Run: rungwise doctor"
        return (EngineUnavailable if failure.agreed else EngineAnswer)(redact(message, key))


class _Attempt:
    """One attempt: reserved, sent, read, settled. `failure` is None when it gave an answer."""

    def __init__(
        self,
        model: LanguageModel,
        messages: Sequence[Message],
        options: Options,
        dialect: Dialect,
        *,
        key: str | None,
        deadline: float,
        total_s: float,
    ) -> None:
        endpoint = model.endpoint
        self._model, self._key = model, key
        self._max_tokens = options.max_tokens or endpoint.max_tokens
        self.body = dialect.body(endpoint, messages, options, max_tokens=self._max_tokens)
        self._texts = [message["content"] for message in messages]
        self._deadline, self._total_s = deadline, total_s
        self._completion = Completion()
        self.failure: Failure | None = None
        self.usage = Usage()
        self.told = False  # some text was handed on already
        self.waited_s = 0.0  # for room in the budget; not the endpoint's fault, so it is not in its time

    async def run(self, *, live: bool) -> AsyncGenerator[str, None]:
        """Make the call; with `live` hand the text on. Ends without an exception when the endpoint failed."""
        model, shown = self._model, StreamRedactor(self._key)
        begun = asyncio.get_running_loop().time()
        reservation = await self._reserve()
        self.waited_s = asyncio.get_running_loop().time() - begun
        mark = model._machine.start()
        ended = False
        try:
            async with aclosing(exchange(model._open(), self._sending(), model._clock)) as deltas:
                async for delta in deltas:
                    self._completion.add(delta)
                    if live and (piece := shown.feed(delta.text)):
                        self.told = True
                        yield piece
            ended = True
        except Failed as failed:
            self.failure, ended = failed.failure, True
        finally:
            self._bill(model._machine.stop(mark), broken=not ended)
            if reservation is not None and model._budget is not None:
                # a call that was cancelled may still be charged in full, whatever came back of it
                usd = self.usage.usd if ended else max(self.usage.usd, reservation.upper.usd)
                await model._budget.settle(reservation, usd=usd, calls=self.usage.calls)
        if live and self.failure is None and (piece := shown.close()):
            yield piece

    def answer(self, usage: Usage) -> Answer:
        """What came back, without the key, and with the usage of all attempts."""
        whole, key = self._completion.whole(), self._key
        return Answer(
            text=redact(whole.text, key),
            finish=whole.finish,
            model=redact(whole.model or self._model.endpoint.model, key),
            tool_calls=redact_calls(whole.tool_calls, key),
            tokens=redact_tokens(whole.tokens, key),
            usage=usage,
        )

    def _sending(self) -> Sending:
        endpoint = self._model.endpoint
        timing = Timing(
            deadline=self._deadline + self.waited_s,
            total_s=self._total_s,
            first_token_s=endpoint.first_token_s,
            between_chunks_s=endpoint.between_chunks_s,
        )
        return Sending(url=self._model.url, body=write_json(self.body), stream=endpoint.stream, key=self._key, timing=timing)

    async def _reserve(self) -> Reservation | None:
        model = self._model
        if model._budget is None:
            return None
        # most servers put the schema into the prompt
        schema = self.body.get("response_format")
        bound = token_bound([*self._texts, str(schema)] if schema else self._texts)
        left_s = max(0.0, self._deadline - asyncio.get_running_loop().time())
        usd = model.price.at_most(input_tokens=bound, output_tokens=self._max_tokens, seconds=left_s)
        return await model._budget.reserve(f"call to {model.endpoint.name}", Spend(usd=usd, calls=1), timed=True)

    def _bill(self, machine_s: float, *, broken: bool) -> None:
        """Count what this attempt cost; guess and flag it where the model was at work and nobody said how much."""
        failure, completion = self.failure, self._completion
        if failure is not None and not failure.sent:
            return
        worked = failure is None or failure.worked or broken
        count, estimated = completion.count, False
        if count is None and worked:
            said = completion.whole().text
            count, estimated = TokenCount(guess_tokens(self._texts), guess_tokens([said])), True
        count = count or TokenCount()
        usd = self._model.price.of(count, machine_s)
        self.usage = usage_of(count, usd=usd, calls=1, estimated=estimated)


def language_model(
    endpoint: Endpoint,
    *,
    clock: Clock,
    rng: random.Random,
    cache: CallCache | None = None,
    budget: Budget | None = None,
    price: Price | None = None,
    session: ClientSession | None = None,
    environ: Mapping[str, str] | None = None,
) -> LanguageModel:
    """A model to call. Raises UsageError for an address that cannot be one. See `LanguageModel`."""
    return LanguageModel(endpoint, clock=clock, rng=rng, cache=cache, budget=budget, price=price, session=session, environ=environ)


def call_key(endpoint: Endpoint, messages: Sequence[Message], options: Options) -> str:
    """The digest of everything that shapes an answer. No key, no price, no timeout is in it."""
    shaping: dict[str, Any] = {
        "code": CODE_VERSION,
        "model": endpoint.model,
        "address": address(endpoint),
        "messages": list(messages),
        "options": [
            options.temperature,
            options.max_tokens or endpoint.max_tokens,
            options.schema if endpoint.json_schema else None,
            options.seed,
            options.likely if endpoint.logprobs else 0,
            options.stop,
            options.sample,
        ],
    }
    return digest(shaping)


def _store(answer: Answer) -> Call:
    response: dict[str, Any] = {"text": answer.text, "finish": answer.finish}
    if answer.tool_calls:
        response["tool_calls"] = to_plain(answer.tool_calls)
    if answer.tokens:
        response["tokens"] = [[token.text, token.logprob, token.likely] for token in answer.tokens]
    return Call(answer.model, response, to_plain(answer.usage))


def _restore(call: Call) -> Answer:
    response = call.response
    return Answer(
        text=response["text"],
        finish=response["finish"],
        model=call.model,
        tool_calls=tuple(from_plain(ToolCall, made) for made in response.get("tool_calls", ())),
        tokens=tuple(
            Token(text, logprob, tuple((other, value) for other, value in likely))
            for text, logprob, likely in response.get("tokens", ())
        ),
        usage=Usage(**call.usage),
    )
