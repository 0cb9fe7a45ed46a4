"""The chores of a served project, each run in a process of its own with the lowest claim on the machine.

A chore may compute for minutes. In a thread of the server it would hold the interpreter, and every answer would wait for it; as a
process it takes what the server leaves. Killed with the server or alone, it is done again later: chores allow that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from pathlib import Path

from rungwise.core.types import Clock
from rungwise.data.chore import Chore, known_chores, load_chore
from rungwise.data.store import Store

FIRST_S = 20.0
"""When a chore is first looked for: starting a server is not the moment for other work."""
AFTER_ERROR_S = 900.0
NICE = 10
_log = logging.getLogger(__name__)


def chores(store: Store, directory: Path, clock: Clock, name: str) -> list[asyncio.Task[None]]:
    """The tasks that run every installed chore for a project; cancel them to end it."""
    return [asyncio.create_task(_again_and_again(store, directory, clock, name, chore)) for chore in known_chores()]


async def _again_and_again(store: Store, directory: Path, clock: Clock, name: str, chore: str) -> None:
    await asyncio.sleep(FIRST_S)
    while True:
        wait_s = AFTER_ERROR_S
        try:
            found = await asyncio.to_thread(load_chore, chore)
            wait_s = await asyncio.to_thread(found.every_s, directory)
            if await asyncio.to_thread(found.due, store, directory, clock):
                await run_apart(chore, directory, store.directory)
        except Exception as error:  # noqa: BLE001 - boundary: a chore that fails is tried again, and must not end the server
            _log.error("the chore %s of %s failed: %s", chore, name, error)
        await asyncio.sleep(wait_s)


async def run_apart(chore: str, directory: Path, state: Path) -> int:
    """Run a chore in a process of its own and wait for its end. Cancelled, it ends the process. Gives the exit code."""
    words = [sys.executable, "-m", "rungwise.serve.chores", chore, str(directory), str(state)]
    process = await asyncio.create_subprocess_exec(*words, stdin=asyncio.subprocess.DEVNULL)
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise
    if code:
        _log.error("the chore %s of %s ended with code %d; the lines above say why", chore, directory, code)
    return code


def run_here(chore: Chore, directory: Path, state: Path, clock: Clock) -> None:
    """Run a chore in this process."""
    store = Store.open(state, clock=clock)
    try:
        chore.run(store, directory, clock)
    finally:
        store.close()


def main(words: list[str]) -> int:
    """The entry of the process: the chore's name, the project's folder, its state directory."""
    from rungwise.core.errors import RungwiseError
    from rungwise.engines.clock import SystemClock

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    os.nice(NICE)
    chore, directory, state = words
    try:
        run_here(load_chore(chore), Path(directory), Path(state), SystemClock())
    except RungwiseError as error:
        _log.error("%s", error)
        return error.exit_code
    except Exception:  # noqa: BLE001 - boundary: a chore may come from any package; the server goes on
        _log.exception("the chore %s failed", chore)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
