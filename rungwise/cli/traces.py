"""`rungwise traces`: what was asked and answered, what it cost, and how it is forgotten."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from rungwise.cli.options import as_json, json_line, print_json, say
from rungwise.core.errors import UsageError
from rungwise.core.record import to_plain

if TYPE_CHECKING:
    from rungwise.core.trace import Trace
    from rungwise.data.traces.sums import Sum
    from rungwise.project.traces import Forgotten, ProjectTraces

SHOWN = 20
"""Traces that are shown where nobody says how many."""


@click.command()
@click.argument("directory", metavar="PROJECT")
@click.option("--where", default="", metavar="CONDITIONS", help="""Which: 'user=ann and usd>0.01 and text~"refund" and at>=7d'.""")
@click.option("--limit", type=click.IntRange(min=1), default=None, help=f"How many, newest first; {SHOWN} without --json-lines.")
@click.option("--after", default=None, metavar="ID", help="Go on behind this trace.")
@click.option("--id", "id", default=None, metavar="ID", help="One trace, whole; the first digits are enough.")
@click.option("--sum-by", default=None, metavar="FIELD", help="Their number and cost by user, tenant, model, tag.NAME ...")
@click.option("--json-lines", is_flag=True, help="One JSON object a line on stdout, a trace each.")
@click.option("--erase", is_flag=True, help="Remove those of --where for good, with the feedback on them.")
@click.option("--dry-run", is_flag=True, help="With --erase: only say how many would go.")
@click.option("--yes", is_flag=True, help="With --erase: do not ask.")
@as_json
def traces(directory: str, **options: Any) -> int:
    """Search the traces of PROJECT, newest first.

    Fields: user tenant key conversation release variant candidate engine model asked operation finish error id
    response_id shadow_of tag.NAME (= != ~), usd seconds first_token_s input_tokens output_tokens status
    at (= != > >= < <=), streamed cached failed shadow (=yes, =no), text (~), thumb=up, thumb=down, feedback=yes.
    Moments are dates, times in UTC, or how long ago: 30m, 6h, 7d.
    """
    from rungwise.project import Project

    _check(options)
    found = Project(directory).traces
    where, limit, machine = options["where"], options["limit"], options["as_json"]
    if options["erase"]:
        return _erase(found, where, dry_run=options["dry_run"], yes=options["yes"], machine=machine)
    if options["id"] is not None:
        return _one(found.get(options["id"]), machine=machine or options["json_lines"])
    if options["sum_by"] is not None:
        return _sums(found.sums(where, by=options["sum_by"])[:limit], options["sum_by"], machine=machine)
    if options["json_lines"]:
        for trace in found.search(where, after=options["after"], limit=limit):
            click.echo(json_line(to_plain(trace)))
        return 0
    some = list(found.search(where, after=options["after"], limit=limit or SHOWN))
    if machine:
        print_json({"traces": [to_plain(trace) for trace in some]})
    else:
        _table(some)
    return 0


def _check(options: dict[str, Any]) -> None:
    """Raise UsageError for options that do not go together."""
    ways = [name for name in ("erase", "id", "sum_by", "json_lines") if options[name]]
    if len(ways) > 1 and ways != ["id", "json_lines"]:
        raise UsageError(f"--{ways[0]} and --{ways[1]} cannot be given together. Leave one out".replace("_", "-"))
    if options["json_lines"] and options["as_json"]:
        raise UsageError("--json prints one document, --json-lines one a line. Leave one out")
    for name in ("dry_run", "yes"):
        if options[name] and not options["erase"]:
            raise UsageError(f"--{name} is about --erase, which is not given".replace("_", "-"))
    if options["after"] and ways and ways != ["json_lines"]:
        raise UsageError(f"--after is for a list of traces, not for --{ways[0]}".replace("_", "-"))


def _table(some: Iterable[Trace]) -> None:
    from rungwise.web import words

    none = True
    for trace in some:
        none = False
        cost = f"{trace.usage.usd:.6f}".rstrip("0").rstrip(".")
        who = words.one_line(trace.user or trace.key or "-")
        by = words.one_line("/".join(filter(None, (trace.variant, trace.model or trace.engine or trace.asked))))
        trouble = "" if trace.error is None else f"  {words.one_line(trace.error)}"
        say(
            f"{trace.id}  {_moment(trace.at)}  {trace.status}  {trace.seconds:7.3f} s"
            f"  {trace.usage.input_tokens + trace.usage.output_tokens:>6,} tokens  {cost:>9} USD  {who}  {by}{trouble}"
        )
    if none:
        say("no traces found")


def _one(trace: Trace, *, machine: bool) -> int:
    from rungwise.web import words

    if machine:
        print_json(to_plain(trace))
        return 0
    for name, value in to_plain(trace).items():
        if name in ("request", "response", "spans") or value in (None, "", [], {}):
            continue
        shown = _moment(value) if name == "at" else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        say(f"{name:<14} {words.one_line(shown)}")
    for span in trace.spans:
        error = "" if span.error is None else f"  {span.error}"
        say(f"{'span':<14} {span.start_s:7.3f} s  {span.seconds:7.3f} s  {words.one_line(f'{span.kind} {span.name}{error}')}")
    for name, text in (("request", trace.request), ("response", trace.response)):
        say(f"{name:<14} {'not captured' if text is None else words.printable(text)}")
    return 0


def _sums(found: list[Sum], by: str, *, machine: bool) -> int:
    from rungwise.web import words

    if machine:
        print_json({"by": by, "sums": [dataclasses.asdict(one) for one in found]})
        return 0
    for one in found:
        tokens = one.input_tokens + one.output_tokens
        say(
            f"{one.usd:>12.4f} USD  {one.traces:>9,} traces  {one.failed:>7,} failed  {tokens:>12,} tokens"
            f"  {one.seconds / one.traces:7.3f} s each  {words.one_line(one.value or '-')}"
        )
    if not found:
        say("no traces found")
    return 0


def _erase(found: ProjectTraces, where: str, *, dry_run: bool, yes: bool, machine: bool) -> int:
    def agree(number: int) -> bool:
        if yes or not number:
            return True
        if not sys.stdin.isatty():
            raise UsageError(f"erasing {number:,} traces cannot be undone. Add --yes to do it, or --dry-run to count them")
        return click.confirm(f"Erase {number:,} traces for good?", err=True)

    done = found.erase(where, dry_run=dry_run, agree=agree)
    if machine:
        print_json(dataclasses.asdict(done))
    else:
        _say_forgotten(done)
    return 0 if done.done or dry_run else 1


def _say_forgotten(done: Forgotten) -> None:
    if not done.done:
        say(f"{done.traces:,} traces would be erased; nothing was")
        return
    say(f"{done.traces:,} traces erased, with {done.feedback:,} judgements on them and {done.replies:,} kept answers")
    if done.rows:
        command = f"rungwise data erase PROJECT {done.rows[0]} ..."
        say(f"{len(done.rows):,} rows of data were made from them and stay. Erase them: {command}")
    if not done.wiped:
        say("somebody read meanwhile, so a log still holds bytes of them. Run the same command again")


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
