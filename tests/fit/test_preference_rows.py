"""Files of pairs, dialogues, ratings and corrections are read, and what is wrong in them is named with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rungwise.core.content import Turn
from rungwise.core.errors import BadData
from rungwise.fit.preference_rows import parted, read_preferences


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_pairs_keep_the_ids_of_their_rows_or_else_their_lines(tmp_path: Path) -> None:
    path = written(
        tmp_path / "p.jsonl",
        [{"id": "P7", "prompt": "q", "chosen": "a", "rejected": "b"}, {"prompt": "q", "chosen": "c", "rejected": "d", "weight": 2}],
    )
    pairs = read_preferences(path).preferences.pairs
    assert [pair.sources for pair in pairs] == [("P7",), ("p.jsonl:2",)]
    assert [pair.weight for pair in pairs] == [1.0, 2.0]


def test_a_csv_file_is_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text('prompt,chosen,rejected\nq,"a, and more",b\nq,c,\n', encoding="utf-8")
    found = read_preferences(path).preferences
    assert [pair.chosen for pair in found.pairs] == ["a, and more"]
    assert found.empty == 1


def test_rows_that_cannot_be_used_are_named_with_their_line(tmp_path: Path) -> None:
    good = {"prompt": "q", "chosen": "a", "rejected": "b"}
    rows = [good, {"prompt": "q", "chosen": "a"}, good | {"weight": "much"}, good | {"weight": 0}, good | {"chosen": ["a"]}, good]
    found = read_preferences(written(tmp_path / "p.jsonl", rows))
    assert len(found.preferences.pairs) == 2
    assert [(one.place, one.code) for one in found.quarantine] == [
        (f"p.jsonl:{line}", "malformed:preference") for line in (2, 3, 4, 5)
    ]
    assert "it has the columns prompt, chosen, and a preference has prompt, chosen, rejected" in found.quarantine[0].reason
    assert "'weight' is 'much'" in found.quarantine[1].reason
    assert "'chosen' must be text, or a list of messages" in found.quarantine[3].reason


def test_a_line_that_is_no_json_is_named_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "q", "chosen": "a", "rejected": "b"}\n{"prompt": "q"\n', encoding="utf-8")
    assert [one.place for one in read_preferences(path).quarantine] == ["p.jsonl:2"]


def test_a_file_without_any_preference_says_what_a_row_needs(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"no preference can be read \(p\.jsonl:1.*Give every row prompt, chosen, rejected"):
        read_preferences(written(tmp_path / "p.jsonl", [{"text": "q", "label": "a"}]))


def test_ratings_and_corrections_may_stand_in_one_file(tmp_path: Path) -> None:
    rows = [
        {"prompt": "q", "answer": "a", "score": 4, "id": "r1"},
        {"prompt": "q", "answer": "b", "score": "1.5", "id": "r2"},
        {"prompt": "q", "answer": "a", "correction": "A!", "id": "c1"},
        {"prompt": "q", "answer": "c", "score": None, "id": "r3"},
    ]
    found = read_preferences(written(tmp_path / "p.jsonl", rows))
    assert [(pair.chosen, pair.rejected, pair.sources) for pair in found.preferences.pairs] == [
        ("A!", "a", ("c1",)) if place else ("a", "b", ("r1", "r2")) for place in (0, 1)
    ]
    assert [one.place for one in found.quarantine] == ["p.jsonl:4"]


def message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def test_chats_are_read_with_what_was_said_before_and_the_traces_that_they_were_made_of(tmp_path: Path) -> None:
    prompt = [message("system", "be kind"), message("user", "hi"), message("assistant", "hello"), message("user", "help")]
    row = {
        "prompt": prompt,
        "chosen": [message("assistant", "sure")],
        "rejected": [message("assistant", "no")],
        "traces": ["t1", "t2"],
    }
    (pair,) = read_preferences(written(tmp_path / "p.jsonl", [row])).preferences.pairs
    assert (pair.prompt, pair.turns, pair.system) == ("help", (Turn("hi", "hello"),), "be kind")
    assert (pair.chosen, pair.rejected, pair.sources) == ("sure", "no", ("t1", "t2"))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"prompt": [message("user", "a"), message("assistant", "b")]}, "the user does not speak last"),
        ({"prompt": [message("user", "a"), message("user", "b")]}, "do not take turns"),
        ({"prompt": []}, "do not take turns"),
        ({"prompt": {"role": "user"}}, "list of messages with 'role' and 'content'"),
        ({"chosen": [message("user", "a")]}, "one message of the assistant"),
        ({"rejected": [{"role": "assistant", "content": 3}]}, "list of messages"),
    ],
)
def test_chats_of_another_form_are_named_with_their_line(tmp_path: Path, changed: dict[str, Any], reason: str) -> None:
    good = {"prompt": [message("user", "q")], "chosen": [message("assistant", "a")], "rejected": "b"}
    found = read_preferences(written(tmp_path / "p.jsonl", [good, good | changed]))
    assert len(found.preferences.pairs) == 1
    assert [one.place for one in found.quarantine] == ["p.jsonl:2"]
    assert reason in found.quarantine[0].reason


def test_dialogues_part_at_their_last_answer() -> None:
    said = "\n\nHuman: hi\n\nAssistant: hello\n\nHuman: how are you?\n\nAssistant:"
    assert parted(f"{said} fine", f"{said} bad") == ("how are you?", (Turn("hi", "hello"),), "fine", "bad")


@pytest.mark.parametrize(
    ("chosen", "rejected", "reason"),
    [
        ("\n\nHuman: a\n\nAssistant: b", "\n\nHuman: c\n\nAssistant: b", "part before"),
        ("hello", "\n\nHuman: c\n\nAssistant: b", "begins with"),
        ("\n\nHuman: a\n\nHuman: b", "\n\nHuman: a\n\nHuman: c", "take turns"),
    ],
)
def test_dialogues_of_another_form_are_refused_with_the_reason(chosen: str, rejected: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parted(chosen, rejected)


def test_the_real_dialogues_on_harmlessness_are_read(shared_data: Path) -> None:
    found = read_preferences(shared_data / "hh_harmless" / "train_dev.jsonl.gz")
    used = len(found.preferences.pairs) + found.preferences.left_out + len(found.quarantine)
    assert used == 1_631
    assert len(found.preferences.pairs) > 1_600
    assert all(one.place.startswith("train_dev.jsonl.gz:") for one in found.quarantine)


def test_rows_that_are_kept_to_prove_something_are_not_learned_from(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"q{n}", "chosen": "yes", "rejected": "no", "split": split}
        for n, split in enumerate(("learned", "train", "", "dev", "held_out"))
    ]
    path = written(tmp_path / "p.jsonl", rows)
    assert [pair.prompt for pair in read_preferences(path).preferences.pairs] == ["q0", "q1", "q2"]
    assert len(read_preferences(path, splits=None).preferences.pairs) == 5
