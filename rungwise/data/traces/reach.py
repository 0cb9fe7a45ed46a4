"""What else of a store holds something of a trace: answers kept to be given again, and rows of data made from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rungwise.data.store import Store

_AT_ONCE = 500


def forget_replies(store: Store, traces: Sequence[str]) -> int:
    """Delete the answers that were kept to be given again; how many they were."""
    from sqlalchemy import delete

    from rungwise.data.schema import replies

    gone = 0
    for some in _portions(traces):
        with store.write() as connection:
            gone += connection.execute(delete(replies).where(replies.c.trace.in_(some))).rowcount
    return gone


def rows_made_of(store: Store, traces: Sequence[str]) -> list[str]:
    """The ids of rows of data that were made from these traces."""
    from sqlalchemy import select

    from rungwise.data.schema import edges

    found: set[str] = set()
    for some in _portions(traces):
        with store.read() as connection:
            found.update(connection.execute(select(edges.c.child).where(edges.c.parent.in_(some))).scalars())
    return sorted(found)


def _portions(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]
