"""A failed sync is never acknowledged: system calls that fail at every turn, by strace."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rungwise.data.traces.query import Query
from rungwise.data.traces.search import search
from tests.data.traces.tracing import a_trace

WRITTEN = 12
CHILD = f"""
import asyncio, sys
from pathlib import Path
from rungwise.core.errors import StoreError
from rungwise.data.traces.file import TraceFile
from rungwise.data.traces.writer import TraceWriter
from tests.data.traces.tracing import a_trace

async def main(folder):
    traces = TraceWriter(TraceFile(folder, worker=0), disk_full="refuse")
    for number in range({WRITTEN}):
        try:
            await traces.add(a_trace(number))
            print(number, flush=True)
        except StoreError as error:
            print("refused", flush=True)
    await traces.close()

asyncio.run(main(Path(sys.argv[1])))
"""


def written(folder: Path, failing: str) -> list[str]:
    """What a child said of each trace while system calls failed."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    calls = failing.split(":")[0]
    command = [strace, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={failing}"]
    done = subprocess.run(
        [*command, sys.executable, "-c", CHILD, str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    if "ptrace" in done.stderr:
        pytest.skip("this machine does not let processes be traced")
    return done.stdout.split()


def sound(folder: Path, said: list[str]) -> None:
    there = {trace.id for trace in search(folder, Query())}
    assert {a_trace(int(one)).id for one in said if one != "refused"} <= there


@pytest.mark.parametrize("turn", [8, 11])
def test_one_failed_sync_is_told_and_writing_goes_on(tmp_path: Path, turn: int) -> None:
    said = written(tmp_path, f"fdatasync:error=EIO:when={turn}")
    assert len(said) == WRITTEN
    assert said.count("refused") == 1
    assert said[-1] == str(WRITTEN - 1)
    sound(tmp_path, said)


def test_when_every_sync_fails_nothing_is_acknowledged_any_more(tmp_path: Path) -> None:
    said = written(tmp_path, "fdatasync:error=EIO:when=9+")
    failed = said.index("refused")
    assert 0 < failed < WRITTEN
    assert set(said[failed:]) == {"refused"}
    sound(tmp_path, said)


@pytest.mark.slow
@pytest.mark.parametrize("failing", ["fdatasync:error=EIO", "pwrite64:error=ENOSPC", "pwrite64:error=EIO"])
@pytest.mark.parametrize("turn", range(1, 40, 2))
def test_whichever_call_fails_what_was_acknowledged_is_there(tmp_path: Path, failing: str, turn: int) -> None:
    said = written(tmp_path, f"{failing}:when={turn}")
    assert said == [] or len(said) == WRITTEN  # it says at its start that it cannot write, or goes on to its end
    sound(tmp_path, said)
