"""`rungwise data import`: a source becomes a version."""

from __future__ import annotations

import time
from typing import Any

import click

from rungwise.cli.data.words import data_progress, say_quarantined
from rungwise.cli.options import as_json, print_json, say
from rungwise.core.record import short
from rungwise.core.usecase import Columns


@click.command("import")
@click.argument("source", metavar="SOURCE")
@click.option("--into", "directory", required=True, metavar="DIR", help="The project whose data it becomes; made if need be.")
@click.option("--id", "key", default=None, metavar="COLUMN", help="Column with the row's id.")
@click.option("--text", default=None, metavar="COLUMN", help="Column with the text.")
@click.option("--label", default=None, metavar="COLUMN", help="Column with the label or answer.")
@click.option("--split", default=None, metavar="COLUMN", help="Column with train, dev or test.")
@click.option("--group", default=None, metavar="COLUMN", help="Column whose rows must stay together.")
@click.option("--passage", default=None, metavar="COLUMN", help="Column with the passage that comes with a question.")
@click.option("--licence", default=None, metavar="NAME", help="Licence of the source, such as CC-BY-4.0.")
@click.option("--encoding", default=None, help="Encoding of the file, if it is not UTF-8.")
@click.option("--allow-host", "allow_hosts", multiple=True, metavar="HOST", help="A private host that a URL may lead to.")
@click.option("--subset", default=None, metavar="NAME", help="Which dataset of a dataset folder.")
@click.option("--kind", default=None, metavar="KIND", help="table, folder, hub or web, where it cannot be told.")
@click.option("--quiet", is_flag=True, help="No progress.")
@as_json
def importing(source: str, directory: str, **options: Any) -> int:
    """Take in a table, a folder of documents, a dataset folder or a web page.

    A second import of the same source reads only what changed. Rows that cannot be read are set aside with their place and
    the reason, and the exit code is 1; a row that vanished from the source is marked. Killed anywhere, the same command goes on.
    """
    from rungwise.project import Project

    started = time.monotonic()
    columns = Columns(**{role: options[role] for role in ("key", "text", "label", "split", "group", "passage")})
    with data_progress(silent=options["as_json"] or options["quiet"]) as listen:
        taken = Project(directory).data.take_in(
            source,
            columns=columns,
            licence=options["licence"],
            encoding=options["encoding"],
            allow_hosts=options["allow_hosts"],
            subset=options["subset"],
            kind=options["kind"],
            say=listen,
        )
    version, seconds = taken.version, time.monotonic() - started
    vanished = sum(one.vanished for one in version.sources)
    if options["as_json"]:
        print_json(
            {
                "dataset": version.id,
                "rows": version.rows,
                "quarantined": dict(version.quarantined),
                "read": taken.read,
                "changed": taken.changed,
                "vanished": vanished,
                "seconds": round(seconds, 3),
            }
        )
    else:
        what = "imported" if taken.changed else "nothing changed in"
        say(f"{what} {version.rows:,} rows as version {short(version.id)} ({taken.read:,} read, {seconds:.1f} s)")
        for reason in taken.reasons:
            say(f"  {reason}")
        if vanished:
            say(f"  {vanished:,} rows of earlier imports are no longer there; earlier versions keep them")
        say_quarantined(version.quarantined, directory)
        say(f"Next: rungwise data curate {directory}")
    return 1 if version.quarantined else 0
