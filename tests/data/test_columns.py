"""Which column plays which role."""

from __future__ import annotations

from typing import Any

import pytest

from rungwise.core.errors import BadData, UnknownName, UsageError
from rungwise.core.usecase import Columns, Groups, UseCase
from rungwise.data.columns import Roles, infer_roles

CLASSIFY = UseCase(name="t", task="classify")
ANSWER = UseCase(name="q", task="answer")


def roles_of(table: dict[str, list[Any]], use: UseCase = CLASSIFY) -> Roles:
    rows = [dict(zip(table, cells, strict=True)) for cells in zip(*table.values(), strict=True)]
    return infer_roles(list(table), rows, use, source="a.csv")


def texts(n: int = 40) -> list[str]:
    return [f"a text of several words number {i}" for i in range(n)]


def cycle(*values: Any, n: int = 40) -> list[Any]:
    return [values[i % len(values)] for i in range(n)]


def test_names_that_people_use_are_found_and_the_reasons_say_what_was_seen() -> None:
    table = {
        "id": list(range(40)),
        "Message": texts(),
        "intent": cycle("a", "b", "c"),
        "channel": cycle("app", "mail"),
        "conversation_id": [i // 2 for i in range(40)],
        "split": cycle("train", "test"),
    }
    roles = roles_of(table)
    assert roles.columns == Columns(text="Message", label="intent", group="conversation_id", split="split", key="id")
    assert roles.fields == ("channel",)
    assert "label: 'intent', 3 distinct short values in 40 rows" in roles.reasons
    assert "group: 'conversation_id', 20 groups in 40 rows" in roles.reasons
    assert "split: 'split', values test, train" in roles.reasons


def test_content_decides_where_names_do_not() -> None:
    roles = roles_of({"c1": cycle("x", "y"), "c2": texts(), "c3": [f"ref-{i}" for i in range(40)]})
    assert (roles.columns.text, roles.columns.label) == ("c2", "c1")


def test_a_column_of_single_words_is_not_the_text_where_another_has_sentences() -> None:
    table = {"ticket": [f"T{i}" for i in range(40)], "customer wrote": texts(), "label": cycle("a", "b")}
    assert roles_of(table).columns.text == "customer wrote"
    assert roles_of({"text": [f"w{i}" for i in range(40)], "label": cycle("a", "b")}).columns.text == "text"


def test_given_columns_win() -> None:
    use = UseCase(name="t", task="classify", columns=Columns(text="body", label="topic"))
    roles = roles_of({"text": texts(), "label": cycle("a", "b"), "body": texts(), "topic": cycle("x", "y", "z")}, use)
    assert (roles.columns.text, roles.columns.label) == ("body", "topic")
    assert "label: 'topic', as given" in roles.reasons


def test_a_misspelt_column_names_the_nearest() -> None:
    use = UseCase(name="t", task="classify", columns=Columns(label="intnet"))
    with pytest.raises(UnknownName, match=r"no column 'intnet' in a\.csv\. Did you mean 'intent'"):
        roles_of({"text": texts(), "intent": cycle("a", "b")}, use)
    use = UseCase(name="t", task="classify", groups=Groups(field="chanel", floor=0.8))
    with pytest.raises(UnknownName, match="Did you mean 'channel'"):
        roles_of({"text": texts(), "intent": cycle("a", "b"), "channel": cycle("x")}, use)


def test_two_possible_labels_are_a_question_and_not_a_guess() -> None:
    with pytest.raises(UsageError, match=r"'c1' \(2 values\), 'c2' \(3 values\)\. Name it: --label c1"):
        roles_of({"text": texts(), "c1": cycle("x", "y"), "c2": cycle("x", "y", "z")})


@pytest.mark.parametrize(("table", "role"), [({"n": list(range(40))}, "--text"), ({"text": texts(), "c": texts()}, "--label")])
def test_a_missing_role_says_what_to_type(table: dict[str, list[Any]], role: str) -> None:
    with pytest.raises(UsageError, match=f"Name it: {role} COLUMN"):
        roles_of(table)


def test_one_column_in_two_roles_is_refused() -> None:
    use = UseCase(name="t", task="classify", columns=Columns(text="text", label="text"))
    with pytest.raises(UsageError, match="'text' is given two roles"):
        roles_of({"text": texts()}, use)


def test_a_table_without_a_header_is_noticed() -> None:
    with pytest.raises(BadData, match="first line looks like a row"):
        roles_of({"where is my new card": texts(), "card": cycle("card", "refund")})


def test_fields_have_few_values_except_the_one_that_groups_are_watched_by() -> None:
    table = {
        "text": texts(200),
        "label": cycle("a", "b", n=200),
        "town": [f"town {i % 80}" for i in range(200)],
        "few": cycle(1, 2, 3, n=200),
        "lists": cycle(["x"], ["y"], n=200),
        "constant": cycle("same", n=200),
    }
    assert roles_of(table).fields == ("few",)
    use = UseCase(name="t", task="classify", groups=Groups(field="town", floor=0.8))
    assert roles_of(table, use).fields == ("town", "few")


def test_few_or_unique_groups_and_other_sets_are_not_taken_for_groups_and_splits() -> None:
    table = {
        "text": texts(),
        "label": cycle("a", "b"),
        "group": cycle("A", "B"),
        "user_id": list(range(40)),
        "set": cycle("x", "y"),
    }
    roles = roles_of(table)
    assert (roles.columns.group, roles.columns.split, roles.columns.key) == (None, None, "user_id")


def test_questions_have_answers_and_passages_but_a_folder_of_documents_hides_the_passage() -> None:
    table = {
        "id": list(range(40)),
        "question": texts(),
        "answers": cycle(["a"], ["b"]),
        "context": texts(),
        "title": cycle("x", "y"),
    }
    roles = roles_of(table, ANSWER)
    assert roles.columns == Columns(text="question", label="answers", passage="context", key="id")
    over_folder = UseCase(name="q", task="answer", documents="articles")
    assert roles_of(table, over_folder).columns.passage is None
    given = UseCase(name="q", task="answer", documents="articles", columns=Columns(passage="context"))
    assert roles_of(table, given).columns.passage == "context"
