"""The scripted upstream on a loop of its own, for commands that keep their loop to themselves or run in another process."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "engines"))  # the scripted upstream lives beside its own tests
from upstream import Script, Upstream, upstream


@contextmanager
def served(*scripts: Script) -> Iterator[Upstream]:
    """A running upstream; it ends with the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    running = upstream(*scripts)
    try:
        yield asyncio.run_coroutine_threadsafe(running.__aenter__(), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(running.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
