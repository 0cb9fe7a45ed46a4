"""Techniques as wrappers: each takes a responder and gives one that knows more."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from rungwise.core.content import Chunk, Passage, Request, Response, Shot, Text
from rungwise.core.errors import EngineAnswer
from rungwise.core.types import Responder, collect
from rungwise.inference.calling import metered

Search = Callable[[str, int], Awaitable[Sequence[Passage]]]
ChooseShots = Callable[[str, int], Awaitable[Sequence[Shot]]]


def with_retrieval(answer: Responder, search: Search, *, k: int) -> Responder:
    """Wrap `answer` so that every request carries its `k` nearest passages, best first; a passage that came with it stays first."""

    async def answer_with_passages(request: Request) -> AsyncIterator[Chunk]:
        passages, usage = await metered(search(request.text, k))
        found = tuple(passages)
        async for chunk in answer(replace(request, passages=(*request.passages, *found))):
            yield chunk
        yield Chunk(passages=found, usage=usage)  # what models inside the search cost is part of the answer's price

    return answer_with_passages


def with_shots(answer: Responder, choose: ChooseShots, *, count: int) -> Responder:
    """Wrap `answer` so that every request carries the `count` solved examples most like it, the most alike last."""

    async def answer_with_shots(request: Request) -> AsyncIterator[Chunk]:
        chosen = tuple(reversed(await choose(request.text, count)))
        async for chunk in answer(replace(request, shots=(*request.shots, *chosen))):
            yield chunk

    return answer_with_shots


def with_threshold(answer: Responder, threshold: float) -> Responder:
    """Wrap `answer` so that an answer less sure than the threshold is withheld: no text, and `finish` is 'abstained'."""

    async def answer_when_sure(request: Request) -> AsyncIterator[Chunk]:
        whole = await collect(answer(request))
        if whole.confidence is not None and whole.confidence >= threshold:
            yield as_chunk(whole)
        else:
            withheld = as_chunk(replace(whole, text="", parts=(), finish="abstained", citations=()))
            yield withheld

    return answer_when_sure


def as_chunk(whole: Response) -> Chunk:
    """A whole answer as one chunk."""
    parts = whole.parts or ((Text(whole.text),) if whole.text else ())
    return Chunk(
        parts=parts,
        scores=whole.scores,
        confidence=whole.confidence,
        passages=whole.passages,
        usage=whole.usage,
        model=whole.model,
        finish=whole.finish,
        citations=whole.citations,
    )


def recorded(files: Mapping[str, bytes]) -> Responder:
    """Answers that another system gave before, by question and passage. A question that it never saw has no answer."""
    known: dict[str, tuple[str, float | None]] = {key: tuple(value) for key, value in json.loads(files["answers.json"]).items()}

    async def look_up(request: Request) -> AsyncIterator[Chunk]:
        passage = request.passages[0].text if request.passages else None
        key = recorded_key(request.text, passage)
        answer, confidence = known.get(key, ("", None))
        yield Chunk(parts=(Text(answer),) if answer else (), confidence=confidence, finish="stop" if key in known else "unknown")

    return look_up


def with_known(answer: Responder, system: str) -> Responder:
    """Wrap recorded answers so that a question that was not recorded raises EngineAnswer: nobody is there to answer it."""

    async def answer_when_recorded(request: Request) -> AsyncIterator[Chunk]:
        async for chunk in answer(request):
            if chunk.finish == "unknown":
                raise EngineAnswer(
                    f"the chosen system '{system}' is known by its recorded answers only, and this question is not among them. "
                    "To ask it new questions, put it behind an OpenAI-compatible address and name that with --endpoint"
                )
            yield chunk

    return answer_when_recorded


def recorded_key(text: str, passage: str | None) -> str:
    """What a recorded answer is found by."""
    return json.dumps([text, passage], ensure_ascii=False)
