"""What Converse asks, in the shape of OpenAI: nothing that matters is lost in silence."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.serve.bedrock.anthropic import chat_body as anthropic_body
from rungwise.serve.bedrock.anthropic import read_messages
from rungwise.serve.bedrock.blocks import read_converse, read_count, read_metadata
from rungwise.serve.bedrock.converse import chat_body
from rungwise.serve.bedrock.count import count_body, guess
from rungwise.serve.bedrock.invoke import shaped
from rungwise.serve.failure import BadRequest, Refused

HI = [{"role": "user", "content": [{"text": "hi"}]}]
PIXEL = base64.b64encode(b"pixel").decode()


def body_of(**asked: Any) -> dict[str, Any]:
    return chat_body(read_converse(json.dumps({"messages": HI, **asked}).encode()))


def user_content(*blocks: Any) -> Any:
    return body_of(messages=[{"role": "user", "content": list(blocks)}])["messages"][0]["content"]


def source(data: bytes) -> dict[str, str]:
    return {"bytes": base64.b64encode(data).decode()}


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"text": "hi"}, {"type": "text", "text": "hi"}),
        (
            {"image": {"format": "png", "source": {"bytes": PIXEL}}},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
        ),
        (
            {"document": {"format": "txt", "name": "terms", "source": source("Grüße".encode())}},
            {"type": "text", "text": "terms\n\nGrüße"},
        ),
        ({"document": {"name": "terms", "source": {"text": "all of it"}}}, {"type": "text", "text": "terms\n\nall of it"}),
        (
            {"document": {"name": "terms", "context": "of 2026", "source": {"content": [{"text": "a"}, {"text": "b"}]}}},
            {"type": "text", "text": "terms of 2026\n\na\nb"},
        ),
        (
            {"document": {"format": "pdf", "name": "terms", "source": {"bytes": PIXEL}}},
            {"type": "file", "file": {"filename": "terms.pdf", "file_data": f"data:application/pdf;base64,{PIXEL}"}},
        ),
        (
            {"audio": {"format": "wav", "source": {"bytes": PIXEL}}},
            {"type": "input_audio", "input_audio": {"data": PIXEL, "format": "wav"}},
        ),
        (
            {"video": {"format": "mp4", "source": {"bytes": PIXEL}}},
            {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{PIXEL}"}},
        ),
        ({"guardContent": {"text": {"text": "guarded", "qualifiers": ["query"]}}}, {"type": "text", "text": "guarded"}),
        (
            {"searchResult": {"source": "https://a", "title": "A", "content": [{"text": "found"}]}},
            {"type": "text", "text": "A (https://a)\n\nfound"},
        ),
        ({"text": "hi", "blockOfTomorrow": 1}, {"type": "text", "text": "hi"}),
    ],
)
def test_every_kind_of_block_has_its_part(block: Any, part: Any) -> None:
    assert user_content({"text": "look:"}, block) == [{"type": "text", "text": "look:"}, part]


def test_hints_for_a_cache_are_passed_over() -> None:
    assert user_content({"text": "hi"}, {"cachePoint": {"type": "default"}}) == "hi"
    assert body_of(system=[{"text": "a"}, {"cachePoint": {"type": "default"}}, {"text": "b"}])["messages"][0]["content"] == "a\nb"


def test_thoughts_of_an_earlier_answer_are_left_with_the_model_that_had_them() -> None:
    thought = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "x"}}}
    messages = [*HI, {"role": "assistant", "content": [thought, {"text": "4"}]}, *HI]
    assert body_of(messages=messages)["messages"][1] == {"role": "assistant", "content": "4"}


def test_a_picture_that_a_tool_gave_back_follows_its_text() -> None:
    result = {
        "toolUseId": "t1",
        "content": [{"text": "a map"}, {"image": {"format": "png", "source": {"bytes": PIXEL}}}],
        "status": "error",
    }
    messages = body_of(messages=[{"role": "user", "content": [{"toolResult": result}]}])["messages"]
    assert messages[0] == {"role": "tool", "tool_call_id": "t1", "content": "Error: a map"}
    assert messages[1]["role"] == "user"
    assert messages[1]["content"][0]["type"] == "image_url"


def test_null_given_back_by_a_tool_is_an_answer() -> None:
    messages = body_of(messages=[{"role": "user", "content": [{"toolResult": {"toolUseId": "t", "content": [{"json": None}]}}]}])
    assert messages["messages"] == [{"role": "tool", "tool_call_id": "t", "content": "null"}]


def test_a_schema_for_the_answer_becomes_a_response_format() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    described = {"schema": json.dumps(schema), "name": "count"}
    body = body_of(outputConfig={"textFormat": {"type": "json_schema", "structure": {"jsonSchema": described}}, "effort": "low"})
    assert body["response_format"] == {"type": "json_schema", "json_schema": {"name": "count", "schema": schema, "strict": True}}
    assert body["reasoning_effort"] == "low"


@pytest.mark.parametrize(("choice", "said"), [({"auto": {}}, "auto"), ({"any": {}}, "required")])
def test_whether_a_tool_must_be_called(choice: Any, said: str) -> None:
    tools = [{"toolSpec": {"name": "f", "inputSchema": {"json": {}}, "strict": True}}, {"cachePoint": {"type": "default"}}]
    body = body_of(toolConfig={"tools": tools, "toolChoice": choice})
    assert body["tools"] == [{"type": "function", "function": {"name": "f", "parameters": {}, "strict": True}}]
    assert body["tool_choice"] == said
    named = body_of(toolConfig={"tools": tools, "toolChoice": {"tool": {"name": "f"}}})
    assert named["tool_choice"] == {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"messages": []}, "at least one message"),
        ({"messages": [{"role": "bot", "content": [{"text": "x"}]}]}, r"messages\[0\].role"),
        ({"messages": [{"role": "user", "content": []}]}, "nothing that is said"),
        ({"messages": [{"role": "user", "content": [{"tomorrow": 1}]}]}, r"messages\[0\].content\[0\]"),
        ({"messages": [{"role": "user", "content": "hi"}]}, r"Expected `array`, got `str` - at `\$.messages"),
        ({"messages": [{"role": "user", "content": [{"text": 3}]}]}, "Expected `str | null`"),
        ({"messages": [{"role": "user", "content": [{"toolUse": {"toolUseId": "a", "name": "b", "input": {}}}]}]}, "wrong place"),
        (
            {"messages": [{"role": "assistant", "content": [{"image": {"format": "png", "source": {"bytes": ""}}}]}]},
            "text and tool",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"image": {"format": "png", "source": {"s3Location": {"uri": "s3://a"}}}}]}
                ]
            },
            "S3",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"document": {"format": "odt", "name": "a", "source": {"bytes": "YQ=="}}}]}
                ]
            },
            "'odt'",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"document": {"format": "txt", "name": "a", "source": {"bytes": "/w=="}}}]}
                ]
            },
            "UTF-8",
        ),
        ({"guardrailConfig": {"guardrailIdentifier": "g"}}, "serve.guards"),
        ({"promptVariables": {"a": {"text": "b"}}}, "Send messages"),
        ({"additionalModelRequestFields": {"messages": []}}, "told twice"),
        ({"additionalModelRequestFields": {"stream": False}}, "told twice"),
        ({"inferenceConfig": {"temperature": 0.1}, "additionalModelRequestFields": {"temperature": 0.9}}, "told twice"),
        ({"additionalModelRequestFields": {"n": 2}}, "one answer"),
        ({"inferenceConfig": {"maxTokens": "many"}}, "inferenceConfig.maxTokens"),
        ({"toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}]}}, "toolSpec"),
        ({"outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "{"}}}}}, "not JSON"),
        ({"outputConfig": {"textFormat": {"type": "xml", "structure": {}}}}, "json_schema"),
    ],
)
def test_what_has_no_place_is_refused_by_name(asked: Any, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        body_of(**asked)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"messages": 1e400}', b'{"a":' * 100_000, b'{"system":"\\ud800"}'])
def test_a_body_that_is_no_request_is_refused(body: bytes) -> None:
    for read in (read_converse, read_count, read_metadata, lambda it: shaped(it, id="x")):
        with pytest.raises(BadRequest):
            read(body)


def test_a_refusal_does_not_repeat_what_was_said() -> None:
    with pytest.raises(BadRequest) as caught:
        body_of(messages=[{"role": "user", "content": [{"text": "secret words"}, {"image": {"format": "png"}}]}])
    assert "secret words" not in caught.value.message


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://a/b.png"}},
            {"type": "image_url", "image_url": {"url": "https://a/b.png"}},
        ),
        (
            {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "all"}},
            {"type": "text", "text": "T\n\nall"},
        ),
        (
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PIXEL}},
            {"type": "file", "file": {"filename": "document.pdf", "file_data": f"data:application/pdf;base64,{PIXEL}"}},
        ),
    ],
)
def test_anthropics_blocks_have_their_parts(asked: Any, part: Any) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "look:"}, asked]}]
    body = anthropic_body(read_messages({"messages": messages}))
    assert body["messages"][0]["content"] == [{"type": "text", "text": "look:"}, part]


def test_anthropics_tools_go_and_come_back() -> None:
    asked = {
        "system": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        "messages": [
            {"role": "user", "content": "Weather?"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "text", "text": "Looking."},
                    {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "21", "is_error": True}]},
        ],
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    }
    body = anthropic_body(read_messages(asked))
    call = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    assert body == {
        "messages": [
            {"role": "system", "content": "a\nb"},
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": "Looking.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "t1", "content": "Error: 21"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "description": "d"}}],
        "tool_choice": "required",
        "parallel_tool_calls": False,
    }


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "web_search"}]}]}, "'web_search'"),
        ({"messages": [{"role": "robot", "content": "x"}]}, r"messages\[0\].role"),
        ({"messages": [{"role": "user", "content": []}]}, "nothing that is said"),
        ({"messages": [{"role": "assistant", "content": [{"type": "image"}]}]}, "'image'"),
        ({"messages": "x"}, "Expected `array`"),
        ({"messages": [], "tools": [{"name": "bash", "type": "bash_20250124"}]}, "bash_20250124"),
    ],
)
def test_what_anthropics_shape_asks_and_is_not_here_is_refused_by_name(asked: Any, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        anthropic_body(read_messages(asked))


NAMES = (
    "messages system role content text image document audio video toolUse toolResult toolUseId name input source bytes format json "
    "guardContent searchResult citationsContent cachePoint reasoningContent inferenceConfig maxTokens toolConfig tools toolSpec "
    "inputSchema toolChoice any tool auto outputConfig textFormat type structure jsonSchema schema additionalModelRequestFields "
    "requestMetadata n anthropic_version tool_result tool_use tool_use_id media_type data prompt"
)
WORDS = NAMES.split()
LEAVES = st.none() | st.booleans() | st.integers() | st.sampled_from(["", "user", "assistant", "text", "png", "YQ==", "base64"])
PLAIN = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=25,
)
BLOCKS = st.lists(st.dictionaries(st.sampled_from(WORDS), PLAIN, max_size=2), max_size=3)
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system"]), "content": BLOCKS}), max_size=3
)


@settings(max_examples=100, deadline=None)
@given(asked=st.fixed_dictionaries({"messages": MESSAGES | PLAIN}, optional={word: PLAIN for word in WORDS if word != "messages"}))
def test_whatever_is_asked_becomes_messages_or_a_refusal(asked: Any) -> None:
    body = json.dumps(asked).encode()
    for read in (
        lambda: chat_body(read_converse(body)),
        lambda: shaped(body, id="x").body,
        lambda: shaped(json.dumps({**asked, "anthropic_version": "x"}).encode(), id="x").body,
        lambda: count_body(read_count(json.dumps({"input": {"converse": asked}}).encode())),
    ):
        try:
            made = read()
        except Refused:
            continue
        assert isinstance(made, dict)
        assert guess(made) >= 0
        json.dumps(made)
