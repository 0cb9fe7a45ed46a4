"""A language model inside a candidate, asked through the same routing as a plain engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

from rungwise.core.content import Chunk, Part, Text, Usage
from rungwise.core.usecase import Endpoint
from rungwise.engines.dialect import Dialect, Options
from rungwise.engines.prompts import Message
from rungwise.engines.wire import Completion, Delta, WireError, delta_of, read_json, write_json
from rungwise.serve.ask import CHAT, Tape
from rungwise.serve.failure import EngineDown, Refused
from rungwise.serve.routing.router import Router

TAPE: ContextVar[Tape | None] = ContextVar("tape", default=None)
"""The tape of the request that is being answered, for the spans of models: a responder serves many requests and knows of none.

What they used comes with the answer; it is added to the tape only where there is no answer to carry it."""


class RoutedModel:
    """To its callers what `engines.endpoint.LanguageModel` is, without a cache. Raises Refused when no engine answers.

    Asked with the body that suits its own endpoint, also where another one stands in for it.
    """

    def __init__(self, router: Router, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._router = router
        self._dialect = Dialect()

    async def __call__(self, messages: Sequence[Message], options: Options | None = None) -> AsyncIterator[Chunk]:
        """Answer one conversation: text as it comes where the endpoint streams, and usage, model and finish in the last chunk."""
        spent, answered = _Spent(), False
        try:
            async with aclosing(self._tries(messages, options or Options(), spent)) as chunks:
                async for chunk in chunks:
                    yield chunk
            answered = True
            yield Chunk(usage=spent.usage, model=spent.model, finish=spent.finish)
        finally:
            if not answered and (tape := TAPE.get()) is not None:
                tape.add(spent.usage)

    async def aclose(self) -> None:
        """Nothing to close: the connections are the router's."""

    async def _tries(self, messages: Sequence[Message], options: Options, spent: _Spent) -> AsyncGenerator[Chunk, None]:
        """Ask, and ask again without what the engine refuses, which is remembered."""
        dialect = self._dialect
        while True:
            body = dialect.body(self.endpoint, messages, options, max_tokens=options.max_tokens or self.endpoint.max_tokens)
            tape = Tape("", self._router.clock)
            try:
                async with aclosing(self._answer(body, tape)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                self._dialect = dialect
                return
            except Refused as refused:
                other = _mended(dialect, body, refused)
                if other is None:
                    raise
                dialect = other
            finally:
                spent.add(tape)
                _copy_spans(tape)

    async def _answer(self, body: Mapping[str, Any], tape: Tape) -> AsyncGenerator[Chunk, None]:
        completion, said = Completion(), 0
        if body.get("stream"):
            async with aclosing(self._router.stream(self.endpoint.name, CHAT, body, tape)) as events:
                async for event in events:
                    delta = _delta(event, tape)
                    completion.add(delta)
                    if delta.text:
                        said += len(delta.text)
                        yield Chunk((Text(delta.text),))
        else:
            completion.add(_delta(await self._router.whole(self.endpoint.name, CHAT, body, tape), tape))
        whole = completion.whole()
        parts: tuple[Part, ...] = (*((Text(rest),) if (rest := whole.text[said:]) else ()), *whole.tool_calls)
        if parts or whole.tokens:
            yield Chunk(parts, tokens=whole.tokens)


@dataclass(slots=True)
class _Spent:
    """What all tries together used, and who answered the last."""

    usage: Usage = field(default_factory=Usage)
    model: str | None = None
    finish: str | None = None

    def add(self, tape: Tape) -> None:
        self.usage = self.usage + (tape.usage or Usage())
        self.model, self.finish = tape.model, tape.finish


def routed_model(router: Router, endpoint: Endpoint) -> RoutedModel:
    """A model to call, behind the router that has its endpoint."""
    return RoutedModel(router, endpoint)


def _mended(dialect: Dialect, body: Mapping[str, Any], refused: Refused) -> Dialect | None:
    """The dialect to try after an engine refused the body; None when there is nothing to leave out."""
    error = {"message": refused.message, "param": refused.param}
    other = dialect.without(body, refused.status, write_json({"error": error}).decode())
    return other[0] if other is not None else None


def _delta(json: bytes, tape: Tape) -> Delta:
    """What a body or an event adds to the answer. Raises EngineDown for a message of another shape."""
    try:
        return delta_of(read_json(json))
    except WireError as error:
        raise EngineDown(f"the engine '{tape.engine}' answered outside the protocol: {error}") from None


def _copy_spans(made: Tape) -> None:
    """The spans of a call onto the tape of the request that it belongs to, moved to its beginning."""
    if (tape := TAPE.get()) is not None:
        begun_s = made.started - tape.started
        tape.spans.extend(replace(span, start_s=begun_s + span.start_s) for span in made.spans)
        tape.engine = made.engine
