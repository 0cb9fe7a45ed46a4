"""`rungwise feedback summary`: what users say, how it sounds and what it is about."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from rungwise.cli.options import as_json, print_json, say

if TYPE_CHECKING:
    from rungwise.core.reading import Reading

HEADS = (
    ("rate", "who speaks"),
    ("thumbs", "thumbs"),
    ("sentiment", "how comments sound"),
    ("topics", "what it is about"),
)


@click.command("summary")
@click.argument("directory", metavar="PROJECT")
@click.option("--days", type=int, default=28, show_default=True, help="How far back, today included.")
@as_json
def summary(directory: str, days: int, as_json: bool) -> int:
    """What users said of PROJECT's answers: how many spoke, how they liked it, how comments sound and what they are about.

    Intervals are of 95 % and count users, not words. Below each topic stand examples, and the command that shows a trace.
    The exit code is 1 while nobody said anything.
    """
    from rungwise.project import Project

    found = Project(directory).voices.summary(days)
    if as_json:
        print_json(found.plain())
        return 0 if found.told else 1
    say(f"the last {days} days")
    for name, head in HEADS:
        for one in found.of(name):
            part = ", ".join(f"{key} {value}" if key != "of" else value for key, value in one.about.items())
            say(f"{head}{f' ({part})' if part else ''}: {one.why}")
            if name == "topics":
                _topics(directory, one)
    worst = next((one.traces[0] for one in found.of("sentiment") if one.traces), None)
    if worst:
        say(f"Next: rungwise traces {shlex.quote(directory)} --id {worst}")
    elif not found.told:
        say(f"Next: rungwise feedback add {shlex.quote(directory)} --trace ID --thumb up")
    return 0 if found.told else 1


def _topics(directory: str, reading: Reading) -> None:
    for topic in reading.details.get("topics", ()):
        say(f"  {_topic(topic)}")
        for example in topic["examples"]:
            text = f"  {example['text']}" if example["text"] else ""
            say(f"    rungwise traces {shlex.quote(directory)} --id {example['trace']}{text}")
        if reading.about:
            word = topic["name"].split(",")[0].split()[0]
            where = shlex.quote(f'thumb=down and text~"{word}"')
            say(f"    all: rungwise traces {shlex.quote(directory)} --where {where}")


def _topic(topic: Mapping[str, Any]) -> str:
    share = f"{topic['share']:.0%} [{topic['low']:.0%}, {topic['high']:.0%}]"
    found = f"{topic['name']}: {share}, {topic['n']:,} of {topic['users']:,} users"
    if (moved := topic["change"]) is not None:
        shown = "shown" if moved["p"] < 0.05 else "not shown"
        found += f"; {moved['value']:+.0%} [{moved['low']:+.0%}, {moved['high']:+.0%}] against the time before ({shown})"
    if topic["good"] is not None:
        found += f"; {topic['good']:.0%} sound good, {topic['bad']:.0%} bad"
    return found
