"""Predictions of a system that the user already has, read from its file and joined to the rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rungwise.core.dataset import DEV, SEALED, Dataset
from rungwise.core.errors import UsageError
from rungwise.core.record import digest
from rungwise.core.usecase import Columns, Included
from rungwise.data.readers import cell_text, read_rows
from rungwise.data.spec import beside
from rungwise.inference.wrappers import recorded_key

ANSWER_COLUMNS = ("prediction", "predicted", "predicted_label", "answer", "label", "output", "response")
CONFIDENCE_COLUMNS = ("confidence", "score", "probability")


@dataclass(frozen=True, kw_only=True)
class Recording:
    """The recorded answers of one system: `files` is the artefact, `missing` how many dev and sealed rows have no answer."""

    id: str
    files: Mapping[str, bytes]
    missing: int


def read_recording(
    included: Included, directory: Path, dataset: Dataset, columns: Columns, *, separator: str | None = None
) -> Recording:
    """Read predictions and join them to the rows by the id column, or else by the text.

    With a `separator`, an answer holds several labels. Raises UsageError when nothing fits.
    """
    path = beside(directory, included.path)
    rows = [row for _, row in read_rows(path).rows]
    if not rows:
        raise UsageError(f"{path} holds no predictions")
    answer = _column(rows[0], ANSWER_COLUMNS, path)
    confidence = next((name for name in CONFIDENCE_COLUMNS if name in rows[0]), None)
    by = columns.key if columns.key and columns.key in rows[0] else columns.text
    if by is None or by not in rows[0]:
        raise UsageError(f"{path} can be joined neither by '{columns.key}' nor by '{columns.text}': give it one of these columns")
    given = {
        cell_text(row[by]): (_answer(cell_text(row[answer]) or "", separator), _number(row.get(confidence or ""))) for row in rows
    }
    answers: dict[str, tuple[str, float | None]] = {}
    for example in dataset.rows:
        found = given.get(example.key if by == columns.key else example.text)
        if found is not None:
            answers[recorded_key(example.text, example.passage)] = found
    judged = (*dataset.part(DEV), *dataset.part(SEALED))
    missing = sum(recorded_key(row.text, row.passage) not in answers for row in judged)
    if missing == len(judged):
        raise UsageError(f"no dev or sealed row of the data is in {path}: column '{by}' holds other values there")
    body = json.dumps(answers, sort_keys=True, ensure_ascii=False).encode()
    return Recording(id=digest(sorted(answers.items())), files={"answers.json": body}, missing=missing)


def _column(row: Mapping[str, object], names: Sequence[str], path: Path) -> str:
    for name in names:
        if name in row:
            return name
    raise UsageError(f"{path} has no column with the answers. Name it 'prediction'; it has: {', '.join(row)}")


def _answer(cell: str, separator: str | None) -> str:
    """Several labels stand one a line, as in every multi-label answer."""
    if separator is None:
        return cell
    return "\n".join(label.strip() for label in cell.split(separator) if label.strip())


def _number(cell: object) -> float | None:
    try:
        return float(str(cell))
    except ValueError:
        return None
