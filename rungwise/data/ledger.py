"""The sealed ledger: which sealed rows were ever opened, for whom, as the how-manieth, at which level.

Kept per row: rows that were opened together, however indirectly, are one family,
and the k-th opening of a family is tested at alpha * 6 / (pi^2 k^2), which adds up
to alpha over all climbs for ever: a union bound (docs/explanation/how-the-climb-decides.md).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rungwise.core.record import canonical_json, digest
from rungwise.data.store import Store


def opening_level(k: int, alpha: float) -> float:
    """The level of the k-th opening (k >= 1) of a family of sealed rows: alpha * 6 / (pi^2 k^2). Raises ValueError for k < 1."""
    if k < 1:
        raise ValueError(f"openings are counted from 1, not {k}")
    return alpha * 6.0 / (math.pi**2 * k * k)


@dataclass(frozen=True, slots=True)
class Nomination:
    """A committed nomination. `candidate` is None where nobody was worth opening; `result` is None until the verdict is in."""

    id: str
    rung: str
    candidate: str | None
    k: int
    alpha: float
    result: Mapping[str, Any] | None
    note: Mapping[str, Any]


class Ledger:
    """The openings of a store. Times never enter a verdict."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def count(self, input_ids: Sequence[str]) -> int:
        """How many openings were ever made on rows of the families that these rows belong to."""
        from sqlalchemy import func, select

        from rungwise.data.schema import openings

        with self.store.read() as connection:
            families = _families(connection, input_ids)
            query = select(func.count()).select_from(openings).where(openings.c.family.in_(families))
            return int(connection.execute(query).scalar() or 0)

    def spent(self, input_ids: Sequence[str], openings: int) -> float:
        """The levels that the first so many openings of these rows' families were really tested at, added up."""
        from sqlalchemy import select

        from rungwise.data.schema import openings as table

        with self.store.read() as connection:
            families = _families(connection, input_ids)
            query = select(table.c.alpha).where(table.c.family.in_(families), table.c.k <= openings)
            return float(sum(connection.execute(query).scalars()))

    def promised(self, input_ids: Sequence[str], openings: int) -> float | None:
        """The alpha that the first opening of these rows was made under, which no later one may pass; None before it."""
        from sqlalchemy import select

        from rungwise.data.schema import openings as table

        with self.store.read() as connection:
            families = _families(connection, input_ids)
            query = select(table.c.k, table.c.alpha).where(table.c.family.in_(families), table.c.k <= openings)
            return max((_alpha_of(row.k, row.alpha) for row in connection.execute(query)), default=None)

    def nomination(self, climb: str, rung: str) -> Nomination | None:
        """What this climb committed for a rung before, if it got that far."""
        return self._one("climb", climb, "rung", rung)

    def known(self, candidate: str, test: str) -> Nomination | None:
        """A finished opening of the same candidate on the same rows with the same metric: its bound costs nothing."""
        return self._one("candidate", candidate, "test", test, finished=True)

    def pass_over(self, climb: str, rung: str, *, test: str, note: Mapping[str, Any]) -> Nomination:
        """Commit that the rung has nobody worth opening, so that a resumed climb says the same."""
        return self._commit(climb, rung, None, test, None, 0, 0.0, note, None)

    def reuse(self, climb: str, rung: str, *, opening: Nomination, test: str, note: Mapping[str, Any]) -> Nomination:
        """Commit a nomination whose bound is already known; no level is spent."""
        return self._commit(climb, rung, opening.candidate, test, None, opening.k, opening.alpha, note, opening.result)

    def nominate(
        self, climb: str, rung: str, *, candidate: str, test: str, input_ids: Sequence[str], alpha: float, note: Mapping[str, Any]
    ) -> Nomination:
        """Commit a nomination with its k and level, before the first sealed row is answered."""
        from sqlalchemy import select, update

        from rungwise.data.dialect import insert
        from rungwise.data.schema import openings, sealed_rows

        with self.store.write(alone=True) as connection:  # two nominations at once must not both come first
            families = _families(connection, input_ids)
            family = families[0] if families else digest(["family", climb, rung, sorted(input_ids)])
            for table in (openings, sealed_rows) if len(families) > 1 else ():
                connection.execute(update(table).where(table.c.family.in_(families)).values(family=family))
            rows = [{"input_id": input_id, "family": family} for input_id in dict.fromkeys(input_ids)]
            connection.execute(insert(connection, sealed_rows).on_conflict_do_nothing(), rows)
            earlier = connection.execute(select(openings.c.k, openings.c.alpha).where(openings.c.family == family)).all()
            k = 1 + len(earlier)
            # What was promised for these rows stays promised, whatever alpha a later climb is run with.
            alpha = min([alpha, *(_alpha_of(row.k, row.alpha) for row in earlier)])
            values = self._values(climb, rung, candidate, test, family, k, opening_level(k, alpha), note, None)
            connection.execute(insert(connection, openings).values(**values))
        found = self.nomination(climb, rung)
        assert found is not None
        return found

    def conclude(self, nomination: Nomination, result: Mapping[str, Any]) -> None:
        """Keep the bounds that an opening gave."""
        from sqlalchemy import update

        from rungwise.data.schema import openings

        with self.store.write() as connection:
            connection.execute(update(openings).where(openings.c.id == nomination.id).values(result=canonical_json(result)))

    def _values(self, climb: str, rung: str, candidate: str | None, test: str, *rest: Any) -> dict[str, Any]:
        family, k, alpha, note, result = rest
        return {
            "id": digest([climb, rung]),
            "climb": climb,
            "rung": rung,
            "candidate": candidate,
            "test": test,
            "family": family,
            "k": k,
            "alpha": alpha,
            "note": canonical_json(note),
            "result": canonical_json(result) if result is not None else None,
            "at": self.store.clock.now(),
        }

    def _commit(self, climb: str, rung: str, candidate: str | None, test: str, *rest: Any) -> Nomination:
        from rungwise.data.dialect import insert
        from rungwise.data.schema import openings

        with self.store.write() as connection:
            connection.execute(insert(connection, openings).values(**self._values(climb, rung, candidate, test, *rest)))
        found = self.nomination(climb, rung)
        assert found is not None
        return found

    def _one(self, first: str, value: str, second: str, other: str, *, finished: bool = False) -> Nomination | None:
        from sqlalchemy import select

        from rungwise.data.schema import openings

        query = select(openings).where(openings.c[first] == value, openings.c[second] == other).order_by(openings.c.k)
        if finished:
            query = query.where(openings.c.result.is_not(None))
        with self.store.read() as connection:
            found = connection.execute(query).first()
        if found is None:
            return None
        result = json.loads(found.result) if found.result is not None else None
        return Nomination(found.id, found.rung, found.candidate, found.k, found.alpha, result, json.loads(found.note))


def _alpha_of(k: int, level: float) -> float:
    """The alpha whose share the k-th opening was tested at."""
    return level * math.pi**2 * k * k / 6.0


def _families(connection: Any, input_ids: Sequence[str]) -> list[str]:
    """The families that any of these rows belongs to, sorted."""
    from sqlalchemy import select

    from rungwise.data.dialect import among
    from rungwise.data.schema import sealed_rows

    query = select(sealed_rows.c.family).where(among(connection, sealed_rows.c.input_id, input_ids)).distinct()
    return sorted(connection.execute(query).scalars())
