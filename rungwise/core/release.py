"""Which candidates answer users, in which shares, and the evidence that let them through."""

from __future__ import annotations

from dataclasses import dataclass

from rungwise.core.record import digest, to_plain


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One candidate in a release; `weight` is its share of the traffic, in [0, 1]."""

    name: str
    candidate: str
    weight: float


@dataclass(frozen=True, kw_only=True)
class Release:
    """Candidates, a traffic plan, and the decisions that are its evidence. Weights add up to 1."""

    use_case: str
    variants: tuple[Variant, ...]
    evidence: tuple[str, ...]
    shadow: tuple[str, ...] = ()
    approved_by: str | None = None

    @property
    def id(self) -> str:
        """SHA-256 of the content."""
        return digest(to_plain(self))
