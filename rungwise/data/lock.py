"""One climb at a time in a project, and one migration at a time in its store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rungwise.core.errors import ProjectBusy, StoreError


@contextmanager
def project_lock(directory: Path, *, wait: bool = True, on_wait: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Hold the project. The kernel lets go of it when the process dies, so a killed climb never blocks the next.

    With `wait` the second comer waits, after `on_wait` was told who holds it; else ProjectBusy is raised.
    """
    import fcntl

    path = directory / "lock"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}. Choose a writable project directory") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            if not wait:
                raise ProjectBusy(f"process {holder} is at work in {directory}. Wait for it, or run without --no-wait") from None
            on_wait(f"process {holder} is at work here: waiting for it to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(OSError):  # on a full disk the holder has no name, and the climb says what is wrong at its first write
            file.truncate(0)
            os.write(file.fileno(), str(os.getpid()).encode())
        yield


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Hold a folder for a moment, whatever else runs in the project. Waits for others, leaves no file, ends with the process."""
    import fcntl

    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
