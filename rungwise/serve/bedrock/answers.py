"""What Converse answers: a whole answer, and the events of a stream, out of the blocks of an answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rungwise.core.content import Usage
from rungwise.serve.ask import Tape
from rungwise.serve.bedrock.events import event
from rungwise.serve.bedrock.pieces import (
    CALL,
    FILTER,
    LENGTH,
    MALFORMED,
    STOP,
    STOP_SEQUENCE,
    THOUGHT,
    TOOLS,
    Began,
    Blocks,
    Count,
    Details,
    Ended,
    Piece,
    WholeBlock,
    blocks_of,
)
from rungwise.serve.shapes import encode, read_object

STOP_REASONS = {
    STOP: "end_turn",
    STOP_SEQUENCE: "stop_sequence",
    LENGTH: "max_tokens",
    TOOLS: "tool_use",
    FILTER: "content_filtered",
    MALFORMED: "malformed_tool_use",
}
INTERVENED = "guardrail_intervened"


def converse_answer(body: bytes, paths: Iterable[str], *, latency_s: float) -> bytes:
    """The body of Converse from a `chat.completion`. `paths` are JSON pointers to what else of it the client wishes to see."""
    blocks, known = blocks_of(body)
    answer = _answer([_content(block) for block in blocks], STOP_REASONS[known.finish], known.count, latency_s)
    if paths:
        answer["additionalModelResponseFields"] = pick(read_object(body), paths)
    return encode(answer)


def blocked_answer(message: str, used: Usage | None, *, latency_s: float) -> bytes:
    """The body of Converse when a guard refused: an answer that says so, as Bedrock's own guardrails do."""
    return encode(_answer([{"text": message}], INTERVENED, _count(used), latency_s))


def piece_event(piece: Piece) -> bytes:
    """The event of one piece; empty where Bedrock has none (texts begin without one)."""
    if isinstance(piece, Began):
        if piece.kind != CALL:
            return b""
        start = {"toolUse": {"toolUseId": piece.id, "name": piece.name}}
        return event("contentBlockStart", encode({"start": start, "contentBlockIndex": piece.index}))
    if isinstance(piece, Ended):
        return event("contentBlockStop", encode({"contentBlockIndex": piece.index}))
    delta: dict[str, Any] = {"text": piece.text}
    if piece.kind == CALL:
        delta = {"toolUse": {"input": piece.text}}
    elif piece.kind == THOUGHT:
        delta = {"reasoningContent": {"text": piece.text}}
    return event("contentBlockDelta", encode({"delta": delta, "contentBlockIndex": piece.index}))


class Telling:
    """The events of a stream."""

    begun = event("messageStart", encode({"role": "assistant"}))

    def __init__(self) -> None:
        self._blocks = Blocks()

    def frames(self, chunk: bytes) -> bytes:
        """The events of one `chat.completion.chunk`."""
        return b"".join(map(piece_event, self._blocks.take(chunk)))

    def last(self, tape: Tape) -> bytes:
        """The end of the last block, why it ended, what it took."""
        stops = b"".join(map(piece_event, self._blocks.close()))
        return stops + _last(STOP_REASONS[self._blocks.finish], self._blocks.count, tape.elapsed_s)

    def blocked(self, message: str, tape: Tape) -> bytes:
        """The end when a guard cuts the answer off: a block that says so."""
        stops = b"".join(map(piece_event, self._blocks.close()))
        index = self._blocks.next_index
        said = event("contentBlockDelta", encode({"delta": {"text": message}, "contentBlockIndex": index}))
        end = event("contentBlockStop", encode({"contentBlockIndex": index}))
        return stops + said + end + _last(INTERVENED, _count(tape.usage), tape.elapsed_s)


def pick(answer: dict[str, Any], paths: Iterable[str]) -> dict[str, Any]:
    """The fields at some JSON pointers (RFC 6901), in their places; those that are not there are left out."""
    picked: dict[str, Any] = {}
    for path in paths:
        steps = [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]
        found: Any = answer
        for step in steps:
            found = _step(found, step)
        if steps and found is not None:
            _put(picked, steps, found)
    return picked


def _put(picked: dict[str, Any], steps: list[str], found: Any) -> None:
    place = picked
    for step in steps[:-1]:
        inner = place.setdefault(step, {})
        if not isinstance(inner, dict):  # a shorter path has brought it along
            return
        place = inner
    place[steps[-1]] = found


def _step(value: Any, step: str) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and step.isascii() and step.isdigit() and len(step) < 10 and int(step) < len(value):
        return value[int(step)]
    return None


def _content(block: WholeBlock) -> dict[str, Any]:
    if block.kind == CALL:
        return {"toolUse": {"toolUseId": block.id, "name": block.name, "input": block.input}}
    if block.kind == THOUGHT:
        return {"reasoningContent": {"reasoningText": {"text": block.text}}}
    return {"text": block.text}


def _answer(content: list[dict[str, Any]], reason: str, count: Count | None, latency_s: float) -> dict[str, Any]:
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": reason,
        "usage": usage(count),
        "metrics": {"latencyMs": _ms(latency_s)},
    }


def _last(reason: str, count: Count | None, latency_s: float) -> bytes:
    stop = event("messageStop", encode({"stopReason": reason}))
    return stop + event("metadata", encode({"usage": usage(count), "metrics": {"latencyMs": _ms(latency_s)}}))


def usage(count: Count | None) -> dict[str, int]:
    """Tokens as Bedrock counts them: what came from or went into the cache stands apart from the input tokens."""
    count = count or Count()
    told = {
        "inputTokens": count.fresh,
        "outputTokens": count.completion_tokens,
        "totalTokens": count.fresh + count.read + count.written + count.completion_tokens,
    }
    if count.read or count.written:
        told |= {"cacheReadInputTokens": count.read, "cacheWriteInputTokens": count.written}
    return told


def _count(used: Usage | None) -> Count | None:
    return Count(used.input_tokens, used.output_tokens, Details(used.cached_tokens)) if used is not None else None


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
