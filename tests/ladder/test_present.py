"""A re-climb is judged on what users ask now, where enough of it was reviewed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rungwise.core.dataset import DEV, SEALED, TRAIN
from rungwise.core.reading import DAY_S
from rungwise.core.trace import new_trace_id
from rungwise.core.usecase import Columns, UseCase
from rungwise.data.importing import Imported, read_dataset
from rungwise.data.splits import DRAWN, FROM_TRACE, RANDOM
from rungwise.ladder.present import FEWEST_DEV, FEWEST_SEALED, of_present


def imported(folder: Path, fresh: dict[str, int]) -> Imported:
    """100 old rows of each part, and so many fresh ones."""
    lines = [f"text,label,split,{FROM_TRACE},{DRAWN}"]
    for part in (TRAIN, DEV, SEALED):
        lines += [f"old {part} {n},{'ab'[n % 2]},{part},," for n in range(100)]
        lines += [f"new {part} {n},{'ab'[n % 2]},{part},trace{part}{n},{RANDOM}" for n in range(fresh.get(part, 0))]
        lines += [f"corrected {part} {n},a,train,trace-{part}-{n}," for n in range(3)]
    path = folder / "rows.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_dataset(path, UseCase(name="p", task="classify", columns=Columns(text="text", label="label", split="split")))


def test_with_enough_fresh_rows_the_old_ones_judge_no_more(tmp_path: Path) -> None:
    read = imported(tmp_path, {TRAIN: 20, DEV: FEWEST_DEV, SEALED: FEWEST_SEALED})
    found = of_present(read)
    for part, size in ((DEV, FEWEST_DEV), (SEALED, FEWEST_SEALED)):
        texts = [row.text for row in found.dataset.part(part)]
        assert len(texts) == size
        assert all(text.startswith("new") for text in texts)
    assert len(found.dataset.part(TRAIN)) == len(read.dataset.part(TRAIN)) == 129
    assert len(found.places) == len(found.dataset.rows)
    assert [read.places[read.dataset.rows.index(row)] for row in found.dataset.rows] == list(found.places)


def test_with_too_few_of_them_everything_stays(tmp_path: Path) -> None:
    read = imported(tmp_path, {DEV: FEWEST_DEV, SEALED: FEWEST_SEALED - 1})
    assert of_present(read) is read


def dated(read: Imported, every: dict[str, float]) -> Imported:
    """The fresh rows of a part asked so many days apart, the first of them last."""
    rows, seen = [], dict.fromkeys(every, 0)
    for row, part in zip(read.dataset.rows, read.dataset.splits, strict=True):
        if row.text.startswith("new") and part in every:
            at = 1e9 - every[part] * DAY_S * seen[part]
            row = replace(row, fields={**row.fields, FROM_TRACE: new_trace_id(at, bytes(10))})
            seen[part] += 1
        rows.append(row)
    return replace(read, dataset=replace(read.dataset, rows=tuple(rows)))


@pytest.mark.parametrize(
    ("every", "sealed", "dev"),
    [
        ({SEALED: 0.1, DEV: 0.1}, 141, 141),  # the last 14 days
        ({SEALED: 1.0, DEV: 1.0}, FEWEST_SEALED, FEWEST_SEALED),  # further back, for as many sealed rows as are needed
        ({SEALED: 0.1, DEV: 1.0}, 300, FEWEST_DEV),
    ],
)
def test_the_latest_days_judge_and_reach_back_as_far_as_is_needed(
    tmp_path: Path, every: dict[str, float], sealed: int, dev: int
) -> None:
    found = of_present(dated(imported(tmp_path, {DEV: 300, SEALED: 300}), every)).dataset
    assert (len(found.part(SEALED)), len(found.part(DEV))) == (sealed, dev)
    assert {row.text for row in found.part(SEALED)} == {f"new sealed {n}" for n in range(sealed)}


def test_no_old_sealed_row_is_learned_from(tmp_path: Path) -> None:
    found = of_present(imported(tmp_path, {DEV: 50, SEALED: 120}))
    assert not [row.text for row in found.dataset.part(TRAIN) if row.text.startswith(("old sealed", "old dev"))]
