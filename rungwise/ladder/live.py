"""Who answers users now, as a rung of a re-climb: measured as it is, on the same rows as everybody who might take its place."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rungwise.core.candidate import Candidate
from rungwise.core.dataset import Example
from rungwise.core.evaluation import Evaluation
from rungwise.core.types import Rung
from rungwise.ladder.rung import Forecast, Ground, Incumbent, RungKind, Stair

NAME = "live"


def live(ground: Ground) -> Rung:
    """One candidate, which exists already. Its threshold is its own, and is not chosen anew."""

    async def propose(parent: Candidate, train: Sequence[Example], seen: Sequence[Evaluation]) -> Sequence[Candidate]:
        return () if seen or ground.live is None else (ground.live.candidate.but(threshold=None),)

    return propose


def is_live(stair: Stair) -> bool:
    """Whether a rung is the one that stands for who answers now."""
    return stair.kind.name == NAME


def live_stair(incumbent: Incumbent, ground: Ground, *, beside: Sequence[Stair] = ()) -> Stair:
    """The rung, placed by the price of its answers: it is made already, so that its development costs nothing any more.

    Among the rungs `beside` it, the local one that it was made on is no dearer: a busy machine may have measured it so.
    It has a line of its own, since other rungs begin with what this climb made.
    """
    candidate, case = incumbent.candidate, ground.case
    same = next((one for one in beside if one.name == incumbent.rung and one.kind.each == "local"), None)
    if same is not None:
        price = 1000.0 * (same.forecast.answer_usd + same.forecast.answer_s * case.machine_usd_per_hour / 3600.0)
        incumbent = dataclasses.replace(incumbent, usd_per_1k=min(incumbent.usd_per_1k, price))
        ground = dataclasses.replace(ground, live=incumbent)
    endpoint = next((one for one in case.endpoints if candidate.model == f"{one.name}/{one.model}"), None)
    system = next(
        (one for one in case.include if candidate.model == "recorded" and candidate.options.get("name") == one.name), None
    )
    each = "endpoint" if endpoint is not None else "included" if system is not None else "local"
    own = dataclasses.replace(ground, endpoint=endpoint, included=system)
    kind = RungKind(name=NAME, place=-1, tasks=(case.task,), make=live, forecast=_forecast, each=each)
    return Stair(name=NAME, kind=kind, ground=own, line=NAME, forecast=_forecast(own))


def _forecast(ground: Ground) -> Forecast:
    price = ground.live.usd_per_1k / 1000.0 if ground.live is not None else 0.0
    paid = ground.endpoint is not None
    return Forecast(seconds=0.1, usd=price * ground.n_dev if paid else 0.0, calls=ground.n_dev if paid else 0, answer_usd=price)
