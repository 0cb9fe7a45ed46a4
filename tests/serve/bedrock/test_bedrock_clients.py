"""The real boto3 against Bedrock's face: what it sends is understood, what it gets back it understands."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EventStreamError

from rungwise.serve import failure
from tests.serve.bedrock.bedrock_rig import Rig, chunk, completion, rig

ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/help-desk:b"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig(tmp_path_factory.mktemp("desk") / "state") as running:
        yield running


@pytest.fixture
def client(desk: Rig) -> Iterator[Any]:
    desk.project.asked.clear()
    desk.project.cancelled.clear()
    made = desk.client()
    yield made
    made.close()


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"text": text}]}


def test_converse_answers_a_question(desk: Rig, client: Any) -> None:
    desk.project.answer = completion("It is 7.")
    answer = client.converse(
        modelId="help-desk",
        messages=[user("How much is 3 + 4?")],
        system=[{"text": "Be brief."}],
        inferenceConfig={"maxTokens": 5, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]},
        additionalModelRequestFields={"seed": 7},
        requestMetadata={"user": "ann", "conversation": "c-9", "experiment": "blue"},
    )
    assert answer["output"]["message"] == {"role": "assistant", "content": [{"text": "It is 7."}]}
    assert answer["stopReason"] == "end_turn"
    assert answer["usage"] == {"inputTokens": 11, "outputTokens": 3, "totalTokens": 14}
    assert answer["metrics"]["latencyMs"] >= 0
    asked = desk.project.asked[0]
    assert asked.body == {
        "model": "help-desk",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How much is 3 + 4?"}],
        "max_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END"],
        "seed": 7,
    }
    assert (asked.user, asked.conversation, asked.tags) == ("ann", "c-9", {"experiment": "blue"})
    assert (asked.protocol, asked.caller.key, asked.stream) == ("bedrock", desk.key_id, False)
    assert len(answer["ResponseMetadata"]["RequestId"]) == 32  # the id of the trace
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-request-id"] == answer["ResponseMetadata"]["RequestId"]


@pytest.mark.parametrize(
    ("id", "name"),
    [
        ("help-desk", "help-desk"),
        ("help-desk:b", "help-desk:b"),
        ("anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-haiku-20240307-v1:0"),
        ("local/qwen 0.5b", "local/qwen 0.5b"),
        (ARN, "help-desk:b"),
        ("arn:aws:bedrock:us-east-1:123456789012:inference-profile/whole-name", None),  # a name as it stands
        ("arn:aws:bedrock:us-east-1::foundation-model/a.b", "a.b"),
        ("a%2Fb", "a%2Fb"),  # percent signs of one's own stay
    ],
)
def test_a_model_id_may_hold_slashes_colons_and_be_an_arn(desk: Rig, client: Any, id: str, name: str | None) -> None:
    desk.project.answer = completion()
    client.converse(modelId=id, messages=[user("hi")])
    assert desk.project.asked[0].model == (name or id)


def test_a_stream_of_text_arrives_piece_by_piece(desk: Rig, client: Any) -> None:
    desk.project.answer = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "It "}),
        0.3,
        chunk({"content": "is 7."}),
        chunk(finish="stop"),
        chunk(usage={"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}),
    ]
    answer = client.converse_stream(modelId="help-desk", messages=[user("3 + 4?")])
    times, events = [], []
    for event in answer["stream"]:
        times.append(time.monotonic())
        events.append(event)
    assert events[:-1] == [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"delta": {"text": "It "}, "contentBlockIndex": 0}},
        {"contentBlockDelta": {"delta": {"text": "is 7."}, "contentBlockIndex": 0}},
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"messageStop": {"stopReason": "end_turn"}},
    ]
    assert events[-1]["metadata"]["usage"] == {"inputTokens": 11, "outputTokens": 3, "totalTokens": 14}
    assert times[2] - times[1] > 0.15  # the second piece was not waited for
    asked = desk.project.asked[0]
    assert (asked.stream, asked.body["stream"], asked.body["stream_options"]) == (True, True, {"include_usage": True})


def test_tools_go_there_and_back(desk: Rig, client: Any) -> None:
    wish = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Ulm"}'}}
    desk.project.answer = completion(None, finish="tool_calls", tool_calls=[wish])
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tools = {
        "tools": [{"toolSpec": {"name": "weather", "description": "Now", "inputSchema": {"json": schema}}}],
        "toolChoice": {"any": {}},
    }
    first = client.converse(modelId="help-desk", messages=[user("Weather in Ulm?")], toolConfig=tools)
    assert first["stopReason"] == "tool_use"
    (block,) = first["output"]["message"]["content"]
    assert block == {"toolUse": {"toolUseId": "call_1", "name": "weather", "input": {"city": "Ulm"}}}

    result = {"toolResult": {"toolUseId": "call_1", "content": [{"json": {"degrees": 21}}, {"text": "sunny"}]}}
    desk.project.answer = completion("21 degrees.")
    turns = [user("Weather in Ulm?"), first["output"]["message"], {"role": "user", "content": [result, {"text": "Short."}]}]
    second = client.converse(modelId="help-desk", messages=turns, toolConfig=tools)
    assert second["output"]["message"]["content"] == [{"text": "21 degrees."}]
    body = desk.project.asked[1].body
    assert body["messages"][1:] == [
        {"role": "assistant", "content": None, "tool_calls": [wish]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"degrees":21}\nsunny'},
        {"role": "user", "content": "Short."},
    ]
    assert body["tools"] == [{"type": "function", "function": {"name": "weather", "parameters": schema, "description": "Now"}}]
    assert body["tool_choice"] == "required"


def test_a_streamed_tool_call_comes_in_pieces(desk: Rig, client: Any) -> None:
    def call(**piece: Any) -> bytes:
        return chunk({"tool_calls": [piece]})

    desk.project.answer = [
        chunk({"content": "Let me look."}),
        call(index=0, id="call_1", type="function", function={"name": "weather", "arguments": ""}),
        call(index=0, function={"arguments": '{"city":'}),
        call(index=0, function={"arguments": '"Ulm"}'}),
        call(index=1, id="call_2", function={"name": "time", "arguments": "{}"}),
        chunk(finish="tool_calls"),
    ]
    events = list(client.converse_stream(modelId="help-desk", messages=[user("Weather?")])["stream"])
    starts = [event["contentBlockStart"] for event in events if "contentBlockStart" in event]
    assert starts == [
        {"start": {"toolUse": {"toolUseId": "call_1", "name": "weather"}}, "contentBlockIndex": 1},
        {"start": {"toolUse": {"toolUseId": "call_2", "name": "time"}}, "contentBlockIndex": 2},
    ]
    deltas = [event["contentBlockDelta"] for event in events if "contentBlockDelta" in event]
    said = "".join(delta["delta"]["toolUse"]["input"] for delta in deltas if delta["contentBlockIndex"] == 1)
    assert json.loads(said) == {"city": "Ulm"}
    stops = [event["contentBlockStop"]["contentBlockIndex"] for event in events if "contentBlockStop" in event]
    assert stops == [0, 1, 2]
    assert {"messageStop": {"stopReason": "tool_use"}} in events


def test_invoke_model_hands_an_openai_body_on_and_its_answer_back_untouched(desk: Rig, client: Any) -> None:
    desk.project.answer = completion("ok")
    sent = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 3, "new_field": [1]}
    answer = client.invoke_model(modelId="help-desk", body=json.dumps(sent), requestMetadata='{"user": "ann", "run": "7"}')
    assert answer["body"].read() == desk.project.answer
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-bedrock-input-token-count"] == "11"
    assert headers["x-amzn-bedrock-output-token-count"] == "3"
    asked = desk.project.asked[0]
    assert asked.body == {**sent, "model": "help-desk"}
    assert (asked.user, asked.tags) == ("ann", {"run": "7"})


def test_an_invoked_stream_in_the_shape_of_openai_is_untouched(desk: Rig, client: Any) -> None:
    pieces = [chunk({"content": "a"}), chunk({"content": "b"}), chunk(finish="stop")]
    desk.project.answer = pieces
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}]})
    answer = client.invoke_model_with_response_stream(modelId="help-desk", body=body)
    assert [event["chunk"]["bytes"] for event in answer["body"]] == pieces
    assert "stream_options" not in desk.project.asked[0].body


def test_invoke_model_speaks_the_shape_of_anthropic(desk: Rig, client: Any) -> None:
    desk.project.answer = completion("Hi, Ann.", usage={"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13})
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 64,
        "system": "Be kind.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
        "stop_sequences": ["\n\nHuman:"],
        "top_k": 5,
        "metadata": {"user_id": "u-1"},
    }
    answer = client.invoke_model(modelId="help-desk", body=json.dumps(body))
    assert json.loads(answer["body"].read()) == {
        "id": "c1",
        "type": "message",
        "role": "assistant",
        "model": "m-2026",
        "content": [{"type": "text", "text": "Hi, Ann."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 9,
            "output_tokens": 4,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
        },
    }
    asked = desk.project.asked[0]
    assert asked.body == {
        "model": "help-desk",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}],
        "max_tokens": 64,
        "top_k": 5,
        "stop": ["\n\nHuman:"],
    }
    assert asked.user == "u-1"


def test_an_invoked_stream_in_the_shape_of_anthropic_has_its_events(desk: Rig, client: Any) -> None:
    desk.project.answer = [
        chunk({"content": "Hi"}),
        chunk({"tool_calls": [{"index": 0, "id": "t1", "function": {"name": "f", "arguments": '{"a":1}'}}]}),
        chunk(finish="tool_calls"),
        chunk(usage={"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}),
    ]
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
    answer = client.invoke_model_with_response_stream(modelId="help-desk", body=json.dumps(body))
    told = [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]
    assert [one["type"] for one in told] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert told[0]["message"]["id"] == "c1"
    assert told[2]["delta"] == {"type": "text_delta", "text": "Hi"}
    assert told[4]["content_block"] == {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
    assert told[5]["delta"] == {"type": "input_json_delta", "partial_json": '{"a":1}'}
    assert told[7]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert told[7]["usage"]["output_tokens"] == 4
    assert told[8]["amazon-bedrock-invocationMetrics"]["inputTokenCount"] == 9


def test_tokens_are_counted_by_a_guess_that_says_so(desk: Rig, client: Any) -> None:
    asked = {"converse": {"messages": [user("word " * 100)], "system": [{"text": "Be brief."}]}}
    answer = client.count_tokens(modelId="help-desk", input=asked)
    assert answer["inputTokens"] == 125 + 3 + 2 * 4  # 500 and 9 characters at 4 a token, 4 for each message
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-rungwise-token-count"] == "estimated"
    body = json.dumps({"anthropic_version": "x", "messages": [{"role": "user", "content": "12345678"}]}).encode()
    assert client.count_tokens(modelId="help-desk", input={"invokeModel": {"body": body}})["inputTokens"] == 2 + 4
    assert desk.project.asked == []  # nobody is asked for it
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.count_tokens(modelId="nobody", input=asked)


@pytest.mark.parametrize(
    ("error", "name", "status"),
    [
        (failure.BadRequest("no"), "ValidationException", 400),
        (failure.NotAllowed("no"), "AccessDeniedException", 403),
        (failure.NotAllowed("no", status=403), "AccessDeniedException", 403),
        (failure.NotThere("no"), "ResourceNotFoundException", 404),
        (failure.TooLarge("no"), "ValidationException", 400),
        (failure.Limited("no", retry_after_s=1.2), "ThrottlingException", 429),
        (failure.Limited("no", code="budget_exceeded"), "ServiceQuotaExceededException", 400),
        (failure.EngineDown("no"), "ModelErrorException", 424),
        (failure.EngineDown("no", status=503), "ServiceUnavailableException", 503),
        (failure.TimedOut("total", "engine", 3), "ModelTimeoutException", 408),
        (failure.CannotTrace("no"), "ServiceUnavailableException", 503),
        (RuntimeError("inside"), "InternalServerException", 500),
    ],
)
def test_an_error_is_raised_as_the_class_that_bedrock_has_for_it(
    desk: Rig, client: Any, error: Exception, name: str, status: int
) -> None:
    desk.project.answer = error
    for call in (client.converse, client.converse_stream):
        with pytest.raises(getattr(client.exceptions, name)) as caught:
            call(modelId="help-desk", messages=[user("hi")])
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
        assert caught.value.response["Error"]["Message"]
        assert "inside" not in str(caught.value)
    if isinstance(error, failure.Limited) and error.retry_after_s:
        assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "2"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (failure.Limited("slow down"), "throttlingException"),
        (failure.EngineDown("gone"), "modelStreamErrorException"),
        (failure.TimedOut("between_chunks", "engine", 3), "modelStreamErrorException"),
        (failure.EngineDown("rests", status=503), "serviceUnavailableException"),
        (failure.BadRequest("what"), "validationException"),
        (RuntimeError("inside"), "internalServerException"),
    ],
)
def test_an_error_after_the_first_piece_ends_the_stream_as_an_exception(
    desk: Rig, client: Any, error: Exception, kind: str
) -> None:
    desk.project.answer = [chunk({"content": "It "}), error]
    seen: list[dict[str, Any]] = []
    stream = client.converse_stream(modelId="help-desk", messages=[user("hi")])["stream"]
    with closing(stream), pytest.raises(EventStreamError, match=kind) as caught:
        seen.extend(stream)
    assert "inside" not in str(caught.value)
    assert [next(iter(event)) for event in seen] == ["messageStart", "contentBlockDelta"]


def test_what_a_guard_refuses_is_an_answer_that_says_so(desk: Rig, client: Any) -> None:
    desk.project.answer = failure.Blocked("That is not for here.")
    answer = client.converse(modelId="help-desk", messages=[user("hi")])
    assert answer["stopReason"] == "guardrail_intervened"
    assert answer["output"]["message"]["content"] == [{"text": "That is not for here."}]
    events = list(client.converse_stream(modelId="help-desk", messages=[user("hi")])["stream"])
    assert [next(iter(event)) for event in events] == [
        "messageStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    assert events[3]["messageStop"]["stopReason"] == "guardrail_intervened"


def test_a_guard_that_cuts_a_stream_off_is_its_last_block(desk: Rig, client: Any) -> None:
    desk.project.answer = [chunk({"content": "My number is "}), failure.Blocked("Stopped here.")]
    events = list(client.converse_stream(modelId="help-desk", messages=[user("hi")])["stream"])
    texts = [event["contentBlockDelta"] for event in events if "contentBlockDelta" in event]
    assert [(delta["contentBlockIndex"], delta["delta"]["text"]) for delta in texts] == [
        (0, "My number is "),
        (1, "Stopped here."),
    ]
    assert events[-2] == {"messageStop": {"stopReason": "guardrail_intervened"}}


def test_a_wrong_secret_and_an_unknown_key_are_refused(desk: Rig) -> None:
    for wrong in (desk.client(secret="not-the-secret"), Rig(desk.url, desk.project, "nobody", "x").client()):
        with pytest.raises(wrong.exceptions.AccessDeniedException):
            wrong.converse(modelId="help-desk", messages=[user("hi")])
        wrong.close()


def test_a_client_that_leaves_ends_the_answer(desk: Rig, client: Any) -> None:
    desk.project.answer = [chunk({"content": "a"}), 30.0]
    stream = client.converse_stream(modelId="help-desk", messages=[user("hi")])["stream"]
    iterator = iter(stream)
    next(iterator)
    stream.close()
    assert desk.project.cancelled.wait(5)


def test_a_client_that_runs_out_of_patience_ends_the_answer(desk: Rig) -> None:
    desk.project.cancelled.clear()
    desk.project.answer = [30.0]
    hasty = desk.client(read_timeout=0.5)
    with pytest.raises(Exception, match="Read timeout"):
        hasty.converse(modelId="help-desk", messages=[user("hi")])
    assert desk.project.cancelled.wait(5)
    hasty.close()


def test_a_body_over_the_limit_is_refused_unread(desk: Rig, client: Any) -> None:
    with pytest.raises(client.exceptions.ValidationException, match="1,000,000 bytes"):
        client.converse(modelId="help-desk", messages=[user("x" * 1_100_000)])
    assert desk.project.asked == []


def test_an_operation_that_is_not_here_says_which_are(desk: Rig, client: Any) -> None:
    with pytest.raises(ClientError) as caught:
        client.apply_guardrail(guardrailIdentifier="x", guardrailVersion="1", source="INPUT", content=[{"text": {"text": "a"}}])
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert "converse-stream" in str(caught.value)


def test_a_key_opens_only_where_it_was_made(tmp_path: Path) -> None:
    with rig(tmp_path / "a") as first, rig(tmp_path / "b") as second:
        stranger = Rig(second.url, second.project, first.key_id, first.key).client()
        with pytest.raises(stranger.exceptions.AccessDeniedException):
            stranger.converse(modelId="help-desk", messages=[user("hi")])
        stranger.close()
