"""How every SQLite file here keeps its journal, and what happens when two processes open a new one at once."""

from __future__ import annotations

import sqlite3
import time
from typing import Literal

WAIT_S = 30.0
"""How long a file that somebody else is at work on is waited for."""
_PAUSE_S = 0.01


def write_ahead(connection: sqlite3.Connection, *, sync: Literal["full", "normal"] = "full") -> None:
    """Readers go on while one writes (WAL), and a commit is on disk when it returns (`full`).

    Raises sqlite3.OperationalError when the file stays locked for longer than WAIT_S.
    """
    # SQLite does not call its busy handler while a new file changes to WAL, so the second of two openers is refused at once.
    until = time.monotonic() + WAIT_S
    while True:
        try:
            connection.execute("pragma journal_mode=wal")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_PAUSE_S)
        else:
            break
    connection.execute(f"pragma synchronous={sync}")
