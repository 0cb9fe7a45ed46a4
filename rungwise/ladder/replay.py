"""A decision recomputed from the stored scores: nothing is fitted, asked or opened, and the result must agree."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rungwise.core.decision import Decision
from rungwise.core.record import to_plain
from rungwise.data.ledger import Ledger, Nomination
from rungwise.ladder.climb import climb
from rungwise.ladder.expedition import Expedition


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Whether the recomputed decision is the stored one, and the fields that differ when it is not."""

    agrees: bool
    decision: str
    recomputed: str
    differences: tuple[str, ...] = ()


class RecordedLedger(Ledger):
    """The ledger as it was written, read only: verdicts are left out, so that they are computed again."""

    def nomination(self, climb: str, rung: str) -> Nomination | None:
        """The committed nomination without its result."""
        found = super().nomination(climb, rung)
        return dataclasses.replace(found, result=None) if found is not None and found.candidate is not None else found

    def conclude(self, nomination: Nomination, result: Mapping[str, Any]) -> None:
        """Nothing is written in a replay."""


async def replay(expedition: Expedition, decision: Decision) -> Replay:
    """Climb again over what is stored. Raises StoreError when a stored score is missing."""
    expedition.bench.only_stored = True
    again = await climb(
        expedition.plan,
        expedition.terrain.ladder,
        expedition.bench,
        RecordedLedger(expedition.store),
        judge=expedition.judge,
        spent_before=expedition.spent_before(),
    )
    found = tuple(sorted(_differences(to_plain(decision), to_plain(again), "decision")))
    return Replay(agrees=not found, decision=decision.id, recomputed=again.id, differences=found)


def _differences(first: Any, second: Any, place: str) -> list[str]:
    if isinstance(first, dict) and isinstance(second, dict):
        keys = first.keys() | second.keys()
        return [one for key in keys for one in _differences(first.get(key), second.get(key), f"{place}.{key}")]
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        return [
            one for index, pair in enumerate(zip(first, second, strict=True)) for one in _differences(*pair, f"{place}[{index}]")
        ]
    return [] if first == second else [f"{place}: {first} is now {second}"]
