"""Answers to requests that may be sent twice, kept durably under the key of the request."""

from __future__ import annotations

from dataclasses import dataclass

from rungwise.data.store import Store

CLAIMED = 0  # the status of a row whose answer is being made


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with the trace that it was first given in."""

    status: int
    body: str
    trace: str


class Replies:
    """The table `replies`: claimed before the answer is made, filled when it is, forgotten when its time is over."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def claim(self, key: str, trace: str, *, until: float, takeover_s: float) -> Reply | None:
        """Claim a key for this trace. None: it is ours to answer. A reply: it was answered, or, with status CLAIMED, is being.

        A claim that nobody has held for `takeover_s` belonged to a process that died; it is taken over.
        """
        from sqlalchemy import delete, select

        from rungwise.data.dialect import insert
        from rungwise.data.schema import replies

        now = self._store.clock.now()
        stale = (replies.c.until < now) | ((replies.c.status == CLAIMED) & (replies.c.at < now - takeover_s))
        with self._store.read() as connection:  # whoever waits looks often, and must not keep others from writing
            found = connection.execute(select(replies).where(replies.c.key == key, ~stale)).one_or_none()
            if found is not None and found.trace != trace:
                return Reply(found.status, found.body, found.trace)
        with self._store.write() as connection:
            connection.execute(delete(replies).where(replies.c.key == key, stale))
            row = {"key": key, "status": CLAIMED, "body": "", "trace": trace, "at": now, "until": until}
            connection.execute(insert(connection, replies).values(row).on_conflict_do_nothing())
            found = connection.execute(select(replies).where(replies.c.key == key)).one()
        return None if found.trace == trace else Reply(found.status, found.body, found.trace)

    def hold(self, key: str, trace: str) -> None:
        """Say that a claim is still being answered, so that nobody takes it over."""
        from sqlalchemy import update

        from rungwise.data.schema import replies

        mine = (replies.c.key == key) & (replies.c.trace == trace) & (replies.c.status == CLAIMED)
        with self._store.write() as connection:
            connection.execute(update(replies).where(mine).values(at=self._store.clock.now()))

    def fill(self, key: str, reply: Reply) -> None:
        """Keep the answer to a request that was claimed; not where somebody else has taken it over since."""
        from sqlalchemy import update

        from rungwise.data.schema import replies

        with self._store.write() as connection:
            values = {"status": reply.status, "body": reply.body}
            connection.execute(update(replies).where(replies.c.key == key, replies.c.trace == reply.trace).values(values))

    def release(self, key: str, trace: str) -> None:
        """Give a claim back: the request failed, and may be sent again."""
        from sqlalchemy import delete

        from rungwise.data.schema import replies

        with self._store.write() as connection:
            connection.execute(delete(replies).where(replies.c.key == key, replies.c.trace == trace, replies.c.status == CLAIMED))

    def forget(self) -> int:
        """Delete answers whose time is over; how many they were."""
        from sqlalchemy import delete

        from rungwise.data.schema import replies

        with self._store.write() as connection:
            return connection.execute(delete(replies).where(replies.c.until < self._store.clock.now())).rowcount
