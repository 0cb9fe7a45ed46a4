"""Versions of small tables, for the tests of what is done with them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rungwise.core.usecase import Columns
from rungwise.data.sources.door import open_source
from rungwise.data.store import Store
from rungwise.data.versions.intake import take_in
from rungwise.data.versions.version import Version, Versions

COLUMNS = ("id", "text", "label", "person", "day")


def row(number: int, **changes: Any) -> dict[str, Any]:
    """A row of the table; five labels, ten persons, one row a day."""
    usual = {
        "id": f"t{number}",
        "text": f"message number {number} about subject {number * 7 % 31}",
        "label": f"label{number % 5}",
        "person": f"person-{number % 10}",
        "day": f"2026-{1 + number // 28:02}-{1 + number % 28:02}",
    }
    return {**usual, **changes}


def write_table(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """The rows as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


def imported(store: Store, path: Path, rows: Sequence[dict[str, Any]], *, group: str | None = None) -> Version:
    """Write the table and import it."""
    write_table(path, rows)
    columns = Columns(key="id", text="text", label="label", group=group)
    return take_in(store, open_source(str(path)), columns=columns).version


def cells(store: Store, version: Version) -> list[dict[str, Any]]:
    """The rows of a version."""
    return [cells for _, cells in Versions(store).rows(version)]
