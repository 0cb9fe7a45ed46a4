"""Traces as OpenTelemetry: in its names, sent beside the requests, lost only where that is counted."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.content import Usage
from rungwise.core.trace import Span, Trace
from rungwise.serve.telemetry import export, names
from rungwise.serve.telemetry.export import WAITING, Exporter, exporter_for, read_headers, traces_url
from rungwise.serve.telemetry.spans import spans_of

REQUEST = {
    "model": "support",
    "temperature": 0.5,
    "stop": ["\n"],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Where is my parcel?"}, {"type": "image_url", "image_url": {}}]},
        {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "track", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "on its way"},
    ],
}
RESPONSE = {"choices": [{"message": {"role": "assistant", "content": "On its way."}, "finish_reason": "stop"}]}


def trace(number: int = 0, **more: Any) -> Trace:
    """A request through a release that looked something up and asked a model."""
    known: dict[str, Any] = {
        "id": f"01a2002b016f{number:020x}",
        "at": 1_700_000_000.25,
        "seconds": 1.5,
        "asked": "support",
        "variant": "a",
        "release": "r1",
        "model": "gpt-x-2026",
        "conversation": "c-7",
        "tags": {"team": "returns"},
        "usage": Usage(input_tokens=12, output_tokens=3, usd=0.002),
        "request": json.dumps(REQUEST),
        "response": json.dumps(RESPONSE),
        "finish": "stop",
        "spans": (
            Span(name="search", kind="retrieval", start_s=0.1, seconds=0.2),
            Span(
                name="hosted",
                kind="model",
                start_s=0.3,
                seconds=1.0,
                details={"model": "gpt-x-2026", "input_tokens": 12, "output_tokens": 3},
            ),
        ),
    }
    return Trace(**{**known, **more})


def plain(span: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a span by their names."""
    return {one["key"]: next(iter(one["value"].values())) for one in span["attributes"]}


def test_a_request_and_its_steps_are_spans_of_one_trace() -> None:
    root, search, model = spans_of(trace())
    assert {span["traceId"] for span in (root, search, model)} == {trace().id}
    assert len({span["spanId"] for span in (root, search, model)}) == 3
    assert search["parentSpanId"] == model["parentSpanId"] == root["spanId"] == trace().id[16:]
    assert (root["name"], search["name"], model["name"]) == ("chat support", "retrieval search", "chat gpt-x-2026")
    assert int(root["endTimeUnixNano"]) - int(root["startTimeUnixNano"]) == 1_500_000_000
    assert plain(model)[names.PROVIDER] == "hosted"
    assert plain(search)[names.OPERATION] == "retrieval"
    assert plain(root)["rungwise.tag.team"] == "returns"


def test_tokens_are_counted_once_whoever_adds_up_all_spans() -> None:
    spans = list(spans_of(trace()))
    assert sum(int(plain(span).get(names.INPUT_TOKENS, 0)) for span in spans) == 12
    (alone,) = spans_of(trace(spans=()))
    assert plain(alone)[names.INPUT_TOKENS] == "12"


def test_what_was_said_leaves_only_when_it_was_asked_for() -> None:
    kept = json.dumps(list(spans_of(trace())))
    assert "parcel" not in kept
    assert "On its way" not in kept
    root = plain(next(iter(spans_of(trace(), content=True))))
    assert json.loads(root[names.INPUT_MESSAGES]) == [
        {"role": "user", "parts": [{"type": "text", "content": "Where is my parcel?"}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "track", "arguments": "{}"}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "on its way"}]},
    ]
    assert json.loads(root[names.OUTPUT_MESSAGES])[0]["finish_reason"] == "stop"


def test_a_failed_request_and_a_shadow_say_so() -> None:
    (failed,) = spans_of(trace(spans=(), error="timeout", status=504))
    assert failed["status"] == {"code": 2, "message": "timeout"}
    (shadow,) = spans_of(trace(spans=(), shadow_of="f" * 32))
    assert shadow["links"] == [{"traceId": "f" * 32, "spanId": "f" * 16}]


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_no_body_is_too_odd_to_be_told(body: Any) -> None:
    odd = json.dumps({"messages": body, "choices": body, "temperature": body})
    listed = json.dumps({"messages": [body], "choices": [{"message": body}], "stop": [body]})
    for text in (odd, listed, json.dumps(body), "{", ""):
        assert list(spans_of(trace(request=text, response=text), content=True))


def test_headers_are_read_as_the_environment_has_them() -> None:
    assert read_headers("x-mlflow-experiment-id=0, authorization=Bearer%20abc=") == {
        "x-mlflow-experiment-id": "0",
        "authorization": "Bearer abc=",
    }
    assert read_headers("") == read_headers("nonsense") == {}
    assert traces_url("http://collector:4318/") == traces_url("http://collector:4318") == "http://collector:4318/v1/traces"
    assert traces_url("https://x.example/otel/v1/traces?k=1") == "https://x.example/otel/v1/traces?k=1"
    assert exporter_for(None, name="a", environ={}) is None


