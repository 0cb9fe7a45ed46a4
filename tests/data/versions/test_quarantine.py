"""The quarantine as it is kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rungwise.data.store import Store
from rungwise.data.versions.quarantine import Entry, keep_entries, load_entries
from tests.clocks import StillClock

THREADS = """
import os, sys
from pathlib import Path
import pyarrow.parquet
from rungwise.engines.clock import SystemClock
from rungwise.data.versions.quarantine import load_entries
from rungwise.data.store import Store

store = Store.open(Path(sys.argv[1]), clock=SystemClock())
before = len(os.listdir("/proc/self/task"))
entries = load_entries(store, sys.argv[2])
print(len(entries), len(os.listdir("/proc/self/task")) - before)
"""


def entries(count: int) -> list[Entry]:
    return [Entry(id=f"{i:064x}", place=f"a.csv:{i}", reason="dedup:exact", evidence=f"as a.csv:{i - 1}") for i in range(count)]


def test_what_is_kept_comes_back_in_order(store: Store) -> None:
    kept = keep_entries(store, entries(30))
    assert load_entries(store, kept) == entries(30)
    assert (keep_entries(store, []), load_entries(store, "")) == ("", [])


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_reading_it_starts_no_thread_that_a_command_could_fall_over_while_it_ends(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "state", clock=StillClock())
    kept = keep_entries(store, entries(30))
    store.close()
    done = subprocess.run(
        [sys.executable, "-c", THREADS, str(tmp_path / "state"), kept], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["30", "0"]
