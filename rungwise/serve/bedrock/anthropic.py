"""InvokeModel with a body in the shape of Anthropic's messages: the request in the shape of OpenAI, and the way back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from rungwise.serve.bedrock import turns
from rungwise.serve.bedrock.pieces import (
    CALL,
    FILTER,
    LENGTH,
    MALFORMED,
    STOP,
    STOP_SEQUENCE,
    TEXT,
    THOUGHT,
    TOOLS,
    Began,
    Blocks,
    Count,
    Ended,
    Piece,
    WholeBlock,
    blocks_of,
)
from rungwise.serve.failure import BadRequest
from rungwise.serve.shapes import encode

STOP_REASONS = {
    STOP: "end_turn",
    STOP_SEQUENCE: "stop_sequence",
    LENGTH: "max_tokens",
    TOOLS: "tool_use",
    FILTER: "refusal",
    MALFORMED: "tool_use",
}


class Source(msgspec.Struct, gc=False):
    """Where a picture or document is: here, or at an address that the engine may fetch."""

    type: str
    media_type: str = ""
    data: str = ""
    url: str = ""
    content: Any = None


class Block(msgspec.Struct, gc=False):
    """A part of a message, by its type."""

    type: str
    text: str = ""
    source: Source | None = None
    title: str | None = None
    id: str = ""
    name: str = ""
    input: Any = None
    tool_use_id: str = ""
    content: str | list[Block] | None = None
    is_error: bool = False


class Message(msgspec.Struct, gc=False):
    """One turn of the conversation."""

    role: str
    content: str | list[Block]


class Tool(msgspec.Struct, gc=False):
    """A tool that may be called; those with a type of Anthropic's own are refused."""

    name: str
    input_schema: Any = None
    description: str | None = None
    type: str | None = None


class ToolChoice(msgspec.Struct, gc=False):
    """Whether a tool must be called."""

    type: str
    name: str = ""
    disable_parallel_tool_use: bool = False


class Metadata(msgspec.Struct, gc=False):
    """On whose behalf this is asked."""

    user_id: str | None = None


class Messages(msgspec.Struct, gc=False):
    """The body. Unknown fields are passed over."""

    messages: list[Message]
    system: str | list[Block] | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    metadata: Metadata | None = None


def read_messages(body: Any) -> Messages:
    """The body out of plain data. Raises BadRequest that names the field."""
    try:
        return msgspec.convert(body, Messages)
    except msgspec.ValidationError as error:
        raise BadRequest(f"the body does not have the shape of Anthropic's messages: {str(error)[:300]}") from None


def chat_body(asked: Messages) -> dict[str, Any]:
    """The body of a chat completion, without its model. Raises BadRequest."""
    messages: list[dict[str, Any]] = []
    if asked.system:
        messages.append({"role": "system", "content": _texts(asked.system, "system")})
    for place, message in enumerate(asked.messages):
        messages.extend(_messages(message, f"messages[{place}]"))
    body: dict[str, Any] = {"messages": messages}
    for name in ("max_tokens", "temperature", "top_p", "top_k"):
        if (value := getattr(asked, name)) is not None:
            body[name] = value
    if asked.stop_sequences:
        body["stop"] = asked.stop_sequences
    if asked.tools:
        body["tools"] = [_tool(tool) for tool in asked.tools]
    if asked.tool_choice is not None:
        body |= _choice(asked.tool_choice)
    return body


def _messages(message: Message, where: str) -> list[dict[str, Any]]:
    blocks = [Block("text", message.content)] if isinstance(message.content, str) else message.content
    if message.role == "system":
        return [{"role": "system", "content": _texts(blocks, f"{where}.content")}]
    if message.role == "user":
        return _user(blocks, where)
    if message.role != "assistant":
        raise BadRequest(f"{where}.role must be user or assistant", param=f"{where}.role")
    calls = [turns.call(block.id, block.name, block.input) for block in blocks if block.type == "tool_use"]
    said = [block for block in blocks if block.type not in ("tool_use", "thinking", "redacted_thinking")]
    return [turns.assistant_turn(_texts(said, f"{where}.content", joint=""), calls)]


def _user(blocks: list[Block], where: str) -> list[dict[str, Any]]:
    turn = turns.UserTurn()
    for place, block in enumerate(blocks):
        spot = f"{where}.content[{place}]"
        if block.type == "tool_result":
            inner = [Block("text", block.content)] if isinstance(block.content, str) else block.content or []
            turn.add_result(block.tool_use_id, [_part(one, spot) for one in inner], failed=block.is_error)
        else:
            turn.parts.append(_part(block, spot))
    if not (messages := turn.messages()):
        raise BadRequest(f"{where}.content holds nothing that is said", param=f"{where}.content")
    return messages


