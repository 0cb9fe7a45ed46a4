"""kill -9 under load: no acknowledged trace is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest


def crashed(kills: int) -> dict[str, Any]:
    """What the script counted; in a process of its own, because its children are forks."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.journeys.trace_crashes", str(kills)], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def sound(found: dict[str, Any]) -> bool:
    return not (found["lost"] or found["spoilt"] or found["damaged"] or found["miscounted"])


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
