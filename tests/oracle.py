"""An oracle upstream: an OpenAI-compatible server that knows the answers and gives them with a published probability.

It stands for a paid language model in tests of search and spending: how often it is right depends on what
the prompt holds, and on nothing else, so that a climb over prompts has a truth to be checked against.

Accuracy, in percent (`Accuracy` below; the tests recompute this table from the server's answers):

    what the prompt holds                                         right
    ------------------------------------------------------------  -----
    base: the text alone                                             70
    the labels (or the word 'passage') in the instructions           +4
    the word 'specific' in the instructions (a better wording)       +4
    a step to reason first ('reason', 'step by step', 'think')       +3
    solved examples: 1 / 2-3 / 4-7 / 8-15 / 16 or more    +2 / +3 / +5 / +7 / +8
    passages, of which one holds the answer                          +6
    passages, none of which does                                     -3
    at most                                                          97

The draw is deterministic in (seed, text, what the prompt holds). For 70 of 100 texts it depends on the text
alone, so that a better prompt keeps what a worse one had right (items are easy or hard); for the
others it is drawn anew for each prompt. Either way the probability is exactly the published one.
A wrong answer is another label (drawn from the same stream), or for `answer` the text 'I do not know'.
The log-probability of the answer tells right from wrong somewhat: -ln p is 0.05 when right and 0.7 when wrong.

Usage is priced by the caller: one prompt token per started 4 characters, plus 4 a message;
one completion token per started 4 characters, 20 more when it reasons; prompts that share their first
message with an earlier call have that message counted as cached tokens.

Run by hand:  python tests/oracle.py --port 8123 --labels rows.jsonl     (rows: {"text": ..., "label": ...}; `answer` also works)
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import math
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CORRELATED = 0.7  # share of texts whose draw does not depend on the prompt
MODEL = "oracle-1"
P_RIGHT, P_WRONG = math.exp(-0.05), math.exp(-0.7)


@dataclass(frozen=True, order=True)
class Features:
    """What a prompt holds, as far as the oracle cares. `passages`: 'none', 'useful' or 'useless'."""

    shots: int = 0
    labels: bool = False
    specific: bool = False
    reason: bool = False
    passages: str = "none"


@dataclass(frozen=True)
class Accuracy:
    """The published probabilities of being right."""

    base: float = 0.70
    labels: float = 0.04
    specific: float = 0.04
    reason: float = 0.03
    shots: tuple[tuple[int, float], ...] = ((16, 0.08), (8, 0.07), (4, 0.05), (2, 0.03), (1, 0.02))
    useful: float = 0.06
    useless: float = -0.03
    most: float = 0.97

    def of(self, features: Features) -> float:
        """The probability of a right answer."""
        by_shots = next((gain for count, gain in self.shots if features.shots >= count), 0.0)
        by_passages = {"none": 0.0, "useful": self.useful, "useless": self.useless}[features.passages]
        parts = (
            features.labels * self.labels,
            features.specific * self.specific,
            features.reason * self.reason,
            by_shots,
            by_passages,
        )
        return min(self.most, self.base + sum(parts))


def uniform(*what: object) -> float:
    """A number in [0, 1) that depends on the arguments only."""
    return int.from_bytes(hashlib.sha256(repr(what).encode("utf-8", "replace")).digest()[:7], "big") / 2**56


@dataclass
class Oracle:
    """Knows the answers. `calls` counts what was asked; `fail_share` of the calls get a 429 before their answer.

    With `echoes_key` it is the worst of servers: it writes the caller's key into its answers, errors and model name.
    """

    answers: Mapping[str, str]
    seed: int = 0
    accuracy: Accuracy = field(default_factory=Accuracy)
    fail_share: float = 0.0
    delay_s: float = 0.0
    calls: int = 0
    refused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    echoes_key: bool = False
    _heads: set[str] = field(default_factory=set)
    _known: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._known = sorted(set(self.answers.values()))

    def features(self, messages: list[dict[str, str]], text: str) -> Features:
        """Read the prompt."""
        told = "\n".join(message["content"] for message in messages if message["role"] == "system")
        question = messages[-1]["content"]
        marked = question.count("<passage ")
        holds = marked and self.answers[text].casefold() in question.rpartition("</passage>")[0].casefold()
        words = told.casefold()
        return Features(
            shots=sum(message["role"] == "assistant" for message in messages),
            labels=sum(label in told for label in self._known) >= min(2, len(self._known)) or "passage" in words,
            specific="specific" in words,
            reason=any(word in words for word in ("reason", "step by step", "think")),
            passages="none" if not marked else "useful" if holds else "useless",
        )

    def text_of(self, messages: list[dict[str, str]]) -> str | None:
        """The question: the last user turn, or what stands in it after the passages or on a line of its own."""
        turn = messages[-1]["content"]
        after = turn.rpartition("</passage>")[2]
        tries = [turn, after, *reversed(after.split("\n")), *(line.partition(": ")[2] for line in after.split("\n"))]
        return next((text for text in (one.strip() for one in tries) if text in self.answers), None)

    def is_right(self, text: str, features: Features) -> bool:
        """The draw for this text and prompt."""
        draws_once = uniform(self.seed, "kind", text) < CORRELATED
        draw = uniform(self.seed, "once", text) if draws_once else uniform(self.seed, "anew", text, features)
        return draw < self.accuracy.of(features)

    def answer(self, text: str, features: Features) -> str:
        """What it says: the true answer or a wrong one."""
        truth = self.answers[text]
        if self.is_right(text, features):
            return truth
        others = [label for label in self._known if label != truth]
        if len(others) >= len(self.answers) - 1 or not others:  # every text has its own answer: free text, not labels
            return "I do not know"
        return others[int(uniform(self.seed, "wrong", text, features) * len(others))]

    def respond(self, body: Mapping[str, Any], *, key: str = "") -> tuple[int, dict[str, Any]]:
        """The status and body of one call; `key` is what the caller sent."""
        messages = [dict(message) for message in body["messages"]]
        self.calls += 1
        if uniform(self.seed, "fail", self.calls) < self.fail_share:
            self.refused += 1
            return 429, _error(f"slow down {key * self.echoes_key}", "rate_limit_exceeded")
        text = self.text_of(messages)
        if text is None:
            return 400, _error("the oracle was asked something that it does not know", "unknown_text")
        features = self.features(messages, text)
        label = self.answer(text, features)
        written = _written(label, body, features) + f" {key}" * self.echoes_key
        tokens = [
            {"token": written, "logprob": -0.05 if self.is_right(text, features) else -0.7, "bytes": None, "top_logprobs": []}
        ]
        choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": written}, "finish_reason": "stop"}
        if body.get("logprobs"):
            choice["logprobs"] = {"content": tokens, "refusal": None}
        return 200, {
            "id": f"oracle-{self.calls}",
            "object": "chat.completion",
            "created": 0,
            "model": f"{MODEL}{key * self.echoes_key}",
            "choices": [choice],
            "usage": self._usage(messages, written, features),
        }

    def _usage(self, messages: list[dict[str, str]], written: str, features: Features) -> dict[str, Any]:
        prompt = sum(-(-len(message["content"]) // 4) + 4 for message in messages)
        head = messages[0]["content"] if len(messages) > 1 else ""
        cached = -(-len(head) // 4) + 4 if head in self._heads else 0
        if head:
            self._heads.add(head)
        made, thought = -(-len(written) // 4), 20 * features.reason
        self.prompt_tokens += prompt
        self.completion_tokens += made + thought
        self.cached_tokens += cached
        return {
            "prompt_tokens": prompt,
            "completion_tokens": made + thought,
            "total_tokens": prompt + made + thought,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": thought},
        }


def _written(label: str, body: Mapping[str, Any], features: Features) -> str:
    """The answer in the form that was asked for."""
    described = body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties", {})
    if described:
        name = list(described)[-1]
        many = described[name].get("type") == "array"
        reason = {"reason": "It seems so."} if "reason" in described else {}
        return json.dumps({**reason, name: label.split("\n") if many else label})
    return f"It seems so.\nAnswer: {label}" if features.reason else label


def _error(message: str, code: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": code, "param": None, "code": code}}


async def _serve(oracle: Oracle, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = json.loads(await reader.readexactly(int(headers.get("content-length", "0"))) or b"{}")
            if head[0].startswith("GET"):
                status, answer = (
                    200,
                    {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "tests"}]},
                )
            else:
                status, answer = oracle.respond(body, key=headers.get("authorization", "").removeprefix("Bearer "))
            await asyncio.sleep(oracle.delay_s)
            data = json.dumps(answer).encode()
            retry = "Retry-After: 0\r\n" if status == 429 else ""
            writer.write(
                f"HTTP/1.1 {status} Oracle\r\nContent-Type: application/json\r\n{retry}Content-Length: {len(data)}\r\n\r\n".encode()
                + data
            )
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass  # the client is done
    finally:
        writer.close()


@asynccontextmanager
async def serving(oracle: Oracle, *, port: int = 0) -> AsyncIterator[str]:
    """The oracle on loopback, in the running event loop; gives its base address."""
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(_serve(oracle, reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def serving_in_thread(oracle: Oracle) -> Iterator[str]:
    """The same for callers that have no event loop, or one of their own that they block."""
    import threading

    started, address, loop = threading.Event(), [""], asyncio.new_event_loop()

    async def run(stop: asyncio.Event) -> None:
        async with serving(oracle) as url:
            address[0] = url
            started.set()
            await stop.wait()

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(run(stop)), daemon=True)
    thread.start()
    if not started.wait(10):
        raise RuntimeError("the oracle did not start")
    try:
        yield address[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def read_answers(path: Path) -> dict[str, str]:
    """Texts and their answers from JSON lines with `text` and `label` (or `answer`)."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {row["text"].strip(): str(row["label"] if "label" in row else row["answer"]) for row in rows}


def main() -> None:
    """Serve until interrupted; the address is the first line on stdout."""
    parser = argparse.ArgumentParser(description="An OpenAI-compatible server that knows the answers.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fail-share", type=float, default=0.0)
    parser.add_argument("--delay-s", type=float, default=0.0)
    given = parser.parse_args()

    async def run() -> None:
        oracle = Oracle(read_answers(given.labels), seed=given.seed, fail_share=given.fail_share, delay_s=given.delay_s)
        async with serving(oracle, port=given.port) as url:
            sys.stdout.write(f"{url}\n")
            sys.stdout.flush()
            await asyncio.Event().wait()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())


if __name__ == "__main__":
    main()
