"""Projects on tickets of the shipped example whose endpoint is the oracle, so that the truth about every prompt is published."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oracle import MODEL, Accuracy, Oracle

from rungwise.core.usecase import Endpoint, Limits, Target
from rungwise.ladder.expedition import Wishes
from rungwise.project import Project
from tests.terminal import TRAINING

TICKETS = Path(__file__).resolve().parents[2] / "examples" / "support" / "tickets.csv"
LABELS = (
    "cancel_order",
    "delivery_late",
    "invoice_request",
    "loyalty_points",
    "out_of_scope",
    "refund_missing",
    "reset_password",
    "warranty_repair",
)
TRAIN_ROWS, DEV_ROWS, SEALED_ROWS = 120, 120, 300

# Wide steps, so that a few hundred rows tell the rungs apart: the plain prompt 0.60; the wording with 'specific' 0.74,
# reasoning on top of it 0.78; four solved examples or more 0.90.
STEPS = Accuracy(base=0.56, labels=0.04, specific=0.14, reason=0.04, shots=((4, 0.12),))
PLAIN, BEST_PROMPT, SHOTS = 0.60, 0.78, 0.90

INPUT_USD, OUTPUT_USD, CACHED_USD = 1.0, 4.0, 0.25  # per million tokens
CONCURRENCY = 8


@dataclass(frozen=True)
class Tickets:
    """Texts and labels, and the file that holds them with a split column."""

    rows: tuple[tuple[str, str], ...]
    path: Path

    @property
    def answers(self) -> dict[str, str]:
        """What the oracle knows."""
        return dict(self.rows)


def write_tickets(folder: Path) -> Tickets:
    """The tickets of eight labels: 120 to train, 120 dev, 300 sealed, no text twice."""
    with TICKETS.open(newline="", encoding="utf-8") as file:
        found = {row["message"].strip(): row["intent"] for row in csv.DictReader(file) if row["intent"] in LABELS}
    rows = tuple(found.items())[: TRAIN_ROWS + DEV_ROWS + SEALED_ROWS]
    assert len(rows) == TRAIN_ROWS + DEV_ROWS + SEALED_ROWS
    splits = ["train"] * TRAIN_ROWS + ["dev"] * DEV_ROWS + ["test"] * SEALED_ROWS
    path = folder / "tickets.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "split"])
        writer.writerows((text, label, split) for (text, label), split in zip(rows, splits, strict=True))
    return Tickets(rows, path)


def endpoint(url: str, *, name: str = "oracle", **changes: Any) -> Endpoint:
    """The oracle as an endpoint that charges for tokens."""
    given = {
        "usd_per_m_input": INPUT_USD,
        "usd_per_m_output": OUTPUT_USD,
        "usd_per_m_cached": CACHED_USD,
        "concurrency": CONCURRENCY,
        **changes,
    }
    return Endpoint(name=name, base_url=url, model=MODEL, **given)


def charged_usd(oracle: Oracle) -> float:
    """The bill by the server's own count."""
    fresh = oracle.prompt_tokens - oracle.cached_tokens
    return (fresh * INPUT_USD + oracle.cached_tokens * CACHED_USD + oracle.completion_tokens * OUTPUT_USD) / 1e6


def make_project(
    tickets: Tickets, folder: Path, *endpoints: Endpoint, target: float, limits: Limits | None = None, **more: Any
) -> Project:
    """A project on the tickets without the rungs that train; `more` are further fields of the use case."""
    return Project.create(
        folder,
        source=tickets.path,
        target=Target(metric="accuracy", value=target),
        endpoints=endpoints,
        limits=limits or Limits(),
        **{"without": TRAINING, **more},
    )


def only(*rungs: str, **more: Any) -> Wishes:
    """A ladder of exactly these rungs, in this order."""
    return Wishes(order=rungs, until=rungs[-1], **more)


MODEL_RUNGS = ("zero-shot:oracle", "prompt:oracle", "few-shot:oracle")


def states(rungs: Sequence[Any]) -> list[str]:
    """The state that each rung ended in."""
    return [rung.state for rung in rungs]
