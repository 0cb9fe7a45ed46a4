"""A loss that leaps up and stays there: the sign that a training is lost."""

from __future__ import annotations

from statistics import median

WINDOW, PATIENCE = 50, 20
LEAP = 1.0
"""Nats above the median of the last 50 losses, or half of it where that is more, which counts as a leap. Spikes of single
steps are usual and heal (Chowdhery et al. 2022, PaLM, section 5.1); twenty in a row do not."""


class Spikes:
    """Watches the losses of one training."""

    def __init__(self) -> None:
        self._usual: list[float] = []
        self._high = 0

    def see(self, loss: float) -> float | None:
        """Take the next loss. The usual one when so many in a row have leapt above it that the training is lost, else None."""
        usual = median(self._usual) if len(self._usual) >= WINDOW else None
        if usual is not None and loss > usual + max(LEAP, 0.5 * abs(usual)):
            self._high += 1
            return usual if self._high >= PATIENCE else None
        self._high = 0
        self._usual = [*self._usual[-(WINDOW - 1) :], loss]
        return None
