"""The whole ring: rows, climb, release, serve, trace, feedback, rows, climb; with real SDKs, and kill -9 in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import openai
import pytest
from botocore.config import Config

TICKETS = Path(__file__).resolve().parents[2] / "examples" / "support" / "tickets.csv"
RUNGWISE = (sys.executable, "-c", "from rungwise.cli import main; main()")


class Shop:
    """A project folder and the commands that people type on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        lines = TICKETS.read_text(encoding="utf-8").splitlines()
        (folder.parent / "tickets.csv").write_text("\n".join(lines[:1_201]) + "\n", encoding="utf-8")

    def type(self, *words: str, code: int = 0) -> Any:
        """A command with --json; what it prints."""
        done = subprocess.run([*RUNGWISE, *words, "--json"], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == code, (words, done.stdout[-500:], done.stderr[-2_000:])
        return json.loads(done.stdout)

    def traces(self) -> dict[str, Mapping[str, Any]]:
        """Every trace by its id."""
        words = ("traces", str(self.folder), "--json-lines", "--limit", "100000")
        done = subprocess.run([*RUNGWISE, *words], capture_output=True, text=True, timeout=60, check=True)
        return {one["id"]: one for one in map(json.loads, done.stdout.splitlines())}

    @contextmanager
    def serving(self) -> Iterator[tuple[str, subprocess.Popen[str]]]:
        """Two workers at a free port; killed with everything they started when the block ends, unless they ended before."""
        server = subprocess.Popen(
            [*RUNGWISE, "serve", str(self.folder), "--port", "0", "--workers", "2", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert server.stdout is not None
        assert server.stderr is not None
        try:
            told = server.stdout.readline()
            assert told, server.stderr.read()
            yield json.loads(told)["url"], server
        finally:
            self.kill(server)
            server.stdout.close()
            server.stderr.close()

    def kill(self, server: subprocess.Popen[str]) -> None:
        """kill -9, the parent and its workers."""
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
        server.wait(10)


def sdk(url: str, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=20)


def amazon(url: str, id: str, key: str) -> Any:
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=id,
        aws_secret_access_key=key,
        config=Config(retries={"max_attempts": 1}),
    )


def ask_until_it_dies(url: str, key: str, acknowledged: list[str], enough: threading.Event) -> None:
    """Ask one question after another, and note the trace of each whole answer."""
    with sdk(url, key) as client:
        number = 0
        try:
            while True:
                number += 1
                said = client.chat.completions.create(
                    model="shop", messages=[{"role": "user", "content": f"where is parcel {number}?"}], user=f"user-{number % 7}"
                )
                acknowledged.append(str(said._request_id))
                if len(acknowledged) > 60:
                    enough.set()
        except openai.OpenAIError:
            return


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    made = Shop(tmp_path_factory.mktemp("ring") / "shop")
    made.type(
        "data",
        "import",
        str(made.folder.parent / "tickets.csv"),
        "--into",
        str(made.folder),
        "--text",
        "message",
        "--label",
        "intent",
    )
    decided = made.type("climb", str(made.folder), "--target", "accuracy=0.5", "--until", "classical")
    assert decided["verdict"] == "met"
    return made


def test_the_ring_is_walked_and_survives_kill_9(shop: Shop) -> None:
    folder = str(shop.folder)
    first = shop.type("release", folder)
    assert first["moved"]
    key = shop.type("keys", "create", folder, "--scope", "infer,feedback:write")

    # Under load the server and its workers are killed at once: whatever was answered is kept.
    acknowledged: list[str] = []
    enough = threading.Event()
    with shop.serving() as (url, server):
        asking = [threading.Thread(target=ask_until_it_dies, args=(url, key["key"], acknowledged, enough)) for _ in range(4)]
        for one in asking:
            one.start()
        assert enough.wait(60)
        shop.kill(server)
        for one in asking:
            one.join(30)
    kept = shop.traces()
    assert set(acknowledged) <= set(kept)
    assert {kept[id]["release"] for id in acknowledged} == {first["release"]}

    # The same server again: both SDKs are answered, and what was wrong is said.
    with shop.serving() as (url, server), sdk(url, key["key"]) as client:
        with pytest.raises(openai.AuthenticationError):
            sdk(url, "wrong").chat.completions.create(model="shop", messages=[{"role": "user", "content": "hi"}])
        wrong = []
        for number in range(12):
            said = client.chat.completions.create(
                model="shop",
                messages=[{"role": "user", "content": f"my gift number {number} should be wrapped by ann@example.com"}],
            )
            wrong.append(str(said._request_id))
        converse = amazon(url, key["id"], key["key"]).converse(
            modelId="shop", messages=[{"role": "user", "content": [{"text": "cancel my Plus plan"}]}]
        )
        assert converse["output"]["message"]["content"][0]["text"] == "cancel_subscription"
        for trace in [*wrong, wrong[0]]:  # the last is sent twice
            client.post("/feedback", body={"trace": trace, "label": "gift_wrapping"}, cast_to=object)
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0

    # Feedback becomes rows, masked and never sealed, and a version of the data.
    made = shop.type("feedback", "to-dataset", folder)
    assert (made["rows"], bool(made["dataset"])) == (12, True)
    lines = [json.loads(line) for line in Path(made["output"]).read_text(encoding="utf-8").splitlines()]
    assert {row["label"] for row in lines} == {"gift_wrapping"}
    assert not any("ann@example.com" in row["text"] for row in lines)
    assert {row["from_trace"] for row in lines} == set(wrong)

    # The climb goes on with them, what it finds is released without a restart, and one command goes back.
    with shop.serving() as (url, _), sdk(url, key["key"]) as client:
        again = shop.type("climb", folder, "--target", "accuracy=0.5", "--until", "classical")
        assert again["verdict"] == "met"
        second = shop.type("release", folder)
        assert second["moved"]
        assert second["release"] != first["release"]
        assert answered_by(client, second["release"], shop)
        shop.type("rollback", folder)
        assert answered_by(client, first["release"], shop)

    # Lineage is walked both ways: from a trace's row to what learned from it, and back.
    reached = shop.type("lineage", folder, wrong[0])
    assert second["release"] in json.dumps(reached["reached"])
    assert first["release"] in json.dumps(reached["made_of"])
    origin = shop.type("lineage", folder, second["release"])
    assert again["chosen"]["candidate"] in json.dumps(origin)


def answered_by(client: openai.OpenAI, release: str, shop: Shop) -> bool:
    """Whether within a few seconds an answer comes from a release."""
    import time

    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        said = client.chat.completions.create(model="shop", messages=[{"role": "user", "content": "wrap my gift"}])
        if shop.traces()[str(said._request_id)]["release"] == release:
            return True
    return False
