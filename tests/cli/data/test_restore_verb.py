"""`rungwise data restore` at the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.terminal import Terminal, ticket_rows, write_csv


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


@pytest.fixture
def project(terminal: Terminal, tmp_path: Path) -> Path:
    """A version from which the import set two rows aside: a second one with the same id, and one without text."""
    rows = ticket_rows(5)
    rows += [{**rows[0], "message": "said otherwise"}, {**rows[1], "id": "empty", "message": ""}]
    source = write_csv(tmp_path / "tickets.csv", rows)
    assert terminal("data", "import", source, "--into", tmp_path / "support", "--id", "id").code == 1
    return tmp_path / "support"


def test_a_row_comes_back_by_the_digits_that_the_quarantine_shows(terminal: Terminal, project: Path) -> None:
    (id,) = [line.split()[0] for line in terminal("data", "quarantine", project).out.splitlines() if "duplicate_id" in line]
    done = terminal("data", "restore", project, id, "--json").document
    assert (done["rows"], done["restored"], done["quarantined"]) == (31, 1, {"import:no_text": 1})


def test_all_brings_back_what_can_come_back_and_counts_the_rest(terminal: Terminal, project: Path) -> None:
    said = terminal("data", "restore", project, "--all")
    assert said.code == 0
    assert said.out.startswith("1 rows came back")
    assert "1 could never be read" in said.out


def test_what_cannot_be_done_says_what_to_type(terminal: Terminal, project: Path) -> None:
    assert "rungwise data quarantine" in terminal("data", "restore", project).err
    said = terminal("data", "restore", project, "--reason", "import:no_text")
    assert said.code == 2
    assert "rungwise data import" in said.err
    assert "Did you mean 'import:no_text'" in terminal("data", "restore", project, "--reason", "import:notext").err
