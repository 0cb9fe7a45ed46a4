"""A project's store: one SQLite file, or a schema of a PostgreSQL database, its migrations, and the blobs beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import StoreError
from rungwise.core.types import Clock
from rungwise.data import postgres
from rungwise.data.blobs import Blobs
from rungwise.data.journal import WAIT_S, write_ahead

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

FILE = "rungwise.db"
VARIABLE = "RUNGWISE_STORE"
EMBEDDED = "embedded"
# A schema version is the name of the newest migration; reading it is cheaper than starting alembic.
HEAD = "0004"


class Store:
    """The open state directory. Acknowledged means committed: `write` returns after the commit is on disk."""

    def __init__(self, directory: Path, engine: Engine, clock: Clock, place: str) -> None:
        self.directory, self.engine, self.clock, self.place = directory, engine, clock, place
        self.blobs = Blobs(directory / "blobs")

    @classmethod
    def open(cls, directory: Path, *, clock: Clock, url: str | None = None) -> Store:
        """Open or create the store in a directory and bring its schema up to date. Raises StoreError when it cannot.

        `url` is the address of a PostgreSQL database, which then holds all but the blobs; without it, what the environment
        variable RUNGWISE_STORE says; EMBEDDED is the file in the directory, whatever that says.
        """
        from sqlalchemy.exc import DBAPIError

        address = os.environ.get(VARIABLE, "") if url is None else url
        place = str(directory / FILE)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if address and address != EMBEDDED:
                there = postgres.place_of(directory, address)
                place = str(there)
                return cls._open_there(directory, address, there, clock)
            if (there_only := postgres.noted(directory)) is not None:
                raise StoreError(
                    f"the store of {directory} is at {there_only}. Say how to reach it: export {VARIABLE}={postgres.EXAMPLE}"
                )
            store = cls(directory, _engine(directory / FILE), clock, place)
            store._migrate()
        except OSError as error:
            raise StoreError(f"cannot use the state directory {directory}: {error.strerror}. Choose a writable one") from error
        except DBAPIError as error:
            raise _unreadable(directory, place, error.orig) from error
        return store

    @classmethod
    def _open_there(cls, directory: Path, url: str, place: postgres.Place, clock: Clock) -> Store:
        store = cls(directory, postgres.connect(url, place), clock, str(place))
        known = postgres.noted(directory)
        try:
            version = _version(store.engine)
            if known is not None and version is None:
                raise StoreError(
                    f"the store of {directory} was made at {known}, and there is none at {place}. "
                    f"Give the right address, or move {directory / postgres.NOTE} away to begin with an empty store"
                )
            if version != HEAD:
                from rungwise.data.migrate import upgrade

                with postgres.alone_at(store.engine, place.schema) as connection:  # two first commands may come at once
                    upgrade(connection)
            if known is None:
                if (directory / FILE).exists():
                    from rungwise.data.moving import move

                    move(_engine(directory / FILE), store.engine)
                postgres.note(directory, place)
        except BaseException:
            store.close()
            raise
        return store

    @property
    def is_remote(self) -> bool:
        """Whether the store is on a server, and only the blobs are in the directory."""
        return self.engine.dialect.name == "postgresql"

    @staticmethod
    def is_in(directory: Path) -> bool:
        """Whether a directory has a store."""
        return (directory / FILE).is_file() or postgres.noted(directory) is not None

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
                f"cannot write to {self.place}: {error.orig}. "
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
            raise _unreadable(self.directory, self.place, error.orig) from error

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
        from rungwise.data.dialect import insert
        from rungwise.data.schema import settings

        statement = insert(self.engine, settings).values([{"name": name, "value": value} for name, value in values.items()])
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
                with self.engine.begin() as connection:
                    upgrade(connection)


def _unreadable(directory: Path, place: str, why: object) -> StoreError:
    """The error for a database that cannot be read. The ledger of openings is in it, so nobody is told to throw it away lightly."""
    if place != str(directory / FILE):
        return StoreError(f"cannot read {place}: {str(why).strip()}. Check that the server runs, and its address, user and rights")
    if not any(sign in str(why) for sign in ("malformed", "not a database")):
        return StoreError(f"cannot read {place}: {why}. Check the disk, its free space and permissions, then run it again")
    return StoreError(
        f"{place} is damaged ({why}). Put back a copy of {directory}, or move it away and climb again: "
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

    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": WAIT_S})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        write_ahead(connection)
        connection.execute("pragma foreign_keys=on")

    return engine
