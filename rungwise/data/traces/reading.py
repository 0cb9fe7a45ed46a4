"""The files of a folder as a reader sees them: one view of each, from the first look to the end."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from rungwise.core.errors import StoreError
from rungwise.data.journal import WAIT_S
from rungwise.data.traces.file import files, prepare


@contextmanager
def views(directory: Path) -> Iterator[Sequence[sqlite3.Connection]]:
    """Connections to all files that hold traces. Writers go on meanwhile; what they commit from now on is not seen.

    Raises StoreError when a file cannot be read, also for what goes wrong in the block.
    """
    with ExitStack() as stack:
        path = directory
        try:
            connections = []
            for path in files(directory):
                connection = stack.enter_context(closing(_open(path)))
                if prepare(connection, path, create=False):
                    connection.execute("begin")
                    connection.execute("select 1 from segments limit 1").fetchone()  # the view is of this moment
                    connections.append(connection)
            yield connections
        except sqlite3.Error as error:
            raise _unreadable(path, error) from error


def _open(path: Path) -> sqlite3.Connection:
    # Not mode=ro: the first reader of a file whose writer was killed puts its WAL in order.
    location = f"file:{quote(str(path))}?mode=rw"
    return sqlite3.connect(location, uri=True, timeout=WAIT_S, isolation_level=None, check_same_thread=False)


def _unreadable(path: Path, error: sqlite3.Error) -> StoreError:
    if isinstance(error, sqlite3.OperationalError):
        return StoreError(f"traces cannot be read ({path}: {error}). Check the disk and its permissions, then run it again")
    return StoreError(
        f"traces cannot be read: a file in {path.parent} is damaged ({error}). Find it with: sqlite3 FILE 'pragma "
        "integrity_check', and put back a copy or move it away; the others are read as before"
    )
