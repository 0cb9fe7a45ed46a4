"""The request of Converse as it comes: typed, so that a wrong field is named in the refusal. Unknown fields are passed over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from rungwise.serve.failure import BadRequest


class _Shape(msgspec.Struct, rename="camel", gc=False):
    """JSON with names in camelCase."""


class TextBlock(_Shape):
    """A text by itself, as it stands in documents, search results and citations."""

    text: str = ""


class Source(_Shape):
    """Where the bytes of a picture, document, sound or film are: here (base64), or in S3, where nobody looks."""

    bytes: str | None = None
    text: str | None = None
    content: list[TextBlock] | None = None
    s3_location: Any = None


class Media(_Shape):
    """A picture, document, sound or film."""

    source: Source
    format: str = ""
    name: str = ""
    context: str = ""


class ToolUse(_Shape):
    """What the assistant wished to be called."""

    tool_use_id: str
    name: str
    input: Any


class SearchResult(_Shape):
    """A passage that the program found itself."""

    source: str = ""
    title: str = ""
    content: list[TextBlock] = []


class ResultBlock(_Shape):
    """A part of what a tool gave back: one of these is there."""

    json: Any = msgspec.UNSET
    text: str | None = None
    image: Media | None = None
    document: Media | None = None
    video: Media | None = None
    search_result: SearchResult | None = None


class ToolResult(_Shape):
    """What a tool gave back."""

    tool_use_id: str
    content: list[ResultBlock]
    status: str | None = None


class GuardContent(_Shape):
    """A text that Bedrock's own guardrails would look at; here every text is guarded alike."""

    text: TextBlock | None = None
    image: Media | None = None


class CitedContent(_Shape):
    """An earlier answer with its citations."""

    content: list[TextBlock] = []


class Block(_Shape):
    """A part of a message: one of these is there. Of `cache_point` and `reasoning_content` nothing is kept."""

    text: str | None = None
    image: Media | None = None
    document: Media | None = None
    audio: Media | None = None
    video: Media | None = None
    tool_use: ToolUse | None = None
    tool_result: ToolResult | None = None
    guard_content: GuardContent | None = None
    search_result: SearchResult | None = None
    citations_content: CitedContent | None = None
    cache_point: Any = None
    reasoning_content: Any = None


class Message(_Shape):
    """One turn of the conversation."""

    role: str
    content: list[Block]


class InferenceConfig(_Shape):
    """How to answer."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: list[str] | None = None


class InputSchema(_Shape):
    """The JSON schema of a tool's arguments."""

    json: Any = None


class ToolSpec(_Shape):
    """A tool that may be called."""

    name: str
    input_schema: InputSchema
    description: str | None = None
    strict: bool | None = None


class Tool(_Shape):
    """One of these is there."""

    tool_spec: ToolSpec | None = None
    cache_point: Any = None


class NamedTool(_Shape):
    """The tool that must be called."""

    name: str


class ToolChoice(_Shape):
    """One of these is there."""

    auto: Any = None
    any: Any = None
    tool: NamedTool | None = None


class ToolConfig(_Shape):
    """The tools, and whether one must be called."""

    tools: list[Tool]
    tool_choice: ToolChoice | None = None


class JsonSchema(_Shape):
    """The schema as JSON text."""

    schema: str
    name: str | None = None
    description: str | None = None


class FormatStructure(_Shape):
    """One of these is there."""

    json_schema: JsonSchema | None = None


class TextFormat(_Shape):
    """The form that the answer must have."""

    type: str
    structure: FormatStructure


class OutputConfig(_Shape):
    """What the answer must look like, and how much thought it is worth."""

    text_format: TextFormat | None = None
    effort: str | None = None


class Converse(_Shape):
    """The body of Converse and ConverseStream."""

    messages: list[Message] = []
    system: list[Block] = []
    inference_config: InferenceConfig | None = None
    tool_config: ToolConfig | None = None
    guardrail_config: Any = None
    additional_model_request_fields: Mapping[str, Any] | None = None
    additional_model_response_field_paths: list[str] = []
    prompt_variables: Any = None
    request_metadata: Mapping[str, str] | None = None
    output_config: OutputConfig | None = None


class InvokeInput(_Shape):
    """The body of InvokeModel whose tokens shall be counted."""

    body: bytes


class CountInput(_Shape):
    """One of these is there."""

    invoke_model: InvokeInput | None = None
    converse: Converse | None = None


class CountTokens(_Shape):
    """The body of CountTokens."""

    input: CountInput


T = TypeVar("T")

_CONVERSE = msgspec.json.Decoder(Converse)
_COUNT = msgspec.json.Decoder(CountTokens)
_METADATA = msgspec.json.Decoder(dict[str, str])


def read_converse(body: bytes) -> Converse:
    """The body of Converse. Raises BadRequest that names the field."""
    return _read(_CONVERSE, body)


def read_count(body: bytes) -> CountTokens:
    """The body of CountTokens. Raises BadRequest that names the field."""
    return _read(_COUNT, body)


def read_metadata(header: bytes) -> dict[str, str]:
    """The header X-Amzn-Bedrock-Request-Metadata. Raises BadRequest."""
    try:
        return _read(_METADATA, header)
    except BadRequest as error:
        raise BadRequest(f"the header X-Amzn-Bedrock-Request-Metadata: {error.message}") from None


def _read(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise BadRequest(f"the request does not have its agreed shape: {str(error)[:300]}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {str(error)[:200]}") from None
