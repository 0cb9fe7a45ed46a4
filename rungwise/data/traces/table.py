"""Traces in a table of the project's schema on PostgreSQL: written by COPY, one commit for whatever waits together."""

from __future__ import annotations

import heapq
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import StoreError
from rungwise.core.trace import Trace
from rungwise.data.store import Store
from rungwise.data.traces import segments
from rungwise.data.traces.conditions import decides, where
from rungwise.data.traces.query import Query
from rungwise.data.traces.removal import Removed
from rungwise.data.traces.rows import COLUMNS, Row, cleaned, row_of, tag_words, trace_of
from rungwise.data.traces.search import FETCHED, Cursor
from rungwise.data.traces.sums import DAY, DAY_S, Sum, check_group, in_order, of_traces

if TYPE_CHECKING:
    from psycopg import Connection

VERSION = "1"
"""The schema of the table, in its comment."""
MOST = 4 * FETCHED
"""Rows that are read at a time by those who read to the end."""
STEP = 500
"""Rows that are deleted in one transaction."""

_NUMBERS = {"at": "float8", "seconds": "float8", "usd": "float8"} | dict.fromkeys(
    ("status", "input_tokens", "output_tokens"), "int8"
)
_ID, _AT = COLUMNS.index("id"), COLUMNS.index("at")
_LISTED = ", ".join(f'"{name}"' for name in COLUMNS)
_TEXT = 'text collate "C"'  # compared letter by letter, as in the files
_TYPED = ", ".join(f'"{name}" {_NUMBERS.get(name, _TEXT)}' for name in COLUMNS)
# The more is known of rare values, the better it is told whether to go back in time or through an index.
_SCHEMA = f"""
create table traces ({_TYPED}, tag_words text[] collate "C");
alter table traces alter usd set statistics 1000, alter "user" set statistics 1000, alter tag_words set statistics 1000;
create index traces_at on traces (at desc, id desc);
create index traces_id on traces (id);
create index traces_user on traces ("user", at desc, id desc);
create index traces_tenant on traces (tenant, at desc, id desc);
create index traces_usd on traces (usd);
create index traces_tags on traces using gin (tag_words);
create index traces_response on traces (response_id) where response_id is not null;
comment on table traces is '{VERSION}';
"""


