"""The OpenAPI document and the server agree: schemathesis, which nobody here wrote, asks whatever the document allows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from served import served

from tests.cli.test_serve_verb import listening, serving
from tests.serve.running import answers, engine
from tests.serve.test_health import bare

# Some rules no schema says: of a block of Bedrock's one part is there, a judgement was not made in the future, a reviewer is named.
CONFIG = """
[[operations]]
include-path-regex = "^/(model|v1/feedback|v1/reviews)"
checks.positive_data_acceptance.enabled = false
"""


async def anything(reply: Any, asked: Any) -> None:
    """An engine that answers whatever it is asked, in the shape of what was asked for."""
    if "input" in asked.body:
        vector = {"object": "embedding", "index": 0, "embedding": [0.5, 0.5]}
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        await reply.send(200, {"object": "list", "model": "small", "data": [vector], "usage": usage})
    elif "prompt" in asked.body and not asked.body.get("stream"):
        choice = {"index": 0, "text": "hello", "finish_reason": "stop", "logprobs": None}
        await reply.send(200, {"id": "c", "object": "text_completion", "created": 1, "model": "small", "choices": [choice]})
    else:
        asked.body["messages"] = [{"role": "user", "content": "hello"}]
        await answers(reply, asked)


@pytest.mark.slow
def test_schemathesis_finds_no_server_error_and_no_answer_that_is_not_as_documented(tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    with served(anything) as upstream:
        shop = bare(tmp_path / "shop", engine(upstream.url))
        with serving(shop, "--port", 0) as process:
            url = listening(process)
            command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(tmp_path / "schemathesis.toml")]
            command += ["run", f"{url}/openapi.json", "--url", url, "--seed", "1"]
            command += ["--max-examples", "20", "--phases", "coverage,fuzzing"]  # some 6,000 requests
            ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout[-6000:]
