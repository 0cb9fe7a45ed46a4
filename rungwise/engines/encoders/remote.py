"""Encoders behind an address: OpenAI-compatible `/embeddings`, and Titan and Cohere models on Amazon Bedrock."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from rungwise.core.content import Usage
from rungwise.core.decision import Spend
from rungwise.core.errors import EngineAnswer, EngineUnavailable, OutOfBudget
from rungwise.core.record import digest
from rungwise.core.types import Clock
from rungwise.core.usecase import Endpoint
from rungwise.engines.address import address, chat_url
from rungwise.engines.budget import Budget
from rungwise.engines.encoders.embedding_shapes import Shape, openai_shape, shape_of
from rungwise.engines.encoders.encode import Vectors, encodable
from rungwise.engines.endpoint import CONNECT_S
from rungwise.engines.exchange import Sending, Timing, exchange_json
from rungwise.engines.prices import Price, guess_tokens, price_of, token_bound, usage_of
from rungwise.engines.resilience import Failed, Failure, delay_s
from rungwise.engines.secrets import read_key, redact
from rungwise.engines.wire import TokenCount, WireError, write_json

if TYPE_CHECKING:
    from aiohttp import ClientSession


class RemoteEncoder:
    """An encoder behind an endpoint. Vectors are made to unit length here; `usage` adds up what its calls cost.

    Texts go in batches, `endpoint.concurrency` at once; failed ones are tried again as calls of a language model are.
    Keep its vectors with `with_cache`: nothing is remembered here. No network unless it is called.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        clock: Clock,
        rng: random.Random,
        dimensions: int | None = None,
        budget: Budget | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        chat_url(endpoint)  # refuses what cannot be an address
        self.endpoint, self.dimensions, self.usage, self.cut = endpoint, dimensions, Usage(), 0
        self._shape: Shape = shape_of(endpoint.model) if ".amazonaws.com" in endpoint.base_url else openai_shape
        self._price: Price = price_of(endpoint)
        self._clock, self._rng, self._budget = clock, rng, budget
        self._environ = os.environ if environ is None else environ

    @classmethod
    def bedrock(
        cls,
        endpoint: Endpoint,
        *,
        clock: Clock,
        rng: random.Random,
        dimensions: int | None = None,
        budget: Budget | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> RemoteEncoder:
        """One that speaks Bedrock's InvokeModel at any address, its API key as bearer. Raises UnknownName for a model."""
        made = cls(endpoint, clock=clock, rng=rng, dimensions=dimensions, budget=budget, environ=environ)
        made._shape = shape_of(endpoint.model)
        return made

    @property
    def identity(self) -> str:
        """Address, model and dimensions: what a server changes behind them cannot be seen from here."""
        return digest(["remote encoder", address(self.endpoint), self.endpoint.model, self.dimensions])

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32 of unit length, from any thread, also from one where an event loop runs (it waits). See `embed`."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(self.embed(texts))).result()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32 of unit length.

        Raises EngineUnavailable or EngineAnswer when the endpoint fails or answers with other than one vector of one length
        for each text, OutOfBudget before anything is sent, UsageError when the key is not in the environment.
        """
        import aiohttp

        if not texts:
            return np.zeros((0, self.dimensions or 0), dtype=np.float32)
        key = read_key(self.endpoint.key_env, self._environ, endpoint=self.endpoint.name)
        places = asyncio.Semaphore(max(1, self.endpoint.concurrency))
        # servers refuse a text of nothing
        sent = [encodable(text) if text.strip() else "." for text in texts]
        size = self._shape.batch
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:

            async def some(start: int) -> Vectors:
                async with places:
                    return await self._attempts(session, sent[start : start + size], key)

            tasks = [asyncio.ensure_future(some(start)) for start in range(0, len(sent), size)]
            try:
                parts = await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        if len({part.shape[1] for part in parts}) > 1:
            raise self._error(_wrong("vectors of different lengths"), 1, key)
        return np.concatenate(parts)

    async def _attempts(self, session: ClientSession, texts: Sequence[str], key: str | None) -> Vectors:
        """Try until there are vectors, within the time that the endpoint allows for all tries together."""
        loop, endpoint, tries = asyncio.get_running_loop(), self.endpoint, 0
        total_s = max(0.0, min(endpoint.total_s, self._budget.left_s if self._budget is not None else float("inf")))
        deadline = loop.time() + total_s
        timing = Timing(deadline=deadline, total_s=total_s, first_token_s=endpoint.first_token_s, between_chunks_s=endpoint.total_s)
        body = write_json(self._shape.body(endpoint.model, texts, self.dimensions))
        url = address(endpoint) + self._shape.path(endpoint.model)
        while True:
            try:
                return await self._once(session, Sending(url=url, body=body, stream=False, key=key, timing=timing), texts)
            except Failed as failed:
                failure = failed.failure
            tries += 1
            wait_s = delay_s(tries - 1, self._rng, asked_s=failure.retry_after_s)
            if not failure.retry or tries > endpoint.retries or loop.time() + wait_s >= deadline:
                break
            await asyncio.sleep(wait_s)
        if total_s < endpoint.total_s and loop.time() >= deadline - 1e-3:
            raise OutOfBudget(f"out of budget: the seconds ran out during a call to {endpoint.name}. Raise budget_s under limits")
        raise self._error(failure, tries, key)

    async def _once(self, session: ClientSession, sending: Sending, texts: Sequence[str]) -> Vectors:
        """One attempt: reserved, sent, read, settled."""
        left_s = max(0.0, sending.timing.deadline - asyncio.get_running_loop().time())
        upper = self._price.at_most(input_tokens=token_bound(texts), output_tokens=0, seconds=left_s)
        reservation = None
        if self._budget is not None:
            reservation = await self._budget.reserve(f"call to {self.endpoint.name}", Spend(usd=upper, calls=1), timed=True)
        begun, count, calls, usd = self._clock.tick(), TokenCount(), 1, upper
        estimated = True
        try:
            answer = await exchange_json(session, sending, self._clock)
            count = self._shape.count(answer) or TokenCount(guess_tokens(texts), 0)
            estimated = self._shape.count(answer) is None
            usd = self._price.of(count, self._clock.tick() - begun)
            return self._vectors(answer, len(texts))
        except Failed as failed:
            calls = int(failed.failure.sent)
            count = TokenCount(guess_tokens(texts), 0) if failed.failure.worked and count == TokenCount() else count
            usd = self._price.of(count, self._clock.tick() - begun) if failed.failure.sent else 0.0
            raise
        finally:
            self.usage = self.usage + usage_of(count, usd=usd, calls=calls, estimated=estimated and count != TokenCount())
            if self._budget is not None and reservation is not None:
                await self._budget.settle(reservation, usd=usd, calls=calls)

    def _vectors(self, answer: object, expected: int) -> Vectors:
        problem = ""
        try:
            vectors = self._shape.read(answer, expected)
            if self.dimensions is not None and vectors.shape[1] != self.dimensions:
                problem = f"vectors of {vectors.shape[1]} numbers instead of {self.dimensions}"
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            if not np.isfinite(norms).all() or not norms.all():
                problem = "vectors that are no numbers, or of no length"
        except WireError as error:
            problem = str(error)
        if problem:
            raise Failed(_wrong(problem))
        return np.asarray(vectors / norms, dtype=np.float32)

    def _error(self, failure: Failure, tries: int, key: str | None) -> EngineUnavailable | EngineAnswer:
        body = f": {failure.body[:200]!r}" if failure.body else ""
        times = f" after {tries} tries" if tries > 1 else ""
        message = f"endpoint '{self.endpoint.name}' at {address(self.endpoint)} {failure.what}{times}{body}. Run: rungwise doctor"
        return (EngineUnavailable if failure.agreed else EngineAnswer)(redact(message, key))


def _wrong(what: str) -> Failure:
    return Failure(what=f"answered outside the protocol: {what}", retry=False, agreed=False, worked=True)