class TableSink:
    """Where a process writes its traces. It is used by one thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: Any = None
        with _told(store, "written"):
            prepare(store)

    def write(self, traces: Sequence[Trace]) -> None:
        """Commit traces. Raises StoreError, and then none of them is there."""
        rows = [row_of(trace) for trace in traces]
        import psycopg

        try:
            with _told(self._store, "written"):
                try:
                    self._copy(rows)
                except (psycopg.DataError, UnicodeEncodeError):
                    self._copy([cleaned(row) for row in rows])
        except StoreError:
            self._let_go()  # after a failed commit nothing may be assumed about this connection
            raise

    def tidy(self) -> None:
        """The server keeps its own house."""

    def close(self) -> None:
        """Let go of the connection."""
        self._let_go()

    def _copy(self, rows: Sequence[Row]) -> None:
        if self._held is None:
            self._held = self._store.engine.raw_connection()
        connection: Connection[Any] = self._held.driver_connection
        try:
            with connection.cursor() as cursor, cursor.copy(f"copy traces ({_LISTED}, tag_words) from stdin") as copy:
                for row in rows:
                    copy.write_row((*row, _words(row)))
            connection.commit()
        except BaseException:
            connection.rollback()
            raise

    def _let_go(self) -> None:
        if self._held is not None:
            with suppress(Exception):  # it may be cut off already
                self._held.invalidate()
            self._held = None


class TraceTable:
    """The traces of a project on PostgreSQL, to be read and removed."""

    def __init__(self, store: Store) -> None:
        self.store = store
        with _told(store, "read"):
            prepare(store)

    def search(self, query: Query, *, after: Cursor | None = None, limit: int | None = None) -> Generator[Trace]:
        """The traces that a query wants, newest first, as they are when the first is given."""
        clause, values = where(query)
        size, given = min(limit or FETCHED, FETCHED), 0
        with self._reading() as connection:
            while limit is None or given < limit:
                page, of = (clause, values) if after is None else (f"{clause} and (at, id) < (%s, %s)", [*values, *after])
                # With a limit the planner knows how soon it may end; a cursor's reader may go on for ever.
                statement = f"select {_LISTED} from traces where {page} order by at desc, id desc limit {size}"
                rows = connection.execute(statement, of).fetchall()
                found = [trace for trace in map(trace_of, rows) if query.holds(trace)]
                for trace in found[: None if limit is None else limit - given]:
                    given += 1
                    yield trace
                if len(rows) < size:
                    return
                after, size = (rows[-1][_AT], rows[-1][_ID]), min(size * 4, MOST)

    def get(self, id: str) -> Trace | None:
        """The trace with an id, or None."""
        return self._first(Query(ids=frozenset((id,))))

    def by_response_id(self, response_id: str) -> Trace | None:
        """The newest trace whose answer had this id, or None."""
        return self._first(Query().where("response_id", "=", response_id))

    def sums(self, query: Query, *, by: str | None = None) -> list[Sum]:
        """Sums of the traces that a query wants, the dearest group first; without `by` one for all of them."""
        check_group(by)
        if not decides(query.conditions) or (by not in (None, DAY) and by not in segments.NAMES):
            return in_order(of_traces(self.search(query), by).values())
        clause, values = where(query)
        group = "null::text" if by is None else f"floor(at / {DAY_S})::bigint::text" if by == DAY else f'"{by}"'
        statement = (
            f"select {group}, count(*), count(*) filter (where status >= 400), sum(usd), sum(seconds), sum(input_tokens), "
            f"sum(output_tokens) from traces where {clause} group by 1"
        )
        with self._reading() as connection:
            rows = connection.execute(statement, values).fetchall()
        names = ("value", "traces", "failed", "usd", "seconds", "input_tokens", "output_tokens")
        return in_order([Sum(**dict(zip(names, (*row[:5], int(row[5]), int(row[6])), strict=True))) for row in rows])

    def erase(self, query: Query) -> Removed:
        """Remove every trace that a query wants, and write the table anew without them. Killed on the way, the same call goes on.

        What the server's own journal and its backups hold of them goes when the server, or whoever runs it, lets go of it.
        """
        ids = [trace.id for trace in self.search(query)]
        for start in range(0, len(ids), STEP):
            self._delete("id = any(%s)", ids[start : start + STEP])
        if ids:
            self._vacuum(full=True)
        return Removed(ids=tuple(ids))

    def expire(self, before: float) -> Removed:
        """Remove every trace of before a moment (seconds since 1970). Writers go on; later rows come to lie over the old ones."""
        ids: list[str] = []
        oldest = f"ctid = any(array(select ctid from traces where at < %s order by at limit {STEP}))"
        while gone := self._delete(oldest, before):
            ids += gone
        if ids:
            self._vacuum(full=False)
        return Removed(ids=tuple(ids))

    def _first(self, query: Query) -> Trace | None:
        with closing(self.search(query, limit=1)) as found:
            return next(found, None)

    def _delete(self, clause: str, value: Any) -> list[str]:
        with _connected(self.store, "removed") as connection:
            gone = [id for (id,) in connection.execute(f"delete from traces where {clause} returning id", (value,))]
            connection.commit()
        return gone

    def _vacuum(self, *, full: bool) -> None:
        with _connected(self.store, "removed") as connection:
            connection.autocommit = True
            try:
                connection.execute(f"vacuum ({'full, ' if full else ''}analyze) traces")
            finally:
                connection.autocommit = False

    @contextmanager
    def _reading(self) -> Iterator[Connection[Any]]:
        """One view from the first look to the end; writers go on meanwhile."""
        with _connected(self.store, "read") as connection:
            connection.execute("set transaction isolation level repeatable read read only")
            yield connection


def prepare(store: Store) -> None:
    """Make the table where there is none. Raises StoreError for one that a newer version made."""
    from sqlalchemy import text

    from rungwise.data.dialect import write_first

    look = text("select coalesce(obj_description(c.oid), '') from pg_class c where c.oid = to_regclass('traces')")
    with store.engine.begin() as connection:
        known = connection.execute(look).scalar()
        if known is None:
            write_first(connection)  # two workers may come at once
            known = connection.execute(look).scalar()
        if known is None:
            connection.exec_driver_sql(_SCHEMA)
        elif known != VERSION:
            raise StoreError(f"traces at {store.place} were written by a newer version of Rungwise. Type: pip install -U rungwise")


def newest_first(*sorted_traces: Generator[Trace], limit: int | None = None) -> Generator[Trace]:
    """Several searches as one."""
    try:
        merged = heapq.merge(*sorted_traces, key=lambda trace: (trace.at, trace.id), reverse=True)
        yield from islice(merged, limit)
    finally:
        for one in sorted_traces:
            one.close()


@contextmanager
def _connected(store: Store, what: str) -> Iterator[Connection[Any]]:
    with _told(store, what), closing(store.engine.raw_connection()) as held:
        connection: Any = held.driver_connection
        yield connection


@contextmanager
def _told(store: Store, what: str) -> Iterator[None]:
    import psycopg
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except (psycopg.DataError, UnicodeEncodeError):
        raise
    except (psycopg.Error, DBAPIError) as error:
        why = error.orig if isinstance(error, DBAPIError) else error
        raise StoreError(
            f"traces cannot be {what} at {store.place}: {str(why).strip()}. See to the server; it goes on by itself, "
            "and nothing that was acknowledged is lost"
        ) from error


def _words(row: Row) -> list[str] | None:
    import msgspec

    tags = row[COLUMNS.index("tags")]
    if not isinstance(tags, str):
        return None
    found = msgspec.json.decode(tags)
    return (
        [word.encode("utf-8", "replace").decode().replace("\0", "�") for word in tag_words(found)]
        if isinstance(found, dict)
        else None
    )
