"""From a data file to a dataset."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from rungwise.core.dataset import SEALED
from rungwise.core.errors import BadData, UsageError
from rungwise.core.usecase import Columns, Groups, Target, UseCase
from rungwise.data.importing import Imported, read_dataset, rows_to_show

SUPPORT = Path(__file__).resolve().parents[2] / "examples" / "support"


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows(n: int = 60, **more: Any) -> list[dict[str, Any]]:
    return [{"text": f"a message about thing {i}", "label": "ab"[i % 2], **more} for i in range(n)]


def imported(tmp_path: Path, table: list[dict[str, Any]], **use: Any) -> Imported:
    settings = {"name": "t", "task": "classify"} | use
    return read_dataset(write(tmp_path / "a.jsonl", table), UseCase(**settings))


def warned(found: Imported, words: str) -> str:
    matching = [warning for warning in found.report.warnings if words in warning]
    assert len(matching) == 1, found.report.warnings
    return matching[0]


def test_rows_become_examples_with_their_places_and_the_salt_is_the_digest_of_the_file(tmp_path: Path) -> None:
    found = imported(tmp_path, [*rows(channel="app"), {"text": "last", "label": "b", "channel": "mail"}])
    assert len(found.dataset.rows) == 61
    assert found.dataset.rows[60].text == "last"
    assert found.dataset.rows[60].references == ("b",)
    assert found.dataset.rows[60].fields == {"channel": "mail"}
    assert found.places[60] == "a.jsonl:61"
    assert found.dataset.salt == hashlib.sha256((tmp_path / "a.jsonl").read_bytes()).hexdigest()
    assert sum(found.report.splits.values()) == found.report.kept == 61
    assert found.report.labels == {"a": 30, "b": 31}
    assert found.report.warnings == ()


def test_more_rows_with_the_first_salt_leave_the_old_splits_alone(tmp_path: Path) -> None:
    first = imported(tmp_path, rows())
    use = UseCase(name="t", task="classify")
    second = read_dataset(write(tmp_path / "b.jsonl", rows(90)), use, salt=first.dataset.salt)
    assert second.dataset.splits[:60] == first.dataset.splits
    assert second.dataset.rows[:60] == first.dataset.rows


@pytest.mark.parametrize("cell", [None, "", "NaN", float("nan"), "null", []])
def test_a_row_without_a_label_is_set_aside_with_its_line(tmp_path: Path, cell: Any) -> None:
    found = imported(tmp_path, [*rows(), {"text": "unlabelled", "label": cell}, {"label": "a"}])
    assert [bad.place for bad in found.quarantine] == ["a.jsonl:61", "a.jsonl:62"]
    assert found.quarantine[0].reason.startswith("no label")
    assert found.quarantine[1].reason == "no text: the cell in column 'text' is null"
    assert (found.report.rows_read, found.report.kept, found.report.quarantined) == (62, 60, 2)
    assert "2 rows were set aside" in warned(found, "set aside")


def test_an_import_where_nothing_is_usable_says_why(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\n", encoding="utf-8")
    with pytest.raises(BadData, match="no usable row"):
        read_dataset(path, UseCase(name="t", task="classify"))
    path.write_text("text,label\nonly\n", encoding="utf-8")
    with pytest.raises(BadData, match=r"The first: a\.csv:2: 1 cell where the header has 2"):
        read_dataset(path, UseCase(name="t", task="classify"))


def test_one_class_and_too_few_rows_are_refused_with_what_is_needed(tmp_path: Path) -> None:
    only = Columns(text="text", label="label")
    with pytest.raises(UsageError, match=r"only one class \('a'\) in 60 rows"):
        imported(tmp_path, [row | {"label": "a"} for row in rows()], columns=only)
    with pytest.raises(UsageError, match=r"has 12 usable rows\. At least 20 are needed: add 8 more"):
        imported(tmp_path, rows(12))


def test_a_class_with_one_example_and_one_that_only_sealed_rows_carry_are_named(tmp_path: Path) -> None:
    table = rows(60, split="train")
    for i in range(0, 60, 3):
        table[i]["split"] = "test"
    table[1]["split"] = "dev"
    table[3]["label"] = table[6]["label"] = "late"
    table[2]["label"] = "once"
    found = imported(tmp_path, table)
    assert "'late'" not in warned(found, "one example only")
    assert warned(found, "one example only").endswith("once")
    assert warned(found, "only in the sealed test").endswith("late")


def test_the_same_text_with_two_labels_is_reported_by_place(tmp_path: Path) -> None:
    found = imported(tmp_path, [*rows(), {"text": "Same thing!", "label": "a"}, {"text": "same thing", "label": "b"}])
    assert "a.jsonl:61 and a.jsonl:62" in warned(found, "different labels")
    assert found.report.kept == 62


def test_duplicate_ids_are_kept_and_reported(tmp_path: Path) -> None:
    table = [row | {"id": i} for i, row in enumerate(rows())]
    table[7]["id"] = 3
    found = imported(tmp_path, table)
    assert found.report.kept == 60
    assert "'3' (a.jsonl:4 and a.jsonl:8)" in warned(found, "more than one row")


def test_labels_that_differ_only_in_case_are_pointed_out(tmp_path: Path) -> None:
    table = rows()
    table[0]["label"], table[2]["label"] = "A", "A"
    assert "A / a" in warned(imported(tmp_path, table), "differ only in case")


def test_given_splits_are_respected_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    names = ["training", "valid", "holdout"]
    table = [row | {"split": names[i % 3]} for i, row in enumerate(rows())]
    found = imported(tmp_path, table)
    assert found.dataset.splits == ("train", "dev", "sealed") * 20
    table[4]["split"] = "tset"
    with pytest.raises(BadData, match=r"a\.jsonl:5: 'tset' is not the name of a split"):
        imported(tmp_path, table)


def test_a_dev_part_that_is_not_given_is_drawn_and_said(tmp_path: Path) -> None:
    table = [row | {"split": "test" if i % 4 == 0 else "train"} for i, row in enumerate(rows(100))]
    found = imported(tmp_path, table)
    assert found.report.splits[SEALED] == 25
    assert "were drawn from the training rows" in warned(found, "no row is given to dev")


def test_several_labels_by_separator_or_list_and_none_at_all(tmp_path: Path) -> None:
    cells = ["x|y", '["y", "z"]', ["x"], [], "z"]
    table = [row | {"label": cells[i % 5]} for i, row in enumerate(rows())]
    found = imported(tmp_path, table, multi_label=True)
    assert [row.references for row in found.dataset.rows[:5]] == [("x", "y"), ("y", "z"), ("x",), (), ("z",)]
    with pytest.raises(UsageError, match="Set multi_label: true"):
        imported(tmp_path, [row | {"label": ["x", "y"]} for row in rows()])


def test_answers_may_be_one_or_several_and_an_empty_list_says_that_there_is_none(tmp_path: Path) -> None:
    cells: list[Any] = ["one", ["one", "uno"], '["eins"]', "[see note]", []]
    table = [{"question": f"what is number {i}?", "answer": cells[i % 5], "context": f"passage {i}"} for i in range(40)]
    found = imported(tmp_path, table, task="answer")
    assert [row.references for row in found.dataset.rows[:4]] == [("one",), ("one", "uno"), ("eins",), ("[see note]",)]
    assert found.dataset.rows[0].passage == "passage 0"
    assert found.dataset.rows[4].references == ()
    assert found.report.quarantined == 0


def test_relevant_documents_are_a_list_or_parted_and_a_query_without_any_is_set_aside(tmp_path: Path) -> None:
    cells: list[Any] = ["a.md", "a.md|b.md", '["c.md"]', ["a.md", "c.md"], []]
    table = [{"query": f"where is number {i}?", "documents": cells[i % 5]} for i in range(40)]
    found = imported(tmp_path, table, task="search")
    assert [row.references for row in found.dataset.rows[:4]] == [("a.md",), ("a.md", "b.md"), ("c.md",), ("a.md", "c.md")]
    assert found.report.quarantined == 8
    assert found.quarantine[0].reason == "no document: the list in column 'documents' is empty"


def test_rows_that_were_made_up_are_never_sealed(tmp_path: Path) -> None:
    table = [{"question": f"what is {i}?", "answer": f"{i}", "synthetic": "cloze" if i % 2 else None} for i in range(200)]
    found = imported(tmp_path, table, task="answer")
    made_up = {split for row, split in zip(found.dataset.rows, found.dataset.splits, strict=True) if "synthetic" in row.fields}
    assert made_up == {"train", "dev"}
    assert "sealed" in found.dataset.splits


def test_a_target_that_the_sealed_rows_could_never_show_is_said(tmp_path: Path) -> None:
    # (0.0304)^(1/n) >= 0.9 first holds at n = 34, where 0.0304 = 6 * 0.05 / pi^2 is the level of the first opening.
    use = UseCase(name="t", task="classify", target=Target.parse("accuracy=0.9"))
    assert rows_to_show(use) == 34
    found = imported(tmp_path, rows(), target=Target.parse("accuracy=0.9"))
    assert "34 are needed" in warned(found, "cannot show accuracy=0.9")
    assert rows_to_show(UseCase(name="t", task="classify", target=Target.parse("macro_f1=0.9"))) == 0


def test_rows_of_one_group_stay_together_and_the_watched_column_is_kept(tmp_path: Path) -> None:
    table = [row | {"user_id": i // 4, "town": f"t{i}"} for i, row in enumerate(rows(200))]
    found = imported(tmp_path, table, groups=Groups(field="town", floor=0.5))
    by_group = {}
    for row, split in zip(found.dataset.rows, found.dataset.splits, strict=True):
        assert by_group.setdefault(row.group, split) == split
    assert found.dataset.rows[9].fields == {"town": "t9"}


def test_a_folder_of_documents_comes_along(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A\n\ntext", encoding="utf-8")
    (tmp_path / "docs" / "b.pdf").write_bytes(b"%PDF")
    table = [{"question": f"what is number {i}?", "answer": "x", "passage": "evidence"} for i in range(40)]
    use = UseCase(name="q", task="answer", documents="docs")
    found = read_dataset(write(tmp_path / "q.jsonl", table), use, documents=tmp_path / "docs")
    assert [document.id for document in found.documents.documents] == ["a.md"]
    assert [bad.place for bad in found.quarantine] == ["b.pdf"]
    assert found.dataset.rows[0].passage is None


def test_the_shipped_example_needs_no_options() -> None:
    if not (SUPPORT / "tickets.csv").exists() or not (SUPPORT / "questions.jsonl").exists():
        pytest.skip("the shipped example is not written yet")
    tickets = read_dataset(SUPPORT / "tickets.csv", UseCase(name="t", task="classify"))
    assert tickets.roles.columns == Columns(text="message", label="intent", key="id")
    assert tickets.roles.fields == ("channel", "language_level")
    assert tickets.quarantine == ()
    questions = read_dataset(SUPPORT / "questions.jsonl", UseCase(name="q", task="answer"))
    assert questions.roles.columns == Columns(text="question", label="answer", passage="passage", key="id")
    assert questions.quarantine == ()
    over = UseCase(name="q", task="answer", documents="articles")
    assert len(read_dataset(SUPPORT / "questions.jsonl", over, documents=SUPPORT / "articles").documents.documents) >= 40