def _part(block: Block, where: str) -> dict[str, Any]:
    if block.type == "text":
        return turns.text(block.text)
    source = block.source
    if block.type == "image" and source is not None:
        if source.type == "url":
            return {"type": "image_url", "image_url": {"url": source.url}}
        return turns.picture(source.media_type, source.data)
    if block.type == "document" and source is not None:
        if source.type == "text":
            return turns.text(turns.titled(block.title or "", source.data))
        if source.type == "base64" and source.media_type == "application/pdf":
            return turns.document("pdf", block.title or "", source.data, where=where)
    raise BadRequest(f"{where}: a block of type '{block.type}' has no place here", param=where)


def _texts(content: str | list[Block], where: str, *, joint: str = "\n") -> str:
    if isinstance(content, str):
        return content
    if odd := [block.type for block in content if block.type != "text"]:
        raise BadRequest(f"{where} holds a block of type '{odd[0]}', which has no place there", param=where)
    return joint.join(block.text for block in content)


def _tool(tool: Tool) -> dict[str, Any]:
    if tool.type not in (None, "custom"):
        raise BadRequest(f"the tool '{tool.name}' of the type '{tool.type}' is not here", param="tools")
    return turns.tool(tool.name, tool.input_schema, tool.description)


def _choice(choice: ToolChoice) -> dict[str, Any]:
    body: dict[str, Any] = {"tool_choice": {"any": "required"}.get(choice.type, choice.type)}
    if choice.type == "tool":
        body["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    if choice.disable_parallel_tool_use:
        body["parallel_tool_calls"] = False
    return body


def messages_answer(body: bytes, *, id: str) -> bytes:
    """The whole answer from a `chat.completion`; `id` where the engine gives none."""
    blocks, known = blocks_of(body)
    return encode(
        {
            **_head(known, id),
            "content": [_content(block) for block in blocks],
            **_why(known),
            "usage": _usage(known.count or Count()),
        }
    )


class Telling:
    """The events of a stream, as plain data. The first is told with the first chunk, the last when all has come."""

    def __init__(self, *, id: str) -> None:
        self.blocks = Blocks()
        self._id, self._begun = id, False

    def events(self, body: bytes) -> Iterator[dict[str, Any]]:
        """What one chunk adds."""
        pieces = list(self.blocks.take(body))
        yield from self._first()
        yield from map(_event, pieces)

    def last(self, *, first_s: float, seconds: float) -> Iterator[dict[str, Any]]:
        """The end: `first_s` until the first content, `seconds` in all."""
        yield from self._first()
        yield from map(_event, self.blocks.close())
        count = self.blocks.count or Count()
        yield {"type": "message_delta", "delta": _why(self.blocks), "usage": _usage(count)}
        metrics = {
            "inputTokenCount": count.fresh,
            "outputTokenCount": count.completion_tokens,
            "invocationLatency": round(seconds * 1000),
            "firstByteLatency": round(first_s * 1000),
        }
        yield {"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics}

    def _first(self) -> Iterator[dict[str, Any]]:
        if not self._begun:
            self._begun = True
            nothing: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None}
            # what goes in is counted by the engine at the end only
            yield {"type": "message_start", "message": {**_head(self.blocks, self._id), **nothing, "usage": _usage(Count())}}


def _event(piece: Piece) -> dict[str, Any]:
    if isinstance(piece, Began):
        block: dict[str, Any] = {"type": "text", "text": ""}
        if piece.kind == CALL:
            block = {"type": "tool_use", "id": piece.id, "name": piece.name, "input": {}}
        elif piece.kind == THOUGHT:
            block = {"type": "thinking", "thinking": "", "signature": ""}
        return {"type": "content_block_start", "index": piece.index, "content_block": block}
    if isinstance(piece, Ended):
        return {"type": "content_block_stop", "index": piece.index}
    kinds = {TEXT: ("text_delta", "text"), CALL: ("input_json_delta", "partial_json"), THOUGHT: ("thinking_delta", "thinking")}
    kind, name = kinds[piece.kind]
    return {"type": "content_block_delta", "index": piece.index, "delta": {"type": kind, name: piece.text}}


def _head(known: Blocks, id: str) -> dict[str, Any]:
    return {"id": known.id or id, "type": "message", "role": "assistant", "model": known.model or ""}


def _why(known: Blocks) -> dict[str, Any]:
    return {"stop_reason": STOP_REASONS[known.finish], "stop_sequence": known.stopped_by}


def _content(block: WholeBlock) -> dict[str, Any]:
    if block.kind == CALL:
        return {"type": "tool_use", "id": block.id, "name": block.name, "input": block.input}
    if block.kind == THOUGHT:
        return {"type": "thinking", "thinking": block.text, "signature": ""}
    return {"type": "text", "text": block.text}


def _usage(count: Count) -> dict[str, int]:
    return {
        "input_tokens": count.fresh,
        "output_tokens": count.completion_tokens,
        "cache_creation_input_tokens": count.written,
        "cache_read_input_tokens": count.read,
    }
