"""A file of traces: SQLite in WAL mode with a full sync at each commit, one file for each process that writes."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cache
from itertools import chain, count, groupby
from pathlib import Path

from rungwise.core.errors import StoreError
from rungwise.core.trace import Trace
from rungwise.data.journal import WAIT_S, write_ahead
from rungwise.data.traces.rows import COLUMNS, FACTS, Row, cleaned, row_of
from rungwise.data.traces.segments import SEGMENT, bounds_of, columns_of, facts_of

FOLDER = "traces"
VERSION = 1
"""The schema of a file, in its `user_version`. An older file is brought up to date when it is opened."""

COPIED_BYTES = 8_000_000
"""From so many bytes on the write-ahead log is copied back into the file, beside the commits and not before the next."""
MOST_PAGES = 16_000
"""With so many pages in the log (64 MB) a commit waits until it is copied: a net, for when copying does not keep up."""
_COMMIT_BYTES = 8_192  # of the log, beside the content

_SCHEMA = f"""
create table traces (n integer primary key, {", ".join(COLUMNS)});
create index traces_id on traces (id);
create table segments (segment integer primary key, first_at real not null, last_at real not null);
create table columns (segment integer not null, name text not null, data blob not null);
create index columns_segment on columns (segment, name);
"""
_UPGRADES: dict[int, Callable[[sqlite3.Connection], None]] = {}
"""What brings a file from a version to the next one."""


class TraceFile:
    """A file that this process writes, and nobody else takes until it is closed. It is used by one thread."""

    def __init__(self, directory: Path, *, worker: int) -> None:
        self._lock, self.path = _claim(directory, worker)
        self._connection: sqlite3.Connection | None = None
        self._n = 0
        self._open: list[tuple[int, Row]] = []  # the facts of rows that no segment holds yet
        self._changes = 0
        self._logged_bytes = 0
        self._copying: threading.Thread | None = None
        try:
            self._reopen()
        except (sqlite3.Error, StoreError) as error:
            self.close()
            raise error if isinstance(error, StoreError) else _cannot_write(self.path, error) from error
        self._inode = os.stat(self.path).st_ino

    def write(self, traces: Sequence[Trace]) -> None:
        """Commit traces. Raises StoreError, and then none of them is there."""
        rows = [row_of(trace) for trace in traces]
        self._check_place()
        try:
            connection = self._connection or self._reopen()
            try:
                self._insert(connection, rows)
            except (UnicodeEncodeError, OverflowError, sqlite3.InterfaceError, sqlite3.ProgrammingError):
                rows = [cleaned(row) for row in rows]
                self._insert(connection, rows)
            self._open += [(n, facts_of(row)) for n, row in enumerate(rows, self._n)]
            self._n += len(rows)
            self._logged_bytes += _COMMIT_BYTES + sum(len(one.request or "") + len(one.response or "") for one in traces)
        except sqlite3.Error as error:
            self._let_go()  # after a failed sync nothing may be assumed about this connection
            raise _cannot_write(self.path, error) from error

    def tidy(self) -> None:
        """Seal the segments that are full and copy the log back now and then. What fails is tried again after the next commit."""
        connection = self._connection
        if connection is None:
            return
        with suppress(sqlite3.Error):
            if self._open and self._n // SEGMENT > self._open[0][0] // SEGMENT:
                self._seal(connection)
            self._copy_back(connection)

    def _check_place(self) -> None:
        """Raise StoreError when the file was taken away: what is written to it now, nobody would ever find."""
        with suppress(OSError):
            if os.stat(self.path).st_ino == self._inode:
                return
        raise StoreError(f"{self.path} was removed or replaced while it was written. Put it back, or start the server again")

    def close(self) -> None:
        """Let go of the file."""
        if self._copying is not None:
            self._copying.join()
        self._let_go()
        os.close(self._lock)

    def _insert(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
        # One statement, and so one transaction: the interpreter's lock is let go once for all, not once for each row.
        connection.execute(_insertion(len(rows)), list(chain.from_iterable((n, *row) for n, row in enumerate(rows, self._n))))

    def _seal(self, connection: sqlite3.Connection) -> None:
        """Write the segments that are full."""
        last = self._n // SEGMENT
        with transaction(connection):
            changes = _changes(connection)
            if changes != self._changes:  # somebody erased or expired traces meanwhile
                self._open, self._changes = _unsealed(connection), changes
            for segment, rows in groupby(self._open, key=lambda row: row[0] // SEGMENT):
                if segment < last:
                    write_segment(connection, segment, list(rows))
        self._open = [row for row in self._open if row[0] // SEGMENT >= last]

    def _copy_back(self, connection: sqlite3.Connection) -> None:
        """Copy the log back now and then: most of it in a thread, then the little that came meanwhile, so that it begins anew."""
        if self._copying is None and self._logged_bytes >= COPIED_BYTES:
            self._copying = threading.Thread(target=_copied, args=(self.path,), name="traces-log", daemon=True)
            self._copying.start()
        elif self._copying is not None and not self._copying.is_alive():
            self._copying, self._logged_bytes = None, 0
            connection.execute("pragma wal_checkpoint(passive)")

    def _reopen(self) -> sqlite3.Connection:
        connection = connect(self.path)
        try:
            connection.execute(f"pragma wal_autocheckpoint={MOST_PAGES}")
            prepare(connection, self.path)
            self._open, self._changes = _unsealed(connection), _changes(connection)
            self._n = _next_number(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _let_go(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None


def _copied(path: Path) -> None:
    with suppress(sqlite3.Error), closing(connect(path)) as connection:  # a failure is met again by the next commit, which tells
        connection.execute("pragma wal_checkpoint(passive)")


def connect(path: Path) -> sqlite3.Connection:
    """A connection to a file of traces, for one thread at a time. Statements commit by themselves."""
    connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
    write_ahead(connection)
    return connection


def files(directory: Path) -> list[Path]:
    """The files of traces in a folder, oldest name first."""
    return sorted(directory.glob("*.db"))


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the file for writing; commit at the end, or leave everything as it was."""
    connection.execute("begin immediate")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("rollback")
        raise


