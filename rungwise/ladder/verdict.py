"""From the rungs to one verdict: met, not met, or cannot tell, with the reason."""

from __future__ import annotations

from collections.abc import Sequence

from rungwise.core.decision import CANNOT_TELL, FAILED, MET, NOT_INSTALLED, NOT_MET, NOT_RUN, OVER_LIMIT, RungResult
from rungwise.core.usecase import UseCase

MADE_UP = "every row was made up from the documents, which compares techniques and proves nothing: add questions of people"


def decide(results: Sequence[RungResult], winner: RungResult | None, case: UseCase, *, sealed: int) -> tuple[str, str]:
    """The verdict and why the climb stopped; `sealed` is the number of sealed rows, 0 where all rows were made up.

    `not_met` needs every rung of the ladder to have run and each one's upper bound
    to lie below the target; anything else without a winner is `cannot_tell`.
    """
    if not sealed:
        return CANNOT_TELL, MADE_UP
    if winner is not None:
        return MET, f"{winner.rung} is the cheapest rung that is shown to meet {case.target}"
    if results and all(one.state == NOT_MET for one in results):
        return NOT_MET, f"every rung of this ladder ran, and each is shown to be below {case.target}"
    return CANNOT_TELL, _open_question(results)


def _open_question(results: Sequence[RungResult]) -> str:
    """The first thing that stands between this climb and an answer."""
    if not results:
        return "the ladder has no rung that can run"
    for state, what in (
        (NOT_INSTALLED, "is not installed"),
        (FAILED, "failed"),
        (NOT_RUN, "did not run"),
        (OVER_LIMIT, "breaks a limit"),
    ):
        stopped = [one for one in results if one.state == state]
        if stopped:
            names = ", ".join(one.rung for one in stopped)
            return f"{names} {what}: {stopped[0].why}"
    near = [one for one in results if one.state == CANNOT_TELL]
    names = ", ".join(one.rung for one in near)
    return f"too few examples to tell: {names} may or may not reach the target"
