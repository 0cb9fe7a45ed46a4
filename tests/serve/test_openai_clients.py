"""Programs that use the official OpenAI SDK and LangChain get from Rungwise what they get from OpenAI."""

from __future__ import annotations

import asyncio
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from served import served

from rungwise.core.trace import Trace
from rungwise.project import Project
from tests.serve.running import answers, configure, decided, engine, running

TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, Any]]:
    """A released project with an engine, served: its address, its folder, and what the engine was asked."""
    folder = tmp_path_factory.mktemp("clients")
    project = decided(folder / "shop")
    with served(answers) as upstream:
        configure(project.directory, endpoints=[engine(upstream.url)], serve={"aliases": {"gpt-4o": "release"}})
        assert project.releases.release().passed
        with running(project.directory, scratch=folder / "scratch") as (url, _):
            yield url, project.directory, upstream


@pytest.fixture
def client(shop: tuple[str, Path, Any]) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{shop[0]}/v1", api_key="none", max_retries=0) as sdk:
        yield sdk


def trace_of(directory: Path, id: str) -> Trace:
    return Project(directory).traces.get(id)


def test_the_live_release_answers_with_a_label_and_says_who_it_was(client: openai.OpenAI, shop: tuple[str, Path, Any]) -> None:
    said = client.chat.completions.create(model="shop", messages=[{"role": "user", "content": "I'd like to cancel the Plus plan"}])
    assert said.choices[0].message.content == "cancel_subscription"
    assert (said.object, said.model, said.choices[0].finish_reason) == ("chat.completion", "shop", "stop")
    assert said.usage is not None
    assert said.usage.total_tokens > 0
    trace = trace_of(shop[1], str(said._request_id))
    assert (trace.asked, trace.variant, trace.status, trace.response_id) == ("shop", "classical", 200, said.id)
    assert trace.candidate == said.model_extra["rungwise"]["candidate"]  # type: ignore[index]
    assert "cancel_subscription" in str(trace.response)


def test_a_program_that_asks_for_gpt_4o_is_answered_by_the_release(client: openai.OpenAI) -> None:
    said = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "cancel my plan please"}])
    assert said.choices[0].message.content == "cancel_subscription"


