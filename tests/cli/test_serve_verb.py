"""`rungwise serve` as people and supervisors see it: one line when it answers, a clear word when it cannot, a clean end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from served import served

from rungwise.project import Project
from rungwise.release.plan import Wishes
from tests.serve.running import answers, engine
from tests.serve.test_health import bare


@contextmanager
def serving(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """`rungwise serve` in a process of its own, ended with the block."""
    command = [sys.executable, "-c", "from rungwise.cli import main; main()", "serve", *map(str, arguments)]
    environ = {name: value for name, value in os.environ.items() if name != "RUNGWISE_STORE"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def listening(process: subprocess.Popen[str]) -> str:
    """The address that it prints, when it is ready."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("listening on "), line
    return line.removeprefix("listening on ").strip()


def failed(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code and the last line of what it said."""
    out, err = process.communicate(timeout=60)
    assert not out
    return process.returncode, err.strip().splitlines()[-1]


def test_it_says_where_it_listens_answers_there_and_ends_with_code_0(tmp_path: Path) -> None:
    with served(answers) as upstream, serving(bare(tmp_path / "shop", engine(upstream.url)), "--port", 0) as process:
        url = listening(process)
        body = json.dumps({"model": "local", "messages": [{"role": "user", "content": "hi"}]}).encode()
        request = urllib.request.Request(f"{url}/v1/chat/completions", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert json.loads(answer.read())["choices"][0]["message"]["content"] == "you said hi"
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")


def test_json_is_one_document(tmp_path: Path) -> None:
    with serving(bare(tmp_path / "shop"), "--port", 0, "--json", "--workers", 2) as process:
        assert process.stdout is not None
        document = json.loads(process.stdout.readline())
        assert document["workers"] == 2
        assert document["pid"] == process.pid
        with urllib.request.urlopen(f"{document['url']}/healthz", timeout=30) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[0] == ""
        assert process.returncode == 0


def test_https_with_a_certificate_made_here_is_trusted_by_its_authority(tmp_path: Path) -> None:
    with serving(bare(tmp_path / "shop"), "--port", 0, "--tls", "self-signed") as process:
        assert process.stdout is not None
        said = []
        while not (line := process.stdout.readline()).startswith("listening on "):
            assert line
            said.append(line)
        url = line.split()[-1]
        assert url.startswith("https://127.0.0.1:")
        assert f"export AWS_ENDPOINT_URL_BEDROCK_RUNTIME={url}\n" in said
        trusted = ssl.create_default_context(cafile=str(tmp_path / "shop" / "state" / "tls" / "ca.pem"))
        with urllib.request.urlopen(f"{url}/healthz", timeout=30, context=trusted) as answer:
            assert answer.status == 200


def test_what_cannot_be_served_is_told_in_one_line_with_what_to_type(tmp_path: Path) -> None:
    with serving(tmp_path / "nothing") as process:
        code, said = failed(process)
        assert code == 2
        assert "holds no rungwise.yaml" in said
        assert "rungwise init" in said
    shop = bare(tmp_path / "shop")
    with serving(shop, shop) as process:
        assert failed(process) == (2, "rungwise: one project is named twice. Name each once")
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        with serving(shop, "--port", port) as process:
            code, said = failed(process)
            assert code == 2
            assert f"port {port} of 127.0.0.1 is in use" in said
    other = bare(tmp_path / "elsewhere" / "shop")
    with serving(shop, other, "--port", 0) as process:
        code, said = failed(process)
        assert code == 2
        assert "two projects are called 'shop'" in said


async def test_no_request_fails_while_workers_are_replaced_and_releases_change_under_load(tmp_path: Path) -> None:
    failures: list[str] = []
    answered: Counter[str] = Counter()
    with served(answers) as upstream:
        shop = bare(tmp_path / "shop", engine(upstream.url, "one"), engine(upstream.url, "two"))
        releases = Project(shop).releases
        assert releases.release(Wishes(relays=("one",)), approved_by="me", despite="a test").passed
        with serving(shop, "--port", 0, "--workers", 2) as process:
            url = await asyncio.to_thread(listening, process)
            stop = asyncio.Event()
            async with aiohttp.ClientSession() as session:

                async def ask(*, stream: bool) -> None:
                    body: dict[str, Any] = {"model": "shop", "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
                    while not stop.is_set():
                        try:
                            async with session.post(f"{url}/v1/chat/completions", json=body) as answer:
                                text = await answer.text()
                                assert answer.status == 200, text
                                assert not stream or text.endswith("data: [DONE]\n\n"), text
                            answered["stream" if stream else "whole"] += 1
                        except Exception as error:  # noqa: BLE001 - any is a request that failed
                            failures.append(repr(error))

                asking = [asyncio.create_task(ask(stream=number % 2 == 0)) for number in range(8)]
                for number in range(3):
                    process.send_signal(signal.SIGHUP)
                    await asyncio.to_thread(
                        releases.release, Wishes(relays=(("two", "one")[number % 2],)), approved_by="me", despite="x"
                    )
                    await asyncio.sleep(1.5)
                await asyncio.to_thread(releases.rollback)
                await asyncio.sleep(1.0)
                stop.set()
                await asyncio.gather(*asking)
            assert not failures
            assert min(answered["stream"], answered["whole"]) > 50
    seen = {trace.engine for trace in Project(shop).traces.search()}
    assert seen == {"one", "two"}


@pytest.mark.slow
def test_an_idle_worker_is_small(tmp_path: Path) -> None:
    from benchmarks.gateway_systems import tree
    from rungwise.serve.metrics import resident_bytes

    with served(answers) as upstream, serving(bare(tmp_path / "shop", engine(upstream.url)), "--port", 0) as process:
        listening(process)
        time.sleep(2)
        (worker,) = [pid for pid in tree(process.pid) if pid != process.pid]
        assert (resident_bytes(worker) or 0) < 90e6
