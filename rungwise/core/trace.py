"""One request through one release."""

from __future__ import annotations

from dataclasses import dataclass, field

from rungwise.core.content import Part, Usage
from rungwise.core.record import digest, to_plain


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What went in, what came out, what it took. `at` is seconds since 1970; `model` is the provider's own model string."""

    release: str
    candidate: str
    at: float
    seconds: float
    request: tuple[Part, ...] = ()
    response: tuple[Part, ...] = ()
    usage: Usage = field(default_factory=Usage)
    model: str | None = None
    user: str | None = None
    parts_used: tuple[str, ...] = ()
    error: str | None = None

    @property
    def id(self) -> str:
        """SHA-256 of the content."""
        return digest(to_plain(self))
