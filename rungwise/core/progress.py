"""What a long run says about itself while it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One piece of news: on `rung`, the `step` (fit, dev, sealed, ...) has done `done` of `total`.

    `total` is None while nobody knows it; `eta_s` is the time left for the whole run, in seconds.
    """

    rung: str
    step: str
    done: int = 0
    total: int | None = None
    eta_s: float | None = None
