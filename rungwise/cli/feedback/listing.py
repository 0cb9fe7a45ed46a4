"""`rungwise feedback list`: what was judged last."""

from __future__ import annotations

import time

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.core.feedback import Feedback
from rungwise.core.record import to_plain


@click.command("list")
@click.argument("directory", metavar="PROJECT")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100_000), help="How many.")
@as_json
def listing(directory: str, limit: int, as_json: bool) -> int:
    """The judgements on answers of PROJECT that came last, newest first."""
    from rungwise.project import Project

    found = Project(directory).feedback.listed(limit)
    if as_json:
        print_json([{"id": one.feedback.id, **to_plain(one.feedback), "variant": one.about.variant} for one in found])
        return 0
    for one in found:
        when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(one.feedback.at))
        say(f"{when}  {one.feedback.trace}  {one.feedback.source:<8}  {_told(one.feedback)}")
    if not found:
        say(f"nobody has judged an answer yet. Type: rungwise feedback add {directory} --trace ID --thumb up")
    return 0


def _told(feedback: Feedback) -> str:
    """What was judged, on one line."""
    said = {
        "thumb": None if feedback.thumb is None else "up" if feedback.thumb else "down",
        "score": None if feedback.score is None else f"{feedback.score:g}",
        "label": feedback.label,
        "correction": feedback.correction,
        "outcome": feedback.outcome,
        "value_usd": None if feedback.value_usd is None else f"{feedback.value_usd:g}",
        "comment": feedback.comment,
    }
    told = ", ".join(f"{name} {' '.join(text.split())}" for name, text in said.items() if text is not None)
    return told if len(told) <= 100 else f"{told[:99]}…"
