"""kill -9 while two processes make keys: whoever was shown a key can use it, and the audit log tells of each key once."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rungwise.data.audit import HEAD_FILE, Audit
from rungwise.data.keys import Keys
from rungwise.data.master import FILE, MasterKey
from rungwise.data.store import Store
from rungwise.engines.clock import SystemClock
from rungwise.serve.access import Access

WORKER = Path(__file__).with_name("key_worker.py")
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("rounds", [2, pytest.param(25, marks=pytest.mark.slow)])
def test_a_key_that_was_shown_is_kept_and_told_whatever_is_killed(tmp_path: Path, rounds: int) -> None:
    rng, shown = random.Random(rounds), list[str]()
    for _ in range(rounds):
        command = [sys.executable, str(WORKER), str(tmp_path)]
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)]
        for worker in workers:
            assert worker.stdout is not None
            shown.append(worker.stdout.readline().strip())
        time.sleep(rng.uniform(0, 0.2))
        for worker in workers:
            worker.kill()
        for worker in workers:
            assert worker.stdout is not None
            # `communicate` would pass over what `readline` has in its buffer, and begin in the middle of a key.
            shown += worker.stdout.read().split("\n")[:-1]  # the last line may be cut
            worker.stdout.close()
            worker.wait(30)
        store = Store.open(tmp_path, clock=SystemClock())
        try:
            found, access = Audit(store).verify(), Access.load(store)
            assert found.problem is None
            assert found.lines == len(Keys(store, MasterKey(b"")).all()) >= len(shown)
            for key in shown:
                access.by_bearer(f"Bearer {key}".encode(), None)
        finally:
            store.close()
    litter = {one.name for one in tmp_path.iterdir() if one.name.startswith((HEAD_FILE, FILE))}
    assert litter <= {HEAD_FILE, f"{HEAD_FILE}.new", FILE}
