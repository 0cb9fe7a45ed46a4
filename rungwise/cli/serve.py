"""`rungwise serve`: projects answer behind endpoints that existing SDKs speak."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rungwise.cli.options import as_json, print_json, say

if TYPE_CHECKING:
    from rungwise.project.serving import Listening


@click.command()
@click.argument("directories", metavar="[PROJECT ...]", nargs=-1)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at; 0.0.0.0 for all of them.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="The port; 0 finds a free one.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 256), help="Processes; one for each core.")
@click.option("--tls", default=None, metavar="self-signed", help="Serve HTTPS with a certificate made here.")
@click.option("--store", default=None, metavar="URL", envvar="RUNGWISE_STORE", help="A PostgreSQL database in place of the files.")
@click.option(
    "--drain", "drain_s", default=30.0, show_default=True, type=click.FloatRange(0), help="Seconds for running answers to end."
)
@as_json
def serve(directories: tuple[str, ...], as_json: bool, **wanted: Any) -> int:
    """Serve each PROJECT (by default this folder) under its name: its live release, and the engines of its endpoints.

    Prints 'listening on URL' when questions are answered. SIGTERM ends it when the running answers have ended; SIGHUP replaces
    the workers without a dropped request, for instance after an upgrade. A release or a rollback is followed by itself.
    """
    from rungwise.engines.clock import SystemClock
    from rungwise.project.serving import Wanted
    from rungwise.project.serving import serve as begin

    def ready(listening: Listening) -> None:
        if as_json:
            print_json({"url": listening.url, "workers": listening.workers, "pid": os.getpid(), "exports": listening.exports})
            return
        if listening.exports is not None:
            say(listening.exports)
        say(f"listening on {listening.url}")

    begin([Path(one) for one in directories or (".",)], Wanted(**wanted), clock=SystemClock(), ready=ready)
    return 0
