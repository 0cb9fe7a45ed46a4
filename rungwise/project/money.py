"""`ProjectMoney`: what answering costs and brings, and costs that people note."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import UsageError
from rungwise.core.types import Clock
from rungwise.data.spec import FILE, read_use_case, read_watching
from rungwise.data.store import Store
from rungwise.project.opening import opened

if TYPE_CHECKING:
    from rungwise.data.costs import Noted
    from rungwise.watch.value.account import Account


class ProjectMoney:
    """The money of a project folder. Days are those of UTC."""

    def __init__(self, directory: Path, clock: Clock, state: Path) -> None:
        self.directory, self.clock, self.state = directory, clock, state

    def account(self, *, days: int = 30, by: Sequence[str] | None = None) -> Account:
        """Cost and value of the last so many days, today included, and the return since the first.

        `by` are the fields that the bill is broken down by: user, tenant, variant and candidate, or others such as operation and
        tag.team, for which every trace is read. Raises UsageError for a number of days that is none, UnknownName for a field.
        """
        from rungwise.watch.value.account import FIELDS, LONGEST_LIFE_DAYS, account

        if not 1 <= days <= LONGEST_LIFE_DAYS:
            raise UsageError(f"days must lie between 1 and {LONGEST_LIFE_DAYS}, not {days}. The usual number is 30")
        case, watching = read_use_case(self.directory / FILE), read_watching(self.directory / FILE)
        with self._store() as store:
            return account(store, case, watching, self.clock.now(), days=days, fields=FIELDS if by is None else tuple(by))

    def document(self, *, days: int = 30, by: Sequence[str] | None = None, top: int | None = None) -> dict[str, Any]:
        """The same as JSON data: `cost`, `value` and `return`; of each field the `top` dearest, or all."""
        from rungwise.watch.value.document import account_document

        return account_document(self.account(days=days, by=by), top=top)

    def note_cost(
        self, usd: float, *, kind: str = "other", candidate: str | None = None, why: str = "", at: float | None = None
    ) -> Noted:
        """Note a cost that no trace tells of. `candidate` (the first digits of its id) is whose development it was.

        Raises UsageError for a cost that makes no sense, UnknownName for a candidate that is not kept.
        """
        from rungwise.data.costs import Costs, Noted
        from rungwise.data.nouns import Nouns

        with self._store() as store:
            id = None if candidate is None else Nouns(store).find("Candidate", candidate)
            noted = Noted(kind=kind, usd=float(usd), note=why or kind, at=self.clock.now() if at is None else at, candidate=id)
            Costs(store).add(noted)
        return noted

    def drop_cost(self, id: str) -> Noted:
        """Take back a cost that was noted, by the first digits of its id. Raises UnknownName when there is none such."""
        from rungwise.data.costs import Costs

        with self._store() as store:
            return Costs(store).drop(id)

    def noted(self) -> list[Noted]:
        """The costs that were noted, oldest first."""
        from rungwise.data.costs import Costs

        with self._store() as store:
            return Costs(store).all()

    def _store(self) -> AbstractContextManager[Store]:
        return opened(self.directory, self.state, self.clock)
