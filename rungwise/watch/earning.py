"""The monitors of value: which outcomes answers are followed by, and what users bring, over the last 28 days."""

from __future__ import annotations

from collections.abc import Iterator

from rungwise.core.reading import CANNOT_TELL, OK, Reading
from rungwise.watch.scene import Scene
from rungwise.watch.value.intervals import Figure
from rungwise.watch.value.variants import Brought, Outcomes, outcomes

SUCCESS, REVENUE = "value.success", "value.revenue"
WINDOW_DAYS = 28


def readings(scene: Scene) -> list[Reading]:
    """The share of users with each outcome, and revenue per user, by variant. None where no outcome was ever posted. They never
    alarm by themselves: a rule may."""
    if not (scene.watching.wants(SUCCESS) or scene.watching.wants(REVENUE)):
        return []
    window = scene.window(WINDOW_DAYS)
    found = outcomes(scene.store, scene.watching.money, since=window["since"], until=window["until"])
    named = [one for one in found.variants if one.units]
    return [one for brought in named for one in _of_variant(scene, found, brought) if scene.watching.wants(one.monitor)]


def _of_variant(scene: Scene, found: Outcomes, own: Brought) -> Iterator[Reading]:
    about = {"variant": own.variant} if len(found.variants) > 1 else {}
    for name, share in own.conversions.items():
        why = f"{share.value:.2%}{_within(share, '.2%')} of {own.units:,} users came to '{name}'"
        yield _reading(scene, SUCCESS, {**about, "outcome": name}, share, own.units, why, unit="share of users")
    if found.earns:
        figure = own.revenue_per_user
        if figure is None:
            why = f"{own.units:,} users are too few to tell what one brings"
        else:
            why = f"a user brings {figure.value:,.4g}{_within(figure, ',.4g')} USD, of {own.units:,} users"
        yield _reading(scene, REVENUE, about, figure, own.units, why, unit="USD a user")


def _within(figure: Figure, form: str) -> str:
    return "" if figure.low is None or figure.high is None else f" [{figure.low:{form}}, {figure.high:{form}}]"


def _reading(scene: Scene, monitor: str, about: dict[str, str], figure: Figure | None, n: int, why: str, *, unit: str) -> Reading:
    return Reading(
        monitor=monitor,
        about=about,
        state=CANNOT_TELL if figure is None else OK,
        why=why,
        value=None if figure is None else figure.value,
        low=None if figure is None else figure.low,
        high=None if figure is None else figure.high,
        n=n,
        unit=unit,
        **scene.window(WINDOW_DAYS),
    )
