"""`rungwise index`, `search`, `ask` on an index, and `questions`, as people type them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rungwise.cli.app import run

PAGES = {
    "delivery.md": "# Delivery\n\nA parcel takes three working days. Saturdays do not count.\n",
    "returns.md": "# Returns\n\nYou may send an item back within thirty days of its arrival.\n",
    "warranty.md": "# Warranty\n\nA broken lamp is mended for two years without a charge.\n",
}

Say = Callable[..., tuple[int, Any]]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    def typed(*words: object) -> tuple[int, Any]:
        code = run([str(word) for word in (*words, "--json")])
        out = capsys.readouterr().out
        return code, json.loads(out) if out.strip() else None

    return typed


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    folder = tmp_path / "pages"
    folder.mkdir()
    for name, text in PAGES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def ix(tmp_path: Path, pages: Path, say: Say) -> Path:
    code, _ = say("index", pages, "--into", tmp_path / "ix", "--encoder", "hashed")
    assert code == 0
    return tmp_path / "ix"


def test_a_folder_is_indexed_searched_and_asked_with_exact_places(ix: Path, say: Say) -> None:
    code, found = say("search", ix, "how long is a lamp mended", "--k", 2)
    assert code == 0
    assert found["hits"][0]["document"] == "warranty.md"
    for hit in found["hits"]:
        assert PAGES[hit["document"]][hit["start"] : hit["end"]] == hit["text"]
    code, asked = say("ask", ix, "Within how many days may I send an item back?")
    assert asked["answer"] == "You may send an item back within thirty days of its arrival."
    assert asked["abstained"] is False
    (cited,) = asked["citations"]
    assert PAGES[cited["document"]][cited["start"] : cited["end"]] == cited["quote"]


def test_an_index_follows_its_folder_and_can_go_back(ix: Path, pages: Path, say: Say) -> None:
    first = say("index", pages, "--into", ix)[1]
    assert (first["documents"], first["unchanged"], first["added"]) == (3, 3, 0)
    (pages / "warranty.md").write_text("# Warranty\n\nNothing is mended any more.\n", encoding="utf-8")
    (pages / "returns.md").unlink()
    second = say("index", pages, "--into", ix)[1]
    assert (second["documents"], second["changed"], second["deleted"], second["unchanged"]) == (2, 1, 1, 1)
    assert second["index"] != first["index"]
    assert not say("search", ix, "lamp", "--mode", "lexical")[1]["hits"]
    assert len(say("index", "--into", ix, "--versions")[1]["versions"]) == 2
    assert say("index", "--into", ix, "--restore", first["index"][:12])[1] == {"index": first["index"]}
    assert say("search", ix, "lamp", "--mode", "lexical")[1]["hits"]


def test_a_snapshot_is_an_index_by_itself_and_compacting_forgets(ix: Path, tmp_path: Path, pages: Path, say: Say) -> None:
    (pages / "returns.md").unlink()
    say("index", pages, "--into", ix)
    assert say("index", "--into", ix, "--snapshot", tmp_path / "copy")[0] == 0
    before = say("search", ix, "parcel")[1]["hits"]
    assert say("search", tmp_path / "copy", "parcel")[1]["hits"] == before
    assert say("index", "--into", ix, "--compact")[1]["freed_bytes"] > 0
    assert say("search", ix, "parcel")[1]["hits"] == before
    left = b"".join(path.read_bytes() for path in (ix / "blobs").rglob("*") if path.is_file())
    assert b"thirty days" not in left


def test_queries_of_a_file_give_a_run_with_their_ids(ix: Path, tmp_path: Path, say: Say) -> None:
    queries = tmp_path / "queries.jsonl"
    queries.write_text('{"id": "q1", "text": "parcel"}\n\n{"id": "q2", "text": ""}\n{"query": "lamp"}\n', encoding="utf-8")
    code, told = say("search", ix, "--input", queries, "--output", tmp_path / "run.jsonl", "--k", 2)
    assert (code, told["queries"]) == (0, 3)
    lines = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["id"] for line in lines] == ["q1", "q2", 4]
    assert lines[1]["hits"] == []
    assert set(lines[0]["hits"][0]) >= {"document", "score", "start", "end", "text"}


def test_a_table_is_indexed_by_its_columns_and_its_fields_filter(tmp_path: Path, say: Say) -> None:
    table = tmp_path / "docs.csv"
    table.write_text("key,title,body,lang\n1,Lamps,A lamp shines.,en\n2,Lampen,Eine Lampe leuchtet.,de\n", encoding="utf-8")
    code, told = say("index", table, "--into", tmp_path / "t", "--id", "key", "--text", "title,body", "--encoder", "hashed")
    assert (code, told["documents"]) == (0, 2)
    hits = say("search", tmp_path / "t", "lamp", "--where", "lang=de", "--mode", "dense")[1]["hits"]
    assert [hit["document"] for hit in hits] == ["2"]
    assert say("search", tmp_path / "t", "lamp", "--where", "lnag=de")[0] == 2


def test_what_cannot_be_read_is_named_and_the_rest_is_indexed(tmp_path: Path, pages: Path, say: Say) -> None:
    (pages / "empty.md").write_text("  \n", encoding="utf-8")
    (pages / "picture.png").write_bytes(b"\x89PNG\r\n")
    code, told = say("index", pages, "--into", tmp_path / "ix", "--encoder", "none")
    assert code == 1
    assert told["documents"] == 3
    assert {one["place"] for one in told["quarantine"]} == {"empty.md", "picture.png"}
    assert say("search", tmp_path / "ix", "parcel")[1]["hits"][0]["document"] == "delivery.md"
    assert say("search", tmp_path / "ix", "parcel", "--mode", "dense")[0] == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("search", "nowhere", "lamp"), "rungwise index SOURCE --into nowhere"),
        (("index", "nowhere", "--into", "{tmp}/new"), "no such folder"),
        (("index", "--into", "{ix}"), "what is to be indexed?"),
        (("search", "{ix}"), "what is looked for?"),
        (("index", "{pages}", "--into", "{pages}"), "holds other files"),
        (("index", "{pages}", "--into", "{ix}", "--config", "{tmp}/missing.yaml"), "cannot be read as settings"),
        (("index", "--into", "{ix}", "--restore", "ffff"), "version of the index"),
    ],
)
def test_bad_input_says_what_to_type(words: tuple[str, ...], told: str, ix: Path, pages: Path, tmp_path: Path, say: Say) -> None:
    code, answer = say(*(word.format(ix=ix, pages=pages, tmp=tmp_path) for word in words))
    assert code == 2
    assert told in answer["error"]["message"]


def test_made_up_questions_are_marked_and_a_climb_on_them_proves_nothing(tmp_path: Path, pages: Path, say: Say) -> None:
    for place in range(12):
        colour = ("amber", "bronze", "copper", "denim", "ebony", "fuchsia", "green", "hazel", "indigo", "jade", "khaki", "lilac")[
            place
        ]
        text = (
            f"# The {colour} lamp\n\nThe {colour} lamp shines for {place + 3} hours before it has to be charged again. "
            f"Its {colour} cable is exactly {place + 20} centimetres long and comes with a spare plug.\n"
        )
        (pages / f"lamp-{place}.md").write_text(text, encoding="utf-8")
    code, told = say("questions", pages, "--into", tmp_path / "made.jsonl", "--count", 60)
    assert (code, told["questions"] >= 20) == (0, True)
    rows = [json.loads(line) for line in (tmp_path / "made.jsonl").read_text(encoding="utf-8").splitlines()]
    for row in rows:
        assert row["synthetic"] in ("cloze", "heading")
        assert row["answer"][0] in (pages / row["document"]).read_text(encoding="utf-8")
    words = ("climb", tmp_path / "made.jsonl", "--project", tmp_path / "p", "--task", "answer", "--documents", pages)
    code, decision = say(*words, "--target", "token_f1=0.9", "--until", "classical", "--allow-leaks")
    assert (code, decision["verdict"]) == (1, "cannot_tell")
    assert "add questions of people" in decision["reason"]


def test_answers_of_a_file_carry_their_citations(ix: Path, tmp_path: Path, say: Say) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"question": "Within how many days may I send an item back?"}\n{"question": "zzz"}\n', encoding="utf-8")
    code, told = say("ask", ix, "--input", questions, "--output", tmp_path / "answers.jsonl")
    assert (code, told["answered"]) == (0, 2)
    first = json.loads((tmp_path / "answers.jsonl").read_text(encoding="utf-8").splitlines()[0])
    (cited,) = first["citations"]
    assert PAGES[cited["document"]][cited["start"] : cited["end"]] == cited["quote"] == first["answer"]
