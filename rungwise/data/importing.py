"""A data file becomes a dataset: examples, splits, and a report of everything that was not as expected."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rungwise.core.dataset import DEV, SEALED, SPLITS, TRAIN, Dataset, Example
from rungwise.core.errors import BadData, UsageError
from rungwise.core.usecase import UseCase
from rungwise.curate.shingles import normalise
from rungwise.data.columns import Roles, infer_roles
from rungwise.data.documents import Documents, read_documents
from rungwise.data.readers import Quarantined, Read, cell_text, read_rows
from rungwise.data.splits import FROM_TRACE, draw_splits, fill_splits, proves_nothing, split_named

_WANTED = {"classify": "label", "answer": "answer", "search": "document"}
LEAST_ROWS = 20
"""Fewer usable rows than this cannot fill three splits (60 / 15 / 25 %) with anything to learn from or to test."""

_NAMED = 5
_COMPARED = 10_000


@dataclass(frozen=True, kw_only=True)
class Report:
    """What an import found. `labels` and `splits` count rows; `warnings` are sentences for people."""

    rows_read: int
    kept: int
    quarantined: int
    splits: Mapping[str, int]
    labels: Mapping[str, int]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A dataset with how it came about. `places[i]` is where `dataset.rows[i]` stands ("tickets.csv:17").

    Where it was read from a version, that is named, and `records[i]` is the record that row i was read from.
    """

    dataset: Dataset
    roles: Roles
    quarantine: tuple[Quarantined, ...]
    report: Report
    places: tuple[str, ...] = ()
    documents: Documents = field(default_factory=Documents)
    version: str | None = None
    records: tuple[str, ...] = ()


class _Unusable(Exception):
    """A row that has to be set aside, with the reason."""


def file_salt(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex: the salt of the splits drawn at the first import."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_dataset(
    path: Path, use: UseCase, *, salt: str | None = None, documents: Path | None = None, encoding: str | None = None
) -> Imported:
    """Read a data file as the use case wants it.

    `salt` is that of the project's first import; without one, this is the first. `documents` is the folder that questions
    are answered from. Raises BadData, UnknownName or UsageError for what cannot be used at all; single rows that cannot be
    used are quarantined, and whatever else is odd is a warning in the report.
    """
    read = read_rows(path, encoding=encoding)
    rows = list(read.rows)
    salt = file_salt(path) if salt is None else salt
    return dataset_of(replace(read, rows=iter(rows)), use, salt=salt, source=path.name, where=str(path), documents=documents)


def dataset_of(
    read: Read,
    use: UseCase,
    *,
    salt: str,
    source: str,
    where: str,
    documents: Path | None = None,
    records: Sequence[str] = (),
    blank_splits: bool = False,
) -> Imported:
    """The same from rows that are read already: `source` is what the dataset is called after, `where` what errors name.

    `records` names the record behind each row, where there is one. With `blank_splits`, a row whose split is blank is drawn
    one, as where rows of several sources stand together; else it is an error.
    """
    table = list(read.rows)
    if not table:
        first = f" The first: {read.quarantine[0].place}: {read.quarantine[0].reason}" if read.quarantine else ""
        raise BadData(f"no usable row ({len(read.quarantine)} set aside).{first}", where=where, hint="Add rows below the header")
    roles = infer_roles(read.columns, [row for _, row in table], use, source=source)
    kept, rows, places, given = _examples(table, roles, use, read.quarantine, blank_splits=blank_splits)
    _require_rows(rows, read.quarantine, use, source)
    later = {place for place, row in enumerate(rows) if row.fields.get(FROM_TRACE)}
    splits = fill_splits(rows, given, salt, later=later) if roles.columns.split is not None else draw_splits(rows, salt)
    dataset = Dataset(rows=tuple(rows), splits=splits, salt=salt, source=source)
    _require_splits(dataset)
    found = read_documents(documents) if documents is not None else Documents()
    report = Report(
        rows_read=len(rows) + len(read.quarantine),
        kept=len(rows),
        quarantined=len(read.quarantine),
        splits={split: splits.count(split) for split in SPLITS},
        labels=dict(sorted(Counter(label for row in rows for label in row.references).items())) if use.task == "classify" else {},
        warnings=(
            *_set_aside(read.quarantine),
            *_warnings(dataset, places, given, use),
            *(_missing_documents(dataset, found, source) if use.task == "search" and documents is not None else ()),
        ),
    )
    quarantine = (*read.quarantine, *found.quarantine)
    return Imported(
        dataset=dataset,
        roles=roles,
        quarantine=quarantine,
        report=report,
        places=tuple(places),
        documents=found,
        records=tuple(records[i] for i in kept) if records else (),
    )


