"""Searching and asking when things go wrong: odd queries and files, tenants, damage, places, writers beside readers."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rungwise.cli.app import run
from rungwise.data.indexes import Indexes
from rungwise.engines.search import building
from rungwise.project.index import Index

PAGES = {
    "delivery.md": "# Delivery\n\nA parcel takes three working days.\n",
    "warranty.md": "# Warranty\n\nA broken lamp is mended for two years.\n",
}

Say = Callable[..., tuple[int, Any]]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    def typed(*words: object) -> tuple[int, Any]:
        code = run([str(word) for word in (*words, "--json")])
        out = capsys.readouterr().out
        out.encode("utf-8")  # half a character could not be written
        return code, json.loads(out)

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
    assert say("index", pages, "--into", tmp_path / "ix", "--encoder", "hashed")[0] == 0
    return tmp_path / "ix"


@pytest.fixture
def shared(tmp_path: Path, say: Say) -> Path:
    """An index of two tenants and a document that is nobody's."""
    table = tmp_path / "tenants.csv"
    rows = ("1,The code of the safe is alpha.,north", "2,The code of the safe is omega.,south", "3,The code is open.,")
    table.write_text("\n".join(("id,text,firm", *rows)) + "\n", encoding="utf-8")
    assert say("index", table, "--into", tmp_path / "shared", "--encoder", "hashed", "--tenant", "firm")[0] == 0
    return tmp_path / "shared"


def refused(answer: tuple[int, Any], *words: str, code: int = 2) -> None:
    assert answer[0] == code, answer
    for word in words:
        assert word in answer[1]["error"]["message"]


def test_half_a_character_in_a_query_is_answered_in_one_json_document(ix: Path, say: Say, tmp_path: Path) -> None:
    code, found = say("search", ix, "lamp \udcff")
    assert (code, found["query"]) == (0, "lamp \udcff")
    queries = tmp_path / "queries.jsonl"
    queries.write_text('{"id": "q\\ud800", "text": "lamp \\ud800"}\n', encoding="utf-8")
    assert say("search", ix, "--input", queries, "--output", tmp_path / "run.jsonl")[0] == 0
    (line,) = (tmp_path / "run.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["id"] == "q\ud800"


@pytest.mark.parametrize("question", ["", "   ", "quetzal"])
def test_without_evidence_nobody_answers_and_that_is_said(question: str, pages: Path, tmp_path: Path, say: Say) -> None:
    assert say("index", pages, "--into", tmp_path / "words", "--encoder", "none")[0] == 0
    asked = say("ask", tmp_path / "words", question)[1]
    assert (asked["answer"], asked["citations"], asked["abstained"]) == ("", [], True)


def test_only_the_end_of_a_line_parts_queries_and_a_byte_order_mark_is_none(ix: Path, say: Say, tmp_path: Path) -> None:
    queries = tmp_path / "queries.jsonl"
    queries.write_text('\ufeff{"id": null, "text": "broken\u2028lamp\x85"}\r\n{"text": "parcel"}\n', encoding="utf-8", newline="")
    assert say("search", ix, "--input", queries, "--output", tmp_path / "run.jsonl")[1]["queries"] == 2
    lines = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text(encoding="utf-8").split("\n") if line]
    assert [(line["id"], line["hits"][0]["document"]) for line in lines] == [(1, "warranty.md"), (2, "delivery.md")]


def test_a_run_that_cannot_be_written_is_said_before_anything_is_searched(ix: Path, say: Say, tmp_path: Path) -> None:
    queries = tmp_path / "queries.jsonl"
    queries.write_text('{"id": 1, "text": "lamp"}\n', encoding="utf-8")
    refused(say("search", ix, "--input", queries, "--output", tmp_path / "pages"), "is a folder")
    assert not (tmp_path / "pages.part").exists()
    refused(say("search", ix, "lamp", "--input", queries, "--output", tmp_path / "run.jsonl"), "cannot be searched together")
    refused(say("search", ix, "--input", queries, "--output", queries), "would overwrite the queries")
    queries.write_text('{"id": NaN, "text": "lamp"}\n', encoding="utf-8")
    refused(say("search", ix, "--input", queries, "--output", tmp_path / "run.jsonl"), "queries.jsonl:1", "neither text")


