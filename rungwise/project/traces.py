"""`ProjectTraces`: what was asked and answered, what it cost, and how it is forgotten."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rungwise.core.errors import UsageError
from rungwise.core.types import Clock
from rungwise.data.spec import FILE, read_serving
from rungwise.data.store import Store
from rungwise.data.traces.query import Query

if TYPE_CHECKING:
    from rungwise.core.trace import Trace
    from rungwise.data.traces.sums import Sum

DAY_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """What an erasure removed, or would: traces, judgements on them, answers kept to be given again.

    `rows` are rows of data that were made from them and stay until they are erased themselves. Without `wiped` somebody read
    the traces meanwhile, and their bytes are overwritten by the next erasure.
    """

    traces: int
    feedback: int = 0
    replies: int = 0
    rows: tuple[str, ...] = ()
    wiped: bool = True
    done: bool = True


class ProjectTraces:
    """The traces of a project folder. `where` is as in `user=ann and usd>0.01 and at>=7d`: type rungwise traces --help."""

    def __init__(self, directory: Path, clock: Clock, state: Path) -> None:
        self.directory, self.clock, self.state = directory, clock, state

    def search(self, where: str = "", *, after: str | None = None, limit: int | None = None) -> Iterator[Trace]:
        """The traces that are wanted, newest first, with `after` those behind the trace with that id.

        Raises UsageError or UnknownName for a condition that cannot be read, or an `after` that is not there.
        """
        from rungwise.data.traces.door import archive_of

        with self._store() as store:
            archive = archive_of(store)
            last = None if after is None else archive.get(after)
            if after is not None and last is None:
                raise UsageError(f"there is no trace '{after}' to go on from. Leave --after out to begin with the newest")
            cursor = None if last is None else (last.at, last.id)
            with contextlib.closing(archive.search(self._query(store, where), after=cursor, limit=limit)) as found:
                yield from found

    def get(self, id: str) -> Trace:
        """The trace with an id, or with one that begins so. Raises UsageError when there is none, or more than one."""
        from rungwise.data.traces.door import archive_of

        with self._store() as store:
            archive = archive_of(store)
            found = archive.get(id)
            some = [found] if found is not None else list(archive.search(Query().where("id", "=", id), limit=2)) if id else []
        if len(some) != 1:
            what = "more than one trace begins" if some else "there is no trace that begins"
            raise UsageError(f"{what} with '{id}' in {self.directory}. List them: rungwise traces {self.directory}")
        return some[0]

    def sums(self, where: str = "", *, by: str | None = None) -> list[Sum]:
        """What the traces that are wanted cost and took, the dearest group first; `by` is a field such as user or tag.team."""
        from rungwise.data.traces.door import archive_of

        with self._store() as store:
            return archive_of(store).sums(self._query(store, where), by=by)

    def erase(self, where: str, *, dry_run: bool = False, agree: Callable[[int], bool] = lambda _: True) -> Forgotten:
        """Remove the traces that are wanted for good, with the judgements on them and the answers kept to be given again.

        `agree` is told how many traces they are before any goes. Raises UsageError without a condition.
        """
        from rungwise.data.audit import Audit
        from rungwise.data.traces.door import archive_of

        if not where.strip():
            raise UsageError(
                f"which traces are to be erased? Write for instance: rungwise traces {self.directory} --erase --where user=ann"
            )
        with self._store() as store:
            archive, query = archive_of(store), self._query(store, where)
            wanted = sum(one.traces for one in archive.sums(query))
            if dry_run or not agree(wanted):
                return Forgotten(traces=wanted, done=False)
            removed = archive.erase(query)
            Audit(store).add("unnamed", "erase", "traces", {"where": where, "traces": len(removed.ids)})
            return self._forgotten(store, removed.ids, wiped=removed.wiped)

    def expire(self) -> Forgotten:
        """Remove what is older than `retention_days` of the section serve in rungwise.yaml; nothing where that is not set.

        Judgements stay: comparisons go on with them. A server does this by itself.
        """
        from rungwise.data.traces.door import archive_of
        from rungwise.data.traces.reach import forget_replies

        days = read_serving(self.directory / FILE).retention_days
        if days is None:
            return Forgotten(traces=0)
        with self._store() as store:
            removed = archive_of(store).expire(self.clock.now() - days * DAY_S)
            return Forgotten(traces=len(removed.ids), replies=forget_replies(store, removed.ids), wiped=removed.wiped)

    def _query(self, store: Store, where: str) -> Query:
        from rungwise.data.feedback import Judgements
        from rungwise.data.traces.where import parse_where

        return parse_where(where, now=self.clock.now(), judged=lambda thumb: Judgements(store).judged(thumb=thumb))

    def _forgotten(self, store: Store, ids: Sequence[str], *, wiped: bool) -> Forgotten:
        """Remove what was kept because of these traces."""
        from rungwise.data.feedback import Judgements
        from rungwise.data.reviews import Reviews
        from rungwise.data.traces.reach import forget_replies, rows_made_of

        Reviews(store).erase(ids)
        return Forgotten(
            traces=len(ids),
            feedback=Judgements(store).erase(ids),
            replies=forget_replies(store, ids),
            rows=tuple(rows_made_of(store, ids)),
            wiped=wiped,
        )

    @contextlib.contextmanager
    def _store(self) -> Iterator[Store]:
        if not self.state.is_dir():
            raise UsageError(
                f"{self.directory} has no traces: nothing was answered there yet. Type: rungwise serve {self.directory}"
            )
        store = Store.open(self.state, clock=self.clock)
        try:
            yield store
        finally:
            store.close()
