"""How many retries there may be, so that they never make an outage worse."""

from __future__ import annotations

FIRST = 10.0
"""Retries that may be made before anything was asked; also the most that can be saved up."""


class Allowance:
    """A budget of retries: every request adds `share` of one. Source: the retry budgets of Finagle and of Envoy."""

    __slots__ = ("_left", "_share")

    def __init__(self, share: float) -> None:
        self._share, self._left = share, FIRST if share > 0 else 0.0

    def asked(self) -> None:
        """A request came."""
        self._left = min(FIRST, self._left + self._share)

    def take(self) -> bool:
        """Whether one more retry may be made; it counts as made."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
