"""Time as the machine tells it."""

from __future__ import annotations

import time


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Seconds since 1970, UTC."""
        return time.time()

    def tick(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.perf_counter()