class Receiver:
    """Keeps what it is sent; answers by script, then with 200."""

    def __init__(self) -> None:
        self.url = ""
        self.script: list[web.Response] = []
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []

    def spans(self) -> list[dict[str, Any]]:
        return [span for _, body in self.requests for span in body["resourceSpans"][0]["scopeSpans"][0]["spans"]]

    async def take(self, request: web.Request) -> web.Response:
        if self.script:
            return self.script.pop(0)
        self.requests.append(({name.lower(): value for name, value in request.headers.items()}, await request.json()))
        return web.json_response({})


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    found, app = Receiver(), web.Application(client_max_size=100_000_000)
    app.router.add_post("/v1/traces", found.take)
    runner = web.AppRunner(app, handle_signals=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()


async def test_traces_arrive_with_headers_and_resource() -> None:
    async with receiver() as there:
        exporter = exporter_for(there.url, name="support", environ={export.HEADERS: "x-key=k", export.SERVICE: "desk"})
        assert exporter is not None
        for number in range(300):
            exporter.add(trace(number))
        await exporter.aclose()
        assert (exporter.sent, exporter.lost) == (300, 0)
        assert len({span["traceId"] for span in there.spans()}) == 300
        headers, body = there.requests[0]
        assert headers["x-key"] == "k"
        assert headers["content-type"] == "application/json"
        assert {"key": "service.name", "value": {"stringValue": "desk"}} in body["resourceSpans"][0]["resource"]["attributes"]


async def test_a_receiver_that_is_busy_is_asked_again() -> None:
    async with receiver() as there:
        there.script = [web.Response(status=503, headers={"retry-after": "0"}), web.Response(status=429)]
        exporter = Exporter(traces_url(there.url), headers={}, service="a")
        exporter.add(trace())
        for _ in range(200):
            if exporter.sent:
                break
            await asyncio.sleep(0.1)
        await exporter.aclose()
        assert (exporter.sent, exporter.lost) == (1, 0)


async def test_what_a_receiver_refuses_is_lost_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    async with receiver() as there:
        there.script = [web.Response(status=400)]
        exporter = Exporter(traces_url(there.url), headers={}, service="a")
        exporter.add(trace(1))
        await exporter.aclose()
        assert (exporter.sent, exporter.lost) == (0, 1)
        assert "it answered 400" in caplog.text


async def test_nobody_waits_for_a_receiver_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        exporter = Exporter(f"http://127.0.0.1:{held.getsockname()[1]}/v1/traces", headers={}, service="a")
        for number in range(WAITING + 5):
            exporter.add(trace(number))
        assert exporter.lost == 5
        begun = time.monotonic()
        await exporter.aclose()
        assert time.monotonic() - begun < 20
    assert (exporter.sent, exporter.lost) == (0, WAITING + 5)
    assert caplog.text.count("cannot be sent") == 1


async def test_half_a_character_costs_its_own_trace_only() -> None:
    async with receiver() as there:
        exporter = Exporter(traces_url(there.url), headers={}, service="a")
        exporter.add(trace(1, user="\ud800", spans=()))
        exporter.add(trace(2, spans=()))
        await exporter.aclose()
        assert [span["traceId"] for span in there.spans()] == [trace(2).id]


SEARCH = """
import json, sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
found = mlflow.search_traces(locations=["0"], return_type="list") if "locations" in mlflow.search_traces.__code__.co_varnames \
    else mlflow.search_traces(experiment_ids=["0"], return_type="list")
print(json.dumps([[span.name, span.attributes] for one in found for span in one.data.spans], default=str))
"""


@pytest.mark.slow
@pytest.mark.skipif(
    "RUNGWISE_TEST_MLFLOW" not in os.environ,
    reason="needs RUNGWISE_TEST_MLFLOW, the Python of a virtual environment: python -m venv X; X/bin/pip install 'mlflow>=3.17'",
)
async def test_mlflow_takes_our_traces(tmp_path: Path) -> None:
    python = os.environ["RUNGWISE_TEST_MLFLOW"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [python, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/m.db", "--default-artifact-root", str(tmp_path / "artifacts")]
    with open(tmp_path / "log", "wb") as log:
        server = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
    try:
        await asyncio.wait_for(_listens(port), 120)
        exporter = exporter_for(url, name="a", environ={export.HEADERS: "x-mlflow-experiment-id=0", export.CONTENT: "true"})
        assert exporter is not None
        exporter.add(trace(1))
        for _ in range(300):
            if exporter.sent or exporter.lost:
                break
            await asyncio.sleep(0.1)
        await exporter.aclose()
        assert (exporter.sent, exporter.lost) == (1, 0), (tmp_path / "log").read_text()
        found = await asyncio.to_thread(
            subprocess.run, [python, "-c", SEARCH, url], capture_output=True, check=True, timeout=120, cwd=tmp_path
        )
    finally:
        os.killpg(server.pid, 15)
        server.wait(60)
    spans = dict(json.loads(found.stdout))
    assert set(spans) == {"chat support", "retrieval search", "chat gpt-x-2026"}
    assert spans["chat gpt-x-2026"][names.INPUT_TOKENS] == 12
    assert "Where is my parcel?" in str(spans["chat support"][names.INPUT_MESSAGES])


async def _listens(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.5)
            continue
        writer.close()
        await writer.wait_closed()
        return