def _examples(
    table: Sequence[tuple[str, dict[str, Any]]], roles: Roles, use: UseCase, quarantine: list[Quarantined], *, blank_splits: bool
) -> tuple[list[int], list[Example], list[str], list[str]]:
    """The usable rows: their numbers, the examples, their places, and the splits they are given (none without a split column)."""
    columns = roles.columns
    assert columns.text is not None
    assert columns.label is not None
    kept, rows, places, given = [], [], [], []
    for number, (place, cells) in enumerate(table):
        try:
            text = _needed(cells, columns.text, "text")
            references = _references(cells.get(columns.label), columns.label, use)
            passage = _needed(cells, columns.passage, "passage") if columns.passage is not None else None
            group = _needed(cells, columns.group, "group") if columns.group is not None else None
        except _Unusable as error:
            quarantine.append(Quarantined(place, str(error)))
            continue
        if columns.split is not None:
            name = cell_text(cells.get(columns.split))
            given.append("" if name is None and blank_splits else split_named(name, place=place))
        fields = {name: value for name in roles.fields if (value := cell_text(cells.get(name))) is not None}
        key = cell_text(cells.get(columns.key)) if columns.key is not None else None
        rows.append(Example(text=text, references=references, passage=passage, group=group, fields=fields, key=key))
        kept.append(number)
        places.append(place)
    return kept, rows, places, given


def _needed(cells: Mapping[str, Any], column: str, role: str) -> str:
    found = cell_text(cells.get(column))
    if found is None:
        raise _Unusable(f"no {role}: the cell in column '{column}' is {_blank(cells.get(column))}")
    return found


def _blank(cell: Any) -> str:
    return "null" if cell is None else "NaN" if isinstance(cell, float) else f"'{cell}'" if str(cell).strip() else "empty"


def _references(cell: Any, column: str, use: UseCase) -> tuple[str, ...]:
    """The label, the labels, the relevant documents or the acceptable answers in a cell.

    An empty list of answers is an answer too: that the documents do not say. An empty cell is a hole in the data.
    """
    if isinstance(cell, str) and cell.lstrip().startswith("[") and (use.multi_label or use.task != "classify"):
        cell = _json_list(cell)
    items = cell if isinstance(cell, list) else None
    if items is None:
        text = cell_text(cell)
        if text is None:
            raise _Unusable(f"no {_WANTED[use.task]}: the cell in column '{column}' is {_blank(cell)}")
        split = (use.multi_label or use.task == "search") and use.label_separator in text
        items = text.split(use.label_separator) if split else [text]
    found = tuple(dict.fromkeys(text for item in items if (text := cell_text(item)) is not None))
    if not found and use.task == "search":
        raise _Unusable(f"no document: the list in column '{column}' is empty")
    if use.task == "classify" and not use.multi_label and len(found) != 1:
        if found:
            raise UsageError(f"column '{column}' holds several labels in one row ({', '.join(found[:3])}). Set multi_label: true")
        raise _Unusable(f"no label: the list in column '{column}' is empty")
    return found


def _json_list(text: str) -> Any:
    """The list that a cell holds as JSON; the cell itself where it is not one."""
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return found if isinstance(found, list) else text


def _require_rows(rows: Sequence[Example], quarantine: Sequence[Quarantined], use: UseCase, source: str) -> None:
    """Raise UsageError where there is too little to learn from or only one class."""
    if len(rows) < LEAST_ROWS:
        aside = "".join(f"; {sentence}" for sentence in _set_aside(quarantine))
        raise UsageError(
            f"{source} has {len(rows)} usable rows{aside}. At least {LEAST_ROWS} are needed: add {LEAST_ROWS - len(rows)} more"
        )
    labels = {label for row in rows for label in row.references}
    if use.task == "classify" and len(labels) < 2:
        only = f"'{next(iter(labels))}'" if labels else "none"
        raise UsageError(f"{source} has only one class ({only}) in {len(rows)} rows. Add rows of another, or check --label")


def _set_aside(quarantine: Sequence[Quarantined]) -> list[str]:
    """How many rows were quarantined and the most frequent reason."""
    if not quarantine:
        return []
    reason, count = Counter(bad.reason for bad in quarantine).most_common(1)[0]
    first = next(bad.place for bad in quarantine if bad.reason == reason)
    return [f"{_many(quarantine, 'row was', 'rows were')} set aside, {count:,} because: {reason} (first at {first})"]


def _warnings(dataset: Dataset, places: Sequence[str], given: Sequence[str], use: UseCase) -> list[str]:
    """Sentences about whatever a person should look at."""
    found = _split_warnings(dataset, given, use)
    if use.task == "classify":
        found += _label_warnings(dataset, use)
        found += _conflicts(dataset, places)
    found += _twins(dataset, places)
    return found


def _missing_documents(dataset: Dataset, documents: Documents, source: str) -> list[str]:
    """Relevant documents that nobody can find, since they are not there. Raises UsageError when that is all of them."""
    known = {document.id for document in documents.documents}
    named = dict.fromkeys(label for row in dataset.rows for label in row.references)
    missing = [label for label in named if label not in known]
    if not missing:
        return []
    near = difflib.get_close_matches(missing[0], sorted(known)[:_COMPARED], n=1)
    meant = f" Is '{missing[0]}' meant to be '{near[0]}'?" if near else f" The documents have ids such as '{min(known)}'."
    if len(missing) == len(named):
        raise UsageError(f"{source}: none of the relevant documents is among the documents: {_listed(missing)}.{meant}")
    rows = sum(not known.issuperset(row.references) for row in dataset.rows)
    lost = f"{_many(missing, 'relevant document is', 'relevant documents are')} not among the documents, in {rows:,} rows"
    return [f"{lost}, and no search can find them: {_listed(missing)}.{meant}"]


