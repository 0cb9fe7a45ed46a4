"""A program with boto3 gets from the real application what it gets from Amazon Bedrock: releases, engines, keys, traces."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from served import served

from rungwise.core.trace import Trace
from rungwise.project import Project
from tests.serve.running import answers, configure, decided, engine, running

CLAUDE = "anthropic.claude-3-haiku-20240307-v1:0"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, Any]]:
    """A released project with an engine, served: its address, its folder, and what the engine was asked."""
    folder = tmp_path_factory.mktemp("bedrock")
    project = decided(folder / "shop")
    with served(answers) as upstream:
        configure(project.directory, endpoints=[engine(upstream.url)], serve={"aliases": {CLAUDE: "release"}})
        assert project.releases.release().passed
        with running(project.directory, scratch=folder / "scratch") as (url, _):
            yield url, project.directory, upstream


def connect(url: str, **settings: Any) -> Any:
    more = {"config": Config(retries={"total_max_attempts": 1}, **settings.pop("options", {})), **settings}
    return boto3.client("bedrock-runtime", endpoint_url=url, region_name="us-east-1", **more)


@pytest.fixture
def client(shop: tuple[str, Path, Any]) -> Iterator[Any]:
    with closing(connect(shop[0], aws_access_key_id="none", aws_secret_access_key="none")) as made:
        yield made


def ask(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"text": text}]}]


def trace_of(directory: Path, answer: Any) -> Trace:
    return Project(directory).traces.get(answer["ResponseMetadata"]["RequestId"])


@pytest.mark.parametrize("model", ["shop", "release", "shop:classical", CLAUDE])
def test_the_live_release_answers_under_each_of_its_names(client: Any, shop: tuple[str, Path, Any], model: str) -> None:
    said = client.converse(
        modelId=model,
        messages=ask("I'd like to cancel the Plus plan"),
        requestMetadata={"user": "ann", "team": "blue"},
        additionalModelResponseFieldPaths=["/rungwise/candidate"],
    )
    assert said["output"]["message"]["content"] == [{"text": "cancel_subscription"}]
    trace = trace_of(shop[1], said)
    assert (trace.asked, trace.variant, trace.user, dict(trace.tags)) == (model, "classical", "ann", {"team": "blue"})
    assert said["additionalModelResponseFields"]["rungwise"]["candidate"] == trace.candidate
    assert said["usage"]["inputTokens"] == trace.usage.input_tokens


def test_a_release_streams(client: Any, shop: tuple[str, Path, Any]) -> None:
    answer = client.converse_stream(modelId="shop", messages=ask("cancel it"))
    events = list(answer["stream"])
    assert "".join(event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event)
    assert events[-1]["metadata"]["usage"]["totalTokens"] > 0
    trace = trace_of(shop[1], answer)
    assert (trace.streamed, trace.status, trace.finish) == (True, 200, "stop")


def test_an_engine_is_asked_in_its_own_shape_and_its_answer_is_priced(client: Any, shop: tuple[str, Path, Any]) -> None:
    said = client.converse(
        modelId="local", messages=ask("hi"), system=[{"text": "be kind"}], inferenceConfig={"maxTokens": 9, "stopSequences": ["x"]}
    )
    assert said["output"]["message"]["content"] == [{"text": "you said hi"}]
    assert said["usage"] == {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}
    sent = shop[2].asked[-1].body
    assert sent["model"] == "small"
    assert sent["messages"] == [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]
    assert (sent["max_tokens"], sent["stop"]) == (9, ["x"])
    trace = trace_of(shop[1], said)
    assert (trace.engine, trace.model, trace.usage.usd) == ("local", "small-2026", pytest.approx(20e-6))


def test_an_engine_streams_and_is_priced(client: Any, shop: tuple[str, Path, Any]) -> None:
    answer = client.converse_stream(modelId="local/small", messages=ask("hi"))
    events = list(answer["stream"])
    assert "".join(event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event) == "hello there"
    assert events[-1]["metadata"]["usage"] == {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}
    assert trace_of(shop[1], answer).usage.usd == pytest.approx(20e-6)


def test_tools_reach_the_engine(client: Any) -> None:
    tools = {"tools": [{"toolSpec": {"name": "look_up", "inputSchema": {"json": {"type": "object"}}}}]}
    said = client.converse(modelId="local", messages=ask("weather?"), toolConfig=tools)
    assert said["stopReason"] == "tool_use"
    assert said["output"]["message"]["content"] == [{"toolUse": {"toolUseId": "call_1", "name": "look_up", "input": {}}}]


@pytest.mark.parametrize("more", [{}, {"anthropic_version": "bedrock-2023-05-31"}])
def test_invoke_model_answers_in_the_shape_it_was_asked(client: Any, shop: tuple[str, Path, Any], more: dict[str, Any]) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 10, **more})
    said = client.invoke_model(modelId="local", body=body)
    answer = json.loads(said["body"].read())
    text = answer["content"][0]["text"] if more else answer["choices"][0]["message"]["content"]
    assert text == "you said hi"
    assert said["ResponseMetadata"]["HTTPHeaders"]["x-amzn-bedrock-output-token-count"] == "5"
    streamed = client.invoke_model_with_response_stream(modelId="local", body=body)
    told = [json.loads(event["chunk"]["bytes"]) for event in streamed["body"]]
    if more:
        assert "".join(one["delta"].get("text", "") for one in told if one["type"] == "content_block_delta") == "hello there"
    else:
        assert "".join(one["choices"][0]["delta"].get("content", "") for one in told if one["choices"]) == "hello there"
    assert trace_of(shop[1], streamed).usage.output_tokens == 5


def test_embeddings_and_completions_are_invoked_in_the_shape_of_openai(client: Any) -> None:
    said = json.loads(client.invoke_model(modelId="hashed", body=json.dumps({"input": ["a word", "two words"]}))["body"].read())
    assert [one["index"] for one in said["data"]] == [0, 1]
    said = json.loads(client.invoke_model(modelId="shop", body=json.dumps({"prompt": "cancel my plan please"}))["body"].read())
    assert said["choices"][0]["text"] == "cancel_subscription"
    with pytest.raises(client.exceptions.ValidationException, match="come whole"):
        client.invoke_model_with_response_stream(modelId="hashed", body=json.dumps({"input": "a word"}))
    with pytest.raises(client.exceptions.ValidationException, match="shape of OpenAI"):
        client.invoke_model(modelId="shop", body=json.dumps({"inputText": "Titan's own shape"}))


def test_a_name_that_stands_for_nobody_is_not_there(client: Any) -> None:
    for call in (client.converse, client.converse_stream):
        with pytest.raises(client.exceptions.ResourceNotFoundException, match="Known: shop"):
            call(modelId="nobody", messages=ask("hi"))
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.count_tokens(modelId="nobody", input={"converse": {"messages": ask("hi")}})


def test_tokens_are_counted_for_every_name(client: Any) -> None:
    for model in ("shop", "shop:classical", "release", "local", CLAUDE):
        assert client.count_tokens(modelId=model, input={"converse": {"messages": ask("four")}})["inputTokens"] == 5


def test_with_keys_only_who_has_one_is_answered(tmp_path: Path) -> None:
    """The key's id and the key are the pair that AWS's clients sign with; a new one opens at once, a revoked one no more."""
    with served(answers) as upstream:
        (tmp_path / "rows.csv").write_text("text,label\n" + "".join(f"row {n},{'ab'[n % 2]}\n" for n in range(40)))
        project = Project.create(tmp_path / "keyed", task="classify", source=tmp_path / "rows.csv")
        configure(project.directory, endpoints=[engine(upstream.url)])
        with running(project.directory, scratch=tmp_path / "scratch") as (url, _):
            made = project.keys.create(["infer"], user="bob")
            good = connect(url, aws_access_key_id=made.kept.id, aws_secret_access_key=made.key)
            said = good.converse(modelId="local", messages=ask("hi"), requestMetadata={"user": "mallory"})
            trace = trace_of(project.directory, said)
            assert (trace.key, trace.user) == (made.kept.id, "bob")  # a key's own user is not to be talked over
            reader = project.keys.create(["trace:read"])
            wrong = [
                connect(url, aws_access_key_id=made.kept.id, aws_secret_access_key=made.key[:-1] + "_"),
                connect(url, aws_access_key_id="nobody", aws_secret_access_key=made.key),
                connect(url, aws_access_key_id=reader.kept.id, aws_secret_access_key=reader.key),
                connect(url, options={"signature_version": UNSIGNED}),
            ]
            for client in wrong:
                with pytest.raises(client.exceptions.AccessDeniedException):
                    client.converse(modelId="local", messages=ask("hi"))
            for client in (good, *wrong):
                client.close()


def test_a_client_that_leaves_is_written_down_once_and_its_engine_is_let_go(tmp_path: Path) -> None:
    let_go = threading.Event()

    async def endless(reply: Any, asked: Any) -> None:
        import asyncio

        await reply.head(200, "text/event-stream")
        try:
            while True:
                body = {"id": "1", "model": "m", "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}]}
                await reply.event(body)
                await asyncio.sleep(0.02)
        finally:
            let_go.set()

    with served(endless) as upstream:
        (tmp_path / "rows.csv").write_text("text,label\n" + "".join(f"row {n},{'ab'[n % 2]}\n" for n in range(40)))
        project = Project.create(tmp_path / "endless", task="classify", source=tmp_path / "rows.csv")
        configure(project.directory, endpoints=[engine(upstream.url)])
        with running(project.directory, scratch=tmp_path / "scratch") as (url, _):
            with closing(connect(url, aws_access_key_id="none", aws_secret_access_key="none")) as client:
                answer = client.converse_stream(modelId="local", messages=ask("hi"))
                with closing(answer["stream"]) as stream:
                    for seen, _event in enumerate(stream):
                        if seen == 3:
                            break
            assert let_go.wait(5)
        trace = trace_of(project.directory, answer)
        assert (trace.status, trace.error) == (499, "client_gone")
