"""Projects behind an address: what `rungwise serve` does before the first worker starts and after the last one has ended."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rungwise.core.errors import UsageError
from rungwise.core.types import Clock
from rungwise.data.spec import FILE
from rungwise.serve.seat import DRAIN_S, Plan

FACTORY = "rungwise.serve.app:make_app"
STORE = "RUNGWISE_STORE"
SELF_SIGNED = "self-signed"
STATE = "state"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """How to serve: where, with how many processes, over TLS or not. `store` is the URL of a database in place of the files."""

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    tls: str | None = None
    store: str | None = None
    drain_s: float = DRAIN_S


@dataclass(frozen=True)
class Listening:
    """Where the server answers. `exports` is what to type so that existing programs call it, where that needs saying."""

    url: str
    workers: int
    exports: str | None = None


def serve(directories: Sequence[Path], wanted: Wanted, *, clock: Clock, ready: Callable[[Listening], None]) -> None:
    """Serve projects until a signal says that it is enough. `ready` is called once, when questions are answered.

    Raises UsageError for a folder that is no project and an address that cannot be used, and whatever keeps a worker from starting.
    """
    from rungwise.serve.workers import Workers, all_of, listen, url_of

    folders = [_checked(directory) for directory in directories]
    if len(set(folders)) < len(folders):
        raise UsageError("one project is named twice. Name each once")
    if wanted.store is not None:
        os.environ[STORE] = wanted.store  # the workers inherit it; on a command line everybody on the machine could read it
    certificate, private_key, exports = _certificate(folders, wanted, clock)
    listeners = listen(wanted.host, wanted.port, wanted.workers)
    scratch = tempfile.mkdtemp(prefix="rungwise-")
    try:
        plan = Plan(
            factory=FACTORY,
            arguments={"directories": [str(folder) for folder in folders]},
            host=wanted.host,
            port=wanted.port,
            workers=wanted.workers,
            scratch=scratch,
            certificate=certificate,
            private_key=private_key,
            drain_s=wanted.drain_s,
        )
        url = url_of(listeners[0][0], tls=certificate is not None)
        told = Listening(url, wanted.workers, exports(url) if exports is not None else None)
        asyncio.run(Workers(plan, listeners).run(lambda: ready(told)))
    finally:
        for listener in all_of(listeners):
            listener.close()
        shutil.rmtree(scratch, ignore_errors=True)


def _checked(directory: Path) -> Path:
    if not (directory / FILE).is_file():
        raise UsageError(f"{directory} holds no {FILE}, so it is no project. Type: rungwise init {directory}")
    return directory.resolve()


def _certificate(
    folders: Sequence[Path], wanted: Wanted, clock: Clock
) -> tuple[str | None, str | None, Callable[[str], str] | None]:
    if wanted.tls is None:
        return None, None, None
    if wanted.tls != SELF_SIGNED:
        raise UsageError(f"--tls knows '{SELF_SIGNED}' only. For a certificate of an authority put a proxy in front that has it")
    from rungwise.serve.certificate import exports, self_signed

    files = self_signed(folders[0] / STATE / "tls", [wanted.host], now=clock.now())
    return str(files.certificate), str(files.private_key), lambda url: exports(url, files)
