"""What SQLite and PostgreSQL say differently: inserts that may meet a row, and who writes first."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Table
    from sqlalchemy.dialects.postgresql import Insert

_WRITERS = 0x52756E67
"""The advisory lock of writers that look before they write, in the schema's own number space."""


def insert(where: Connection | Engine, table: Table) -> Insert:
    """An insert with `on_conflict_do_nothing` and `on_conflict_do_update`, which both databases know in the same words."""
    if where.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return cast("Insert", sqlite.insert(table))


def write_first(connection: Connection) -> None:
    """Take the write lock before the first look, so that two transactions that read and then write come one after the other.

    Must be the first statement of the transaction; the lock ends with it.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"select pg_advisory_xact_lock({_WRITERS}, hashtext(current_schema()))")
    else:
        connection.exec_driver_sql("begin immediate")
