"""What a user has at hand: a small real data file, and the command line with what it said."""

from __future__ import annotations

import csv
import json
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rungwise.cli import main

TICKETS = Path(__file__).resolve().parents[1] / "examples" / "support" / "tickets.csv"
TRAINING = ("adapt", "full", "continue", "scratch")
"""The rungs that train, which tests of other rungs leave out: each takes half a minute."""

INTENTS = ("track_order", "return_item", "payment_failed", "loyalty_points", "reset_password", "invoice_request")


def ticket_rows(per_intent: int = 80) -> list[dict[str, str]]:
    """The first messages of six intents of the shipped example: 480 rows on which the classical rung is right on about 9 in 10."""
    taken: Counter[str] = Counter()
    rows = []
    with TICKETS.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["intent"] in INTENTS and taken[row["intent"]] < per_intent:
                taken[row["intent"]] += 1
                rows.append({"id": row["id"], "message": row["message"], "intent": row["intent"], "channel": row["channel"]})
    return rows


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    """The rows as a CSV file with a header."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@dataclass(frozen=True)
class Said:
    """What a command left behind: its exit code and both streams."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout; anything else there is an error."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Terminal:
    """The command line in this process."""

    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: object) -> Said:
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(one) for one in arguments])
        said = self.capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        assert "should not have happened" not in said.err, said.err
        code = ended.value.code
        return Said(code if isinstance(code, int) else 0, said.out, said.err)


@contextmanager
def hearing_interrupts() -> Iterator[None]:
    """What is started within hears Ctrl-C, also where the suite runs in the background and ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
