"""Answers that a fitted language model writes: concurrent questions in micro-batches, each answer as a stream."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rungwise.core.candidate import Candidate
from rungwise.core.content import Chunk, Request, Text, Usage
from rungwise.core.errors import UsageError
from rungwise.core.types import Responder
from rungwise.engines.batching import batched
from rungwise.engines.fitted.asking import conversation, question
from rungwise.engines.fitted.chat import ASSISTANT, Message
from rungwise.engines.fitted.decoding import Decoding, Generated

if TYPE_CHECKING:
    from rungwise.engines.fitted.generation import Generator

Prompt = Callable[["Generator", Request], Sequence[int]]
Files = Callable[[], tuple[Mapping[str, bytes], Mapping[str, bytes] | None]]
"""Gives the files of a fitted model, and those of its base where it is an adapter."""

MAX_TOKENS = 256
"""How long an answer may be where a candidate does not say."""

MAX_BATCH = 32


def generating_responder(
    generator: Generator, *, decoding: Decoding | None = None, prompt: Prompt | None = None, max_batch: int = MAX_BATCH
) -> Responder:
    """A responder of a loaded model. `prompt` makes tokens of a request, `asked_tokens` unless told.

    What is asked at one time is answered in one batch of at most `max_batch`, in a thread; every answer is streamed, and one
    whose reader goes away is ended. The last chunk has the tokens used, why it ended and, as its confidence, the
    geometric mean of its tokens' probabilities. A request that the model cannot read fails alone.
    """
    return _responder(lambda: generator, decoding or Decoding(max_tokens=MAX_TOKENS), prompt or asked_tokens, max_batch, None)


def fitted_responder(candidate: Candidate, files: Files) -> Responder:
    """The responder of a candidate, whose model is loaded at the first question.

    Its options: `max_tokens`, `temperature`, `top_p`, `seed`, `stop`; `engine` and `dtype` as in `load_generator`;
    `completes` for a model that goes on from a text instead of answering.
    """
    options = candidate.options
    decoding = Decoding(
        max_tokens=int(options.get("max_tokens") or MAX_TOKENS),
        temperature=float(options.get("temperature") or 0.0),
        top_p=float(options.get("top_p") or 1.0),
        seed=int(options.get("seed") or 0),
        stop=tuple(options.get("stop", ())),
    )
    lock, made = threading.Lock(), list["Generator"]()

    def generator() -> Generator:
        from rungwise.engines.fitted.generation import load_generator

        with lock:
            if not made:
                own, base = files()
                made.append(load_generator(own, base=base, engine=options.get("engine"), dtype=options.get("dtype") or "float32"))
        return made[0]

    return _responder(generator, decoding, plain_tokens if options.get("completes") else asked_tokens, MAX_BATCH, candidate.model)


def plain_tokens(generator: Generator, request: Request) -> Sequence[int]:
    """The text as it is, to go on from: of a model that was never taught to answer."""
    return generator.tokens(request.text)


def asked_tokens(generator: Generator, request: Request) -> Sequence[int]:
    """The question with its passages and what was said before, by the model's chat template; to an encoder without a template."""
    if generator.encodes:
        return generator.tokens(question(request.text, request.passages))
    said = [(Message("user", turn.question), Message(ASSISTANT, turn.answer)) for turn in request.turns]
    return generator.conversation([*(one for turn in said for one in turn), *conversation(request.text, request.passages)])


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, and who hears its answer."""

    request: Request
    pieces: _Pieces


class _Pieces:
    """The text of one answer on its way from the thread that makes it to the event loop that reads it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()
        self.left = False

    def hear(self, piece: str) -> bool:
        """Called in the thread, with each piece; whether nobody reads on."""
        if piece and not self.left:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, piece)
        return self.left

    def end(self) -> None:
        """Called on the loop, after the last piece."""
        self._queue.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[str]:
        while (piece := await self._queue.get()) is not None:
            yield piece


def _responder(load: Callable[[], Generator], decoding: Decoding, prompt: Prompt, max_batch: int, model: str | None) -> Responder:
    def answer_many(asked: Sequence[_Asked]) -> list[Generated | UsageError]:
        generator = load()
        read = [_read(generator, prompt, one.request, decoding) for one in asked]
        rows = [place for place, tokens in enumerate(read) if not isinstance(tokens, UsageError)]
        prompts = [tokens for tokens in read if not isinstance(tokens, UsageError)]
        made = generator.generate(prompts, decoding, on_text=lambda row, piece: asked[rows[row]].pieces.hear(piece))
        answers = iter(made)
        return [tokens if isinstance(tokens, UsageError) else next(answers) for tokens in read]

    ask = batched(answer_many, max_batch=max_batch)

    async def answer(request: Request) -> AsyncIterator[Chunk]:
        pieces = _Pieces()
        whole = ask(_Asked(request, pieces))
        whole.add_done_callback(lambda _: pieces.end())
        try:
            async for piece in pieces:
                yield Chunk((Text(piece),))
            made = await whole
            if isinstance(made, UsageError):
                raise made
            yield _last(made, model or load().name)
        finally:
            pieces.left = True
            whole.cancel()

    return answer


def _read(generator: Generator, prompt: Prompt, request: Request, decoding: Decoding) -> Sequence[int] | UsageError:
    """The tokens of a request, or why the model cannot read it: its neighbours in the batch are answered all the same."""
    try:
        tokens = prompt(generator, request)
        generator.room(tokens, decoding.max_tokens)
    except UsageError as error:
        return error
    return tokens


def _last(made: Generated, model: str) -> Chunk:
    used = Usage(input_tokens=made.prompt_tokens, output_tokens=len(made.ids))
    return Chunk(confidence=math.exp(min(0.0, made.logprob)), usage=used, model=model, finish=made.finish)
