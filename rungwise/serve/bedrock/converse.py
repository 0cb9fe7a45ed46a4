"""A request of Converse in the shape of OpenAI's chat completions. What it has no place for is refused."""

from __future__ import annotations

from typing import Any

import msgspec

from rungwise.serve.bedrock import turns
from rungwise.serve.bedrock.blocks import Block, Converse, Media, Message, OutputConfig, ResultBlock, ToolConfig, ToolResult
from rungwise.serve.failure import BadRequest

_OURS = frozenset({"model", "messages", "stream", "stream_options"})


def chat_body(asked: Converse) -> dict[str, Any]:
    """The body of a chat completion, without its model. Raises BadRequest."""
    if asked.guardrail_config is not None:
        raise BadRequest(
            "guards belong to the project here (section serve.guards of rungwise.yaml). Leave guardrailConfig out",
            param="guardrailConfig",
        )
    if asked.prompt_variables:
        raise BadRequest("prompts of Amazon Bedrock are not kept here. Send messages", param="promptVariables")
    body: dict[str, Any] = {"messages": _messages(asked)}
    _add_inference(asked, body)
    if asked.tool_config is not None:
        body |= _tools(asked.tool_config)
    if asked.output_config is not None:
        body |= _output(asked.output_config)
    for name, value in (asked.additional_model_request_fields or {}).items():
        if name in _OURS or name in body:
            raise BadRequest(f"'{name}' is told twice: it has a field of its own", param=f"additionalModelRequestFields.{name}")
        body[name] = value
    if body.get("n") not in (None, 1):
        raise BadRequest("Converse gives one answer: n must be 1", param="additionalModelRequestFields.n")
    return body


def _add_inference(asked: Converse, body: dict[str, Any]) -> None:
    config = asked.inference_config
    if config is None:
        return
    if config.max_tokens is not None:
        body["max_tokens"] = config.max_tokens
    if config.temperature is not None:
        body["temperature"] = config.temperature
    if config.top_p is not None:
        body["top_p"] = config.top_p
    if config.stop_sequences:
        body["stop"] = config.stop_sequences


def _messages(asked: Converse) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if asked.system:
        messages.append({"role": "system", "content": _system(asked.system, "system")})
    for place, message in enumerate(asked.messages):
        where = f"messages[{place}]"
        if message.role == "user":
            messages.extend(_user(message, where))
        elif message.role == "assistant":
            messages.append(_assistant(message, where))
        elif message.role == "system":
            messages.append({"role": "system", "content": _system(message.content, f"{where}.content")})
        else:
            raise BadRequest(f"{where}.role must be user, assistant or system", param=f"{where}.role")
    if not asked.messages:
        raise BadRequest("messages must hold at least one message", param="messages")
    return messages


def _system(blocks: list[Block], where: str) -> str:
    texts = []
    for place, block in enumerate(blocks):
        part = _part(block, f"{where}[{place}]")
        if part is not None and part["type"] != "text":
            raise BadRequest(f"{where}[{place}] must be text", param=where)
        if part is not None:
            texts.append(part["text"])
    return "\n".join(texts)


def _user(message: Message, where: str) -> list[dict[str, Any]]:
    turn = turns.UserTurn()
    for place, block in enumerate(message.content):
        spot = f"{where}.content[{place}]"
        if block.tool_result is not None:
            _add_result(turn, block.tool_result, spot)
        elif (part := _part(block, spot)) is not None:
            turn.parts.append(part)
    messages = turn.messages()
    if not messages:
        raise BadRequest(f"{where}.content holds nothing that is said", param=f"{where}.content")
    return messages


def _add_result(turn: turns.UserTurn, result: ToolResult, where: str) -> None:
    shown = [_result_part(block, f"{where}.toolResult.content[{place}]") for place, block in enumerate(result.content)]
    turn.add_result(result.tool_use_id, shown, failed=result.status == "error")


def _result_part(block: ResultBlock, where: str) -> dict[str, Any]:
    if block.json is not msgspec.UNSET:
        return turns.text(msgspec.json.encode(block.json).decode())
    alike = Block(text=block.text, image=block.image, document=block.document, video=block.video, search_result=block.search_result)
    part = _part(alike, where)
    assert part is not None  # only a cache point or a thought has no part
    return part


