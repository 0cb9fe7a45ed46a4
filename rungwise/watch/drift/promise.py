"""How sure each single test has to be, for all of them together to keep the promise about false alarms."""

from __future__ import annotations

MONTH = 30
HORIZONS = (1, 7, 28)
"""Days whose mean is held against the reference, each day anew: one for outages, four weeks for what creeps."""

ROWS_HORIZONS = (7, 28)
"""The same where days are held against rows: whole weeks."""

LEAST_OF = {1: 1, 7: 4, 28: 16}
"""Days with traffic that a window of so many days needs."""


def level(rate: float, tests: int) -> float:
    """The level of each test of a day: `tests` of them on each of 30 days raise at most `rate` alarms on average.

    The expected number of alarms is the sum of the tests' levels, however they depend on one another (Boole's inequality). An
    alarm that stays for days counts once, so that fewer are seen. At most 0.05, whatever rate is asked for.
    """
    return min(0.05, rate / (MONTH * max(1, tests)))
