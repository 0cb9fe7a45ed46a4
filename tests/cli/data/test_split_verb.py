"""`rungwise data split` at the command line."""

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
    assert terminal("data", "import", source, "--into", tmp_path / "support").code == 0
    return tmp_path / "support"


def test_draws_by_label_and_keeps_it_the_next_time(terminal: Terminal, project: Path) -> None:
    done = terminal("data", "split", project, "--shares", "50/25/25", "--json").document
    assert done["splits"] == {"train": 60, "dev": 30, "sealed": 30}
    assert (done["drawn"], done["kept"], done["opened"]) == (120, 0, 0)
    again = terminal("data", "split", project, "--seed", "9")
    assert again.code == 0
    assert "0 rows were drawn, 120 keep the split they had" in again.out
    assert "--anew" in again.out
    assert terminal("data", "split", project, "--seed", "9", "--anew", "--json").document["drawn"] == 120


def test_what_cannot_be_used_says_what_can(terminal: Terminal, project: Path) -> None:
    assert "60/15/25" in terminal("data", "split", project, "--shares", "half").err
    assert "Did you mean 'time'" in terminal("data", "split", project, "--by", "tme").err
    said = terminal("data", "split", project, "--by", "time")
    assert said.code == 2
    assert "--column" in said.err
