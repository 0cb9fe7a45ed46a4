"""Answers that people look at, and what they said of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rungwise.core.record import canonical_json, digest
from rungwise.data.dialect import insert
from rungwise.data.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row, Select

OPEN, ADJUDICATE, AGREED, CLOSING, CLOSED, GONE = STATES = ("open", "adjudicate", "agreed", "closing", "closed", "gone")
FINAL = (AGREED, CLOSING, CLOSED)
"""The states in which an item has its last word. While it is agreed, that may still be taken back."""

RANDOM, FLAGGED, DISAGREEING, DRIFTED, UNCERTAIN = REASONS = ("random", "flagged", "disagreeing", "drifted", "uncertain")

RIGHT, WRONG, LABEL, CORRECTION, OTHER, BOTH, SKIP, FLAG = KINDS = (
    "right",
    "wrong",
    "label",
    "correction",
    "other",
    "both",
    "skip",
    "flag",
)

_NAMED_AT_ONCE = 500
_EVER = 10**6  # a day that nobody will see


@dataclass(frozen=True, kw_only=True)
class Item:
    """An answer that people shall look at.

    `chance` is the probability with which the trace came into the queue by any draw of its day, so that 1 / chance is its design
    weight; 0 where it was not drawn by chance. `reason` is the first of `reasons`. `other` is the trace of the second answer of a
    blind pair, which is shown first where `swapped`. `copies` people judge it, unseen by one another. `labels`: the answers are
    labels of a fixed set.
    """

    trace: str
    day: int
    reason: str
    chance: float = 0.0
    reasons: tuple[str, ...] = ()
    tenant: str | None = None
    other: str | None = None
    swapped: bool = False
    copies: int = 1
    labels: bool = True
    state: str = OPEN
    at: float = 0.0

    @property
    def id(self) -> str:
        """16 digits out of the trace's id: a trace is one item at most."""
        return digest(["review", self.trace])[:16]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """An item of a day with its last word: `correct` is 1 or 0, None while there is none; `wanted` what should have been said
    where that is known, `at` when it was decided, `reviewers` who did. `chance` is as in `Item`."""

    id: str
    trace: str
    day: int
    chance: float
    reason: str
    correct: float | None
    wanted: str | None
    at: float | None
    state: str
    reviewers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a reviewer said. `wanted` is the label or the text that would have been right; of 'right' it is the answer itself.

    'right' and 'wrong' are of the answer; of a blind pair 'right' means that only the live answer is, 'other' only the other one,
    'both' and 'wrong' (neither) speak for themselves. 'flag' asks that somebody else decides, 'skip' says nothing.
    """

    kind: str
    wanted: str | None = None
    comment: str | None = None

    @property
    def correct(self) -> float | None:
        """Whether the live answer is right; None where that is not said."""
        return None if self.kind in (SKIP, FLAG) else float(self.kind in (RIGHT, BOTH))


@dataclass(frozen=True, kw_only=True)
class Given:
    """A verdict as it is kept. `decides`: it was given to settle what others differed on."""

    n: int
    review: str
    reviewer: str
    verdict: Verdict
    seconds: float
    at: float
    decides: bool = False


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """How many items have no last word: in all, of those how many wait for somebody to settle a difference, by reason, and when
    the oldest was drawn."""

    open: int = 0
    adjudicate: int = 0
    reasons: tuple[tuple[str, int], ...] = ()
    oldest_at: float | None = None


class Reviews:
    """The review queue of a store. With `tenant` only what belongs to that tenant is seen; None sees all of it."""

    def __init__(self, store: Store, *, tenant: str | None = None) -> None:
        self.store, self.tenant = store, tenant

    def put(self, items: Sequence[Item]) -> int:
        """Add items in one transaction; those of traces that are items already are left as they are. How many were new."""
        from rungwise.data.schema import reviews

        with self.store.write() as connection:
            statement = insert(connection, reviews).on_conflict_do_nothing()
            return sum(connection.execute(statement.values(_values(one))).rowcount for one in items)

    def get(self, id: str) -> Item | None:
        """The item with an id."""
        from sqlalchemy import select

        from rungwise.data.schema import reviews

        with self.store.read() as connection:
            found = connection.execute(self._own(select(reviews).where(reviews.c.id == id))).one_or_none()
        return None if found is None else item_of(found)

    def drawn(self, first_day: int, last_day: int) -> list[Drawn]:
        """The items of these days (counted since 1970, both included), by day and id."""
        from sqlalchemy import select

        from rungwise.data.schema import reviews

        query = select(reviews).where(reviews.c.day >= first_day, reviews.c.day <= last_day)
        with self.store.read() as connection:
            return [_drawn(row) for row in connection.execute(self._own(query).order_by(reviews.c.day, reviews.c.id))]

    def random_traces(self) -> set[str]:
        """The traces of items that were drawn by plain chance and have their last word: a fair sample of the traffic."""
        from sqlalchemy import select

        from rungwise.data.schema import reviews

        query = select(reviews.c.trace).where(reviews.c.reason == RANDOM, reviews.c.state.in_(FINAL))
        with self.store.read() as connection:
            return set(connection.execute(self._own(query)).scalars())

    def unnamed(self) -> float:
        """The share of the wrong answers among the items drawn by plain chance of which nobody said what is right; 0 without any.

        A right answer is a row by itself and a wrong one needs a label: where they are missing, rows would be too easy a sample.
        """
        wrong = [one for one in self.drawn(0, _EVER) if one.reason == RANDOM and one.correct == 0.0]
        return sum(one.wanted is None for one in wrong) / len(wrong) if wrong else 0.0

    def waiting(self) -> Waiting:
        """What has no last word yet."""
        from sqlalchemy import func, select

        from rungwise.data.schema import reviews

        columns = (reviews.c.state, reviews.c.reason, func.count(), func.min(reviews.c.at))
        query = select(*columns).where(reviews.c.state.in_((OPEN, ADJUDICATE))).group_by(reviews.c.state, reviews.c.reason)
        with self.store.read() as connection:
            groups = [tuple(row) for row in connection.execute(self._own(query))]
        counts = {one: sum(n for _, reason, n, _ in groups if reason == one) for one in REASONS}
        return Waiting(
            open=sum(counts.values()),
            adjudicate=sum(n for state, _, n, _ in groups if state == ADJUDICATE),
            reasons=tuple((reason, n) for reason, n in counts.items() if n),
            oldest_at=min((at for *_, at in groups), default=None),
        )

    def given(self) -> list[Given]:
        """Every verdict that stands, in order."""
        from sqlalchemy import select

        from rungwise.data.schema import review_verdicts as said
        from rungwise.data.schema import reviews

        query = select(said).join(reviews, reviews.c.id == said.c.review).where(said.c.undone_at.is_(None)).order_by(said.c.n)
        with self.store.read() as connection:
            return [given_of(row) for row in connection.execute(self._own(query))]

    def erase(self, traces: Sequence[str]) -> int:
        """Remove the items of these traces with what was said of them; how many items there were."""
        from sqlalchemy import delete, or_, select

        from rungwise.data.schema import review_verdicts as said
        from rungwise.data.schema import reviews

        gone = 0
        with self.store.write() as connection:
            for some in _portions(traces):
                own = or_(reviews.c.trace.in_(some), reviews.c.other.in_(some))
                connection.execute(delete(said).where(said.c.review.in_(select(reviews.c.id).where(own))))
                gone += connection.execute(delete(reviews).where(own)).rowcount
        return gone

    def _own(self, query: Select[Any]) -> Select[Any]:
        from rungwise.data.schema import reviews

        return query if self.tenant is None else query.where(reviews.c.tenant == self.tenant)


def item_of(row: Row[Any]) -> Item:
    """The item in a row of the table."""
    body = json.loads(row.body)
    return Item(
        trace=row.trace,
        day=row.day,
        reason=row.reason,
        chance=row.chance,
        reasons=tuple(body["reasons"]),
        tenant=row.tenant,
        other=row.other,
        swapped=body["swapped"],
        copies=body["copies"],
        labels=body["labels"],
        state=row.state,
        at=row.at,
    )


def given_of(row: Row[Any]) -> Given:
    """The verdict in a row of the table."""
    body = json.loads(row.body)
    verdict = Verdict(kind=body["kind"], wanted=body["wanted"], comment=body["comment"])
    return Given(
        n=row.n,
        review=row.review,
        reviewer=row.reviewer,
        verdict=verdict,
        seconds=row.seconds,
        at=row.at,
        decides=body["decides"],
    )


def verdicts_of(connection: Connection, review: str) -> list[Given]:
    """The verdicts on an item that stand, in order."""
    from sqlalchemy import select

    from rungwise.data.schema import review_verdicts as said

    query = select(said).where(said.c.review == review, said.c.undone_at.is_(None)).order_by(said.c.n)
    return [given_of(row) for row in connection.execute(query)]


def _values(one: Item) -> dict[str, Any]:
    body = {"reasons": list(one.reasons or (one.reason,)), "swapped": one.swapped, "copies": one.copies, "labels": one.labels}
    return {
        "id": one.id,
        "trace": one.trace,
        "tenant": one.tenant,
        "reason": one.reason,
        "chance": one.chance,
        "day": one.day,
        "other": one.other,
        "state": one.state,
        "assigned_to": None,
        "assigned_at": None,
        "body": canonical_json(body),
        "at": one.at,
    }


def _drawn(row: Row[Any]) -> Drawn:
    said = json.loads(row.body).get("final") or {}
    return Drawn(
        id=row.id,
        trace=row.trace,
        day=row.day,
        chance=row.chance,
        reason=row.reason,
        correct=said.get("correct"),
        wanted=said.get("wanted"),
        at=said.get("at"),
        state=row.state,
        reviewers=tuple(said.get("reviewers", ())),
    )


def _portions(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), _NAMED_AT_ONCE):
        yield items[start : start + _NAMED_AT_ONCE]
