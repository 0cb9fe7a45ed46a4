"""`rungwise show`: what a fitted model is."""

from __future__ import annotations

from pathlib import Path

import click

from rungwise.cli.options import as_json, print_json, say


@click.command()
@click.argument("artefact", metavar="FOLDER")
@as_json
def show(artefact: str, as_json: bool) -> int:
    """Print the model card of a folder that `rungwise fit` wrote, once every file in it was held against its digest."""
    from rungwise.fit.card import README, read_card

    card = read_card(Path(artefact))
    if as_json:
        print_json(card)
    else:
        say((Path(artefact) / README).read_text(encoding="utf-8"))
    return 0