def test_names_and_texts_of_documents_cannot_drive_the_terminal(
    tmp_path: Path, pages: Path, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    (pages / "quince\x1b[31mred.md").write_text("A quince \x1b[2J is \u202e a fruit.", encoding="utf-8")
    assert say("index", pages, "--into", tmp_path / "ix", "--encoder", "none")[0] == 0
    assert run(["search", str(tmp_path / "ix"), "quince"]) == 0
    assert run(["ask", str(tmp_path / "ix"), "what is a quince"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out.splitlines()[1]
    assert "quince\ufffd[31mred.md" in out


def test_tenants_are_asked_one_at_a_time_and_never_answer_for_another(shared: Path, say: Say, tmp_path: Path) -> None:
    refused(say("ask", shared, "What is the code of the safe?"), "--tenant NAME")
    for tenant, code in (("north", "alpha"), ("south", "omega")):
        asked = say("ask", shared, "What is the code of the safe, alpha or omega?", "--tenant", tenant)[1]
        assert asked["answer"] == f"The code of the safe is {code}."
        other = say("ask", shared, "What is the code of the safe, alpha?", "--tenant", tenant)[1]
        assert {one["document"] for one in other["citations"]} == {"1" if tenant == "north" else "2"}
    refused(say("ask", shared, "What is the code?", "--tenant", "nrth"), "nothing of a tenant 'nrth'")
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "What is the code of the safe?"}\n', encoding="utf-8")
    refused(say("ask", shared, "--input", rows, "--output", tmp_path / "answered.jsonl"), "--tenant NAME")
    assert say("ask", shared, "--input", rows, "--output", tmp_path / "answered.jsonl", "--tenant", "south")[0] == 0
    assert json.loads((tmp_path / "answered.jsonl").read_text(encoding="utf-8"))["answer"] == "The code of the safe is omega."


def test_how_sure_an_answer_is_tells_nothing_of_another_tenant(tmp_path: Path, say: Say) -> None:
    sure = []
    for other in ("omega", "safe code"):
        table = tmp_path / "t.csv"
        table.write_text(f"id,text,firm\n1,The safe is red. The code is alpha.,north\n2,{other},south\n", encoding="utf-8")
        where = tmp_path / f"ix-{len(sure)}"
        assert say("index", table, "--into", where, "--encoder", "none", "--tenant", "firm")[0] == 0
        sure.append(say("ask", where, "What is the code of the safe?", "--tenant", "north")[1]["confidence"])
    assert sure[0] == sure[1]


def test_a_document_that_is_nobodys_is_found_by_the_empty_name(tmp_path: Path, say: Say) -> None:
    table = tmp_path / "rows.jsonl"
    rows = ({"id": 1, "text": "an alpha", "tenant": "north"}, {"id": 2, "text": "an omega"})
    table.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert say("index", table, "--into", tmp_path / "ix", "--encoder", "none")[0] == 0
    assert [hit["document"] for hit in say("search", tmp_path / "ix", "an omega", "--tenant", "")[1]["hits"]] == ["2"]
    assert [hit["document"] for hit in say("search", tmp_path / "ix", "an alpha", "--tenant", "north")[1]["hits"]] == ["1"]


def test_a_field_that_no_document_has_tells_no_tenants(tmp_path: Path, say: Say) -> None:
    table = tmp_path / "rows.csv"
    table.write_text("id,text,firm\n1,alpha,north\n", encoding="utf-8")
    refused(say("index", table, "--into", tmp_path / "ix", "--encoder", "none", "--tenant", "frim"), "'frim'", "'firm'")


@pytest.mark.parametrize("condition", ["type==text", "type=<text", "type=>text"])
def test_a_sign_that_is_none_is_refused_and_does_not_find_nothing(condition: str, ix: Path, say: Say) -> None:
    refused(say("search", ix, "lamp", "--where", condition), "!= < <= > >=")


def test_a_source_that_is_suddenly_empty_does_not_empty_the_index(ix: Path, pages: Path, tmp_path: Path, say: Say) -> None:
    before = say("search", ix, "lamp")[1]
    for page in pages.iterdir():
        page.unlink()
    refused(say("index", pages, "--into", ix), "no document could be read", "The index stays as it was")
    (pages / "broken.pdf").write_bytes(b"%PDF-1.4")
    refused(say("index", pages, "--into", ix, "--encoder", "none"), "broken.pdf", "The index stays as it was")
    assert say("search", ix, "lamp")[1] == before
    refused(say("index", pages, "--into", tmp_path / "new"), "no document could be read")


def test_an_index_lies_neither_among_its_documents_nor_in_a_file(pages: Path, tmp_path: Path, say: Say) -> None:
    refused(say("index", pages, "--into", pages / "ix"), "among the documents")
    (tmp_path / "link").symlink_to(pages)
    refused(say("index", tmp_path / "link", "--into", pages / "deep" / "ix"), "among the documents")
    refused(say("index", pages, "--into", pages / "delivery.md"), "is a file")
    refused(say("search", pages / "delivery.md", "lamp"), "holds no index")
    refused(say("index", "", "--into", tmp_path / "ix"), "which documents?")
    refused(say("questions", "", "--into", tmp_path / "made.jsonl"), "which documents?")
    assert {page.name for page in pages.iterdir()} == set(PAGES)
    for _ in range(2):
        assert say("index", pages, "--into", pages / ".ix", "--encoder", "none")[1]["documents"] == len(PAGES)


def test_a_damaged_index_says_how_it_is_mended(ix: Path, pages: Path, say: Say) -> None:
    for blob in (ix / "blobs").rglob("*"):
        if blob.is_file():
            os.chmod(blob, 0o600)
            blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    refused(say("search", ix, "lamp"), f"the index in {ix} is damaged", f"rm -r {ix} && rungwise index SOURCE", code=3)
    (pages / "new.md").write_text("New.", encoding="utf-8")
    refused(say("index", pages, "--into", ix), f"the index in {ix} is damaged", code=3)
    shutil.rmtree(ix)
    assert say("index", pages, "--into", ix, "--encoder", "hashed")[0] == 0
    assert say("search", ix, "lamp")[1]["hits"]


def test_other_settings_do_not_lose_documents_that_are_to_be_kept(ix: Path, tmp_path: Path, say: Say) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "gift.md").write_text("A gift card never expires.", encoding="utf-8")
    refused(say("index", more, "--into", ix, "--keep", "--encoder", "none"), "--keep")
    assert say("index", more, "--into", ix, "--keep")[1]["documents"] == 3


def test_a_reader_beside_whom_the_index_is_compacted_reads_the_new_version(
    ix: Path, pages: Path, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pages / "delivery.md").write_text("# Delivery\n\nA parcel takes four days.\n", encoding="utf-8")
    assert say("index", pages, "--into", ix)[0] == 0
    load, compacted = Indexes.load, []

    def load_late(self: Indexes, segment: Any) -> dict[str, bytes]:
        if not compacted:
            compacted.append(True)  # between the look at the pointer and the first byte that is read
            building.compact(self)
        return load(self, segment)

    monkeypatch.setattr(Indexes, "load", load_late)
    reader = Index(ix)
    (hit,) = reader.search("how long does a parcel take", 1)
    assert hit.text.endswith("A parcel takes four days.")
    assert reader.searched.id == reader.version().id


def test_an_index_and_a_project_do_not_lie_in_one_folder(ix: Path, tmp_path: Path, say: Say) -> None:
    data = tmp_path / "rows.csv"
    data.write_text("text,label\n" + "".join(f"message {n},{'ab'[n % 2]}\n" for n in range(40)), encoding="utf-8")
    refused(say("climb", data, "--project", ix, "--target", "accuracy=0.9"), "is a search index")
    refused(say("climb", ix, "--target", "accuracy=0.9"), "is a search index")
    assert not (ix / "rungwise.yaml").exists()


@pytest.mark.parametrize("option", ["--compact", "--versions"])
def test_what_looks_after_an_index_does_not_pass_for_indexing(option: str, ix: Path, pages: Path, say: Say) -> None:
    refused(say("index", pages, "--into", ix, option), f"Leave out {pages}, or {option}")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("chunking: {size: big}", "chunking: size is a whole number, not 'big'"),
        ("chunking: {size: true}", "size is a whole number"),
        ("chunking: {sise: 100}", "Did you mean 'size'?"),
        ("chunking: 5", "chunking holds further settings (method, size"),
        ("words: en", "words holds further settings (language"),
        ("words: {stop: 3}", "stop is true or false, not 3"),
        ("tenant: 5", "tenant is a text, not 5"),
        ("encoder: [minilm]", "encoder is a text"),
        ("5: minilm", "there is no setting '5'"),
        ("- encoder", "holds no settings"),
    ],
)
def test_settings_that_are_none_are_told_by_name(settings: str, told: str, pages: Path, tmp_path: Path, say: Say) -> None:
    (tmp_path / "settings.yaml").write_text(settings, encoding="utf-8")
    refused(say("index", pages, "--into", tmp_path / "ix", "--config", tmp_path / "settings.yaml"), told)
    assert not (tmp_path / "ix").exists()


def test_an_index_whose_encoder_is_gone_is_searched_by_words(
    pages: Path, tmp_path: Path, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rungwise.engines.encoders import load

    own, known = tmp_path / "own", load.load_encoder
    with monkeypatch.context() as there:
        there.setattr(load, "load_encoder", lambda name: known("hashed" if name == str(own) else name))
        assert say("index", pages, "--into", tmp_path / "ix", "--encoder", own)[0] == 0
        assert say("search", tmp_path / "ix", "lamp")[1]["hits"]
    refused(say("search", tmp_path / "ix", "lamp"), "is gone", "--mode lexical", "--encoder minilm")
    assert say("search", tmp_path / "ix", "lamp", "--mode", "lexical")[1]["hits"]
    assert say("index", pages, "--into", tmp_path / "ix")[1]["unchanged"] == 2  # nothing to encode
    refused(say("index", pages, "--into", tmp_path / "ix", "--encoder", "minlim"), "Did you mean 'minilm'?")
    assert say("index", pages, "--into", tmp_path / "ix", "--encoder", "hashed")[0] == 0
    assert say("search", tmp_path / "ix", "lamp")[1]["hits"]
