"""A clock for tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class StillClock:
    """Time passes only through `advance`."""

    at: float = 1_700_000_000.0

    def now(self) -> float:
        """Seconds since 1970."""
        return self.at

    def tick(self) -> float:
        """The same seconds, as a monotonic clock."""
        return self.at

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.at += seconds
