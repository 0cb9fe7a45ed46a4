"""A judgement on a trace."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from rungwise.core.record import digest, to_plain

SOURCES = ("user", "reviewer", "judge", "business")


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """Who said what about which trace, and when.

    `source` is user, reviewer, judge or business. `thumb` is up or down, `score` any number in [0, 1], `label` what a
    classification should have said, `correction` what an answer should have said, `comment` free text. `outcome` names a
    business event that may come minutes or months later ('converted', 'refunded') and `value_usd` what it was worth.
    `by` is whoever said so. `at` is seconds since 1970.
    """

    trace: str
    source: str
    at: float
    thumb: bool | None = None
    score: float | None = None
    label: str | None = None
    correction: str | None = None
    comment: str | None = None
    outcome: str | None = None
    value_usd: float | None = None
    by: str | None = None

    @cached_property
    def id(self) -> str:
        """SHA-256 of the content: the same judgement sent twice is one."""
        return digest(to_plain(self))
