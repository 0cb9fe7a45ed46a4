"""Which candidates answer users, in which shares, and the evidence that let them through."""

from __future__ import annotations

from dataclasses import dataclass

from rungwise.core.record import digest, to_plain

PASSED, FAILED, WAIVED = "passed", "failed", "waived"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One candidate in a release; `weight` is its share of the traffic, in [0, 1]."""

    name: str
    candidate: str
    weight: float


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """One gate for one candidate: passed, failed, or waived by whoever approved. `why` gives the figures."""

    gate: str
    candidate: str
    state: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Release:
    """Candidates, a traffic plan, and the evidence that let it through. Weights add up to 1.

    `use_case` is the id of the use case, `evidence` holds ids of decisions. `salt` decides which user meets which variant:
    releases with equal salts and variants in equal order assign alike, so that a change of weights moves as few users as it
    must. `shadow` names candidates that answer beside the live ones, unseen. `at` is seconds since 1970; `note` says why
    gates were waived.
    """

    use_case: str
    variants: tuple[Variant, ...]
    evidence: tuple[str, ...]
    shadow: tuple[str, ...] = ()
    gates: tuple[GateResult, ...] = ()
    salt: str = ""
    at: float = 0.0
    approved_by: str | None = None
    note: str | None = None

    @property
    def id(self) -> str:
        """SHA-256 of the content."""
        return digest(to_plain(self))
