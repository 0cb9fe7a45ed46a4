"""Rows without a label: read, without those that are known, and written out to be filled in."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rungwise.core.dataset import TRAIN, Dataset, Example
from rungwise.core.errors import BadData
from rungwise.curate.shingles import normalise
from rungwise.data.blobs import write_durably
from rungwise.data.readers import Read, cell_text, read_rows


@dataclass(frozen=True, kw_only=True)
class PoolRow:
    """A row without a label: where it stands, its cells, its text and passage."""

    place: str
    cells: Mapping[str, Any]
    text: str
    passage: str | None = None


def read_pool(source: Path, columns: Mapping[str, str | None]) -> list[PoolRow]:
    """The rows of a file that have a text and no label. Raises BadData when it lacks the text column."""
    return unlabelled(read_rows(source), columns, where=str(source))


def unlabelled(read: Read, columns: Mapping[str, str | None], *, where: str) -> list[PoolRow]:
    """The same of rows that are read already."""
    text, label, passage = columns.get("text") or "text", columns.get("label"), columns.get("passage")
    found = []
    for place, cells in read.rows:
        words = cell_text(cells.get(text))
        if words is not None and (label is None or cell_text(cells.get(label)) is None):
            about = cell_text(cells.get(passage)) if passage is not None else None
            found.append(PoolRow(place=place, cells=cells, text=words, passage=about))
    if text not in read.columns:
        raise BadData(f"has no column '{text}', which holds the text in this project.", where=where, hint="Rename its column")
    return found


def unknown_rows(pool: Sequence[PoolRow], dataset: Dataset) -> list[PoolRow]:
    """The rows whose text and passage stand neither in the data nor before them in the pool.

    Copies of sealed rows are left out with the others: to learn from them would be to learn from the test.
    """
    seen = {_content(row) for row in dataset.rows}
    found = []
    for row in pool:
        content = _content(row)
        if content not in seen:
            seen.add(content)
            found.append(row)
    return found


def _content(row: Example | PoolRow) -> tuple[str, str]:
    return normalise(row.text), normalise(row.passage or "")


def write_to_fill_in(path: Path, rows: Sequence[PoolRow], columns: Mapping[str, str | None]) -> None:
    """The rows with an empty label, as CSV or JSONL by the file's ending.

    What the model would say is not written: people who see a suggestion tend to agree with
    it. The split is: rows chosen because they are hard are no fair sample, so they may be learned from but not tested on.
    """
    label, split = columns.get("label") or "label", columns.get("split") or "split"
    lines = [{**row.cells, label: "", split: TRAIN} for row in rows]
    if path.suffix == ".jsonl":
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    else:
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, list(dict.fromkeys(name for line in lines for name in line)), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: cell_text(cell) or "" for name, cell in line.items()} for line in lines)
        text = out.getvalue()
    write_durably(path, text.encode("utf-8"))
