"""One call of a language model, read whole, and what such calls cost while something is searched for or rewritten."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextvars import ContextVar
from typing import Protocol, TypeVar

from rungwise.core.content import Chunk, Response, Usage
from rungwise.core.types import collect
from rungwise.core.usecase import Endpoint
from rungwise.engines.dialect import Options
from rungwise.engines.prompts import Message

T = TypeVar("T")

# A search gives passages and nothing else, and one search serves many requests at once: what the models inside it cost is
# told to whoever awaits it through the context of that await.
_SPENT: ContextVar[list[Usage] | None] = ContextVar("spent", default=None)


class Model(Protocol):
    """What `engines.endpoint.LanguageModel` is to its callers: messages in, chunks out."""

    def __call__(self, messages: Sequence[Message], options: Options | None = None) -> AsyncIterator[Chunk]:
        """Answer one conversation."""
        ...


class EndpointModel(Model, Protocol):
    """A model with the endpoint that it stands for: what answers for a candidate."""

    @property
    def endpoint(self) -> Endpoint:
        """Where it is, what it can do, and what it costs."""
        ...

    async def aclose(self) -> None:
        """Let go of its connections."""
        ...


async def ask(model: Model, messages: Sequence[Message], options: Options | None = None) -> Response:
    """The whole answer of a model; its usage counts in the `metered` that awaits it. Raises what the model raises."""
    written = await collect(model(messages, options))
    if (spent := _SPENT.get()) is not None:
        spent.append(written.usage)
    return written


async def metered(work: Awaitable[T]) -> tuple[T, Usage]:
    """The result of a coroutine, and the usage of all models that were asked on the way to it."""
    spent: list[Usage] = []
    token = _SPENT.set(spent)
    try:
        return await work, sum(spent, Usage())
    finally:
        _SPENT.reset(token)
