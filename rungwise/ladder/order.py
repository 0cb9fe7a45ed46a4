"""The ladder of a use case: which rungs stand on it, and in which order."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rungwise.core.errors import UnknownName
from rungwise.core.usecase import UseCase
from rungwise.ladder.live import live_stair
from rungwise.ladder.rung import Ground, RungKind, Stair, check_rung_names, rung_kinds

# Two rungs whose totals differ by less than this keep the table's order.
CLEARLY = 2.0


def build_ladder(ground: Ground, *, order: Sequence[str] = (), until: str | None = None) -> tuple[Stair, ...]:
    """The rungs that this version has for the use case, cheapest first.

    Rungs that need an endpoint stand once per configured endpoint. `order` puts
    the named rungs first, as given; `until` cuts off everything above a rung; what the use case goes `without` is left out.
    In a re-climb who answers users now stands among them: only what is clearly cheaper comes before it, and `until` never
    cuts it off. Raises UnknownName for a rung that is not on the ladder.
    """
    kinds, without = rung_kinds(ground.case.task), ground.case.without
    for name in without:
        if name not in {kind.name for kind in kinds}:
            raise UnknownName("rung", name, {kind.name for kind in kinds}, where="without")
    others = [stair for kind in kinds if kind.name not in without for stair in _stairs(kind, ground)]
    live = [live_stair(ground.live, ground, beside=others)] if ground.live is not None else []
    stairs = sort_by_cost([*live, *others], ground.case)
    check_rung_names([*order, *([until] if until else [])], stairs)
    if order:
        first = [stair for name in order for stair in stairs if name in (stair.name, stair.kind.name)]
        stairs = [*first, *(stair for stair in stairs if stair not in first)]
    if until:
        last = max(place for place, stair in enumerate(stairs) if until in (stair.name, stair.kind.name))
        stairs = [*stairs[: last + 1], *(stair for stair in stairs[last + 1 :] if stair in live)]
    return tuple(stairs)


def _stairs(kind: RungKind, ground: Ground) -> list[Stair]:
    if kind.each == "endpoint":
        places = [(f"{kind.name}:{one.name}", one.name, dataclasses.replace(ground, endpoint=one)) for one in ground.case.endpoints]
    elif kind.each == "included":
        places = [(f"included:{one.name}", one.name, dataclasses.replace(ground, included=one)) for one in ground.case.include]
    else:
        places = [(kind.name, "local", ground)]
    return [
        Stair(name=name, kind=kind, ground=place, line=line, forecast=kind.forecast(place))
        for name, line, place in places
        if kind.fits(place)
    ]


def sort_by_cost(stairs: Sequence[Stair], case: UseCase) -> list[Stair]:
    """Cheapest forecast total first; a rung passes another only when it is clearly (2 x) cheaper."""
    ordered: list[Stair] = []
    for stair in stairs:
        place = len(ordered)
        while place and stair.forecast.total_usd(case) * CLEARLY < ordered[place - 1].forecast.total_usd(case):
            place -= 1
        ordered.insert(place, stair)
    return ordered
