"""`rungwise keys`: who may ask a project, what they may do, and how much."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rungwise.cli.options import as_json, print_json, say, warn
from rungwise.core.errors import UsageError
from rungwise.core.record import to_plain

if TYPE_CHECKING:
    from rungwise.data.keys import NewKey
    from rungwise.project.keys import Listed, ProjectKeys

F = TypeVar("F", bound=Callable[..., Any])

_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_TELLING = {
    "requests_per_minute": "{:g} requests a minute",
    "tokens_per_minute": "{:,g} tokens a minute",
    "usd_per_day": "{:g} USD a day",
    "usd_per_month": "{:g} USD a month",
}


def limiting(command: F) -> F:
    """The options that are limits."""
    for option in reversed(
        (
            click.option("--requests-per-minute", type=float, metavar="N", help="At most so many requests in a minute."),
            click.option("--tokens-per-minute", type=float, metavar="N", help="At most so many tokens in a minute, in and out."),
            click.option("--usd-per-day", type=float, metavar="USD", help="At most so much money in a day (UTC)."),
            click.option("--usd-per-month", type=float, metavar="USD", help="At most so much money in a month (UTC)."),
        )
    ):
        command = option(command)
    return command


@click.group()
def keys() -> None:
    """API keys: make them, list them, replace and revoke them.

    Start with: rungwise keys create PROJECT
    """


@keys.command()
@click.argument("directory", metavar="PROJECT", default=".")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="SCOPE,...",
    help="What it may do: infer (the default), trace:read, feedback:write, data:write, release:promote, admin.",
)
@click.option("--name", default="", help="What people call it.")
@click.option("--tenant", default=None, help="Whose it is: it sees only what belongs to this tenant.")
@click.option("--user", default=None, help="The user that everything asked with it is counted to.")
@click.option(
    "--expires", default=None, metavar="90d|DATE", help="When it ends: after a time (90d, 12h), or on a day (2027-01-31)."
)
@limiting
@as_json
def create(directory: str, scopes: tuple[str, ...], expires: str | None, as_json: bool, **options: Any) -> int:
    """Make a key for PROJECT. It is shown now and never again."""
    own = _keys_of(directory)
    wanted = [scope.strip() for text in scopes or ("infer",) for scope in text.split(",") if scope.strip()]
    made = own.create(
        wanted,
        name=options["name"],
        tenant=options["tenant"],
        user=options["user"],
        expires_at=None if expires is None else read_end(expires, own.clock.now()),
        limits=_limits(options),
    )
    return _show_new(made, as_json)


@keys.command("list")
@click.argument("directory", metavar="PROJECT", default=".")
@click.option("--tenant", default=None, help="Only the keys of this tenant.")
@as_json
def listing(directory: str, tenant: str | None, as_json: bool) -> int:
    """The keys of PROJECT, and what was used of their limits; the keys themselves are not known any more."""
    own = _keys_of(directory)
    found = own.list(tenant=tenant)
    shared = [one for one in own.limits() if tenant is None or tenant in (one.allowance.name, one.allowance.tenant)]
    if as_json:
        limits = [{**to_plain(one.allowance), "used": dict(one.used)} for one in shared]
        print_json({"keys": [_plain(one) for one in found], "limits": limits})
        return 0
    if not found:
        say(f"no key: the project answers only on its own machine. Type: rungwise keys create {directory}")
    for one in found:
        key = one.key
        whose = "".join(f"  {what} {name}" for what, name in (("tenant", key.tenant), ("user", key.user)) if name)
        end = f"  until {_when(key.expires_at)}" if key.expires_at is not None and one.ended is None else ""
        say(f"{key.id}  {one.ended or 'good':<8} {','.join(key.scopes)}{'  ' + key.name if key.name else ''}{whose}{end}")
        _show_limits(key.limits, one.used)
    for allowed in shared:
        allowance = allowed.allowance
        whose = f" of {allowance.tenant}" if allowance.tenant else ""
        say(f"{allowance.kind} {allowance.name}{whose}")
        _show_limits(allowance.limits, allowed.used)
    return 0


@keys.command()
@click.argument("directory", metavar="PROJECT")
@click.argument("id", metavar="ID")
@click.option("--overlap", default="24h", show_default=True, metavar="TIME", help="How long the old key still opens: 0s, 24h, 7d.")
@as_json
def rotate(directory: str, id: str, overlap: str, as_json: bool) -> int:
    """Make a key that replaces another; for a while both open, and what they use is counted together."""
    return _show_new(_keys_of(directory).rotate(id, overlap_s=read_span(overlap)), as_json)


@keys.command()
@click.argument("directory", metavar="PROJECT")
@click.argument("id", metavar="ID")
@as_json
def revoke(directory: str, id: str, as_json: bool) -> int:
    """End a key now. A server that runs knows of it within a second."""
    key = _keys_of(directory).revoke(id)
    if as_json:
        print_json({"id": key.id, "revoked_at": key.revoked_at})
    else:
        say(f"{key.id} opens nothing any more")
    return 0


@keys.command()
@click.argument("directory", metavar="PROJECT", default=".")
@click.option("--tenant", default=None, help="The tenant, or with --user the tenant of that user; * is each tenant.")
@click.option("--user", default=None, help="The user; * is each user that has no limits of their own.")
@limiting
@as_json
def limit(directory: str, tenant: str | None, user: str | None, as_json: bool, **options: Any) -> int:
    """Set the limits of a tenant or a user over all their keys, in place of those that stood; none takes them away."""
    allowance = _keys_of(directory).limit(_limits(options), tenant=tenant, user=user)
    if as_json:
        print_json(to_plain(allowance))
        return 0
    say(f"{allowance.kind} {allowance.name}: {'these limits stand' if allowance.limits else 'no limits of their own any more'}")
    _show_limits(allowance.limits, {})
    return 0


def read_span(text: str) -> float:
    """Seconds from a time such as 30s, 15m, 12h, 90d or 2w. Raises UsageError for anything else."""
    found = _SPAN.fullmatch(text.strip().lower())
    if found is None:
        raise UsageError(f"'{text}' is no length of time. Write for instance 30s, 15m, 12h, 90d or 2w")
    return float(found[1]) * _SECONDS[found[2]]


def read_end(text: str, now: float) -> float:
    """A time in seconds since 1970, from a length of time or a date (UTC where it says nothing else). Raises UsageError."""
    if _SPAN.fullmatch(text.strip().lower()):
        return now + read_span(text)
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(f"'{text}' is no time. Write a length, such as 90d, or a date, such as 2027-01-31") from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _keys_of(directory: str) -> ProjectKeys:
    """The keys of a project folder, by the system's clock."""
    from rungwise.engines.clock import SystemClock
    from rungwise.project.doors import STATE
    from rungwise.project.keys import ProjectKeys

    return ProjectKeys(Path(directory), SystemClock(), Path(directory) / STATE)


