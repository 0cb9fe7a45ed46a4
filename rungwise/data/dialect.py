"""What SQLite and PostgreSQL say differently: inserts that may meet a row, who writes first, what is gone for good."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Engine, Table
    from sqlalchemy.dialects.postgresql import Insert

_WRITERS = 0x52756E67
"""The advisory lock of writers that look before they write, in the schema's own number space."""


def insert(where: Connection | Engine, table: Table) -> Insert:
    """An insert with `on_conflict_do_nothing` and `on_conflict_do_update`, which both databases know in the same words."""
    if _is_server(where):
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table).execution_options(preserve_rowcount=True)  # whether the row was new
    from sqlalchemy.dialects import sqlite

    return cast("Insert", sqlite.insert(table))


def write_first(connection: Connection) -> None:
    """Take the write lock before the first look, so that two transactions that read and then write come one after the other.

    Must be the first statement of the transaction; the lock ends with it.
    """
    if _is_server(connection):
        connection.exec_driver_sql(f"select pg_advisory_xact_lock({_WRITERS}, hashtext(current_schema()))")
    else:
        connection.exec_driver_sql("begin immediate")


def among(where: Connection | Engine, column: ColumnElement[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """Whether a column has one of many values: one JSON parameter instead of thousands of bound ones."""
    from sqlalchemy import text

    listed = "json_array_elements_text(cast(:listed as json))" if _is_server(where) else "value from json_each(:listed)"
    return column.in_(text(f"select {listed}").bindparams(listed=json.dumps(list(values))))


def field(where: Connection | Engine, column: ColumnElement[Any], *path: str) -> ColumnElement[Any]:
    """A text within a column of JSON. No part of the path may hold a quote."""
    from sqlalchemy import JSON, cast, func

    if _is_server(where):
        return func.json_extract_path_text(cast(column, JSON), *path)
    return func.json_extract(column, "$" + "".join(f'."{part}"' for part in path))


def holds(where: Connection | Engine, column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Whether a column contains a text, letter by letter."""
    from sqlalchemy import func

    place = func.strpos if _is_server(where) else func.instr
    return place(column, text) > 0


def forget_for_good(connection: Connection) -> None:
    """From here on, what this connection deletes is overwritten. PostgreSQL cannot; there `write_anew` does it."""
    if not _is_server(connection):
        connection.exec_driver_sql("pragma secure_delete=on")


def write_anew(connection: Connection, tables: Sequence[str]) -> None:
    """Write the database anew without what was deleted; outside of a transaction."""
    if _is_server(connection):
        for table in tables:
            connection.exec_driver_sql(f'vacuum (full, analyze) "{table}"')
    else:
        forget_for_good(connection)
        connection.exec_driver_sql("vacuum")


def empty_journal(connection: Connection) -> bool:
    """Empty the journal of what was deleted; False while a reader holds it.

    A PostgreSQL server's journal is its own affair: it holds old rows until the server writes over it.
    """
    return _is_server(connection) or not connection.exec_driver_sql("pragma wal_checkpoint(truncate)").scalar()


def _is_server(where: Connection | Engine) -> bool:
    return where.dialect.name == "postgresql"
