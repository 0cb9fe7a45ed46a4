"""Work that was done once: the digest of its inputs, code version and seed leads to its output."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from rungwise.core.record import canonical_json
from rungwise.data.store import Store


@dataclass(frozen=True, slots=True)
class Step:
    """The output of a step as plain data, and the seconds that it took when it was really run."""

    output: Any
    seconds: float


class Steps:
    """The step cache of a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def get(self, key: str) -> Step | None:
        """What a step gave when it ran, or None when it never finished."""
        from sqlalchemy import select

        from rungwise.data.schema import steps

        with self.store.read() as connection:
            found = connection.execute(select(steps.c.output, steps.c.seconds).where(steps.c.key == key)).first()
        return Step(json.loads(found.output), found.seconds) if found else None

    def put(self, key: str, kind: str, output: Any, *, seconds: float) -> None:
        """Keep an output. The first one stands: two runs of the same step give the same bytes, and times are measured once."""
        from rungwise.data.dialect import insert
        from rungwise.data.schema import steps

        values = {"key": key, "kind": kind, "output": canonical_json(output), "seconds": seconds, "at": self.store.clock.now()}
        with self.store.write() as connection:
            connection.execute(insert(connection, steps).values(**values).on_conflict_do_nothing())
