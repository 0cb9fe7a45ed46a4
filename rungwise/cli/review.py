"""`rungwise review`: judge answers one by one."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.core.record import to_plain
from rungwise.data.reviews import REASONS

if TYPE_CHECKING:
    from rungwise.evaluate.agreement import Agreement
    from rungwise.evaluate.reviewers import Agreed


@click.command()
@click.argument("directory", metavar="PROJECT")
@click.option("--as", "reviewer", default=None, metavar="NAME", help="Who judges; by default the name you are logged in with.")
@click.option("--reason", type=click.Choice(REASONS), default=None, help="Only what was drawn for this reason.")
@click.option("--limit", type=click.IntRange(min=1), default=None, metavar="N", help="Stop after N answers.")
@click.option("--agreement", is_flag=True, help="Say how far reviewers agree, and ask nothing.")
@as_json
def review(directory: str, reviewer: str | None, reason: str | None, limit: int | None, agreement: bool, as_json: bool) -> int:
    """Judge answers of PROJECT, one key each: Enter where it is right, a digit for the label that would have been.

    `rungwise watch` draws them from each day. Every verdict is kept before the next answer is shown; u takes the last one back,
    also after a crash. What you decided becomes feedback when you end with q. Keys may come out of a pipe, one for each
    character. With --json nothing is asked: it tells what waits and how far reviewers agree.
    """
    from rungwise.project import Project

    reviews = Project(directory).reviews
    if as_json:
        waiting, found = reviews.waiting(), reviews.agreement()
        print_json({"waiting": {**to_plain(waiting), "reasons": dict(waiting.reasons)}, "agreement": to_plain(found)})
        return 0
    if agreement:
        _show(reviews.agreement(), directory)
        return 0
    from rungwise.cli.keyboard import keyboard
    from rungwise.cli.review_session import Session

    with reviews.sitting(reviewer or getpass.getuser()) as sitting, keyboard() as keys:
        session = Session(sitting, keys, reason=reason, limit=limit)
        session.run()
    say(f"{session.judged:,} {'answer' if session.judged == 1 else 'answers'} judged; {reviews.waiting().open:,} wait")
    if session.judged:
        say(f"next: rungwise feedback to-dataset {directory}")
    return 0


def _show(found: Agreed, directory: str) -> None:
    if not found.people:
        say(f"nobody has judged an answer yet. Type: rungwise review {directory}")
        return
    say(f"same verdict on the same answer   {_told(found.raw, share=True)}")
    say(f"Krippendorff's alpha, right?      {_told(found.alpha)}")
    if found.labels is not None:
        say(f"Krippendorff's alpha, label       {_told(found.labels)}")
    for pair in found.pairs:
        say(f"Cohen's kappa, {pair.first} and {pair.second}: {_told(pair.kappa)}")
    say()
    for one in found.people:
        agrees = "" if one.agrees is None else f", agrees with others on {one.agrees:.0%}"
        pace = "" if one.seconds is None else f", {one.seconds:.1f} s each"
        say(f"{one.reviewer}: {one.n:,} judged, {one.right:.0%} right{agrees}{pace}")
        if one.says_the_same:
            word = "right" if one.right else "wrong"
            say(f"  says '{word}' of everything; whoever judged as the others do would with a chance of {one.p:.2g}")


def _told(one: Agreement, *, share: bool = False) -> str:
    if one.value is None:
        return one.why

    def figure(value: float) -> str:
        return f"{value:.1%}" if share else f"{value:.3f}"

    interval = "" if one.low is None or one.high is None else f" ({one.level:.0%} interval {figure(one.low)} to {figure(one.high)})"
    return f"{figure(one.value)}{interval}, {one.n:,} {'item' if one.n == 1 else 'items'}"
