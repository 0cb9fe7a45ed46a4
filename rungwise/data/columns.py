"""Which column plays which role, found from names and content, with the reason for each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

from rungwise.core.errors import BadData, UnknownName, UsageError
from rungwise.core.usecase import Columns, UseCase
from rungwise.data.readers import cell_text
from rungwise.data.splits import DRAWN, UNPROVING, is_split

FIELD_VALUES = 50
"""A further column is kept as a field of the rows if it has at most this many distinct values."""

_TEXT = "text message utterance sentence content body review tweet comment post query question prompt input ticket description"
_LABEL = "label labels intent intents category categories class classes tag tags topic sentiment target y output answer"
_QUESTION = "question query claim prompt input instruction text message"
_RELEVANT = "relevant documents document doc_ids doc_id relevant_ids evidence_doc_id answer_document source passage_id"
_ANSWER = "answer answers reference references expected ideal target output response completion label"
_PASSAGE = "passage context paragraph article evidence source_text document"
_GROUP = "group group_id conversation_id conversation thread_id session_id dialogue_id customer_id user_id author_id account_id"
_SPLIT = "split subset partition fold set"
_KEY = "id key uid uuid row_id example_id"
ROLES = ("text", "label", "passage", "group", "split", "key")
Found: TypeAlias = tuple[str, str] | None
"""A column and why it plays the role."""

_LABEL_WORDS = {"classify": "the label", "answer": "the answers", "search": "the relevant documents"}
_LEAST_GROUPS = 10
_MOST_LABELS = 500
_LABEL_LENGTH = 40


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The columns by role, the further columns kept as fields, and one line of reason for each."""

    columns: Columns
    fields: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


