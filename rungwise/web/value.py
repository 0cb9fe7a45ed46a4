"""The section of the report about money: what answering costs and brings, and when it pays."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from markupsafe import Markup

from rungwise.core.record import short
from rungwise.watch.money.bill import Bill, Line
from rungwise.watch.money.days import date_of
from rungwise.watch.money.forecast import Foreseen
from rungwise.watch.value.account import Account
from rungwise.watch.value.intervals import Figure
from rungwise.watch.value.payback import ALREADY, BreakEven
from rungwise.watch.value.variants import Brought
from rungwise.web import value_charts, words
from rungwise.web.charts import linear_ticks

MOST_LINES = 8
MOST_CONVERSIONS = 3
_AHEAD = 1.25  # how much farther than the break-even its picture goes


@dataclass(frozen=True, kw_only=True)
class Table:
    """A part of the bill: its title, and lines of words."""

    title: str
    lines: tuple[tuple[str, ...], ...]
    more: int


@dataclass(frozen=True, kw_only=True)
class Money:
    """The section as the template shows it; every figure is already words."""

    days: int
    figures: tuple[tuple[str, str], ...]
    parts: tuple[tuple[str, str], ...]
    budget: str
    over_budget: bool
    users_over: str
    charts: tuple[tuple[str, Markup], ...]
    tables: tuple[Table, ...]
    values: tuple[tuple[str, Markup], ...]
    comparisons: tuple[str, ...]
    complete: str
    break_even: tuple[str, ...]
    right: str


def money_section(account: Account) -> Money:
    """The section of an account. Equal accounts give equal sections."""
    return Money(
        days=len(account.per_day),
        figures=_figures(account),
        parts=_parts(account.bill),
        budget=_sentence(account.month.why),
        over_budget=account.month.state == "over",
        users_over=_users_over(account),
        charts=tuple(_charts(account)),
        tables=tuple(_table(name, lines) for name, lines in account.by.items() if any(one.value is not None for one in lines)),
        values=tuple(_values(account)),
        comparisons=tuple(_comparisons(account)),
        complete=_complete(account),
        break_even=tuple(_sentence(one.why) for one in account.returned.break_even),
        right=_right(account),
    )


def _figures(account: Account) -> tuple[tuple[str, str], ...]:
    whole, back = account.bill, account.returned
    each = words.usd(1000 * whole.total_usd / whole.requests) if whole.requests else words.NOTHING
    user = words.usd(whole.usd / whole.users) if whole.users else words.NOTHING
    roi = words.NOTHING if back.roi is None else f"{back.roi:+.0%}".replace("%", " %")
    return (
        ("Requests", f"{whole.requests:,}"),
        ("All of it", words.usd(whole.total_usd)),
        ("Per 1,000 requests", each),
        ("Answering a user", user),
        ("To make", words.usd(back.invested_usd)),
        ("To run, since the first day", words.usd(back.running_usd)),
        ("Brought, since the first day", words.usd(back.brought_usd)),
        ("Return on what was spent", roi),
    )


def _parts(whole: Bill) -> tuple[tuple[str, str], ...]:
    parts = (
        ("tokens", whole.tokens_usd),
        ("machine time", whole.machine_usd),
        ("shadows", whole.shadow_usd),
        ("storage", whole.storage_usd),
        ("reviewing", whole.review_usd),
        ("noted by hand", whole.noted_usd),
    )
    return tuple((name, words.usd(usd)) for name, usd in parts if usd)


def _users_over(account: Account) -> str:
    one = account.user_budget
    if one is None:
        return ""
    return f"{len(one.over):,} of {words.count(one.users, 'user')} cost more than {words.usd(one.budget_usd)} this month."


def _charts(account: Account) -> list[tuple[str, Markup]]:
    found = []
    if any(one.requests or one.shadow_usd for one in account.per_day):
        days = [value_charts.Bar(name=_day(one.day), usd=one.usd, shadow_usd=one.shadow_usd) for one in account.per_day]
        write = _writer([one.usd + one.shadow_usd for one in days])
        found.append(("Cost of each day", value_charts.bars(days, title="Cost of each day", write=write)))
    month = account.month
    if month.path:
        one = value_charts.Fan(
            title="This month, with its forecast",
            names=tuple(_day(day) for day in range(month.first, month.first + len(month.path) + len(_after(account)))),
            known=month.path,
            mean=tuple(each.mean for each in _after(account)),
            low=tuple(each.low for each in _after(account)),
            high=tuple(each.high for each in _after(account)),
            line=month.budget_usd,
            line_name=f"budget {words.usd(month.budget_usd)}" if month.budget_usd is not None else "",
        )
        write = _writer([*one.known, *one.high, month.budget_usd or 0.0])
        found.append((one.title, value_charts.fan(one, write=write)))
    balance = _balance(account)
    if balance is not None:
        found.append((balance.title, value_charts.fan(balance, write=_writer([*balance.known, *balance.high, *balance.low]))))
    return found


def _after(account: Account) -> tuple[Foreseen, ...]:
    """The days behind today: today's own rest is a point that is drawn already."""
    month = account.month
    extra = len(month.path) + len(month.fan) - (month.last - month.first + 1)
    return month.fan[max(0, extra) :]


