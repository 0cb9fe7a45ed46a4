"""What a re-climb lets others do: gathering rows and climbing are verbs of a project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from rungwise.core.decision import Decision
from rungwise.ladder.rung import Incumbent


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """The rows that production brought. `new` counts those that the last decision's data did not have, `rows` the same by whose
    word they are, `sealed` those among them that stay sealed. `version` is the version of the data that holds them, None where
    nothing was written. `moved` is the file whose rows were taken into versions first. `left_out` counts judgements of no use."""

    new: int
    rows: Mapping[str, int] = field(default_factory=dict)
    sealed: int = 0
    version: str | None = None
    moved: str | None = None
    leaked: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)


class Hands(Protocol):
    """The verbs of a project that a re-climb needs. Each may be called again after it was cut short."""

    def count(self) -> Gathered:
        """What `gather` would bring at most, before anything is written."""
        ...

    def gather(self) -> Gathered:
        """Make a new version of the data from what people said of answers."""
        ...

    def forecast(self, live: Incumbent, version: str | None) -> Mapping[str, Any]:
        """What the climb will cost, and whether its sealed rows can show the target."""
        ...

    def climb(self, live: Incumbent, version: str | None, because: Mapping[str, Any], approved_by: str | None) -> Decision:
        """Climb with the live candidate among the rungs."""
        ...
