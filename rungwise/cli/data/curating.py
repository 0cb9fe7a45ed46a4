"""`rungwise data curate`: what should not be learned from or tested on is set aside."""

from __future__ import annotations

import time
from typing import Any

import click

from rungwise.cli.data.words import data_progress, say_quarantined
from rungwise.cli.options import as_json, print_json, say
from rungwise.core.record import short


@click.command("curate")
@click.argument("directory", metavar="DIR")
@click.option("--steps", default="", metavar="STEP,...", help="Default: quality,language,dedup,pii,labels,leaks.")
@click.option(
    "--pii",
    type=click.Choice(["report", "mask", "pseudonymise", "quarantine"]),
    default="report",
    show_default=True,
    help="What happens to personal data; rows with secrets are set aside in any case, or masked.",
)
@click.option("--names", is_flag=True, help="Names, addresses and organisations count as personal data.")
@click.option("--languages", default="", metavar="CODE,...", help="Set other languages aside (en,pt); default: none is.")
@click.option("--published", is_flag=True, help="Quality thresholds as published, not calibrated on these rows.")
@click.option("--quiet", is_flag=True, help="No progress.")
@as_json
def curating(directory: str, steps: str, quiet: bool, as_json: bool, **options: Any) -> int:
    """Set rows aside, each with a reason, and keep the rest as a curated version. Nothing is deleted.

    The next climb of the project reads the curated version. Bring rows back with: rungwise data restore
    """
    from rungwise.project import Project
    from rungwise.project.data import STEPS, Choices

    started = time.monotonic()
    chosen = tuple(name.strip() for name in steps.split(",") if name.strip()) or STEPS
    choices = Choices(
        pii=options["pii"],
        names=options["names"],
        languages=tuple(code.strip() for code in options["languages"].split(",") if code.strip()),
        thresholds="published" if options["published"] else "calibrated",
    )
    with data_progress(silent=as_json or quiet) as listen:
        done = Project(directory).data.curate(chosen, choices=choices, say=listen)
    seconds = time.monotonic() - started
    if as_json:
        document = {
            "dataset": done.version.id,
            "kept": done.kept,
            "quarantined": dict(done.quarantined),
            "seconds": round(seconds, 3),
        }
        print_json(document)
        return 0
    say(f"kept {done.kept:,} rows as version {short(done.version.id)} ({seconds:.1f} s)")
    say_quarantined(done.quarantined, directory)
    return 0
