"""`rungwise value`: what answering costs and brings, and when it pays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from rungwise.cli.options import as_json, print_json, say
from rungwise.core.errors import UsageError
from rungwise.core.record import short, to_plain

if TYPE_CHECKING:
    from rungwise.data.costs import Noted
    from rungwise.watch.money.bill import Line
    from rungwise.watch.value.account import Account
    from rungwise.watch.value.intervals import Figure

SHOWN = 10
"""Lines of each breakdown that people are shown."""


@click.command()
@click.argument("directory", metavar="PROJECT")
@click.option("--days", default=30, show_default=True, metavar="N", help="The last so many days (UTC), today included.")
@click.option(
    "--by", "by", multiple=True, metavar="FIELD", help="Break costs down by user, tenant, operation, tag.NAME ...; again."
)
@click.option(
    "--top", type=click.IntRange(min=1), default=None, help=f"So many of each, the dearest first; {SHOWN} without --json."
)
@click.option("--note-cost", type=float, default=None, metavar="USD", help="Note a cost that no trace tells of.")
@click.option("--kind", default=None, help="With --note-cost: labels, people, hardware ...")
@click.option("--for", "candidate", default=None, metavar="CANDIDATE", help="With --note-cost: whose development it was.")
@click.option("--why", default=None, help="With --note-cost: what it was for.")
@click.option("--drop-cost", default=None, metavar="ID", help="Take back a cost that was noted.")
@as_json
def value(directory: str, **options: Any) -> int:
    """What the answers of PROJECT cost and bring, by user, tenant, variant and candidate; the month's budget with its forecast;
    and when the product has paid for itself. Nothing is changed, but for --note-cost and --drop-cost."""
    from rungwise.project import Project

    _check(options)
    money, machine = Project(directory).money, options["as_json"]
    if options["note_cost"] is not None:
        given = {name: options[name] for name in ("kind", "candidate", "why") if options[name] is not None}
        return _noted(money.note_cost(options["note_cost"], **given), "noted", machine=machine)
    if options["drop_cost"] is not None:
        return _noted(money.drop_cost(options["drop_cost"]), "taken back", machine=machine)
    by = options["by"] or None
    if machine:
        print_json(money.document(days=options["days"], by=by, top=options["top"]))
        return 0
    _show(money.account(days=options["days"], by=by), options["top"] or SHOWN)
    return 0


def _check(options: dict[str, Any]) -> None:
    """Raise UsageError for options that do not go together."""
    if options["note_cost"] is not None and options["drop_cost"] is not None:
        raise UsageError("--note-cost and --drop-cost cannot be given together. Leave one out")
    for name, option in (("kind", "--kind"), ("candidate", "--for"), ("why", "--why")):
        if options[name] is not None and options["note_cost"] is None:
            raise UsageError(f"{option} is about --note-cost, which is not given")


def _noted(noted: Noted, what: str, *, machine: bool) -> int:
    if machine:
        print_json({"id": short(noted.id), **to_plain(noted)})
    else:
        whose = f" for {short(noted.candidate)}" if noted.candidate else ""
        say(f"{what}: {noted.usd:,.2f} USD, {noted.kind}{whose} ({noted.note}), id {short(noted.id)}")
    return 0


def _show(account: Account, top: int) -> None:
    _show_cost(account)
    for name, lines in account.by.items():
        if any(one.value is not None for one in lines):
            _table(f"cost by {name}", ("", "requests", "answering", "with shared", "each"), _bill_rows(name, lines, top))
    _show_development(account)
    _show_value(account)
    _show_return(account)


def _show_cost(account: Account) -> None:
    whole = account.bill
    each = f", {whole.total_usd / whole.requests:.4g} USD each" if whole.requests else ""
    say(f"{whole.requests:,} requests of {whole.users:,} users in {len(account.per_day)} days: {_usd(whole.total_usd)} USD{each}")
    parts = [
        ("tokens", whole.tokens_usd),
        ("machine time", whole.machine_usd),
        ("shadows", whole.shadow_usd),
        ("storage", whole.storage_usd),
        ("reviewing", whole.review_usd),
        ("noted", whole.noted_usd),
    ]
    say(
        "  " + ", ".join(f"{name} {_usd(usd)}" for name, usd in parts if usd)
        if any(usd for _, usd in parts)
        else "  nothing cost anything"
    )
    say(account.month.why[0].upper() + account.month.why[1:])
    over = account.user_budget
    if over is not None:
        named = ", ".join(f"{_name(user)} {_usd(usd)}" for user, usd in over.over[:3])
        most = f"their budget of {_usd(over.budget_usd)} USD a month"
        say(f"{len(over.over)} of {over.users} users are over {most}{': ' + named if named else ''}")


def _bill_rows(field: str, lines: Sequence[Line], top: int) -> Iterable[tuple[str, ...]]:
    for one in lines[:top]:
        each = f"{one.total_usd / one.requests:.4g}"
        yield _named(field, one.value), f"{one.requests:,}", _usd(one.usd), _usd(one.total_usd), each
    if len(lines) > top:
        rest = lines[top:]
        requests, usd, total = sum(one.requests for one in rest), sum(one.usd for one in rest), sum(one.total_usd for one in rest)
        yield f"{len(rest):,} others", f"{requests:,}", _usd(usd), _usd(total), f"{total / requests:.4g}"


def _show_development(account: Account) -> None:
    made = account.development
    if made.usd or made.made:
        say(
            f"development: {_usd(made.usd)} USD; climbs {_usd(made.climbs_usd)}, {made.labels:,} labels {_usd(made.labels_usd)}, "
            f"noted {_usd(made.noted_usd)}"
        )
        rows = [
            (one.rung + (" (chosen)" if one.chosen else ""), short(one.candidate), _usd(one.own_usd), _usd(one.noted_usd))
            for one in made.made
        ]
        _table("development by candidate", ("", "candidate", "made and measured", "noted"), rows)


def _show_value(account: Account) -> None:
    found = account.outcomes
    rows = []
    for one in found.variants:
        rows.append(
            (
                _name(one.variant),
                f"{one.units:,}",
                _figure(one.requests_per_user),
                _figure(one.revenue_per_user),
                _share(one.returning),
            )
        )
    _table("value by variant", ("", "users", "requests each", "USD each", "come back"), rows)
    names = sorted({name for one in found.variants for name in one.conversions})
    for name in names:
        shares = "; ".join(
            f"{_name(one.variant)} {_share(one.conversions[name])}" for one in found.variants if name in one.conversions
        )
        say(f"  {_name(name)}: {shares}")
    for one in found.variants[1:]:
        pair = f"{_name(one.variant)} against {_name(found.variants[0].variant)}"
        for metric, by in one.against.items():
            say(f"  {pair}, {metric.replace('_', ' ')}: {_figure(by, sign=True)}")
    from rungwise.watch.money.days import written

    gone = f"; {found.gone:,} outcomes are of traces that are gone" if found.gone else ""
    say(f"Outcomes may come {account.label_days:g} days late: they are complete up to {written(account.complete_until)}{gone}")


def _show_return(account: Account) -> None:
    one = account.returned
    roi = "" if one.roi is None else f", {one.roi:+.0%} on what was spent"
    if one.roi_low is not None and one.roi_high is not None and one.roi_low != one.roi_high:
        roi += f" ({one.roi_low:+.0%} to {one.roi_high:+.0%})"
    say(f"Return: {_usd(one.brought_usd)} USD brought, {_usd(one.invested_usd)} to make, {_usd(one.running_usd)} to run{roi}")
    if one.success is not None:
        gains = one.worth.why or "worth nothing by the settings"
        say(f"  answers are right {one.success.value:.1%} of the time, {one.success.source}; {gains}")
    if one.first_value_days is not None:
        say(f"  {one.first_value_days:.1f} days from the first climb to the first day that brought more than it cost")
    for each in one.break_even:
        say(f"  {each.why}")


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")
    for place, name in enumerate(head):
        table.add_column(name, justify="left" if place == 0 else "right", overflow="fold" if place == 0 else "ellipsis")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False, markup=False, width=100).print(table)


def _usd(amount: float) -> str:
    return f"{amount:,.2f}" if abs(amount) >= 1 or amount == 0 else f"{amount:.4g}"


def _name(text: str | None) -> str:
    from rungwise.web import words

    return words.shortened(words.one_line(text), 40) if text is not None else "-"


def _named(field: str, text: str | None) -> str:
    """The value of a field; ids as people are shown them."""
    return short(text) if text is not None and field in ("candidate", "release") else _name(text)


def _figure(one: Figure | None, *, sign: bool = False) -> str:
    if one is None:
        return "-"
    plus = "+" if sign else ""
    between = f" ({one.low:{plus}.3g} to {one.high:{plus}.3g})" if one.low is not None and one.high is not None else ""
    return f"{one.value:{plus}.3g}{between}"


def _share(one: Figure | None) -> str:
    if one is None:
        return "-"
    between = f" ({one.low:.1%} to {one.high:.1%})" if one.low is not None and one.high is not None else ""
    return f"{one.value:.1%}{between}"
