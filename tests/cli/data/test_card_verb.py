"""`rungwise data card` at the command line: lines for people, one JSON document, a page."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.terminal import Terminal, ticket_rows, write_csv


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


@pytest.fixture
def project(terminal: Terminal, tmp_path: Path) -> Path:
    source = write_csv(tmp_path / "tickets.csv", ticket_rows(20))
    said = terminal("data", "import", source, "--into", tmp_path / "support", "--licence", "apache 2")
    assert said.code == 0
    return tmp_path / "support"


def test_says_what_is_there_and_how_to_have_it_looked_at(terminal: Terminal, project: Path) -> None:
    said = terminal("data", "card", project)
    assert said.code == 0
    text = " ".join(said.out.split())
    for words in ("120 rows", "licence Apache-2.0", "6 in 'intent'", "as a climb will draw them", "duplicates not looked for"):
        assert words in text, words
    assert f"rungwise data curate {project}" in said.out.replace("\n", "")
    assert "\x1b[" not in said.out


def test_after_a_curation_says_what_it_found(terminal: Terminal, project: Path) -> None:
    assert terminal("data", "curate", project, "--steps", "quality,dedup", "--json").code == 0
    text = " ".join(terminal("data", "card", project).out.split())
    assert "Curated by quality rules, duplicates." in text
    assert "quality rules, rows that each alone would set aside" in text
    assert "too_few_words 120" in text or "too_few_words 1" in text


def test_json_is_the_card_itself(terminal: Terminal, project: Path) -> None:
    document = terminal("data", "card", project, "--group", "channel", "--json").document
    assert document["rows"] == 120
    assert document["labels"]["distinct"] == 6
    assert sum(document["groups"]["counts"].values()) == 120
    assert sum(document["splits"].values()) == 120
    assert document["pii"] is None
    assert document["dataset"] == terminal("data", "show", project, "--json").document["dataset"]


def test_html_is_written_beside_either(terminal: Terminal, project: Path, tmp_path: Path) -> None:
    page = tmp_path / "card.html"
    said = terminal("data", "card", project, "--html", page, "--json")
    assert said.document["rows"] == 120
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_narrow_terminal_loses_nothing(terminal: Terminal, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "44")
    said = terminal("data", "card", project)
    assert "median" in said.out
    assert "invoice_request" in said.out.replace("\n", "").replace(" ", "")


def test_without_data_says_what_to_type(terminal: Terminal, tmp_path: Path) -> None:
    said = terminal("data", "card", tmp_path / "nothing")
    assert said.code == 2
    assert "rungwise data import" in said.err


def test_an_unknown_column_or_version_is_named(terminal: Terminal, project: Path) -> None:
    assert "Did you mean 'channel'" in terminal("data", "card", project, "--group", "chanel").err
    assert terminal("data", "card", project, "--version", "nowhere").code == 2
