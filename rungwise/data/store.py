"""A project's store: one SQLite file, its migrations, and the blobs beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import StoreError
from rungwise.core.types import Clock
from rungwise.data.blobs import Blobs

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

FILE = "rungwise.db"
# A schema version is the name of the newest migration; reading it is cheaper than starting alembic.
HEAD = "0003"


class Store:
    """The open state directory. Acknowledged means committed: `write` returns after the commit is on disk."""

    def __init__(self, directory: Path, engine: Engine, clock: Clock) -> None:
        self.directory, self.engine, self.clock = directory, engine, clock
        self.blobs = Blobs(directory / "blobs")

    @classmethod
    def open(cls, directory: Path, *, clock: Clock) -> Store:
        """Open or create the store in a directory and bring its schema up to date. Raises StoreError when it cannot."""
        from sqlalchemy.exc import DBAPIError

        try:
            directory.mkdir(parents=True, exist_ok=True)
            store = cls(directory, _engine(directory / FILE), clock)
            store._migrate()
        except OSError as error:
            raise StoreError(f"cannot use the state directory {directory}: {error.strerror}. Choose a writable one") from error
        except DBAPIError as error:
            raise _unreadable(directory, error.orig) from error
        return store

    @contextmanager
    def write(self, *, alone: bool = False) -> Iterator[Connection]:
        """One transaction, committed when the block ends. Raises StoreError when the disk is full or the file is locked.

        With `alone`, no other such transaction runs between its first look and its commit.
        """
        from sqlalchemy.exc import DBAPIError

        from rungwise.data.dialect import write_first

        try:
            with self.engine.begin() as connection:
                if alone:
                    write_first(connection)
                yield connection
        except DBAPIError as error:
            raise StoreError(
                f"cannot write to {self.directory / FILE}: {error.orig}. "
                "Nothing acknowledged was lost: mend the cause and run the same command again"
            ) from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to read with. Raises StoreError when the file is damaged or cannot be read."""
        from sqlalchemy.exc import DBAPIError

        try:
            with self.engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise _unreadable(self.directory, error.orig) from error

    def setting(self, name: str) -> str | None:
        """A named value of the project, or None."""
        from sqlalchemy import select

        from rungwise.data.schema import settings

        with self.read() as connection:
            return connection.execute(select(settings.c.value).where(settings.c.name == name)).scalar()

    def set_setting(self, name: str, value: str) -> None:
        """Keep a named value; a value that is already there is replaced."""
        self.set_settings({name: value})

    def set_settings(self, values: Mapping[str, str]) -> None:
        """Keep several named values in one transaction."""
        from sqlalchemy.dialects.sqlite import insert

        from rungwise.data.schema import settings

        statement = insert(settings).values([{"name": name, "value": value} for name, value in values.items()])
        with self.write() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": statement.excluded.value}))

    def close(self) -> None:
        """Let go of the file."""
        self.engine.dispose()

    def _migrate(self) -> None:
        if _version(self.engine) == HEAD:
            return
        from rungwise.data.lock import alone_in
        from rungwise.data.migrate import upgrade

        with alone_in(self.directory):  # two first commands may come at once
            if _version(self.engine) != HEAD:
                upgrade(self.engine)


def _unreadable(directory: Path, why: object) -> StoreError:
    """The error for a database that cannot be read. The ledger of openings is in it, so nobody is told to throw it away lightly."""
    if not any(sign in str(why) for sign in ("malformed", "not a database")):
        return StoreError(
            f"cannot read {directory / FILE}: {why}. Check the disk, its free space and permissions, then run it again"
        )
    return StoreError(
        f"{directory / FILE} is damaged ({why}). Put back a copy of {directory}, or move it away and climb again: "
        "then the openings made so far are forgotten, and the promise about wrong accepts holds only on new sealed rows"
    )


def _version(engine: Engine) -> str | None:
    from sqlalchemy import inspect, text

    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("select version_num from alembic_version")).scalar()


def _engine(path: Path) -> Engine:
    from sqlalchemy import create_engine, event

    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # WAL lets readers go on while one writes; FULL fsyncs at each commit, which is what "acknowledged" means.
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=full")
        connection.execute("pragma foreign_keys=on")

    return engine
