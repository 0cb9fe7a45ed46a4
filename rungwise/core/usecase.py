"""What is wanted: the task, the target, the limits, and what an answer is worth."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rungwise.core.errors import UsageError
from rungwise.core.record import digest, to_plain

_TARGET = re.compile(r"^(?P<metric>[A-Za-z0-9_@. -]+?)=(?P<value>[0-9.eE+-]+)(?:@coverage=(?P<coverage>[0-9.eE+-]+))?$")


@dataclass(frozen=True, kw_only=True)
class Target:
    """A metric must reach a value; with `coverage`, on at least that share of rows, the rest left unanswered."""

    metric: str
    value: float
    coverage: float | None = None

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read `accuracy=0.90` or `accuracy=0.95@coverage=0.8`. Raises UsageError on anything else."""
        found = _TARGET.match(text.strip())
        if not found:
            raise UsageError(f"cannot read the target '{text}'. Write it as accuracy=0.90 or accuracy=0.95@coverage=0.8")
        try:
            value = float(found["value"])
            coverage = float(found["coverage"]) if found["coverage"] else None
        except ValueError as error:
            raise UsageError(f"the target '{text}' holds something that is not a number") from error
        return cls(metric=found["metric"], value=value, coverage=coverage).checked()

    def checked(self) -> Target:
        """Itself, if a test could ever show it. Raises UsageError when value or coverage is not inside (0, 1)."""
        if not 0.0 < self.value < 1.0:
            raise UsageError(
                f"a target of {self.metric}={self.value:g} cannot be shown with finitely many examples: "
                "choose a value above 0 and below 1, for instance 0.95"
            )
        if self.coverage is not None and not 0.0 < self.coverage < 1.0:
            raise UsageError(f"coverage must lie between 0 and 1, not {self.coverage:g}")
        return self

    def __str__(self) -> str:
        tail = f"@coverage={self.coverage:g}" if self.coverage is not None else ""
        return f"{self.metric}={self.value:g}{tail}"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Hard limits on what may be chosen (latency, price, memory, licences, offline) and on what may be spent."""

    p95_s: float | None = None
    usd_per_1k: float | None = None
    memory_mb: float | None = None
    licences: tuple[str, ...] | None = None
    offline: bool = False
    budget_usd: float | None = None
    budget_s: float | None = None
    budget_calls: int | None = None


@dataclass(frozen=True, kw_only=True)
class Groups:
    """A quality floor that every value of a column must keep. `require`: not_shown_bad or shown_good."""

    field: str
    floor: float
    require: str = "not_shown_bad"


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which column plays which role."""

    text: str | None = None
    label: str | None = None
    group: str | None = None
    split: str | None = None
    passage: str | None = None
    key: str | None = None


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A model behind an OpenAI-compatible address. The key is read from the environment variable `key_env` and kept nowhere.

    Prices are US dollars per million tokens; a self-hosted model has none and is
    priced at `usd_per_hour` of its machine times the seconds it takes.
    """

    name: str
    base_url: str
    model: str
    key_env: str | None = None
    usd_per_m_input: float | None = None
    usd_per_m_output: float | None = None
    usd_per_m_cached: float | None = None
    usd_per_hour: float | None = None
    concurrency: int = 8
    first_token_s: float = 60.0
    between_chunks_s: float = 30.0
    total_s: float = 120.0
    retries: int = 4
    max_tokens: int = 256
    licence: str | None = None
    json_schema: bool = True
    logprobs: bool = False
    stream: bool = False


@dataclass(frozen=True, kw_only=True)
class Included:
    """Recorded answers of a system that the user already has; it enters the ladder as a rung."""

    path: str
    name: str = "included"
    usd_per_1k: float = 0.0
    p95_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Base:
    """A folder with a language model, as Hugging Face keeps them, that training may begin from; and its licence."""

    path: str
    licence: str | None = None


SEARCHES = ("bayesian", "random", "grid")


@dataclass(frozen=True, kw_only=True)
class Trainings:
    """How the training rungs train: `settings` that are as given, by name, and how the others are searched on dev.

    With one trial, which is usual, they are the measured defaults. `device` is 'cpu' or 'cuda'. `minutes` is how long a model
    of one's own may train. `general` is a text file or a folder of texts: what a model that goes on training shall not forget.
    """

    trials: int = 1
    search: str = "bayesian"
    minutes: float = 10.0
    general: str | None = None
    device: str = "cpu"
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class UseCase:
    """What a team wants, as written in rungwise.yaml.

    `forecast_volume` is the number of answers over which development cost is
    spread (default 100,000); `machine_usd_per_hour` prices local seconds;
    `alpha` is the promised bound on wrong accepts over all climbs for ever.
    """

    name: str
    task: str
    data: str = ""
    documents: str | None = None
    columns: Columns = field(default_factory=Columns)
    target: Target | None = None
    limits: Limits = field(default_factory=Limits)
    groups: Groups | None = None
    multi_label: bool = False
    label_separator: str = "|"
    out_of_scope: str | None = None
    descriptions: Mapping[str, str] = field(default_factory=dict)
    endpoints: tuple[Endpoint, ...] = ()
    include: tuple[Included, ...] = ()
    base: Base | None = None
    preferences: str | None = None
    train: Trainings = field(default_factory=Trainings)
    without: tuple[str, ...] = ()
    value_per_success_usd: float = 0.0
    forecast_volume: int = 100_000
    machine_usd_per_hour: float = 0.10
    alpha: float = 0.05
    seed: int = 0

    @property
    def id(self) -> str:
        """SHA-256 of the content."""
        return digest(to_plain(self))

    def plain(self) -> Mapping[str, Any]:
        """The content as JSON data."""
        return to_plain(self)  # type: ignore[no-any-return]
