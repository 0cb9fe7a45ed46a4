"""Group commit: writes that arrive together share one transaction, and each is acknowledged after its commit."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rungwise.data.store import Store

if TYPE_CHECKING:
    from sqlalchemy.sql.dml import UpdateBase

Write = tuple["UpdateBase", Mapping[str, Any]]


class Commits:
    """Writes of many tasks of one event loop, one transaction at a time in a thread.

    While a transaction is being written the next one gathers, so that the number of
    fsyncs follows the disk and not the number of calls.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pending: list[tuple[Write, asyncio.Future[None]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writing: asyncio.Task[None] | None = None

    def add(self, statement: UpdateBase, values: Mapping[str, Any]) -> asyncio.Future[None]:
        """Write one row. The future is done once it is committed; it raises StoreError when it cannot be.

        Pass the same statement object for rows of the same kind: they become one executemany.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # the loop that used it before has ended, and its tasks with it
            self._loop, self._pending, self._writing = loop, [], None
        done: asyncio.Future[None] = loop.create_future()
        self._pending.append(((statement, values), done))
        if self._writing is None or self._writing.done():
            self._writing = loop.create_task(self._write_all())
        return done

    async def _write_all(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            failure: Exception | None = None
            try:
                await asyncio.to_thread(self._write, [write for write, _ in batch])
            except Exception as error:  # noqa: BLE001 - boundary: whoever waits for this batch must learn of it, whatever it is
                failure = error
            for _, done in batch:
                if done.done():  # its task was cancelled; the row is written all the same
                    continue
                if failure is None:
                    done.set_result(None)
                else:
                    done.set_exception(failure)

    def _write(self, batch: list[Write]) -> None:
        groups: dict[int, tuple[UpdateBase, list[Mapping[str, Any]]]] = {}
        for statement, values in batch:
            groups.setdefault(id(statement), (statement, []))[1].append(values)
        with self._store.write() as connection:
            # inserts first: a row may be settled in the very batch that first writes it
            for statement, rows in sorted(groups.values(), key=lambda group: group[0].is_update):
                connection.execute(statement, rows)