class _Table:
    """Columns with their cells as text, counted when asked for."""

    def __init__(self, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
        self.columns, self.rows = columns, rows
        self._profiles: dict[str, _Profile] = {}

    def profile(self, column: str) -> _Profile:
        if column not in self._profiles:
            self._profiles[column] = _Profile([row.get(column) for row in self.rows])
        return self._profiles[column]


class _Profile:
    """What a column holds."""

    def __init__(self, cells: Sequence[Any]) -> None:
        self.lists = any(isinstance(cell, (list, dict)) for cell in cells)
        self.texts = [text for text in map(cell_text, cells) if text is not None]

    @cached_property
    def distinct(self) -> frozenset[str]:
        return frozenset(self.texts)

    @cached_property
    def mean_length(self) -> float:
        return sum(map(len, self.texts)) / len(self.texts) if self.texts else 0.0

    @cached_property
    def phrases(self) -> bool:
        """Whether most cells have several words."""
        return 2 * sum(" " in text for text in self.texts) > len(self.texts)

    @property
    def wordy(self) -> bool:
        """Whether it could hold the text: several words in most cells, and most cells distinct."""
        return self.phrases and 2 * len(self.distinct) > len(self.texts)

    @property
    def labels(self) -> bool:
        """Whether it could hold the label: short values that come back."""
        most = min(_MOST_LABELS, len(self.texts) // 2)
        return not self.lists and 2 <= len(self.distinct) <= most and self.mean_length <= _LABEL_LENGTH


def infer_roles(
    columns: Sequence[str], rows: Sequence[Mapping[str, Any]], use: UseCase, *, source: str = "", labelled: bool = True
) -> Roles:
    """The role of each column: as the use case gives it, else by its name, else by its content.

    Data that need not be `labelled` has a label only where a column is given or called so.
    Raises UnknownName for a given column that is not there, UsageError where text or label cannot be told.
    """
    table = _Table(columns, rows)
    given = {role: name for role in ROLES if (name := getattr(use.columns, role)) is not None}
    for name in [*given.values(), *([use.groups.field] if use.groups else [])]:
        if name not in columns:
            raise UnknownName("column", name, columns, where=source)
    chosen, reasons = dict(given), {role: f"{role}: '{name}', as given" for role, name in given.items()}
    for role, find in _FINDERS.items():
        free = [column for column in columns if column not in chosen.values()]
        if role == "label" and not labelled:
            free = _named(_LABEL, free)[:1]
        if role not in chosen and (found := find(free, table, use)) is not None:
            chosen[role], reasons[role] = found[0], f"{role}: '{found[0]}', {found[1]}"
    _require(chosen, table, source, use, reasons, labelled)
    fields = _fields([column for column in columns if column not in chosen.values()], table, use)
    lines = [reasons[role] for role in ROLES if role in reasons]
    lines += [f"field: '{name}', {len(table.profile(name).distinct)} distinct values" for name in fields]
    return Roles(columns=replace(Columns(), **chosen), fields=fields, reasons=tuple(lines))


def _text(free: Sequence[str], table: _Table, use: UseCase) -> Found:
    wordy = [column for column in free if table.profile(column).wordy]
    named = _named(_TEXT if use.task == "classify" else _QUESTION, free)
    # A column 'ticket' beside one of sentences holds numbers of tickets and not their text.
    named = [column for column in named if table.profile(column).phrases or not wordy]
    if named:
        return named[0], "by its name"
    longest = max(wordy, key=lambda column: table.profile(column).mean_length, default=None)
    return (longest, f"the longest text, {table.profile(longest).mean_length:.0f} characters on average") if longest else None


def _label(free: Sequence[str], table: _Table, use: UseCase) -> Found:
    if use.task != "classify":
        named = _named(_ANSWER if use.task == "answer" else _RELEVANT, free)
        return (named[0], "by its name") if named else None
    candidates = _named(_LABEL, free)[:1] or [column for column in free if table.profile(column).labels]
    if len(candidates) > 1:
        listed = ", ".join(f"'{column}' ({len(table.profile(column).distinct)} values)" for column in candidates)
        raise UsageError(f"several columns could be the label: {listed}. Name it: --label {candidates[0]}")
    if not candidates:
        return None
    profile = table.profile(candidates[0])
    return candidates[0], f"{len(profile.distinct):,} distinct {'short ' * profile.labels}values in {len(table.rows):,} rows"


def _passage(free: Sequence[str], table: _Table, use: UseCase) -> Found:
    # Over a folder of documents, a passage in the table is the evidence, which the answerer has to find itself.
    named = _named(_PASSAGE, free) if use.task == "answer" and use.documents is None else []
    return (named[0], "by its name") if named else None


def _group(free: Sequence[str], table: _Table, use: UseCase) -> Found:
    for column in _named(_GROUP, free):
        profile = table.profile(column)
        if len(profile.distinct) >= _LEAST_GROUPS and len(profile.distinct) < len(profile.texts):
            return column, f"{len(profile.distinct):,} groups in {len(table.rows):,} rows"
    return None


def _split(free: Sequence[str], table: _Table, use: UseCase) -> Found:
    for column in _named(_SPLIT, free):
        values = table.profile(column).distinct
        if column.lower() == "split" or (values and all(is_split(value) for value in values)):
            return column, "values " + ", ".join(sorted(values)[:5])
    return None


def _key(free: Sequence[str], table: _Table, use: UseCase) -> Found:
    for column in _named(_KEY, free) or [column for column in free if column.lower().endswith("_id")]:
        profile = table.profile(column)
        unique = len(profile.distinct) == len(profile.texts) == len(table.rows)
        if unique or not column.lower().endswith("_id"):
            return column, f"{len(profile.distinct):,} distinct values in {len(table.rows):,} rows"
    return None


_FINDERS: Mapping[str, Callable[[Sequence[str], _Table, UseCase], Found]] = {
    "split": _split,
    "group": _group,
    "text": _text,
    "passage": _passage,
    "label": _label,
    "key": _key,
}


def _named(names: str, columns: Iterable[str]) -> list[str]:
    """The columns with one of these names, in the order of the names; case and spaces do not matter."""
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(re.sub(r"[\s-]+", "_", column.strip().lower()), column)
    return [by_name[name] for name in names.split() if name in by_name]


def _require(
    chosen: Mapping[str, str], table: _Table, source: str, use: UseCase, reasons: Mapping[str, str], labelled: bool
) -> None:
    """Raise where text or label is missing, or the first line was a row and not a header."""
    columns = ", ".join(f"'{name}'" for name in table.columns)
    needed = [("text", "the text"), ("label", _LABEL_WORDS[use.task])]
    for role, what in needed if labelled else needed[:1]:
        if role not in chosen:
            raise UsageError(
                f"cannot tell which column of {source or 'the data'} holds {what}: {columns}. Name it: --{role} COLUMN"
            )
    # Rows of one text may be kept together by naming the text as their group.
    apart = [name for role, name in chosen.items() if role != "group" or name != chosen.get("text")]
    if len(set(apart)) < len(apart):
        twice = next(name for name in apart if apart.count(name) > 1)
        raise UsageError(f"the column '{twice}' is given two roles. Give each role a column of its own")
    if "label" not in chosen:
        return
    guessed = "longest text" in reasons["text"] and "as given" not in reasons["label"]
    if guessed and chosen["label"] in table.profile(chosen["label"]).distinct and len(chosen["text"].split()) > 2:
        raise BadData(
            "the first line looks like a row, not like column names.", where=source, hint="Put a line text,label above it"
        )


def _fields(free: Sequence[str], table: _Table, use: UseCase) -> tuple[str, ...]:
    """The columns kept as fields: the one that groups are watched by, which rows prove nothing, and those with few short values."""
    kept = []
    for column in free:
        profile = table.profile(column)
        if column.lower() in (*UNPROVING, DRAWN):
            kept.append(column)
            continue
        few = not profile.lists and 2 <= len(profile.distinct) <= min(FIELD_VALUES, max(2, len(profile.texts) // 2))
        if (use.groups is not None and column == use.groups.field) or (few and profile.mean_length <= _LABEL_LENGTH):
            kept.append(column)
    return tuple(kept)
