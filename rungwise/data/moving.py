"""Takes a project's store from its file to a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Table

_AT_ONCE = 1_000


def move(file: Engine, server: Engine) -> None:
    """Copy every row of a store in a file to one on a server, in one transaction. The file stays as it is.

    A row that is there already stands, so that a move that was killed is simply made again.
    """
    from rungwise.data.migrate import upgrade
    from rungwise.data.schema import metadata

    try:
        with file.begin() as reading, server.begin() as writing:
            reading.exec_driver_sql("begin immediate")  # nobody writes to the file while it is read
            upgrade(reading)
            for table in metadata.sorted_tables:
                _copy(reading, writing, table)
    finally:
        file.dispose()


def _copy(reading: Connection, writing: Connection, table: Table) -> None:
    from sqlalchemy import select

    from rungwise.data.dialect import insert

    statement = insert(writing, table).on_conflict_do_nothing()
    for rows in reading.execute(select(table)).mappings().partitions(_AT_ONCE):
        writing.execute(statement, [dict(row) for row in rows])
    counter = table.autoincrement_column
    if counter is not None:  # numbers go on after the last
        writing.exec_driver_sql(
            f"select setval(pg_get_serial_sequence('{table.name}', '{counter.name}'), "
            f"(select coalesce(max({counter.name}), 0) + 1 from {table.name}), false)"
        )
