"""What a long run says about itself while it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One piece of news about a rung.

    `step` is `rung` when it begins and the state it ended in when it ends, and then
    `done` of `total` counts rungs; in between it is what is being done (fit, dev,
    sealed) and they count rows or candidates, with `total` None while nobody knows
    it. `eta_s` is the time left for the whole run, in seconds, where it is known. `note` is what else is to be said of
    a step of a training: its loss, its pace.
    """

    rung: str
    step: str
    done: int = 0
    total: int | None = None
    eta_s: float | None = None
    note: str = ""
