"""Where one reviewer works: gets the next item of the queue, says what is right, and takes it back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import UsageError
from rungwise.core.feedback import Feedback
from rungwise.core.record import canonical_json, to_plain
from rungwise.core.trace import Trace
from rungwise.curate.shingles import normalise
from rungwise.data.feedback import Judgements
from rungwise.data.judging import about
from rungwise.data.people import person
from rungwise.data.reviews import (
    ADJUDICATE,
    AGREED,
    BOTH,
    CLOSED,
    CLOSING,
    CORRECTION,
    FLAG,
    GONE,
    KINDS,
    LABEL,
    OPEN,
    OTHER,
    RANDOM,
    RIGHT,
    SKIP,
    Given,
    Item,
    Verdict,
    item_of,
    verdicts_of,
)
from rungwise.data.said import said
from rungwise.data.store import Store
from rungwise.data.traces.door import archive_of

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Row

LEASE_S = 1_800.0
"""How long an item is kept for the reviewer to whom it was given; then somebody else may have it."""
UNDO_S = 600.0
"""How long a verdict can be taken back after the reviewer went on to other work. Then it is feedback."""
SKIPPED_S = 43_200.0
"""How long a reviewer is not shown again what they skipped."""
_LONGEST = {"wanted": 100_000, "comment": 10_000}


class NotWaiting(UsageError):
    """An item that cannot be judged, or a verdict that cannot be taken back: somebody was faster."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """An item to be judged with what was asked and answered, and the second answer of a blind pair. Where reviewers differed,
    `differ` holds what they said; otherwise nobody sees what others say."""

    item: Item
    trace: Trace
    other: Trace | None = None
    differ: tuple[Verdict, ...] = ()


class Desk:
    """The desk of one reviewer. With `tenant` only what belongs to that tenant is on it. Raises UsageError for an odd name."""

    def __init__(self, store: Store, reviewer: str, *, tenant: str | None = None) -> None:
        self.store, self.reviewer, self.tenant = store, person(reviewer), tenant

    def next(self, *, reason: str | None = None, first: str | None = None) -> Task | None:
        """The item to judge next, kept for this reviewer for half an hour; None where there is none.

        The item with the id `first` comes first, then what is on this desk already, then what was drawn by plain chance, then
        by day. What belongs to traces that are gone is put aside.
        """
        while (item := self._take(reason, first)) is not None:
            archive = archive_of(self.store)
            trace = archive.get(item.trace)
            if trace is None or not said(trace).question.strip():
                self._put_aside(item.id)
                continue
            other = archive.get(item.other) if item.other is not None else None
            with self.store.read() as connection:
                before = verdicts_of(connection, item.id) if item.state == ADJUDICATE else []
            differ = tuple(one.verdict for one in before if one.verdict.kind != SKIP)
            return Task(item=item, trace=trace, other=other, differ=differ)
        return None

    def waiting(self, *, reason: str | None = None) -> int:
        """How many items this reviewer could judge now."""
        from sqlalchemy import func, select

        from rungwise.data.schema import reviews

        with self.store.read() as connection:
            return int(connection.execute(select(func.count()).select_from(reviews).where(self._for_me(reason))).scalar_one())

    def judge(self, id: str, verdict: Verdict, *, seconds: float = 0.0) -> Item:
        """Keep a verdict, committed when this returns; the item as it stands then. The same verdict again changes nothing.

        `seconds` is how long it took. Raises UsageError for a verdict that makes no sense, NotWaiting where the item does not
        wait for this reviewer: it is unknown, decided, judged by them already, or on somebody else's desk.
        """
        from rungwise.data.schema import review_verdicts as table

        with self.store.write(alone=True) as connection:
            row = self._row(connection, id)
            item, own = item_of(row), [one for one in verdicts_of(connection, id) if one.reviewer == self.reviewer]
            verdict = _checked(verdict, item, answers=self._answers(item))
            if own and own[-1].verdict == verdict:
                return item
            self._may_judge(row, own)
            body = {**to_plain(verdict), "decides": item.state == ADJUDICATE and verdict.kind not in (SKIP, FLAG)}
            values = {"review": id, "reviewer": self.reviewer, "body": canonical_json(body)}
            now = self.store.clock.now()
            connection.execute(table.insert().values(**values, seconds=max(0.0, seconds), at=now, undone_at=None))
            return _settled(connection, row, lease=None)

    def undo(self) -> Item | None:
        """Take back this reviewer's last verdict and put its item on their desk; None where they gave none.

        Raises NotWaiting where it is too late: the verdict is feedback already.
        """
        from sqlalchemy import select, update

        from rungwise.data.schema import review_verdicts as table
        from rungwise.data.schema import reviews

        with self.store.write(alone=True) as connection:
            query = select(table).join(reviews, reviews.c.id == table.c.review)
            query = query.where(table.c.reviewer == self.reviewer, table.c.undone_at.is_(None), self._mine())
            last = connection.execute(query.order_by(table.c.n.desc()).limit(1)).one_or_none()
            if last is None:
                return None
            row = self._row(connection, last.review)
            if row.state in (CLOSING, CLOSED):
                raise NotWaiting("the last verdict was kept for good and cannot be taken back. Judge the answer by its trace")
            connection.execute(update(table).where(table.c.n == last.n).values(undone_at=self.store.clock.now()))
            return _settled(connection, row, lease=(self.reviewer, self.store.clock.now()))

    def _answers(self, item: Item) -> tuple[str, str]:
        """What was answered, and the other answer of a pair; '' where it is gone."""
        archive = archive_of(self.store)
        found = [archive.get(one) if one is not None else None for one in (item.trace, item.other)]
        first, second = (said(one).answer.strip() if one is not None else "" for one in found)
        return first, second

    def _take(self, reason: str | None, first: str | None) -> Item | None:
        """Put the item that comes next on this desk."""
        from sqlalchemy import case, select, update

        from rungwise.data.schema import reviews

        wishes = (reviews.c.id == first, reviews.c.assigned_to == self.reviewer, reviews.c.reason == RANDOM)
        order = [case((one, 0), else_=1) for one in wishes]
        with self.store.write(alone=True) as connection:
            query = select(reviews).where(self._for_me(reason)).order_by(*order, reviews.c.day, reviews.c.id).limit(1)
            row = connection.execute(query).one_or_none()
            if row is None:
                return None
            lease = {"assigned_to": self.reviewer, "assigned_at": self.store.clock.now()}
            connection.execute(update(reviews).where(reviews.c.id == row.id).values(**lease))
            return item_of(row)

    def _for_me(self, reason: str | None) -> ColumnElement[bool]:
        """What this reviewer may judge now."""
        from sqlalchemy import and_, exists, or_

        from rungwise.data.schema import review_verdicts as table
        from rungwise.data.schema import reviews

        now = self.store.clock.now()
        free = or_(
            reviews.c.assigned_to.is_(None),
            reviews.c.assigned_to == self.reviewer,
            reviews.c.assigned_at <= now - LEASE_S,
            reviews.c.assigned_at > now + LEASE_S,  # the clock was set back meanwhile
        )
        skipped = canonical_json({"kind": SKIP})[1:-1]
        said_before = exists().where(
            table.c.review == reviews.c.id,
            table.c.reviewer == self.reviewer,
            table.c.undone_at.is_(None),
            or_(table.c.body.not_like(f"%{skipped}%"), table.c.at > now - SKIPPED_S),
        )
        wanted = [reviews.c.reason == reason] if reason is not None else []
        return and_(reviews.c.state.in_((OPEN, ADJUDICATE)), free, ~said_before, self._mine(), *wanted)

    def _mine(self) -> ColumnElement[bool]:
        from sqlalchemy import true

        from rungwise.data.schema import reviews

        return true() if self.tenant is None else reviews.c.tenant == self.tenant

    def _row(self, connection: Connection, id: str) -> Row[Any]:
        from sqlalchemy import select

        from rungwise.data.schema import reviews

        found = connection.execute(select(reviews).where(reviews.c.id == id, self._mine())).one_or_none()
        if found is None:
            raise NotWaiting(f"there is no item '{id}' in the review queue")
        return found

    def _may_judge(self, row: Row[Any], own: Sequence[Given]) -> None:
        """Raise NotWaiting where the item does not wait for this reviewer."""
        if row.state not in (OPEN, ADJUDICATE):
            raise NotWaiting(f"the item '{row.id}' is decided already")
        if any(one.verdict.kind != SKIP for one in own):
            raise NotWaiting(f"'{self.reviewer}' has judged the item '{row.id}' already. Take that back first")
        held = row.assigned_to not in (None, self.reviewer)
        if held and abs(self.store.clock.now() - row.assigned_at) < LEASE_S:
            raise NotWaiting(f"the item '{row.id}' is with somebody else")

    def _put_aside(self, id: str) -> None:
        from sqlalchemy import update

        from rungwise.data.schema import reviews

        with self.store.write() as connection:
            connection.execute(update(reviews).where(reviews.c.id == id).values(state=GONE, assigned_to=None))


def close(store: Store, *, by: str | None = None) -> int:
    """Make feedback of what is decided and cannot be taken back any more; of `by`'s decisions, also of what still could.

    Returns how many items were closed. It goes on where it was killed, and writes nothing twice.
    """
    from sqlalchemy import select, update

    from rungwise.data.schema import reviews

    now = store.clock.now()
    with store.write(alone=True) as connection:
        for id, body in connection.execute(select(reviews.c.id, reviews.c.body).where(reviews.c.state == AGREED)).all():
            final = json.loads(body)["final"]
            if final["at"] <= now - UNDO_S or by in final["reviewers"]:
                connection.execute(update(reviews).where(reviews.c.id == id).values(state=CLOSING))
        waiting = select(reviews).where(reviews.c.state == CLOSING).order_by(reviews.c.id)
        closing: list[Row[Any]] = list(connection.execute(waiting))
    archive = archive_of(store)
    judged = []
    for row in closing:
        trace, item, final = archive.get(row.trace), item_of(row), json.loads(row.body)["final"]
        if trace is not None:  # else nobody can learn from it
            feedback = _feedback(item, final)
            judged.append((feedback, replace(about(trace, feedback), correct=final["correct"])))
    Judgements(store).add(judged)
    with store.write() as connection:
        for row in closing:
            connection.execute(update(reviews).where(reviews.c.id == row.id).values(state=CLOSED, assigned_to=None))
    return len(closing)


def _feedback(item: Item, final: Mapping[str, Any]) -> Feedback:
    """The last word on an item as a judgement: a label or a correction where it is known what is right, else a thumb down."""
    said = {"trace": item.trace, "source": "reviewer", "at": final["at"], "by": final["reviewers"][-1], "comment": final["comment"]}
    if final["wanted"] is None:
        return Feedback(**said, thumb=bool(final["correct"]))
    return Feedback(**said, **{"label" if item.labels else "correction": final["wanted"]})


def _checked(verdict: Verdict, item: Item, *, answers: tuple[str, str]) -> Verdict:
    """The verdict with what is wanted filled in where an answer is right. Raises UsageError for one that makes no sense."""
    if verdict.kind not in KINDS:
        raise UsageError(f"'{verdict.kind}' is no verdict. Say one of {', '.join(KINDS)}")
    if verdict.kind in (OTHER, BOTH) and item.other is None:
        raise UsageError(f"'{verdict.kind}' is said of two answers, and there is one. Say right, wrong, label or correction")
    for name, most in _LONGEST.items():
        text = getattr(verdict, name)
        if text is not None and not (text.strip() and len(text) <= most):
            raise UsageError(f"{name} must be text that is not empty, of at most {most:,} characters")
        if text is not None and text.encode("utf-8", "replace").decode() != text:
            raise UsageError(f"{name} holds half a character, which cannot be kept")
    if (verdict.kind in (LABEL, CORRECTION)) == (verdict.wanted is None) and verdict.kind not in (RIGHT, OTHER, BOTH):
        raise UsageError("wanted, what would have been right, goes with label and correction, and only with them")
    if verdict.kind in (RIGHT, OTHER, BOTH):
        return replace(verdict, wanted=answers[verdict.kind == OTHER] or None)
    if verdict.wanted is not None and normalise(verdict.wanted) == normalise(answers[0]):
        return replace(verdict, kind=RIGHT, wanted=answers[0])  # whoever types the answer itself says that it is right
    return verdict


def _settled(connection: Connection, row: Row[Any], *, lease: tuple[str, float] | None) -> Item:
    """The item as its verdicts leave it, kept so."""
    from sqlalchemy import update

    from rungwise.data.schema import reviews

    item = item_of(row)
    state, final = outcome(verdicts_of(connection, row.id), copies=item.copies, labels=item.labels)
    body = {name: value for name, value in json.loads(row.body).items() if name != "final"}
    if final is not None:
        body["final"] = final
    to, at = lease or (None, None)
    values = {"state": state, "body": canonical_json(body), "assigned_to": to, "assigned_at": at}
    connection.execute(update(reviews).where(reviews.c.id == row.id).values(**values))
    return replace(item, state=state)


def outcome(given: Sequence[Given], *, copies: int, labels: bool) -> tuple[str, Mapping[str, Any] | None]:
    """What follows from the verdicts on an item: its state, and the last word where there is one.

    Whoever was asked because others differed decides. Otherwise it waits for `copies` verdicts; they must agree on whether the
    answer is right and, where `labels`, on the label that two of them name. One flag makes somebody else decide.
    """
    said = [one for one in given if one.verdict.kind != SKIP]
    deciding = [one for one in said if one.decides]
    if deciding:
        return AGREED, _final(deciding[-1:], deciding[-1])
    if any(one.verdict.kind == FLAG for one in said):
        return ADJUDICATE, None
    if len(said) < copies:
        return OPEN, None
    named = [one for one in said if one.verdict.wanted is not None]
    wanted = {normalise(one.verdict.wanted or "") for one in named} if labels else set()
    if len({one.verdict.correct for one in said}) > 1 or len(wanted) > 1:
        return ADJUDICATE, None
    return AGREED, _final(said, named[-1] if named else said[-1])


def _final(said: Sequence[Given], telling: Given) -> Mapping[str, Any]:
    comments = [one.verdict.comment for one in said if one.verdict.comment]
    return {
        "correct": telling.verdict.correct,
        "wanted": telling.verdict.wanted,
        "comment": "; ".join(comments) or None,
        "at": said[-1].at,
        "reviewers": [one.reviewer for one in said],
    }