def write_segment(connection: sqlite3.Connection, segment: int, rows: Sequence[tuple[int, Row]]) -> None:
    """Write down the columns of a segment in place of those that it had; none where it has no rows. In a transaction."""
    connection.execute("delete from columns where segment = ?", (segment,))
    connection.execute("delete from segments where segment = ?", (segment,))
    if rows:
        columns = columns_of(rows)
        values = list(chain.from_iterable((segment, name, data) for name, data in columns.items()))
        connection.execute(f"insert into columns values {','.join(['(?,?,?)'] * len(columns))}", values)
        connection.execute("insert into segments values (?, ?, ?)", (segment, *bounds_of(rows)))


def facts_between(connection: sqlite3.Connection, first: int, end: int, fields: Sequence[str] = FACTS) -> list[tuple[int, Row]]:
    """These fields of the rows with n from `first` to before `end`."""
    query = f"select n, {', '.join(fields)} from traces where n >= ? and n < ? order by n"
    return [(row[0], row[1:]) for row in connection.execute(query, (first, end))]


def first_unsealed(connection: sqlite3.Connection) -> int:
    """The number of the first row that no segment holds."""
    last = connection.execute("select max(segment) from segments").fetchone()[0]
    return 0 if last is None else (int(last) + 1) * SEGMENT


def _unsealed(connection: sqlite3.Connection) -> list[tuple[int, Row]]:
    return facts_between(connection, first_unsealed(connection), 2**62)


def _next_number(connection: sqlite3.Connection) -> int:
    last = connection.execute("select max(n) from traces").fetchone()[0]
    return max(0 if last is None else int(last) + 1, first_unsealed(connection))


def _changes(connection: sqlite3.Connection) -> int:
    """A number that is another one once another connection has changed the file."""
    return int(connection.execute("pragma data_version").fetchone()[0])


@cache
def _insertion(rows: int) -> str:
    one = f"(?{',?' * len(COLUMNS)})"
    return f"insert into traces values {','.join([one] * rows)}"


def prepare(connection: sqlite3.Connection, path: Path, *, create: bool = True) -> bool:
    """Bring the tables of a file up to date, and make those of a new one, or, without `create`, say that there are none.

    Raises StoreError for a file that a newer version wrote.
    """
    version = int(connection.execute("pragma user_version").fetchone()[0])
    if version == VERSION or (version == 0 and not create):
        return version > 0
    if version > VERSION:
        raise StoreError(f"{path} was written by a newer version of Rungwise. Upgrade with: pip install -U rungwise")
    with transaction(connection):
        if version == 0:
            for statement in _SCHEMA.strip().split(";\n"):
                connection.execute(statement)
        for older in range(max(version, 1), VERSION):
            _UPGRADES[older](connection)
        connection.execute(f"pragma user_version={VERSION}")
    return True


def _claim(directory: Path, worker: int) -> tuple[int, Path]:
    """A file for this process alone: that of its number, or, while another still drains, the next that is free."""
    import fcntl

    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)  # what people asked is for whoever runs the server
        for turn in count():
            name = f"worker-{worker}" if not turn else f"worker-{worker}-{turn}"
            lock = os.open(directory / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            return lock, directory / f"{name}.db"
    except OSError as error:
        raise StoreError(f"cannot write traces in {directory}: {error.strerror}. Choose a writable state directory") from error
    raise AssertionError("count() has no end")


def _cannot_write(path: Path, error: sqlite3.Error) -> StoreError:
    return StoreError(
        f"traces cannot be written to {path}: {error}. Free some space or mend the disk; writing goes on by itself, "
        "and nothing that was acknowledged is lost"
    )
