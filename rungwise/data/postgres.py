"""PostgreSQL as a project's store: the address, one schema for each project, and the note in the folder that says where."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import MissingExtra, StoreError, UsageError
from rungwise.data.blobs import write_durably

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

NOTE = "store.json"
EXAMPLE = "postgresql://user:password@host:5432/database"
CONNECT_S, LOCK_S = 10, 30
_DRIVERS = ("postgresql", "postgres", "postgresql+psycopg")
_OPENERS = 0x52756E68
"""The advisory lock of those who make or change a schema."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a project's store is: the address without its password, and the schema."""

    address: str
    schema: str

    def __str__(self) -> str:
        return f"{self.address} (schema {self.schema})"


def noted(directory: Path) -> Place | None:
    """What the state directory says of its store on a server; None where its store is a file, or not made yet."""
    try:
        known = json.loads((directory / NOTE).read_text(encoding="utf-8"))
        return Place(address=known["address"], schema=known["schema"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{directory / NOTE} is damaged. It should hold the address and the schema of the store") from error


def note(directory: Path, place: Place) -> None:
    """Keep in the state directory where its store is."""
    if noted(directory) != place:
        body = json.dumps({"address": place.address, "schema": place.schema}, indent=2)
        write_durably(directory / NOTE, body.encode())


def place_of(directory: Path, url: str) -> Place:
    """The place of a project's store at an address: the schema that the folder knows, or one named after the folder.

    Raises UsageError for an address that is none, or that is not PostgreSQL's.
    """
    known = noted(directory)
    address = _parsed(url).set(drivername="postgresql").render_as_string(hide_password=True)
    return Place(address=address, schema=known.schema if known else _schema(directory))


def connect(url: str, place: Place) -> Engine:
    """An engine whose every connection works in the project's schema and commits to disk. Raises MissingExtra."""
    from sqlalchemy import create_engine

    parsed = _parsed(url)
    # Compiling a query takes longer than any of ours.
    ours = {"search_path": place.schema, "synchronous_commit": "on", "lock_timeout": f"{LOCK_S}s", "jit": "off"}
    options = " ".join([str(parsed.query.get("options", "")), *(f"-c {name}={value}" for name, value in ours.items())]).strip()
    settings: dict[str, Any] = {
        "options": options,
        "connect_timeout": CONNECT_S,
        "tcp_user_timeout": LOCK_S * 1000,  # a server that fell silent is gone
        "application_name": "rungwise",
    }
    try:
        # A server that was started again has cut the connections of the pool: each is tried before it is used.
        given = {name: value if isinstance(value, str) else ",".join(value) for name, value in parsed.query.items()}
        return create_engine(parsed.set(query={}), connect_args={**given, **settings}, pool_pre_ping=True)
    except ImportError as error:
        raise MissingExtra("PostgreSQL as the store", "server") from error


@contextmanager
def alone_at(engine: Engine, schema: str) -> Iterator[Connection]:
    """A transaction in which nobody else makes or changes the schema, which is there from then on."""
    from sqlalchemy import text

    with engine.begin() as connection:
        connection.execute(text("select pg_advisory_xact_lock(:lock, hashtext(:schema))"), {"lock": _OPENERS, "schema": schema})
        connection.exec_driver_sql(f'create schema if not exists "{schema}"')
        yield connection


def _parsed(url: str) -> URL:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise UsageError(f"the address of the store cannot be read. Write it as {EXAMPLE}") from error
    if parsed.drivername not in _DRIVERS:
        raise UsageError(
            f"the store cannot be a database of the kind '{parsed.drivername}'. Write {EXAMPLE}, "
            "or leave it out: then it is a file in the project"
        )
    return parsed.set(drivername="postgresql+psycopg")


def _schema(directory: Path) -> str:
    """Named after the project's folder, and told apart from others of its name by the digest of its path."""
    whole = directory.resolve()
    name = re.sub("[^a-z0-9]+", "_", whole.parent.name.lower()).strip("_")[:40]
    return f"rungwise_{name}_{hashlib.sha256(str(whole).encode()).hexdigest()[:8]}"
