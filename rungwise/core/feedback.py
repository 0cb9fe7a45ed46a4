"""A judgement on a trace."""

from __future__ import annotations

from dataclasses import dataclass

from rungwise.core.record import digest, to_plain


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """Who said what about which trace, and when. `source`: user, reviewer, judge or business; `value_usd` is a business outcome."""

    trace: str
    source: str
    at: float
    score: float | None = None
    label: str | None = None
    correction: str | None = None
    comment: str | None = None
    value_usd: float | None = None

    @property
    def id(self) -> str:
        """SHA-256 of the content."""
        return digest(to_plain(self))
