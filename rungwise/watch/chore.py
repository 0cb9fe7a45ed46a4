"""What a server does for watching: looks at the days that are over and tells what is to be told."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from rungwise.core.types import Clock
from rungwise.data.alerts import Deliveries
from rungwise.data.chore import Chore
from rungwise.data.spec import FILE, read_watching
from rungwise.data.store import Store

LEAST_S = 1.0
_log = logging.getLogger(__name__)


def every_s(directory: Path) -> float:
    """How often a project is looked at, by its settings."""
    return max(LEAST_S, read_watching(directory / FILE).every_s)


def due(store: Store, directory: Path, clock: Clock) -> bool:
    """Whether a day is over that was not looked at, or something is to be told."""
    from rungwise.watch.alerts.sending import is_due
    from rungwise.watch.look import days_to_look_at

    now = clock.now()
    return len(days_to_look_at(store, now)) > 0 or any(is_due(one, now) for one in Deliveries(store).pending())


def run(store: Store, directory: Path, clock: Clock) -> None:
    """Look at each day that is over, in order, and tell what it brought before the next; then what waits to be told again."""
    from rungwise.watch.look import catch_up

    try:
        for _ in catch_up(store, directory, clock):
            tell(store, directory, clock)
    finally:  # what waits is told even where a look fails
        tell(store, directory, clock)


def tell(store: Store, directory: Path, clock: Clock) -> None:
    """Tell what is due to be told. A sink that is down is no error: the log says so, and it is tried again."""
    from rungwise.watch.alerts.sending import Post, send_due

    asyncio.run(send_due(Post.of(store, directory, clock)))


CHORE = Chore(every_s=every_s, due=due, run=run)
