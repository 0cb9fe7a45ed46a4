"""kill -9 under load: no acknowledged trace is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest


def crashed(kills: int, script: str = "trace_crashes") -> dict[str, Any]:
    """What a script counted; in a process of its own, because its children are forks."""
    command = [sys.executable, "-m", f"tests.journeys.{script}", str(kills)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def sound(found: dict[str, Any]) -> bool:
    return not any(found.get(what) for what in ("lost", "spoilt", "damaged", "miscounted"))


def test_some_kills_lose_nothing_that_was_acknowledged() -> None:
    found = crashed(12)
    assert found["acknowledged"] > 12 * 10
    assert sound(found), found


@pytest.mark.slow
def test_three_hundred_kills_lose_nothing_that_was_acknowledged() -> None:
    found = crashed(300)
    assert found["kills"] == 300
    assert found["erasing"] > 50
    assert found["acknowledged"] > 10_000
    assert sound(found), found


def test_a_gateway_that_is_killed_has_traced_every_answer_that_was_read() -> None:
    found = crashed(2, "gateway_crashes")
    assert found["answered"] > 10
    assert sound(found), found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_gateways_that_are_killed_have_traced_every_answer_that_was_read() -> None:
    found = crashed(100, "gateway_crashes")
    assert found["streamed"] > 500
    assert sound(found), found