def test_a_release_streams_with_usage(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="shop", messages=[{"role": "user", "content": "cancel it"}], stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None


def test_an_engine_is_asked_untouched_and_its_answer_comes_untouched(client: openai.OpenAI, shop: tuple[str, Path, Any]) -> None:
    said = client.chat.completions.create(
        model="local",
        messages=[{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}],
        temperature=0.3,
        user="ann",
        metadata={"team": "red"},
        extra_body={"brand_new_field": [1]},
    )
    assert (said.id, said.model, said.choices[0].message.content) == ("chatcmpl-upstream", "small-2026", "you said hi")
    sent = shop[2].asked[-1].body
    assert (sent["model"], sent["temperature"], sent["brand_new_field"]) == ("small", 0.3, [1])
    trace = trace_of(shop[1], str(said._request_id))
    assert (trace.engine, trace.model, trace.user, trace.tags) == ("local", "small-2026", "ann", {"team": "red"})
    assert (trace.usage.input_tokens, trace.usage.output_tokens) == (10, 5)
    assert trace.usage.usd == pytest.approx(10e-6 + 10e-6)


def test_an_engine_streams_and_usage_comes_only_when_it_was_asked_for(client: openai.OpenAI, shop: tuple[str, Path, Any]) -> None:
    messages: Any = [{"role": "user", "content": "hi"}]
    plain = client.chat.completions.with_raw_response.create(model="local/small", messages=messages, stream=True)
    chunks = list(plain.parse())
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "hello there"
    trace = trace_of(shop[1], plain.headers["x-request-id"])
    assert (trace.usage.input_tokens, trace.usage.output_tokens, trace.streamed) == (10, 5, True)
    assert trace.first_token_s is not None
    assert json.loads(str(trace.response))["choices"][0]["message"]["content"] == "hello there"
    asked = client.chat.completions.create(model="small", messages=messages, stream=True, stream_options={"include_usage": True})
    assert list(asked)[-1].usage is not None


def test_tools_pass_through(client: openai.OpenAI) -> None:
    said = client.chat.completions.create(model="local", messages=[{"role": "user", "content": "hi"}], tools=[TOOL])  # type: ignore[list-item]
    assert said.choices[0].finish_reason == "tool_calls"
    assert said.choices[0].message.tool_calls[0].function.name == "look_up"  # type: ignore[index, union-attr]


def test_several_answers_and_completions_of_a_release(client: openai.OpenAI) -> None:
    said = client.chat.completions.create(model="shop", messages=[{"role": "user", "content": "cancel it"}], n=2)
    assert len({choice.message.content for choice in said.choices}) == 1
    assert [choice.index for choice in said.choices] == [0, 1]
    old = client.completions.create(model="shop", prompt="cancel the yearly plan")
    assert (old.object, old.choices[0].text) == ("text_completion", "cancel_subscription")


def test_models_are_listed_and_found_by_name(client: openai.OpenAI) -> None:
    assert {"shop", "gpt-4o", "local", "local/small", "small"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("local/small").id == "local/small"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("none")


def test_embeddings_come_as_numbers_and_as_base64(client: openai.OpenAI) -> None:
    packed = client.embeddings.create(model="hashed", input=["one text", "another"])  # the SDK asks for base64
    plain = client.embeddings.create(model="hashed", input=["one text", "another"], encoding_format="float")
    assert len(packed.data) == 2
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding)
    assert sum(value * value for value in plain.data[1].embedding) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    ("change", "error", "param"),
    [
        ({"model": "shopp"}, openai.NotFoundError, "model"),
        ({"messages": []}, openai.BadRequestError, "messages"),
        ({"messages": [{"role": "assistant", "content": "hi"}]}, openai.BadRequestError, "messages"),
        ({"n": 0}, openai.BadRequestError, "n"),
        ({"metadata": {"a": "x" * 600}}, openai.BadRequestError, "metadata"),
        ({"response_format": {"type": "json_object"}}, openai.BadRequestError, "response_format"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            openai.BadRequestError,
            None,
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(
    client: openai.OpenAI, change: dict[str, Any], error: type[openai.APIStatusError], param: str | None
) -> None:
    wanted: dict[str, Any] = {"model": "shop", "messages": [{"role": "user", "content": "hi"}], **change}
    with pytest.raises(error) as raised:
        client.chat.completions.create(**wanted)
    assert raised.value.param == param or param is None
    assert raised.value.request_id


def test_bodies_that_are_no_request_are_told_so(shop: tuple[str, Path, Any]) -> None:
    def ask(body: bytes, path: str = "/v1/chat/completions", method: str = "POST") -> tuple[int, dict[str, Any]]:
        request = urllib.request.Request(f"{shop[0]}{path}", data=body or None, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    for body in (
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"model": 1}',
        b'{"model":"shop","messages":"x"}',
        b'{"model":"local","messages":[null]}',
    ):
        status, told = ask(body)
        assert (status, set(told["error"])) == (400, {"message", "type", "param", "code"}), body[:20]
    assert ask(b"", "/v1/chat/completions", "GET")[0] == 405
    assert ask(b"", "/nowhere", "GET")[0] == 404


def test_a_body_over_the_limit_is_refused_unread(shop: tuple[str, Path, Any]) -> None:
    host, port = shop[0].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10000001\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_request_that_is_sent_twice_is_answered_and_paid_once(client: openai.OpenAI, shop: tuple[str, Path, Any]) -> None:
    before = len(shop[2].asked)
    asked: dict[str, Any] = {"model": "local", "messages": [{"role": "user", "content": "once"}]}
    first, again = (client.chat.completions.create(**asked, extra_headers={"Idempotency-Key": "k1"}) for _ in range(2))
    assert first.choices[0].message.content == again.choices[0].message.content
    assert first._request_id == again._request_id  # a trace that there is, and that can be judged
    assert len(shop[2].asked) == before + 1
    with client.chat.completions.with_streaming_response.create(
        **asked, stream=True, extra_headers={"Idempotency-Key": "k1"}
    ) as streamed:
        assert streamed.headers["x-request-id"] == first._request_id
    other = client.chat.completions.create(**asked, extra_headers={"Idempotency-Key": "k2"})
    assert other.id
    assert len(shop[2].asked) == before + 2


def test_an_idempotency_key_that_is_used_for_another_question_does_not_get_the_first_answer(client: openai.OpenAI) -> None:
    again = {"Idempotency-Key": "used twice"}
    for text in ("one", "two", "one"):
        said = client.chat.completions.create(model="local", messages=[{"role": "user", "content": text}], extra_headers=again)
        assert said.choices[0].message.content == f"you said {text}"
    vectors = client.embeddings.create(model="hashed", input="one", extra_headers=again)
    assert len(vectors.data) == 1


def test_langchain_answers_streams_and_calls_tools(shop: tuple[str, Path, Any]) -> None:
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="local", base_url=f"{shop[0]}/v1", api_key="none", max_retries=0)  # type: ignore[arg-type]
    assert model.invoke("hi").content == "you said hi"
    assert "".join(str(chunk.content) for chunk in model.stream("hi")) == "hello there"
    assert model.bind_tools([TOOL]).invoke("hi").tool_calls[0]["name"] == "look_up"


def test_a_client_that_leaves_ends_the_call_and_is_traced_once(tmp_path: Path) -> None:
    left: list[float] = []

    async def slow(reply: Any, asked: Any) -> None:
        await reply.head(200)
        try:
            for _ in range(200):
                await asyncio.sleep(0.05)
                await reply.raw(b" ")
        except ConnectionError:
            left.append(time.monotonic())

    project = Project.create(tmp_path / "plain", task="answer")
    with served(slow) as upstream:
        configure(project.directory, endpoints=[engine(upstream.url)])
        with running(project.directory, scratch=tmp_path / "scratch") as (url, _):
            host, port = url.removeprefix("http://").split(":")
            with socket.create_connection((host, int(port))) as connection:
                body = json.dumps({"model": "local", "messages": [{"role": "user", "content": "hi"}]}).encode()
                head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
                connection.sendall(head.encode() + body)
                time.sleep(0.4)
            gone = time.monotonic()
            while not left and time.monotonic() < gone + 5:
                time.sleep(0.02)
            assert left
            assert left[0] - gone < 1.0
    traces = list(project.traces.search())
    assert [(trace.status, trace.error) for trace in traces] == [(499, "client_gone")]