def _split_warnings(dataset: Dataset, given: Sequence[str], use: UseCase) -> list[str]:
    """Parts that had to be drawn, that are empty, or that are too small for the target."""
    found = []
    counts = Counter(dataset.splits)
    for split in (DEV, SEALED):
        if given and split not in given:
            found.append(f"no row is given to {_part(split)}: {counts[split]:,} were drawn from the training rows")
    needed = rows_to_show(use)
    if needed > counts[SEALED]:
        total = math.ceil(needed * len(dataset.rows) / counts[SEALED])
        found.append(
            f"{counts[SEALED]:,} sealed rows cannot show {use.target} even if every answer is right: "
            f"{needed:,} are needed, about {total:,} rows in all"
        )
    return found


def _require_splits(dataset: Dataset) -> None:
    """Raise UsageError where a part has no rows."""
    made_up = all(proves_nothing(row.fields) for row in dataset.rows)  # then dev still compares
    empty = [_part(split) for split in SPLITS if split not in dataset.splits and not (made_up and split == SEALED)]
    if empty:
        parts, count = " and ".join(empty), len(dataset.rows)
        raise UsageError(f"{dataset.source}: no row fell into {parts} ({count} rows). Add rows, or name the splits in a column")


def rows_to_show(use: UseCase) -> int:
    """How many sealed rows a first opening needs to show the target of a 0-1 score when every answer is right, else 0.

    The exact (Clopper-Pearson) lower bound of n right out of n is a^(1/n); the first opening has a = 6 alpha / pi^2.
    """
    if use.target is None or use.target.coverage is not None or use.target.metric not in ("accuracy", "exact_match"):
        return 0
    return math.ceil(math.log(6 * use.alpha / math.pi**2) / math.log(use.target.value) - 1e-9)


def _part(split: str) -> str:
    return {TRAIN: "training", DEV: "dev", SEALED: "the sealed test"}[split]


def _label_warnings(dataset: Dataset, use: UseCase) -> list[str]:
    """Labels with one example, labels that only sealed rows carry, labels that differ only in case or spacing."""
    counts = Counter(label for row in dataset.rows for label in row.references)
    pairs = zip(dataset.rows, dataset.splits, strict=True)
    seen = {label for row, split in pairs if split != SEALED for label in row.references}
    found = []
    single = sorted(label for label, count in counts.items() if count == 1)
    if single:
        what = _many(single, "class has", "classes have")
        found.append(f"{what} one example only and cannot be both learned and tested: {_listed(single)}")
    unseen = sorted(set(counts) - seen)
    if unseen:
        what = _many(unseen, "class stands", "classes stand")
        found.append(f"{what} only in the sealed test, where no candidate can know it: {_listed(unseen)}")
    alike = defaultdict(list)
    for label in sorted(counts):
        alike[normalise(label)].append(label)
    twins = [" / ".join(labels) for labels in alike.values() if len(labels) > 1]
    if twins:
        found.append(f"labels that differ only in case, spacing or signs count as different: {_listed(twins)}")
    if use.out_of_scope is not None and use.out_of_scope not in counts:
        found.append(f"no row has the out-of-scope label '{use.out_of_scope}'")
    return found


def _conflicts(dataset: Dataset, places: Sequence[str]) -> list[str]:
    """The same text (and passage) with different labels."""
    by_content: dict[tuple[str, str | None], list[int]] = defaultdict(list)
    for i, row in enumerate(dataset.rows):
        by_content[normalise(row.text), row.passage].append(i)
    conflicts = [
        own for own in by_content.values() if len(own) > 1 and len({frozenset(dataset.rows[i].references) for i in own}) > 1
    ]
    if not conflicts:
        return []
    shown = [" and ".join(places[i] for i in own[:3]) for own in conflicts]
    return [f"{len(conflicts)} texts carry different labels in different rows: {_listed(shown)}"]


def _twins(dataset: Dataset, places: Sequence[str]) -> list[str]:
    """Ids of the user that stand in several rows."""
    by_key: dict[str, list[str]] = defaultdict(list)
    for row, place in zip(dataset.rows, places, strict=True):
        if row.key is not None:
            by_key[row.key].append(place)
    shown = [f"'{key}' ({' and '.join(own[:3])})" for key, own in by_key.items() if len(own) > 1]
    return [f"{_many(shown, 'id stands', 'ids stand')} in more than one row; all are kept: {_listed(shown)}"] if shown else []


def _many(things: Sequence[object], one: str, several: str) -> str:
    return f"{len(things):,} {one if len(things) == 1 else several}"


def _listed(things: Sequence[str]) -> str:
    more = f" and {len(things) - _NAMED} more" if len(things) > _NAMED else ""
    return ", ".join(things[:_NAMED]) + more
