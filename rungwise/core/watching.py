"""How production is watched: the section `watch` of rungwise.yaml. It changes no decision and no answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

AUTO, ROWS = "auto", "rows"
INFO, WARNING, CRITICAL = SEVERITIES = ("info", "warning", "critical")
TERMINAL, TO_FILE, WEBHOOK, SMTP = SINKS = ("terminal", "file", "webhook", "smtp")
GATES = ("climb", "shadow", "contest", "promote")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When to alert: `metric` is a monitor by its name, or the beginning of names before a dot ('drift').

    `when` is 'alarm' (the monitor says so itself, within the promise about false alarms), or a comparison: 'value < 0.9',
    'low > 0.02', 'high < 0.9' (shown to be below), 'effect > 0.2'. `days` is the length of the window, None for any.
    `about` narrows it to a variant, a group, and so on. With `reclimb`, a re-climb is started by it where that is allowed.
    """

    name: str
    metric: str
    when: str = "alarm"
    days: int | None = None
    severity: str = WARNING
    about: Mapping[str, str] = field(default_factory=dict)
    reclimb: bool = False


@dataclass(frozen=True, kw_only=True)
class Sink:
    """Where alerts go: `kind` is terminal, file, webhook or smtp, `to` a path, a URL or an address; from `least` severity on.

    `server` ('host:port'), `sender` and `user` are for mail. Secrets are read from the environment variable `secret_env`: the
    password of the mail server, or the key that signs the body for a webhook (header x-rungwise-signature).
    """

    kind: str
    to: str = ""
    least: str = INFO
    server: str = "localhost:25"
    sender: str = "rungwise@localhost"
    user: str | None = None
    secret_env: str | None = None
    tls: bool = True


@dataclass(frozen=True, kw_only=True)
class Review:
    """Which answers are sent to people. `per_day` are drawn by chance from each day, `uncertain_per_day` more from where the
    candidate is least sure, variants disagree, users complain or traffic drifted. `seconds_per_item` and `usd_per_hour` price
    the work until it is measured. With `copies` above 1 so many reviewers judge each item, unseen by one another."""

    per_day: int = 20
    uncertain_per_day: int = 10
    copies: int = 1
    reviewers: tuple[str, ...] = ()
    seconds_per_item: float = 20.0
    usd_per_hour: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Money:
    """What things cost and bring beside tokens. `outcomes` gives what an outcome is worth in USD where the feedback does not say.

    `label_usd` is the price of one training label, `storage_usd_per_gb_month` that of what is kept. `baseline_usd_per_request` is
    what a request costs when nobody answers it here (doing nothing), `saved_minutes_per_success` and `minute_usd` what a right
    answer saves. `budget_usd_per_month` is what may be spent on answering; `user_budget_usd_per_month` by one user.
    """

    outcomes: Mapping[str, float] = field(default_factory=dict)
    label_usd: float = 0.0
    storage_usd_per_gb_month: float = 0.02
    baseline_usd_per_request: float = 0.0
    saved_minutes_per_success: float = 0.0
    minute_usd: float = 0.0
    budget_usd_per_month: float | None = None
    user_budget_usd_per_month: float | None = None


@dataclass(frozen=True, kw_only=True)
class Reclimb:
    """How a re-climb proceeds. At the steps named in `approve` (climb, shadow, contest, promote) it waits for a person.

    `shadow_requests` answers are compared unseen, then `contest_share` of the traffic goes to the new candidate until the verdict,
    for at most `contest_days`. `least_rows` new rows are needed to begin. `margin` is by how much a cheaper candidate may be worse
    on live traffic and still be promoted, in units of the metric. `automatic`: alerts with `reclimb: true` start one by themselves.
    """

    approve: tuple[str, ...] = ()
    least_rows: int = 20
    shadow_requests: int = 100
    contest_share: float = 0.2
    contest_days: float = 28.0
    margin: float = 0.02
    automatic: bool = False


@dataclass(frozen=True, kw_only=True)
class Watching:
    """The section `watch`.

    `false_alarms_per_month`: how many alarms the drift monitors together may raise in 30 days in which nothing changed, on average.
    `reference`: what is compared with: 'rows' (those the decision was made on), two days 'YYYY-MM-DD..YYYY-MM-DD' of traffic, or
    'auto' (the first `reference_days` days of the live candidates' traffic; before there are so many, the rows). `group_tag`: the
    tag of a request that names its group; the field of `groups` where it is not given. `off`: monitors that are not wanted, by
    name or by the beginning of their names. `quality_level`: the chance of ever saying wrongly that the quality fell below the
    target. `label_days`: how long labels may come after the answer. `every_s`: how often a server looks; each day is looked at
    once, when it is over.
    """

    false_alarms_per_month: float = 0.1
    reference: str = AUTO
    reference_days: int = 28
    group_tag: str | None = None
    off: tuple[str, ...] = ()
    quality_level: float = 0.05
    label_days: float = 14.0
    every_s: float = 900.0
    rules: tuple[Rule, ...] = ()
    sinks: tuple[Sink, ...] = ()
    review: Review = field(default_factory=Review)
    money: Money = field(default_factory=Money)
    reclimb: Reclimb = field(default_factory=Reclimb)

    def wants(self, monitor: str) -> bool:
        """Whether a monitor is switched on."""
        return not any(monitor == one or monitor.startswith(f"{one}.") for one in self.off)
