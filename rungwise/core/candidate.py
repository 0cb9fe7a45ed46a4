"""The central value: a complete recipe for answering."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rungwise.core.content import Shot
from rungwise.core.record import digest, from_plain, to_plain

ON = "on"
"""The setting of a recipe that holds the part which a fitted part stands on, as plain data."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A part that has to be made before it can answer: how (`technique`, `recipe`) and from what (`inputs`).

    `inputs` are digests: of the training rows, and of other parts. The artefact
    made from it is stored under `id`; its manifest holds the digests of its bytes.
    A part that stands on another one (an adapter on its base) holds that whole in its recipe, under 'on'.
    """

    technique: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    seed: int = 0

    @property
    def id(self) -> str:
        """SHA-256 of recipe and inputs: the name of the artefact before and after it exists."""
        return digest(to_plain(self))

    @property
    def beneath(self) -> Fitted | None:
        """The part that it stands on, which must exist before it."""
        return from_plain(Fitted, self.recipe[ON]) if ON in self.recipe else None

    @property
    def line(self) -> tuple[Fitted, ...]:
        """All that it stands on, the lowest first, and itself."""
        below = self.beneath
        return (*(below.line if below is not None else ()), self)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A complete recipe for answering. Plain data: no clients, no weights, no clock.

    Two candidates with equal fields have equal ids on every machine, so an
    evaluation, a release and a trace all point at the same thing by one string.

    `model` names what answers: 'majority', 'linear', 'neighbours', ... for what
    Rungwise makes itself, `engine/model` for a configured endpoint. `options` are
    the remaining settings of that technique. `threshold` is the confidence under
    which it abstains (coverage targets).
    """

    task: str
    model: str
    labels: tuple[str, ...] = ()
    encoder: str | None = None
    prompt: str | None = None
    shots: tuple[Shot, ...] = ()
    head: Fitted | None = None
    index: Fitted | None = None
    adapter: Fitted | None = None
    guards: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    threshold: float | None = None

    @property
    def id(self) -> str:
        """SHA-256 of the canonical JSON of the fields, in hex; people are shown the first 12 digits."""
        return digest(to_plain(self))

    @property
    def parts(self) -> tuple[Fitted, ...]:
        """The fitted parts that it needs, in the order in which they must exist."""
        tops = (part for part in (self.index, self.adapter, self.head) if part is not None)
        return tuple({part.id: part for top in tops for part in top.line}.values())

    def but(self, **changes: Any) -> Candidate:
        """The same recipe with some fields changed."""
        return dataclasses.replace(self, **changes)
