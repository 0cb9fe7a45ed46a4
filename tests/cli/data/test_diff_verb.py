"""`rungwise data diff` at the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.terminal import Terminal, ticket_rows, write_csv


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


@pytest.fixture
def project(terminal: Terminal, tmp_path: Path) -> Path:
    """Two versions: in the second one row is reworded, one is gone, one is new."""
    rows = ticket_rows(5)
    source = write_csv(tmp_path / "tickets.csv", rows)
    assert terminal("data", "import", source, "--into", tmp_path / "support").code == 0
    assert terminal("data", "tag", tmp_path / "support", "first").code == 0
    rows[0] = {**rows[0], "message": rows[0]["message"] + " please"}
    del rows[3]
    rows.append({"id": "new", "message": "a message that was not there before", "intent": "track_order", "channel": "web"})
    write_csv(source, rows)
    assert terminal("data", "import", source, "--into", tmp_path / "support").code == 0
    return tmp_path / "support"


def test_says_how_many_rows_came_went_and_changed_and_which_words(terminal: Terminal, project: Path) -> None:
    said = terminal("data", "diff", project, "first")
    assert said.code == 0
    assert "1 added, 1 removed, 1 changed, 28 kept" in said.out
    assert "{+ please+}" in said.out
    assert "+ tickets.csv:31" in said.out


def test_json_holds_the_counts_and_the_rows(terminal: Terminal, project: Path) -> None:
    found = terminal("data", "diff", project, "first", "HEAD", "--json").document
    assert {name: found[name] for name in ("added", "removed", "changed", "kept")} == {
        "added": 1,
        "removed": 1,
        "changed": 1,
        "kept": 28,
    }
    assert found["quarantined"] == {}
    assert [one["kind"] for one in found["examples"]] == ["changed", "added", "removed"]
    assert found["examples"][0]["words"]["message"][-1] == ["+", " please"]
    assert terminal("data", "diff", project, "first", "--limit", "0", "--json").document["examples"] == []


def test_an_unknown_version_names_the_nearest(terminal: Terminal, project: Path) -> None:
    said = terminal("data", "diff", project, "frist")
    assert said.code == 2
    assert "Did you mean 'first'" in said.err
