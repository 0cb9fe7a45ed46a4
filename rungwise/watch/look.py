"""A look at each day that is over: every monitor reads it, once, in order; what was noticed is kept together with what was read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rungwise.core.reading import CANNOT_TELL, DAY_S, Reading
from rungwise.core.release import Release
from rungwise.core.types import Clock
from rungwise.data.readings import Readings
from rungwise.data.spec import FILE, read_use_case, read_watching
from rungwise.data.store import Store
from rungwise.release.registry import Releases
from rungwise.watch.scene import Encode, Scene
from rungwise.watch.traffic import Traffic

GRACE_S = 300.0
"""How long after midnight a day is over: answers that were begun before it are written by then."""
WITHOUT_RELEASE_DAYS = 28
"""How far the first look goes back in a project whose engines are asked without a release."""
KEPT_DAYS = 42
"""How many days of traffic stay in memory while several are looked at: no window is longer."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What was read on one day, and the ids of the alerts that it opened."""

    day: int
    readings: tuple[Reading, ...]
    alerts: tuple[str, ...] = ()


def days_to_look_at(store: Store, now: float) -> range:
    """The days that are over and were not looked at yet, oldest first; from the first release on."""
    last = Readings(store).last_day()
    over = int((now - GRACE_S) // DAY_S)  # the first day that is not over
    if last is not None:
        return range(last + 1, over)
    moves = Releases(store).history()
    first = int(moves[-1].at // DAY_S) if moves else over - WITHOUT_RELEASE_DAYS
    return range(first, over)


def catch_up(
    store: Store,
    directory: Path,
    clock: Clock,
    *,
    say: Callable[[int, int], None] = lambda done, total: None,
    encoder: Callable[[], Encode] | None = None,
) -> Iterator[Looked]:
    """Look at every day that is over and was not looked at, one after the other; each is kept before the next begins.

    `say` is told how many of how many days are done. A look that was killed is made again; one that another process made
    meanwhile is not made twice. Raises UsageError for a rungwise.yaml that cannot be read.
    """
    days = days_to_look_at(store, clock.now())
    encode, known = cache(encoder or _installed), dict[int, Traffic]()
    for done, day in enumerate(days):
        say(done, len(days))
        looked = look_at(store, directory, clock, day, encoder=encode, known=known)
        for old in [one for one in known if one < day - KEPT_DAYS]:
            del known[old]
        if looked is not None:
            yield looked
    say(len(days), len(days))


def look_at(
    store: Store,
    directory: Path,
    clock: Clock,
    day: int,
    *,
    encoder: Callable[[], Encode] | None = None,
    known: dict[int, Traffic] | None = None,
) -> Looked | None:
    """Look at a day and keep what was read; None where somebody else did so meanwhile. `known` is as in `scene_of`."""
    from rungwise.watch.alerts.state import note

    scene = scene_of(store, directory, clock, day, encoder=encoder, known=known)
    readings = read(scene)
    at = clock.now()
    with store.write(alone=True) as connection:
        if not Readings(store).put(connection, day, readings, at=at):
            return None
        opened = note(connection, scene.watching, readings, at=at)
    return Looked(day=day, readings=tuple(readings), alerts=tuple(one.id for one in opened))


def scene_of(
    store: Store,
    directory: Path,
    clock: Clock,
    day: int,
    *,
    encoder: Callable[[], Encode] | None = None,
    known: dict[int, Traffic] | None = None,
) -> Scene:
    """What monitors may know of a day. `known` is the traffic of days that were read before, and takes up what is read now."""
    return Scene(
        store=store,
        directory=directory,
        case=read_use_case(directory / FILE),
        watching=read_watching(directory / FILE),
        day=day,
        clock=clock,
        release=live_at(store, (day + 1) * DAY_S),
        encoder=encoder or cache(_installed),
        known={} if known is None else known,
    )


def read(scene: Scene) -> list[Reading]:
    """What every monitor says of a day. Nothing is kept but the day's sketches and the items that are drawn for review."""
    from rungwise.watch import earning, fairness, spending, voices
    from rungwise.watch.drift import monitors as drift
    from rungwise.watch.quality import monitors as quality
    from rungwise.watch.review.queue import fill

    found: list[Reading] = []
    parts: Mapping[str, Callable[[Scene], list[Reading]]] = {
        "drift": drift.readings,
        "quality": quality.readings,
        "cost": spending.readings,
        "value": earning.readings,
        "fairness": fairness.readings,
        "feedback": voices.readings,
        "review": lambda scene: fill(scene, found),  # last, since traces that an alarm names are worth a look
    }
    for name, part in parts.items():
        try:
            found += part(scene)
        except Exception as error:  # noqa: BLE001 - boundary: one monitor that breaks on odd traffic must not blind the others, for ever
            _log.exception("the monitors %s broke on day %s", name, scene.day)
            why = f"they broke: {type(error).__name__}. The log says where; please report it"
            found.append(Reading(monitor=f"watch.{name}", state=CANNOT_TELL, why=why, **scene.window()))
    return found


def live_at(store: Store, moment: float) -> Release | None:
    """The release that was live just before a moment; None before the first."""
    releases = Releases(store)
    move = next((one for one in releases.history() if one.at < moment), None)
    return None if move is None else releases.get(move.release)


def _installed() -> Encode:
    from rungwise.engines.encoders.load import load_encoder
    from rungwise.ladder.expedition import installed_encoder

    return load_encoder(installed_encoder())
