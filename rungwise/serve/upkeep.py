"""What a server does beside answering: follows the verdict between variants, lets go of what has had its time, runs the chores.

Only the first worker of a server does it. Every step is a transaction of its own, so that a server that is killed, and two that
serve one project, do no harm.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from rungwise.core.errors import UsageError
from rungwise.core.serving import Serving
from rungwise.data.replies import Replies
from rungwise.data.store import Store
from rungwise.data.traces.door import archive_of
from rungwise.data.traces.reach import forget_replies
from rungwise.release.verdict import follow
from rungwise.serve.chores import chores

DAY_S = 86_400.0
TIDY_S = 3_600.0
"""How often traces over their time, and answers to requests that will not come again, are removed."""
_log = logging.getLogger(__name__)


def upkeep(store: Store, serving: Serving, name: str, directory: Path) -> list[asyncio.Task[None]]:
    """The tasks that keep a project up, running; cancel them to end it."""
    steps: list[tuple[float, Callable[[], None]]] = [(TIDY_S, lambda: _tidy(store, serving))]
    if serving.contest.automatic:
        steps.append((serving.contest.look_every_s, lambda: _follow(store, serving, name)))
    own = [asyncio.create_task(_again_and_again(every_s, step, name)) for every_s, step in steps]
    return own + chores(store, directory, store.clock, name)


async def _again_and_again(every_s: float, step: Callable[[], None], name: str) -> None:
    while True:
        try:
            await asyncio.to_thread(step)
        except Exception as error:  # noqa: BLE001 - boundary: a step that fails is tried again, and must not end the server
            _log.error("upkeep of %s failed: %s", name, error)
        await asyncio.sleep(every_s)


def _tidy(store: Store, serving: Serving) -> None:
    Replies(store).forget()
    if serving.retention_days is not None:
        removed = archive_of(store).expire(store.clock.now() - serving.retention_days * DAY_S)
        forget_replies(store, removed.ids)


def _follow(store: Store, serving: Serving, name: str) -> None:
    try:
        moved = follow(store, serving.contest)
    except UsageError as meanwhile:  # another release went live between the look and the move
        _log.info("the verdict on %s was not followed: %s", name, meanwhile)
        return
    if moved is not None and moved.moved:
        _log.warning("the traffic of %s moved by itself: release %s is live", name, moved.live.id[:12])
