"""Concurrent questions gathered into micro-batches, for models that answer many at once faster than one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from rungwise.core.content import Chunk, Request
from rungwise.core.types import Responder

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

AnswerMany = Callable[[Sequence[Request]], Sequence[Chunk]]

MAX_BATCH = 1_024


def gathered(answer_many: AnswerMany, *, max_batch: int = MAX_BATCH) -> Responder:
    """A responder that answers whatever is asked at the same time in one call of `answer_many`.

    No request waits for a timer: a batch leaves when a turn of the event loop brought
    no further request, or when it is full. `answer_many` runs in a thread, one batch
    at a time, so that the loop stays alive; what is asked meanwhile is the next batch.
    It gives one chunk per request, in order; its error is raised for each of them.
    """
    ask = batched(answer_many, max_batch=max_batch)

    async def answer(request: Request) -> AsyncIterator[Chunk]:
        yield await ask(request)

    return answer


def batched(
    answer_many: Callable[[Sequence[Asked]], Sequence[Answer]], *, max_batch: int = MAX_BATCH
) -> Callable[[Asked], asyncio.Future[Answer]]:
    """As `gathered`, for questions and answers of any kind. Who cancels before the batch has left is not in it."""
    queues: WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue[Asked, Answer]] = WeakKeyDictionary()

    def ask(asked: Asked) -> asyncio.Future[Answer]:
        loop = asyncio.get_running_loop()
        queue = queues.get(loop)
        if queue is None:
            queue = queues[loop] = _Queue(answer_many, max_batch)
        return queue.ask(loop, asked)

    return ask


class _Queue(Generic[Asked, Answer]):
    """The requests that wait on one event loop. Holds no reference to the loop, so that a closed loop can go."""

    def __init__(self, answer_many: Callable[[Sequence[Asked]], Sequence[Answer]], max_batch: int) -> None:
        self._answer_many, self._max_batch = answer_many, max_batch
        self._waiting: list[tuple[Asked, asyncio.Future[Answer]]] = []
        self._awake = False  # a look at the queue is scheduled, or a batch is being answered

    def ask(self, loop: asyncio.AbstractEventLoop, request: Asked) -> asyncio.Future[Answer]:
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((request, answer))
        if not self._awake:
            self._awake = True
            loop.call_soon(self._look, loop, 0)
        return answer

    def _look(self, loop: asyncio.AbstractEventLoop, before: int) -> None:
        """Send the batch, unless requests are still coming in."""
        now = len(self._waiting)
        if before < now < self._max_batch:
            loop.call_soon(self._look, loop, now)
        else:
            self._send(loop)

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        batch = [pair for pair in self._waiting[: self._max_batch] if not pair[1].done()]  # done: whoever asked has gone
        del self._waiting[: self._max_batch]
        if not batch:
            self._rest(loop)
            return
        running = loop.run_in_executor(None, self._answer_many, [request for request, _ in batch])
        running.add_done_callback(lambda done: self._settle(loop, [answer for _, answer in batch], done))

    def _settle(
        self, loop: asyncio.AbstractEventLoop, answers: Sequence[asyncio.Future[Answer]], done: asyncio.Future[Sequence[Answer]]
    ) -> None:
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        made = () if error is not None else done.result()
        if error is None and len(made) != len(answers):
            error = RuntimeError(f"{len(answers)} requests got {len(made)} answers")
        for place, answer in enumerate(answers):
            if answer.done():
                continue
            if error is None:
                answer.set_result(made[place])
            elif isinstance(error, asyncio.CancelledError):
                answer.cancel()
            else:
                answer.set_exception(error)
        self._rest(loop)

    def _rest(self, loop: asyncio.AbstractEventLoop) -> None:
        """Go on with what has come in meanwhile, or sleep until the next question."""
        if self._waiting:
            loop.call_soon(self._look, loop, 0)
        else:
            self._awake = False
