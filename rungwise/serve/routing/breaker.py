"""Lets an engine rest that fails again and again, and tries with one request whether it is back."""

from __future__ import annotations

from rungwise.core.serving import Breaker
from rungwise.core.types import Clock

CLOSED, OPEN, TRYING = "closed", "open", "trying"


class Circuit:
    """The breaker of one engine. Ask `admits` before a request; then tell it `succeeded`, `failed` or `left`.

    Closed, everything passes. After `failures` in a row it opens for `rest_s`; then one request is let through (half open),
    whose end closes it or opens it again. Source: M. Nygard, Release It! (2007), chapter 5.
    """

    __slots__ = ("_clock", "_failures", "_opened_at", "_settings", "_trying")

    def __init__(self, settings: Breaker, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._failures = 0
        self._opened_at: float | None = None
        self._trying = False

    @property
    def state(self) -> str:
        """closed, open, or trying (half open)."""
        if self._opened_at is None:
            return CLOSED
        return TRYING if self._trying or self.rests_s <= 0 else OPEN

    @property
    def rests_s(self) -> float:
        """Seconds until a request is let through to try; 0 while it is closed."""
        if self._opened_at is None:
            return 0.0
        return max(0.0, self._opened_at + self._settings.rest_s - self._clock.tick())

    @property
    def ready(self) -> bool:
        """Whether a request would be admitted now."""
        return self._opened_at is None or not (self._trying or self.rests_s > 0)

    def admits(self) -> bool:
        """Whether a request may be sent now. Half open, it is the one that tries: it must be settled."""
        if self._opened_at is None:
            return True
        if not self.ready:
            return False
        self._trying = True
        return True

    def succeeded(self) -> bool:
        """The engine answered. Returns whether this closed it."""
        back = self._opened_at is not None
        self._failures, self._opened_at, self._trying = 0, None, False
        return back

    def failed(self) -> bool:
        """The engine failed. Returns whether this opened it; those that were under way when it opened change nothing."""
        self._failures += 1
        opens = self._trying or (self._opened_at is None and self._failures >= self._settings.failures)
        if opens:
            self._opened_at, self._trying = self._clock.tick(), False
        return opens

    def left(self) -> None:
        """The request ended without showing anything: the client went away, or was told what is wrong with its request."""
        self._trying = False
