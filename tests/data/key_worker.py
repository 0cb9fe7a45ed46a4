"""A process that makes keys until it is killed: python key_worker.py STATE. It prints each key once it is acknowledged."""

from __future__ import annotations

import sys
from pathlib import Path

from rungwise.data.keys import Keys
from rungwise.data.master import MasterKey
from rungwise.data.store import Store
from rungwise.engines.clock import SystemClock


def make_keys(state: Path) -> None:
    """One key after another."""
    store = Store.open(state, clock=SystemClock())
    keys = Keys(store, MasterKey.open(state, {}))
    while True:
        sys.stdout.write(f"{keys.create(['infer'], actor='worker').key}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    make_keys(Path(sys.argv[1]))
