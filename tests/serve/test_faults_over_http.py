"""The fault matrix through the whole server: what an HTTP client is told, and that each request leaves exactly one trace."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from served import served

from rungwise.core.trace import Trace
from rungwise.project import Project
from tests.engines.upstream import piece
from tests.serve.faults import CASES, OTHER, Case, say, silent, words_for_ever
from tests.serve.running import configure, engine, running

# an engine that asked for rest comes after the others for a while, so no case may do that to those behind it
PLAIN = [case for case in CASES if not case.limits and not ("come back" in case.name and case.fallback)]
LIMITS = {"first_token_s": 1.5, "between_chunks_s": 1.5, "total_s": 3.0}
AT_ONCE = 12
sent: list[int] = []  # by the engine that answers as fast as it can


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A served project whose engines do what the last message of a request names."""
    folder = tmp_path_factory.mktemp("faults")

    async def script(reply: Any, asked: Any) -> None:
        name = asked.body["messages"][-1]["content"]
        stream = bool(asked.body.get("stream"))
        if asked.body["model"] == "other":
            await say(stream=stream, text="other")(reply, asked)
        elif name == "say hello":
            await say(stream=stream)(reply, asked)
        elif name == "be silent":
            await silent(reply, asked)
        elif name == "words for ever":
            await words_for_ever(reply, asked)
        elif name == "as fast as you can":
            await reply.head(200, "text/event-stream")
            event = f"data: {json.dumps(piece('w' * 10_000))}\n\n".encode()
            while True:
                await reply.raw(event)
                sent.append(len(event))
        else:
            await PLAIN[int(name)].script(reply, asked)

    sent.clear()
    project = Project.create(folder / "shop", task="answer")
    with served(script) as upstream:
        engines = [engine(upstream.url, name, **LIMITS) for name in ("first", "alone")]
        configure(
            project.directory,
            endpoints=[*engines, {**engine(upstream.url, "second"), "model": "other"}],
            serve={"retries": 0, "fallback": {"first": ["second"]}, "breaker": {"failures": 100_000}},
        )
        with running(project.directory, scratch=folder / "scratch") as (url, _):
            yield url, project.directory


@pytest.fixture
async def client(server: tuple[str, Path]) -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(f"{server[0]}/v1/", timeout=timeout) as session:
        yield session


def question(text: str, *, model: str, stream: bool) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], "stream": stream}


def told(status: int, body: bytes, *, stream: bool) -> str:
    """What a client makes of an answer, in the words of the matrix."""
    if not stream or status != 200:
        said = json.loads(body)
        return f"200 {said['choices'][0]['message']['content']}" if status == 200 else f"{status} {said['error']['code']}"
    text = ""
    *events, last = body.decode().split("\n\n")
    assert last == ""
    for event in events[:-1]:
        for choice in json.loads(event.removeprefix("data: "))["choices"]:
            text += choice["delta"].get("content") or ""
    end = events[-1].removeprefix("data: ")
    return f"200 {text}" if end == "[DONE]" else f"{text}, then {json.loads(end)['error']['code']}"


async def test_every_fault_is_what_the_matrix_says_and_one_trace(client: aiohttp.ClientSession, server: tuple[str, Path]) -> None:
    places, ids = asyncio.Semaphore(AT_ONCE), {}

    async def one(number: int, case: Case) -> str | None:
        model = "first" if case.fallback else "alone"
        async with (
            places,
            client.post("chat/completions", json=question(str(number), model=model, stream=case.stream)) as response,
        ):
            body = await response.read()
        ids[response.headers["x-request-id"]] = case
        said = told(response.status, body, stream=case.stream)
        if said.startswith("w") and case.told.startswith("w"):
            said = said[said.index(",") :]
        expected = case.told.replace("then 502 ", "then ").replace("then 429 ", "then ").replace("then 504 ", "then ")
        return None if expected.endswith(said) else f"{case.name} (stream={case.stream}): {said}, not {expected}"

    wrong = await asyncio.gather(*(one(number, case) for number, case in enumerate(PLAIN)))
    assert [one for one in wrong if one is not None] == []
    traces = {trace.id: trace for trace in Project(server[1]).traces.search()}
    assert traces.keys() == ids.keys()
    assert [case.name for id, case in ids.items() if not right(traces[id], case)] == []


def right(trace: Trace, case: Case) -> bool:
    """Whether a trace tells of its case."""
    answered = case.told.startswith("200")
    return (
        trace.engine == ("second" if case.told == OTHER else "first" if case.fallback else "alone")
        and len([span for span in trace.spans if span.kind == "model"]) == 1 + (case.told == OTHER)
        and (trace.error is None) is answered
        and (trace.status == 200 or not answered)
        and (trace.error is None or case.told.endswith(trace.error))
    )


async def test_engines_that_hang_do_not_slow_the_others_down(client: aiohttp.ClientSession) -> None:
    async def ask(text: str, *, stream: bool = False) -> int:
        async with client.post("chat/completions", json=question(text, model="alone", stream=stream)) as response:
            await response.read()
            return response.status

    hanging = [asyncio.ensure_future(ask("be silent", stream=bool(number % 2))) for number in range(60)]
    await asyncio.sleep(0.1)
    begun = time.perf_counter()
    assert {await ask("say hello") for _ in range(20)} == {200}
    assert time.perf_counter() - begun < LIMITS["first_token_s"]  # they did not wait for those that hang
    assert set(await asyncio.gather(*hanging)) == {504}


async def test_the_engine_that_asks_for_patience_is_quoted_in_the_header(client: aiohttp.ClientSession) -> None:
    number = next(at for at, case in enumerate(PLAIN) if case.name == "429, come back in 30 s")
    async with client.post("chat/completions", json=question(str(number), model="alone", stream=False)) as response:
        assert (response.status, response.headers["retry-after"]) == (429, "30")


async def test_a_client_that_leaves_a_stream_is_traced_once_with_what_it_cost(
    client: aiohttp.ClientSession, server: tuple[str, Path]
) -> None:
    response = await client.post("chat/completions", json=question("words for ever", model="alone", stream=True))
    await response.content.readany()
    response.close()
    id, traces = response.headers["x-request-id"], Project(server[1]).traces
    until = time.perf_counter() + 2.5  # well before the total of the engine
    found: list[Trace] = []
    while not found and time.perf_counter() < until:
        await asyncio.sleep(0.05)
        found = [trace for trace in traces.search() if trace.id == id]
    (trace,) = found
    assert (trace.status, trace.error, trace.usage.estimated) == (499, "client_gone", True)
    assert trace.usage.usd > 0
    assert trace.seconds < 2.0


async def test_a_client_that_does_not_read_makes_the_engine_wait(client: aiohttp.ClientSession) -> None:
    body = question("as fast as you can", model="alone", stream=True)
    async with client.post("chat/completions", json=body, read_bufsize=1_000) as response:
        assert response.status == 200
        await asyncio.sleep(1.0)
        held = sum(sent)
        await asyncio.sleep(0.5)
        assert sum(sent) == held  # all waits
        assert held < 30_000_000  # what the sockets of four sides hold; without it a gigabyte a second would pile up
        response.close()
