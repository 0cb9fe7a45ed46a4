"""`rungwise questions`: a first set of questions from documents, for those who have none."""

from __future__ import annotations

from pathlib import Path

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.cli.setting_up import endpoint_of


@click.command()
@click.argument("source", metavar="SOURCE")
@click.option("--into", "target", required=True, metavar="FILE.jsonl", help="Where the questions go.")
@click.option("--count", default=200, show_default=True, type=click.IntRange(1, 1_000_000), help="How many at most.")
@click.option("--task", type=click.Choice(["answer", "search"]), default="answer", show_default=True, help="What they are for.")
@click.option("--endpoint", default=None, metavar="URL#MODEL", help="A language model that writes them.")
@click.option("--key-env", default=None, metavar="NAME", help="Environment variable with the endpoint's key.")
@click.option("--seed", type=int, default=0, help="Seed of everything that draws.")
@as_json
def questions(
    source: str, target: str, count: int, task: str, endpoint: str | None, key_env: str | None, seed: int, as_json: bool
) -> int:
    """Make questions from the documents of SOURCE.

    They are marked as made up, and a climb proves nothing by them. They are worded like the documents, so that search by words
    looks better than it is: measured on the shipped example, they turn the order of words and meaning around. Use them to
    see that all works, and to compare readers of one search; choose the search by questions of people.
    """
    from rungwise.project.questions import write_questions

    asked = endpoint_of(endpoint, key_env) if endpoint is not None else None
    written = write_questions(source, Path(target), count=count, task=task, seed=seed, endpoint=asked)
    if as_json:
        print_json({"output": target, "questions": written.questions, "dropped": written.dropped, "usd": round(written.usd, 6)})
    else:
        say(f"{written.questions:,} questions in {target}" + (f" ({written.dropped:,} dropped)" if written.dropped else ""))
        say("They are made up and favour search by words. Add questions of people before you choose by a figure.")
        say(f"Next: rungwise climb {target} --task {task} --documents {source} --until retrieval")
    return 0
