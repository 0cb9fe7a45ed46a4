"""What a re-climb's decision means for who answers users: somebody better, somebody cheaper, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

from rungwise.core.candidate import Candidate
from rungwise.core.decision import MET, Decision, RungResult
from rungwise.core.record import short
from rungwise.core.usecase import UseCase
from rungwise.ladder.live import NAME
from rungwise.ladder.order import CLEARLY
from rungwise.ladder.rung import Incumbent

BETTER, CHEAPER, NOBODY = "better", "cheaper", "nothing"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """`action` is better (who answers now is not shown to meet the target any more, and `candidate` is), cheaper (it meets it for
    clearly less) or nothing; `why` is for people."""

    action: str
    why: str
    candidate: str | None = None
    rung: str | None = None


def choose(decision: Decision, live: Incumbent, case: UseCase, *, chosen: Candidate | None = None) -> Choice:
    """What follows from a decision for which the live candidate stood as a rung. `chosen` is who won, where somebody did.

    The same recipe fitted to other rows costs the same: what a clock says of both is noise, and no reason to change.
    """
    own = _of_live(decision, live)
    if decision.chosen is None:
        state = "was not measured" if own is None else f"is '{own.state}'"
        return Choice(action=NOBODY, why=f"nobody was shown to meet {decision.target}: {decision.reason}; who answers now {state}")
    won = next(one for one in decision.rungs if one.rung == decision.chosen_rung)
    if decision.chosen == live.candidate.id:
        return Choice(action=NOBODY, why=f"who answers now is still enough: {won.why}")
    if own is None or own.state != MET:
        seen = own.why if own is not None else "it could not be measured"
        if own is None or own.candidate is not None:
            why = f"{won.rung} meets {decision.target}, and who answers now is not shown to: {seen}"
            return Choice(action=BETTER, why=why, candidate=decision.chosen, rung=won.rung)
    if chosen is not None and recipe(chosen) == recipe(live.candidate):
        return Choice(action=NOBODY, why=f"{won.rung} meets {decision.target}, as who answers now does, and is the same recipe")
    return _by_price(decision, won, own, live, case)


def recipe(candidate: Candidate) -> Candidate:
    """A candidate without what was fitted or chosen on rows."""
    return candidate.but(labels=(), shots=(), head=None, index=None, adapter=None, threshold=None)


def _by_price(decision: Decision, won: RungResult, own: RungResult | None, live: Incumbent, case: UseCase) -> Choice:
    """Both meet the target, or who answers now was not asked since the winner costs clearly less by what is known of both."""
    now = own.usd_per_1k if own is not None and own.usd_per_1k is not None else live.usd_per_1k
    kept = now / 1000.0 * case.forecast_volume  # it is made already: only its answers cost
    total, price = won.total_usd, won.usd_per_1k
    figures = f"{_usd(total)} against {_usd(kept)} USD for {case.forecast_volume:,} answers"
    clearly = total is not None and (total * CLEARLY < kept or (total < kept and price is not None and price * CLEARLY < now))
    if clearly:
        why = f"{won.rung} meets {decision.target} too and costs clearly less: {figures}"
        return Choice(action=CHEAPER, why=why, candidate=decision.chosen, rung=won.rung)
    return Choice(
        action=NOBODY, why=f"{won.rung} meets {decision.target}, and is not clearly cheaper than who answers now: {figures}"
    )


def _of_live(decision: Decision, live: Incumbent) -> RungResult | None:
    """What the climb said of who answers now; None where it was not on the ladder."""
    found = next((one for one in decision.rungs if one.rung == NAME), None)
    return found or next((one for one in decision.rungs if one.candidate == live.candidate.id), None)


def _usd(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"


def told(choice: Choice) -> str:
    """A choice in one sentence."""
    return choice.why if choice.candidate is None else f"{choice.why} ({short(choice.candidate)})"
