"""Traces that are too old go, while a server runs."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from rungwise.core.errors import StoreError
from rungwise.data.traces.door import archive_of
from rungwise.data.traces.reach import forget_replies

if TYPE_CHECKING:
    from rungwise.data.store import Store

EVERY_S = 3600.0
DAY_S = 86_400.0

logger = logging.getLogger(__name__)


async def forget_in_time(store: Store, days: float, *, every_s: float = EVERY_S) -> None:
    """Remove what is older than so many days, now and every hour, in a thread; goes on until it is cancelled.

    It is enough that one worker does. One that cannot now tries again the next time.
    """
    while True:
        try:
            gone = await asyncio.to_thread(_forget, store, store.clock.now() - days * DAY_S)
            if gone:
                logger.info("%d traces were older than %g days and are gone", gone, days)
        except StoreError as error:
            logger.warning("%s", error)
        await asyncio.sleep(every_s)


def _forget(store: Store, before: float) -> int:
    removed = archive_of(store).expire(before)
    forget_replies(store, removed.ids)
    return len(removed.ids)
