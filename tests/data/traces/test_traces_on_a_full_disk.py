"""A disk that is really full: nothing acknowledged is lost, reading goes on, and so does writing once there is space."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rungwise.core.errors import StoreError
from rungwise.data.traces.file import TraceFile
from rungwise.data.traces.query import Query
from rungwise.data.traces.removal import expire
from rungwise.data.traces.search import search
from rungwise.data.traces.writer import TraceWriter
from tests.data.traces.tracing import BEGIN, a_trace

SIZE_MB = 3


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of three megabytes."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("this machine does not let a small file system be mounted")
    yield disk
    subprocess.run(["umount", disk], check=True)


def content(number: int) -> str:
    return f"{number} " * 3000


@pytest.mark.parametrize("policy", ["refuse", "answer"])
async def test_a_full_disk_loses_nothing_and_is_recovered_from_without_a_restart(small_disk: Path, policy: str) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 500_000)
    traces = TraceWriter(TraceFile(small_disk / "traces", worker=0), disk_full=policy)
    acknowledged: list[int] = []
    number, refused = 0, 0
    while refused + traces.unlogged < 5:
        try:
            await traces.add(a_trace(number, request=content(number)))
            acknowledged.append(number)
        except StoreError as error:
            assert "full" in str(error)  # noqa: PT017
            refused += 1
        number += 1
    assert (refused, traces.unlogged) == ((5, 0) if policy == "refuse" else (0, 5))
    there = {trace.id: trace.request for trace in search(small_disk / "traces", Query())}
    kept = acknowledged if policy == "refuse" else [one for one in acknowledged if a_trace(one).id in there]
    assert len(kept) >= len(acknowledged) - 5
    assert {a_trace(one).id: content(one) for one in kept} == there
    filler.unlink()
    await traces.add(a_trace(number, request=content(number)))
    await traces.close()
    assert next(search(small_disk / "traces", Query(), limit=1)) == a_trace(number, request=content(number))


async def test_removal_needs_a_little_space_and_then_makes_more(small_disk: Path) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 1_500_000)
    traces = TraceWriter(TraceFile(small_disk / "traces", worker=0), disk_full="refuse")
    number, full = 0, False
    while not full:
        try:
            await traces.add(a_trace(number, request=content(number)))
            number += 1
        except StoreError:
            full = True
    with pytest.raises(StoreError, match="free some megabytes first"):
        expire(small_disk / "traces", BEGIN + number)
    filler.unlink()
    assert len(expire(small_disk / "traces", BEGIN + number).ids) + len(list(search(small_disk / "traces", Query()))) == number
    assert list(search(small_disk / "traces", Query().where("at", "<", BEGIN + number))) == []
    for later in range(number, number + 10):
        await traces.add(a_trace(later, request=content(later)))
    await traces.close()
    assert len(list(search(small_disk / "traces", Query()))) == 10
