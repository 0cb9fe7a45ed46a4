"""The account as one JSON document; docs/how-to/know-what-it-earns.md says what each key is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rungwise.core.record import short, to_plain
from rungwise.watch.money.bill import Line
from rungwise.watch.money.days import written
from rungwise.watch.value.account import Account
from rungwise.watch.value.payback import BreakEven

Plain = dict[str, Any]


def account_document(account: Account, *, top: int | None = None) -> Plain:
    """`cost`, `value` and `return` as JSON data. Of each field of the bill the `top` dearest are listed, and the others summed."""
    return {"cost": _cost(account, top), "value": _value(account), "return": _return(account)}


def _cost(account: Account, top: int | None) -> Plain:
    whole, made = account.bill, account.development
    parts = ("usd", "tokens_usd", "machine_usd", "shadow_usd", "storage_usd", "review_usd", "noted_usd", "total_usd")
    return {
        "since": whole.since,
        "until": whole.until,
        "requests": whole.requests,
        "failed": whole.failed,
        "users": whole.users,
        **{name: getattr(whole, name) for name in parts},
        "stored_bytes": whole.stored_bytes,
        "review_seconds": whole.review_seconds,
        "usd_per_request": whole.total_usd / whole.requests if whole.requests else None,
        "by": {name: _lines(lines, top) for name, lines in account.by.items()},
        "per_day": [
            {"day": written(one.day), "requests": one.requests, "usd": one.usd, "shadow_usd": one.shadow_usd}
            for one in account.per_day
        ],
        "development": {
            **{name: getattr(made, name) for name in ("usd", "climbs", "climbs_usd", "labels", "labels_usd", "noted_usd")},
            "candidates": [to_plain(one) for one in made.made],
        },
        "noted": [{"id": short(one.id), **to_plain(one)} for one in account.noted],
        "month": _month(account),
        "user_budget": _user_budget(account, top),
    }


def _lines(lines: Sequence[Line], top: int | None) -> list[Plain]:
    shown = [_line(one) for one in lines[:top]]
    rest = lines[len(shown) :]
    if rest:
        others = Line(
            value=None,
            requests=sum(one.requests for one in rest),
            failed=sum(one.failed for one in rest),
            usd=sum(one.usd for one in rest),
            shared_usd=sum(one.shared_usd for one in rest),
        )
        shown.append({**_line(others), "others": len(rest)})
    return shown


def _line(one: Line) -> Plain:
    each = one.total_usd / one.requests if one.requests else None
    return {**to_plain(one), "total_usd": one.total_usd, "usd_per_request": each}


def _month(account: Account) -> Plain:
    one = account.month
    return {
        "first": written(one.first),
        "last": written(one.last),
        "spent_usd": one.spent_usd,
        "forecast": to_plain(one.whole) if one.whole is not None else None,
        "budget_usd": one.budget_usd,
        "state": one.state,
        "why": one.why,
    }


def _user_budget(account: Account, top: int | None) -> Plain | None:
    one = account.user_budget
    if one is None:
        return None
    over = [{"user": user, "usd": usd} for user, usd in one.over[:top]]
    return {"budget_usd": one.budget_usd, "users": one.users, "over": len(one.over), "dearest": over}


def _value(account: Account) -> Plain:
    found = account.outcomes
    return {
        "complete_until": written(account.complete_until),
        "label_days": account.label_days,
        "revenue_usd": found.revenue_usd,
        "outcomes_of_gone_traces": found.gone,
        "variants": [to_plain(one) for one in found.variants],
    }


def _return(account: Account) -> Plain:
    one = account.returned
    plain: Mapping[str, Any] = to_plain(one)
    return {
        **plain,
        "first": written(one.first),
        "last": written(one.last),
        "break_even": [_break_even(each) for each in one.break_even],
    }


def _break_even(one: BreakEven) -> Plain:
    days = {name: None if (day := getattr(one, name)) is None else written(day) for name in ("day", "low", "high")}
    return {**to_plain(one), **days}
