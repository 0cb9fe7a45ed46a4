"""A re-climb is judged on what users ask now, where enough of it was reviewed."""

from __future__ import annotations

from pathlib import Path

from rungwise.core.dataset import DEV, SEALED, TRAIN
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


def test_no_old_sealed_row_is_learned_from(tmp_path: Path) -> None:
    found = of_present(imported(tmp_path, {DEV: 50, SEALED: 120}))
    assert not [row.text for row in found.dataset.part(TRAIN) if row.text.startswith(("old sealed", "old dev"))]
