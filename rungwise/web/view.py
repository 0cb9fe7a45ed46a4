"""Everything that the one-file report shows, gathered by whoever asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rungwise.core.candidate import Candidate
from rungwise.core.dataset import DEV, Example
from rungwise.core.decision import Decision, Spend
from rungwise.core.evaluation import Evaluation
from rungwise.core.usecase import UseCase

if TYPE_CHECKING:
    from rungwise.watch.value.account import Account


@dataclass(frozen=True, kw_only=True)
class VersionNotes:
    """The version of the data that was climbed on: how many rows it kept and set aside, and (place, licence) of its sources."""

    id: str
    kind: str
    kept: int
    quarantined: Mapping[str, int] = field(default_factory=dict)
    sources: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class DataNotes:
    """The data in short: rows per split, bad rows by reason, rows that leak by kind, and the version that it is, if it is one.

    Empty `quarantined` or `leaks` say that none was found; None, that nobody looked, and the report is silent about it.
    """

    source: str = ""
    rows: Mapping[str, int] = field(default_factory=dict)
    labels: int = 0
    quarantined: Mapping[str, int] | None = None
    leaks: Mapping[str, int] | None = None
    notes: tuple[str, ...] = ()
    version: VersionNotes | None = None


@dataclass(frozen=True, kw_only=True)
class ForecastNotes:
    """What was foreseen before anything was spent. `power` maps a true quality to the chance of showing the target."""

    sealed_rows: int
    power: Mapping[float, float] = field(default_factory=dict)
    rows_needed: int | None = None
    expected: Spend | None = None


@dataclass(frozen=True, kw_only=True)
class ReportView:
    """What a report is made of. `generated_at` is seconds since 1970, UTC.

    `evaluations` holds, by rung, the dev evaluation of the candidate that stood
    for it; `examples` the dev rows by `Example.id`; `candidates` recipes by id;
    `spent` what this run took, which is nothing when all was stored; `money` what
    answering costs and brings, where anything was answered.
    Raises ValueError when an evaluation is not of dev: sealed scores are never shown.
    """

    use_case: UseCase
    decision: Decision
    project: str
    version: str
    generated_at: float
    evaluations: Mapping[str, Evaluation] = field(default_factory=dict)
    examples: Mapping[str, Example] = field(default_factory=dict)
    candidates: Mapping[str, Candidate] = field(default_factory=dict)
    data: DataNotes = field(default_factory=DataNotes)
    forecast: ForecastNotes | None = None
    spent: Spend = field(default_factory=Spend)
    money: Account | None = None

    def __post_init__(self) -> None:
        for rung, evaluation in self.evaluations.items():
            if evaluation.split != DEV:
                raise ValueError(f"the evaluation of {rung} is of '{evaluation.split}', and a report shows only dev")