def _assistant(message: Message, where: str) -> dict[str, Any]:
    said: list[str] = []
    calls = []
    for place, block in enumerate(message.content):
        spot = f"{where}.content[{place}]"
        if (wish := block.tool_use) is not None:
            calls.append(turns.call(wish.tool_use_id, wish.name, wish.input))
            continue
        part = _part(block, spot)
        if part is not None and part["type"] != "text":
            raise BadRequest(f"{spot}: an assistant's turn holds text and tool calls only", param=spot)
        if part is not None:
            said.append(part["text"])
    return turns.assistant_turn("".join(said), calls)


def _part(block: Block, where: str) -> dict[str, Any] | None:
    """A part of a message; None for what is only a hint (cache points) or belongs to the model that thought it."""
    if block.text is not None:
        return turns.text(block.text)
    if block.image is not None:
        return _picture(block.image, f"{where}.image")
    if block.document is not None:
        return _document(block.document, f"{where}.document")
    if block.audio is not None:
        sound = {"data": _bytes(block.audio, f"{where}.audio"), "format": block.audio.format}
        return {"type": "input_audio", "input_audio": sound}
    if block.video is not None:
        data = _bytes(block.video, f"{where}.video")
        return {"type": "video_url", "video_url": {"url": f"data:video/{block.video.format};base64,{data}"}}
    if (guarded := block.guard_content) is not None and guarded.text is not None:
        return turns.text(guarded.text.text)
    if guarded is not None and guarded.image is not None:
        return _picture(guarded.image, f"{where}.guardContent.image")
    if (found := block.search_result) is not None:
        head = " ".join(filter(None, (found.title, f"({found.source})" if found.source else "")))
        return turns.text(turns.titled(head, "\n".join(piece.text for piece in found.content)))
    if block.citations_content is not None:
        return turns.text("".join(piece.text for piece in block.citations_content.content))
    if block.cache_point is not None or block.reasoning_content is not None:
        return None
    raise BadRequest(f"{where} is a block of a kind that is not known here, or stands in the wrong place", param=where)


def _picture(media: Media, where: str) -> dict[str, Any]:
    return turns.picture(f"image/{media.format}", _bytes(media, where))


def _document(media: Media, where: str) -> dict[str, Any]:
    title = " ".join(filter(None, (media.name, media.context)))
    if media.source.text is not None:
        return turns.text(turns.titled(title, media.source.text))
    if media.source.content is not None:
        return turns.text(turns.titled(title, "\n".join(piece.text for piece in media.source.content)))
    return turns.document(media.format or "txt", media.name, _bytes(media, where), where=where)


def _bytes(media: Media, where: str) -> str:
    """Base64 as it came."""
    if media.source.bytes is None:
        raise BadRequest(f"{where}.source must hold the bytes: nothing is fetched from S3 here", param=f"{where}.source")
    return media.source.bytes


def _tools(config: ToolConfig) -> dict[str, Any]:
    tools = []
    for place, offered in enumerate(config.tools):
        if (spec := offered.tool_spec) is not None:
            tools.append(turns.tool(spec.name, spec.input_schema.json, spec.description, strict=spec.strict))
        elif offered.cache_point is None:
            where = f"toolConfig.tools[{place}]"
            raise BadRequest(f"{where} must be a toolSpec: tools of Amazon Bedrock's own are not here", param=where)
    body: dict[str, Any] = {"tools": tools}
    choice = config.tool_choice
    if choice is not None and choice.tool is not None:
        body["tool_choice"] = {"type": "function", "function": {"name": choice.tool.name}}
    elif choice is not None:
        body["tool_choice"] = "required" if choice.any is not None else "auto"
    return body


def _output(config: OutputConfig) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if config.effort:
        body["reasoning_effort"] = config.effort
    if config.text_format is None:
        return body
    where = "outputConfig.textFormat"
    described = config.text_format.structure.json_schema
    if config.text_format.type != "json_schema" or described is None:
        raise BadRequest(f"{where} must be of type json_schema with a structure.jsonSchema", param=where)
    try:
        schema = msgspec.json.decode(described.schema)
    except (msgspec.DecodeError, RecursionError):
        raise BadRequest(f"{where}.structure.jsonSchema.schema is not JSON", param=where) from None
    format: dict[str, Any] = {"name": described.name or "answer", "schema": schema, "strict": True}
    if described.description is not None:
        format["description"] = described.description
    body["response_format"] = {"type": "json_schema", "json_schema": format}
    return body