def _balance(account: Account) -> value_charts.Fan | None:
    """What was brought less what was spent, day by day, and on to the day on which it is even, at the rate of the last weeks."""
    life, back = account.life, account.returned
    even = next(iter(back.break_even), None)
    if life is None or even is None or even.each_usd is None:
        return None
    each = (back.success.value if back.success is not None else 0.0) * back.worth.usd
    known = [float(one) - back.invested_usd for one in (life.requests * each + life.revenue - life.costs).cumsum()]
    known = [-back.invested_usd, *known]
    ahead = _days_ahead(even, life.today, len(known))
    last = known[-1]
    steps = range(1, ahead + 1)
    rates = (even.each_usd, *(_rate(last, day, life.today, even.each_usd) for day in (even.high, even.low)))
    low, high = sorted(rates[1:]) if even.state != ALREADY else (rates[0], rates[0])
    return value_charts.Fan(
        title="Brought less spent, since the first day",
        names=tuple(_day(life.first - 1 + place) for place in range(len(known) + ahead)),
        known=tuple(known),
        mean=tuple(last + rates[0] * step for step in steps),
        low=tuple(last + low * step for step in steps),
        high=tuple(last + high * step for step in steps),
        line=0.0,
        line_name="break-even",
    )


def _days_ahead(even: BreakEven, today: int, known: int) -> int:
    if even.day is None or even.day <= today:
        return max(7, known // 4)
    return min(math.ceil((even.day - today) * _AHEAD), 10 * max(known, 14))


def _rate(balance: float, day: int | None, today: int, mean: float) -> float:
    """What each day must bring for the balance to be even on a day; nothing where it never is."""
    if day is None:
        return min(0.0, mean)
    return -balance / (day - today) if day > today else mean


def _values(account: Account) -> list[tuple[str, Markup]]:
    variants = account.outcomes.variants
    metrics: list[tuple[str, Callable[[Brought], Figure | None], bool]] = [
        ("Revenue for each user, USD", lambda one: one.revenue_per_user, False),
        ("Requests of each user", lambda one: one.requests_per_user, False),
        ("Users who come back", lambda one: one.returning, True),
    ]
    for name in sorted({name for one in variants for name in one.conversions})[:MOST_CONVERSIONS]:
        metrics.append((f"Users with the outcome {words.shortened(name, 30)}", partial(_conversion, name), True))
    found = []
    for title, get, is_share in metrics:
        rows = [
            value_charts.Row(name=one.variant, value=figure.value, low=figure.low, high=figure.high)
            for one in variants
            if (figure := get(one)) is not None
        ]
        if rows and any(row.value for row in rows):
            write = _percent if is_share else _plain
            found.append((title, value_charts.rows(rows, title=title, write=write)))
    return found


def _conversion(name: str, one: Brought) -> Figure | None:
    return one.conversions.get(name)


def _comparisons(account: Account) -> list[str]:
    variants = account.outcomes.variants
    found = []
    for one in variants[1:]:
        for metric, by in one.against.items():
            if by.low is None or by.high is None:
                continue
            is_share = metric == "returning" or metric.startswith("conversion.")
            write = _points if is_share else _signed
            shown = "shown to be more" if by.low > 0 else "shown to be less" if by.high < 0 else "no difference is shown"
            name = metric.replace("_", " ").replace("conversion.", "conversion to ")
            between = f"{write(by.low)} to {write(by.high)}"
            found.append(f"{name}: {one.variant} {write(by.value)} against {variants[0].variant} ({between}), {shown}")
    return found


def _complete(account: Account) -> str:
    gone = account.outcomes.gone
    lost = f" {words.count(gone, 'outcome')} of traces that are gone count nowhere." if gone else ""
    late = f"{account.label_days:g} days"
    return f"Outcomes may come {late} late: they are complete for questions up to {_day(account.complete_until)}.{lost}"


def _right(account: Account) -> str:
    back = account.returned
    if back.success is None:
        return ""
    worth = f"; a right answer counts as {words.usd(back.worth.usd)} ({back.worth.why})" if back.worth.usd else ""
    return f"Answers are right {back.success.value * 100:.1f} % of the time, {back.success.source}{worth}."


def _table(field: str, lines: Sequence[Line]) -> Table:
    shown = []
    for one in lines[:MOST_LINES]:
        name = "none" if one.value is None else short(one.value) if field in ("candidate", "release") else one.value
        each = words.usd(1000 * one.total_usd / one.requests) if one.requests else words.NOTHING
        shown.append((name, f"{one.requests:,}", words.usd(one.usd), words.usd(one.total_usd), each))
    return Table(title=field, lines=tuple(shown), more=max(0, len(lines) - MOST_LINES))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _day(day: int) -> str:
    return date_of(day).strftime("%-d %b")


def _writer(values: list[float] | list[float | None]) -> Callable[[float], str]:
    """US dollars on an axis, with so many digits as its ticks need."""
    known = [one for one in values if one is not None and math.isfinite(one)]
    ticks = linear_ticks(min([0.0, *known]), max([0.0, *known]) or 1.0)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return lambda value: f"{value:,.{digits}f}".replace("-", "−")


def _plain(value: float) -> str:
    return f"{value:.4g}"


def _signed(value: float) -> str:
    return f"{value:+.3g}"


def _percent(value: float) -> str:
    return f"{value * 100:.3g} %"


def _points(value: float) -> str:
    return f"{value * 100:+.1f} points"
