"""A candidate that Rungwise itself runs as an answerer: a conversation in, its answer in the shape of OpenAI out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, cast

from rungwise.core.candidate import Candidate
from rungwise.core.content import Chunk, Request, Response, Text, ToolCall, Usage
from rungwise.core.errors import EngineError, RungwiseError
from rungwise.core.types import Responder, collect
from rungwise.engines.prices import guess_tokens
from rungwise.serve.ask import COMPLETION, Ask, Tape, Whole
from rungwise.serve.failure import BadRequest, EngineDown, Refused
from rungwise.serve.routing.model import TAPE
from rungwise.serve.shapes import FINISHES, encode, request_of, usage_body

COPIES = 128
"""The most answers (`n`) to one question, as at OpenAI."""


class Responding:
    """Answers with a responder. What it takes on this machine is priced at `usd_per_hour`."""

    def __init__(self, candidate: Candidate, responder: Responder, *, name: str, usd_per_hour: float) -> None:
        self.candidate, self.responder, self.name = candidate, responder, name
        self._usd_per_s = usd_per_hour / 3600

    async def whole(self, ask: Ask, tape: Tape) -> Whole:
        """The whole answer as a `chat.completion` or `text_completion`."""
        request = _request(ask)
        copies = _copies(ask.body)
        TAPE.set(tape)
        with tape.span(self.candidate.model, "model"):
            try:
                response = await collect(self.responder(request))
            except RungwiseError as error:
                raise _refusal(error) from error
        tape.heard()
        usage = self._note(request, response, tape)
        return Whole(encode(self._body(ask, tape, response, usage, copies)))

    async def stream(self, ask: Ask, tape: Tape) -> AsyncIterator[bytes]:
        """The answer in pieces, the last of them with the usage where it was asked for."""
        request = _request(ask)
        if _copies(ask.body) != 1:
            raise BadRequest("a streamed answer has n = 1 for this model", param="n")
        head = self._head(ask, tape, streamed=True)
        chunks: list[Chunk] = []
        TAPE.set(tape)
        with tape.span(self.candidate.model, "model"):
            try:
                async with aclosing(cast(Any, self.responder(request))) as answered:
                    async for chunk in answered:
                        chunks.append(chunk)
                        if chunk.parts:
                            tape.heard()
                            yield encode({**head, "choices": [_piece(ask, chunk, first=len(chunks) == 1)]})
            except RungwiseError as error:
                raise _refusal(error) from error
        response = await collect(_again(chunks))
        usage = self._note(request, response, tape)
        last = _choice(ask, {"delta": {}}, finish=_finish(response))
        yield encode({**head, "choices": [last], "rungwise": _told(response, tape)})
        if (ask.body.get("stream_options") or {}).get("include_usage"):
            yield encode({**head, "choices": [], "usage": usage_body(usage)})

    def _note(self, request: Request, response: Response, tape: Tape) -> Usage:
        usage = response.usage
        if not usage.calls:
            seconds = tape.spans[-1].seconds
            usd = seconds * self._usd_per_s
            tokens = guess_tokens([request.text]), guess_tokens([response.text])
            usage = Usage(*tokens, usd=usd, estimated=True, seconds=seconds)
        tape.add(usage)
        tape.model = response.model or self.candidate.model
        tape.finish = response.finish or "stop"
        tape.response_id = _answer_id(tape)
        return usage

    def _head(self, ask: Ask, tape: Tape, *, streamed: bool = False) -> dict[str, Any]:
        if ask.operation == COMPLETION:
            return {"id": _answer_id(tape), "object": "text_completion", "created": int(tape.at), "model": self.name}
        kind = "chat.completion.chunk" if streamed else "chat.completion"
        return {"id": _answer_id(tape), "object": kind, "created": int(tape.at), "model": self.name}

    def _body(self, ask: Ask, tape: Tape, response: Response, usage: Usage, copies: int) -> dict[str, Any]:
        calls = [part for part in response.parts if isinstance(part, ToolCall)]
        message: dict[str, Any] = {"role": "assistant", "content": response.text, "refusal": None}
        if calls:
            message["tool_calls"] = [_call(call) for call in calls]
        choices = [_choice(ask, {"message": message}, finish=_finish(response), index=index) for index in range(copies)]
        told = _told(response, tape)
        return {**self._head(ask, tape), "choices": choices, "usage": usage_body(usage), "rungwise": told}


def _request(ask: Ask) -> Request:
    form = ask.body.get("response_format")
    if isinstance(form, dict) and form.get("type") not in (None, "text"):
        raise BadRequest(
            "this model answers with a label or a text and follows no response_format. Leave it out, or ask an engine by its name",
            param="response_format",
        )
    if ask.operation == COMPLETION:
        prompt = ask.body.get("prompt")
        if isinstance(prompt, list) and len(prompt) == 1:
            prompt = prompt[0]
        if not isinstance(prompt, str):
            raise BadRequest("prompt must be one text for this model", param="prompt")
        return Request.of(prompt)
    return request_of(ask.body.get("messages"))


def _copies(body: dict[str, Any]) -> int:
    copies = body.get("n")
    copies = 1 if copies is None else copies
    if isinstance(copies, bool) or not isinstance(copies, int) or not 1 <= copies <= COPIES:
        raise BadRequest(f"n must be a whole number from 1 to {COPIES}", param="n")
    return copies


def _choice(ask: Ask, content: dict[str, Any], *, finish: str | None, index: int = 0) -> dict[str, Any]:
    if ask.operation == COMPLETION:
        said = content.get("message") or content.get("delta") or {}
        content = {"text": said.get("content") or ""}
    return {"index": index, **content, "logprobs": None, "finish_reason": finish}


def _piece(ask: Ask, chunk: Chunk, *, first: bool) -> dict[str, Any]:
    delta: dict[str, Any] = {"role": "assistant"} if first else {}
    text = "".join(part.text for part in chunk.parts if isinstance(part, Text))
    calls = [part for part in chunk.parts if isinstance(part, ToolCall)]
    if text or not calls:
        delta["content"] = text
    if calls:
        delta["tool_calls"] = [{"index": place, **_call(call)} for place, call in enumerate(calls)]
    return _choice(ask, {"delta": delta}, finish=None)


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _finish(response: Response) -> str:
    """OpenAI's words only: an answer that was withheld ended like any other."""
    return response.finish if response.finish in FINISHES else "stop"


def _told(response: Response, tape: Tape) -> dict[str, Any]:
    """What OpenAI's shape has no place for; its clients ignore it."""
    told: dict[str, Any] = {"candidate": tape.candidate, "variant": tape.variant, "confidence": response.confidence}
    if response.abstained:
        told["abstained"] = True
    if response.citations:
        told["citations"] = [
            {"document": one.document, "start": one.start, "end": one.end, "quote": one.quote, "version": one.version}
            for one in response.citations
        ]
    return told


def _answer_id(tape: Tape) -> str:
    return f"chatcmpl-{tape.id}"


async def _again(chunks: list[Chunk]) -> AsyncIterator[Chunk]:
    for chunk in chunks:
        yield chunk


def _refusal(error: RungwiseError) -> Refused:
    """Whatever the call layer or a part says, without its inside: addresses and keys are for the operator's log."""
    if isinstance(error, EngineError):
        return EngineDown("the engine behind this model did not answer")
    return Refused("this model cannot answer now")
