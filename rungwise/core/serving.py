"""How a project is served and what a release must pass: the sections `serve` and `gates` of rungwise.yaml.

They are no part of the use case: what was decided does not change when the way of serving it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OFF, MASKED, FULL = "off", "masked", "full"
REFUSE, ANSWER = "refuse", "answer"
CONTESTED = ("thumb", "score", "correct", "value_usd")


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Seconds until the first token, between two chunks, and in total; None for no limit at this level."""

    first_token_s: float | None = None
    between_chunks_s: float | None = None
    total_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Breaker:
    """After `failures` in a row an engine rests for `rest_s` seconds, then one request tries whether it is back."""

    failures: int = 5
    rest_s: float = 10.0


@dataclass(frozen=True, kw_only=True)
class Contest:
    """How variants are compared on live traffic. `metric`: thumb, score, correct (labels and corrections) or value_usd.

    `level` is the chance of a false winner over the whole comparison, however often one looks. Values of `value_usd` are
    cut at `value_cap_usd`. With `automatic` a shown winner takes all traffic and a shown loser leaves it.
    """

    metric: str = "score"
    level: float = 0.05
    value_cap_usd: float = 100.0
    automatic: bool = False
    look_every_s: float = 60.0


@dataclass(frozen=True, kw_only=True)
class Guarding:
    """A guard by its name among the plugins `rungwise.guards`, where it looks, and its settings.

    `on_fail`: 'block', 'mask' or 'flag'; `on_error`: 'closed' refuses when the guard itself breaks, 'open' lets it pass.
    """

    guard: str
    where: tuple[str, ...] = ("input", "output")
    on_fail: str = "block"
    on_error: str = "closed"
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Serving:
    """The section `serve`.

    `capture`: whether traces keep what was said: 'off', 'masked' (personal data and secrets replaced) or 'full'.
    `retention_days`: how long traces are kept; None for ever. `disk_full`: 'refuse' answers when a trace cannot be written, or
    'answer' all the same and count it as not traced. `timeouts` hold for a whole release, `variant_timeouts` for one variant
    by its name, those of an engine stand at its endpoint. `aliases` are further names: {gpt-4o: release} lets the live release
    answer programs that ask for gpt-4o. `fallback` names, for an engine, those that are tried next.
    `retries` at most for one request, and over all requests at most `retry_share` of them. `cache_s`: how long an exact answer
    is given again to the same question of the same tenant; 0 for never. `otlp_url`: where traces are sent as OpenTelemetry.
    """

    capture: str = FULL
    retention_days: float | None = None
    disk_full: str = REFUSE
    timeouts: Timeouts = field(default_factory=Timeouts)
    variant_timeouts: Mapping[str, Timeouts] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    fallback: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    retries: int = 2
    retry_share: float = 0.2
    breaker: Breaker = field(default_factory=Breaker)
    guards: tuple[Guarding, ...] = ()
    cache_s: float = 0.0
    body_limit_bytes: int = 10_000_000
    otlp_url: str | None = None
    contest: Contest = field(default_factory=Contest)


@dataclass(frozen=True, kw_only=True)
class Gates:
    """The section `gates`: what each candidate of a release must show. A gate that is None does not stand.

    `verdicts`: what the decision may have said of the candidate. `p95_s`, `usd_per_1k`, `memory_mb`: upper limits; where the
    use case has limits too, both hold. `least`: for a metric by its name, the lower bound of the dev interval. `groups`: no
    group may be shown to be below the floor of the use case. `evidence_days`: how old the decision may be. `approval`:
    somebody must put their name to it.
    """

    verdicts: tuple[str, ...] = ("met",)
    p95_s: float | None = None
    usd_per_1k: float | None = None
    memory_mb: float | None = None
    least: Mapping[str, float] = field(default_factory=dict)
    groups: bool = True
    evidence_days: float | None = None
    approval: bool = False
