"""`rungwise data card`: what is in a version of the data."""

from __future__ import annotations

from pathlib import Path

import click

from rungwise.cli.data.words import data_progress
from rungwise.cli.options import as_json, print_json, say
from rungwise.core.record import to_plain


@click.command()
@click.argument("directory", metavar="DIR")
@click.option("--version", "name", default="HEAD", metavar="VERSION", help="A tag, an id, or HEAD.")
@click.option("--group", default=None, metavar="COLUMN", help="Count the rows by this column.")
@click.option("--html", default=None, metavar="FILE", help="Also write the card as one HTML page that opens from disk.")
@click.option("--quiet", is_flag=True, help="No progress.")
@as_json
def card(directory: str, name: str, group: str | None, html: str | None, quiet: bool, as_json: bool) -> int:
    """Say what is in the data: sources, licences, languages, lengths, labels, splits, duplicates, personal data, quality.

    What a curation saw is not looked at again, and the card of a version is made once.
    """
    from rich.console import Console

    from rungwise.cli.data.card_view import CardView
    from rungwise.data.blobs import write_durably
    from rungwise.project import Project
    from rungwise.web.data_card import render_data_card

    with data_progress(silent=as_json or quiet) as listen:
        found = Project(directory).data.card(name, group=group, say=listen)
    if html is not None:
        write_durably(Path(html), render_data_card(found, directory).encode("utf-8"))
    if as_json:
        print_json(to_plain(found))
        return 0
    Console().print(CardView(found, directory), crop=False, highlight=False)
    if html is not None:
        say(html)
    return 0
