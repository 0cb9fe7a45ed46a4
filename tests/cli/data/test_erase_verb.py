"""`rungwise data erase` at the command line, after a real climb."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from pyarrow import parquet

from tests.terminal import Terminal, ticket_rows, write_csv

SECRET = "my name is Ann-Sophie Quindlemore and my parcel is lost"


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


@pytest.fixture
def project(terminal: Terminal, tmp_path: Path) -> Path:
    rows = ticket_rows(40)
    rows[7] = {**rows[7], "id": "ann", "message": SECRET}
    source = write_csv(tmp_path / "tickets.csv", rows)
    assert terminal("data", "import", source, "--into", tmp_path / "support", "--id", "id").code == 0
    return tmp_path / "support"


def holders(directory: Path, text: str) -> list[str]:
    found = []
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            whole = str(parquet.read_table(path).to_pylist()).encode() if data.startswith(b"PAR1") else data
            unpacked = zlib.decompress(data) if data.startswith(b"\x78") else b""
            if any(text.encode() in one for one in (data, whole, unpacked)):
                found.append(path.name)
    return found


def test_after_a_climb_it_says_what_to_make_anew_and_leaves_no_trace(terminal: Terminal, project: Path) -> None:
    assert terminal("climb", project, "--target", "accuracy=0.5", "--until", "classical", "--quiet").code in (0, 1)
    assert holders(project, SECRET)
    shown = terminal("data", "erase", project, "ann", "--dry-run", "--json").document
    assert (shown["done"], shown["rows"]) == (False, 1)
    said = terminal("data", "erase", project, "ann", "--yes")
    assert said.code == 0
    assert "erased: 1 rows, from 1 versions of the data" in said.out
    for kind in ("Candidate", "Evaluation", "Decision", "Fitted"):
        assert f" x {kind}: " in said.out
    assert f"make anew with: rungwise climb {project}" in said.out
    assert "tickets.csv:9" in said.out
    assert holders(project, SECRET) == []
    assert '"id": "ann"' not in terminal("data", "show", project, "--limit", "500", "--json").out
    again = terminal("climb", project, "--until", "classical", "--quiet")
    assert again.code in (0, 1)
    assert SECRET not in again.out


def test_without_a_terminal_it_has_to_be_agreed_to_beforehand(terminal: Terminal, project: Path) -> None:
    said = terminal("data", "erase", project, "ann")
    assert said.code == 2
    assert "--yes" in said.err
    assert holders(project, SECRET)


def test_in_a_terminal_it_asks_and_no_means_no(terminal: Terminal, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("click.confirm", lambda *_, **__: False)
    said = terminal("data", "erase", project, "ann")
    assert said.code == 1
    assert "nothing was erased" in said.out
    assert "to be erased: 1 rows" in said.err
    assert holders(project, SECRET)


def test_an_unknown_id_names_the_nearest(terminal: Terminal, project: Path) -> None:
    said = terminal("data", "erase", project, "annn", "--yes")
    assert said.code == 2
    assert "Did you mean 'ann'" in said.err
