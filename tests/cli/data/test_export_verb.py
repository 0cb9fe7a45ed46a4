"""`rungwise data export` at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.terminal import Terminal, ticket_rows, write_csv


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


@pytest.fixture
def project(terminal: Terminal, tmp_path: Path) -> Path:
    source = write_csv(tmp_path / "tickets.csv", ticket_rows(10))
    assert terminal("data", "import", source, "--into", tmp_path / "support", "--licence", "CC-BY-4.0").code == 0
    return tmp_path / "support"


def test_the_ending_tells_the_format(terminal: Terminal, project: Path, tmp_path: Path) -> None:
    said = terminal("data", "export", project, tmp_path / "out.jsonl")
    assert said.code == 0
    assert said.out.startswith("wrote 60 rows of version ")
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 60
    folder = terminal("data", "export", project, tmp_path / "dataset", "--json").document
    assert (folder["format"], folder["rows"]) == ("hub", 60)
    assert "license: cc-by-4.0" in (tmp_path / "dataset" / "README.md").read_text()


def test_an_earlier_version_can_be_exported(terminal: Terminal, project: Path, tmp_path: Path) -> None:
    terminal("data", "tag", project, "first")
    write_csv(tmp_path / "tickets.csv", ticket_rows(5))
    terminal("data", "import", tmp_path / "tickets.csv", "--into", project)
    done = terminal("data", "export", project, tmp_path / "out.jsonl", "--version", "first", "--json").document
    assert done["rows"] == 60
    assert json.loads((tmp_path / "out.jsonl.version.json").read_text())["rungwise.version"] == done["dataset"]


def test_a_format_that_is_not_there_names_the_nearest(terminal: Terminal, project: Path, tmp_path: Path) -> None:
    said = terminal("data", "export", project, tmp_path / "out", "--format", "parqet")
    assert said.code == 2
    assert "Did you mean 'parquet'" in said.err
