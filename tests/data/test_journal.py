"""Two processes may open a new file at once."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from rungwise.data import journal
from rungwise.data.journal import write_ahead


def test_many_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    """Without the patience of `write_ahead`, SQLite refuses some of these at once, whatever their timeout."""
    for round_ in range(20):
        barrier = Barrier(8)

        def opened(path: Path = tmp_path / f"{round_}.db", barrier: Barrier = barrier) -> str:
            barrier.wait()
            connection = sqlite3.connect(path, timeout=30)
            try:
                write_ahead(connection)
                connection.execute("create table if not exists t (x)")
                return str(connection.execute("pragma journal_mode").fetchone()[0])
            finally:
                connection.close()

        with ThreadPoolExecutor(8) as threads:
            assert {task.result() for task in [threads.submit(opened) for _ in range(8)]} == {"wal"}


def test_a_file_that_stays_locked_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "WAIT_S", 0.1)
    holder = sqlite3.connect(tmp_path / "held.db", isolation_level=None)
    holder.execute("begin exclusive")
    waiting = sqlite3.connect(tmp_path / "held.db", timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        write_ahead(waiting)
    holder.close()
    waiting.close()
