"""`rungwise feedback to-dataset`: what people said becomes data."""

from __future__ import annotations

from pathlib import Path

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.core.errors import UsageError
from rungwise.core.record import short


@click.command("to-dataset")
@click.argument("directory", metavar="PROJECT")
@click.option(
    "--output", metavar="FILE.jsonl", help="Where they are written; default: feedback.jsonl or preferences.jsonl in PROJECT."
)
@click.option("--pairs", is_flag=True, help="Pairs of a better and a worse answer instead of rows.")
@click.option("--approved", is_flag=True, help="An answer with a thumb up counts as right.")
@click.option("--names", is_flag=True, help="Mask names of people, organisations and places too.")
@click.option("--keep-personal-data", is_flag=True, help="Mask nothing.")
@as_json
def to_dataset(
    directory: str, output: str | None, pairs: bool, approved: bool, names: bool, keep_personal_data: bool, as_json: bool
) -> int:
    """Make rows of the judgements on answers of PROJECT: questions with the label or the answer that would have been right.

    Personal data is masked. Where the data of PROJECT has versions, the rows become a new one. They name the
    trace that they come from, and are for training: people judge what they notice, which is no fair sample. Only those of
    answers that were drawn for review by chance may be for dev or sealed.
    """
    from rungwise.project import Project

    if names and keep_personal_data:
        raise UsageError("--names masks more, --keep-personal-data masks nothing. Leave one of them out")
    if pairs and approved:
        raise UsageError("an answer with a thumb up counts as the better one of a pair anyway. Leave --approved out")
    own, target, mask = Project(directory).feedback, Path(output) if output else None, not keep_personal_data
    if pairs:
        done = own.pairs(output=target, mask=mask, names=names)
    else:
        done = own.to_dataset(output=target, approved=approved, mask=mask, names=names)
    what = "pairs" if pairs else "rows"
    if as_json:
        path = str(done.path) if done.path is not None else None
        counts = {"judged": done.judged, what: done.made, "earlier": done.earlier, "left_out": dict(done.left_out)}
        print_json({**counts, "output": path, "dataset": done.version})
        return 0
    say(f"{done.made:,} {what} from {done.judged:,} judged answers" + (f" in {done.path}" if done.path else ""))
    if done.earlier:
        say(f"  and {done.earlier:,} rows of earlier times, whose traces are gone")
    for reason, count in done.left_out.items():
        say(f"  left out {count:,}: {reason}")
    if done.version is not None:
        say(f"They are in the data now: version {short(done.version)}. Next: rungwise data curate {directory}")
    elif done.path is not None and not pairs:
        say(f"Next: look at them, and add them to your data, for instance: rungwise data import {done.path} --into {directory}")
    return 0
