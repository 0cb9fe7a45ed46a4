"""What a program with boto3 sees through the real application when an engine fails, a guard refuses or a client is sent away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EventStreamError
from served import served
from upstream import Script, fails, piece, says, sends, streams

from rungwise.project import Project
from tests.serve.running import configure, engine, running

QUESTION = [{"role": "user", "content": [{"text": "hi"}]}]


def project_of(folder: Path, url: str, *, serve: Any = None, **more: Any) -> Project:
    (folder / "rows.csv").write_text("text,label\n" + "".join(f"row {n},{'ab'[n % 2]}\n" for n in range(40)))
    project = Project.create(folder / "desk", task="classify", source=folder / "rows.csv")
    configure(project.directory, endpoints=[engine(url, **more)], serve=serve or {"retries": 0})
    return project


@contextmanager
def desk(folder: Path, *scripts: Script, **more: Any) -> Iterator[tuple[Any, Project]]:
    """A client of a project whose engine answers by script."""
    with served(*scripts) as upstream:
        project = project_of(folder, upstream.url, **more)
        with running(project.directory, scratch=folder / "scratch") as (url, _), closing(connect(url)) as client:
            yield client, project


def connect(url: str) -> Any:
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    config = Config(retries={"total_max_attempts": 1})
    return boto3.client("bedrock-runtime", endpoint_url=url, region_name="us-east-1", config=config, **keys)


@pytest.mark.parametrize(
    ("script", "name"),
    [
        (fails(500), "ModelErrorException"),
        (fails(401), "ModelErrorException"),
        (fails(429), "ThrottlingException"),
        (fails(400), "ValidationException"),
        (fails(422), "ValidationException"),
        (fails(404), "ResourceNotFoundException"),
        (sends(b"not JSON"), "ModelErrorException"),
        (sends(b"", then_wait_s=30), "ModelTimeoutException"),
    ],
)
def test_an_engines_failure_has_the_class_that_programs_catch(tmp_path: Path, script: Script, name: str) -> None:
    with desk(tmp_path, script, serve={"retries": 0, "timeouts": {"total_s": 1.0}}) as (client, project):
        for call in (client.converse, client.converse_stream):
            with pytest.raises(getattr(client.exceptions, name)) as caught:
                call(modelId="local", messages=QUESTION)
            assert "127.0.0.1" not in str(caught.value)
            trace = project.traces.get(caught.value.response["ResponseMetadata"]["RequestId"])
            assert trace.error is not None
            assert trace.status >= 400


async def _breaks(reply: Any, asked: Any) -> None:
    await reply.head(200, "text/event-stream")
    await reply.event(piece("It "))
    await reply.event(piece("is"))
    reply.reset()


async def _complains(reply: Any, asked: Any) -> None:
    await reply.head(200, "text/event-stream")
    await reply.event(piece("It "))
    await reply.event({"error": {"message": "too many", "code": 429}})


@pytest.mark.parametrize("script", [_breaks, _complains])
def test_an_engine_that_fails_in_its_stream_ends_it_with_an_exception(tmp_path: Path, script: Script) -> None:
    with desk(tmp_path, script) as (client, project):
        answer = client.converse_stream(modelId="local", messages=QUESTION)
        seen: list[Any] = []
        with closing(answer["stream"]) as stream, pytest.raises(EventStreamError):
            seen.extend(stream)
        said = "".join(event["contentBlockDelta"]["delta"]["text"] for event in seen if "contentBlockDelta" in event)
        assert said.startswith("It ")
        trace = project.traces.get(answer["ResponseMetadata"]["RequestId"])
        assert trace.error is not None


def test_a_guard_of_the_project_intervenes_as_one_of_bedrocks_would(tmp_path: Path) -> None:
    guard = {"guard": "phrases", "where": ["output"], "settings": {"words": ["swordfish"]}}
    scripts = says("the word is swordfish"), streams("the word ", "is sword", "fish, friend")
    with desk(tmp_path, *scripts, serve={"guards": [guard]}) as (client, project):
        answer = client.converse(modelId="local", messages=QUESTION)
        assert answer["stopReason"] == "guardrail_intervened"
        assert "swordfish" not in str(answer)
        assert answer["usage"]["outputTokens"] == 3  # the engine has answered, and is paid
        assert project.traces.get(answer["ResponseMetadata"]["RequestId"]).error == "content_filter"
        events = list(client.converse_stream(modelId="local", messages=QUESTION)["stream"])
        assert {"messageStop": {"stopReason": "guardrail_intervened"}} in events
        assert "swordfish" not in "".join(
            event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event
        )


def test_a_limit_that_is_reached_says_when_to_come_again(tmp_path: Path) -> None:
    with served(says()) as upstream:
        project = project_of(tmp_path, upstream.url)
        made = project.keys.create(["infer"], limits={"requests_per_minute": 2})
        with running(project.directory, scratch=tmp_path / "scratch") as (url, _):
            client = boto3.client(
                "bedrock-runtime",
                endpoint_url=url,
                region_name="us-east-1",
                aws_access_key_id=made.kept.id,
                aws_secret_access_key=made.key,
                config=Config(retries={"total_max_attempts": 1}),
            )
            with closing(client):
                for _ in range(2):
                    client.converse(modelId="local", messages=QUESTION)
                with pytest.raises(client.exceptions.ThrottlingException) as caught:
                    client.converse(modelId="local", messages=QUESTION)
                assert int(caught.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"]) <= 60
        assert len(upstream.asked) == 2


PROGRAM = """
import boto3
client = boto3.client("bedrock-runtime")
answer = client.converse(modelId="local", messages=[{"role": "user", "content": [{"text": "hi"}]}])
print(answer["output"]["message"]["content"][0]["text"])
"""


def test_serve_prints_what_lets_an_unchanged_program_call_it_over_tls(tmp_path: Path) -> None:
    with served(says("hello over TLS")) as upstream:
        project = project_of(tmp_path, upstream.url)
        key = project.keys.create(["infer"]).key
        command = [
            str(Path(sys.executable).with_name("rungwise")),
            "serve",
            str(project.directory),
            "--port",
            "0",
            "--tls",
            "self-signed",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                exports: list[str] = []
                for line in server.stdout:
                    if line.startswith("listening on https://"):
                        break
                    exports.append(line)
                told = "".join(exports).replace("=KEY ", f"={key} ")
                bare = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
                script = f"{told}\nexec {sys.executable} -c '{PROGRAM}'"
                done = subprocess.run(["bash", "-c", script], env=bare, capture_output=True, text=True, check=False, timeout=60)
                assert (done.returncode, done.stdout) == (0, "hello over TLS\n"), done.stderr
            finally:
                server.send_signal(signal.SIGTERM)
        assert server.returncode == 0
