"""A real server on loopback in a thread of its own, a project that a climb has decided, and an engine that answers by script."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
import yaml

from rungwise.ladder.expedition import Wishes
from rungwise.project import Project
from rungwise.serve.app import App, make_app
from rungwise.serve.metrics import Metrics
from rungwise.serve.seat import Seat

TICKETS = Path(__file__).resolve().parents[2] / "examples" / "support" / "tickets.csv"


@contextmanager
def running(*directories: Path, scratch: Path) -> Iterator[tuple[str, App]]:
    """The address of a server of these projects, and its application. It ends with the block."""
    scratch.mkdir(parents=True, exist_ok=True)
    metrics = Metrics.open(scratch / "worker-0.metrics")
    app = make_app(Seat(0, 1, scratch, metrics), directories=[str(one) for one in directories])
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on", http="httptools", loop="uvloop"))
    failed: list[BaseException] = []

    def serve() -> None:
        try:
            asyncio.run(server.serve([listening]))
        except BaseException as error:  # noqa: BLE001 - boundary: the test that waits is told
            failed.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            thread.join(0.01)
        assert server.started, failed
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", app
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
        metrics.close()


def decided(directory: Path, *, rows: int = 1_200) -> Project:
    """A project on the support tickets in which the linear model was shown to meet its target."""
    table = directory.parent / "tickets.csv"
    table.write_text("\n".join(TICKETS.read_text(encoding="utf-8").splitlines()[: rows + 1]) + "\n", encoding="utf-8")
    project = Project.create(directory, task="classify", source=table)
    decision = project.climb("accuracy=0.5", wishes=Wishes(until="classical"), report=False).decision
    assert decision.chosen_rung == "classical"
    return project


def configure(directory: Path, **sections: Any) -> None:
    """Add to a project's rungwise.yaml."""
    path = directory / "rungwise.yaml"
    plain: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump({**plain, **sections}), encoding="utf-8")


def engine(url: str, name: str = "local", **more: Any) -> dict[str, Any]:
    """An endpoint at an address; a million tokens in cost 1 USD, out 2 USD."""
    prices = {"usd_per_m_input": 1.0, "usd_per_m_output": 2.0}
    return {"name": name, "base_url": url, "model": "small", **prices, **more}


def completion(text: str = "hello", **more: Any) -> dict[str, Any]:
    """A chat completion as an engine gives it: 10 tokens in, 5 out."""
    message = {"role": "assistant", "content": text, **more}
    finish = "tool_calls" if "tool_calls" in more else "stop"
    return {
        "id": "chatcmpl-upstream",
        "object": "chat.completion",
        "created": 1,
        "model": "small-2026",
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


def events(pieces: Sequence[str]) -> list[Mapping[str, Any]]:
    """The chunks of a streamed completion, with usage in the last."""
    head = {"id": "chatcmpl-upstream", "object": "chat.completion.chunk", "created": 1, "model": "small-2026"}
    first = {**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}
    said = [{**head, "choices": [{"index": 0, "delta": {"content": one}, "finish_reason": None}]} for one in pieces]
    last = {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    usage = {**head, "choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}}
    return [first, *said, last, usage]


async def answers(reply: Any, asked: Any) -> None:
    """A script: answers as a small chat model would, streamed where that is asked for; an error where told to."""
    body = asked.body
    if body.get("stream"):
        await reply.head(200, "text/event-stream")
        for event in events(["hel", "lo ", "there"]):
            if event["choices"] or (body.get("stream_options") or {}).get("include_usage"):
                await reply.event(json.dumps(event))
        await reply.event("[DONE]")
        return
    if body.get("tools"):
        call = {"id": "call_1", "type": "function", "function": {"name": body["tools"][0]["function"]["name"], "arguments": "{}"}}
        await reply.send(200, completion("", content=None, tool_calls=[call]))
        return
    await reply.send(200, completion(f"you said {body['messages'][-1]['content']}"))