def _limits(options: Mapping[str, Any]) -> dict[str, float]:
    return {name: options[name] for name in _TELLING if options[name] is not None}


def _show_new(made: NewKey, as_json: bool) -> int:
    kept = made.kept
    if as_json:
        told = ("name", "tenant", "user", "created_at", "expires_at")
        more = {"scopes": list(kept.scopes), "limits": dict(kept.limits)}
        print_json({"id": kept.id, "key": made.key, **more, **{name: getattr(kept, name) for name in told}})
        return 0
    say(made.key)
    warn("This key is not shown again. It opens as it is, as a bearer token:")
    warn("  export OPENAI_API_KEY=KEY")
    warn("and for Amazon's SDKs it is the secret that belongs to its id:")
    warn(f"  export AWS_ACCESS_KEY_ID={kept.id} AWS_SECRET_ACCESS_KEY=KEY")
    return 0


def _plain(one: Listed) -> dict[str, Any]:
    kept = to_plain(one.key)
    del kept["digest"]
    return {**kept, "state": one.ended or "good", "used": dict(one.used)}


def _show_limits(limits: Mapping[str, float], used: Mapping[str, float]) -> None:
    for name, text in _TELLING.items():
        if name in limits:
            say(f"    {text.format(limits[name])}{f', {used[name]:,g} used' if name in used else ''}")


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
