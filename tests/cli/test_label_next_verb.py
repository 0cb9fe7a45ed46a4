"""`rungwise label-next` as people see it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from terminal import Terminal, ticket_rows, write_csv

from rungwise.cli import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def rungwise(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("label_next")
    rows = ticket_rows()
    source = write_csv(folder / "tickets.csv", rows[:300])
    write_csv(folder / "pool.csv", [{**row, "intent": ""} for row in [*rows[300:], rows[0]]])
    with pytest.raises(SystemExit):
        main(["climb", str(source), "--target", "accuracy=0.6", "--until", "classical", "--quiet"])
    return folder


def test_it_says_what_was_chosen_what_it_brings_and_what_comes_next(rungwise: Terminal, climbed: Path) -> None:
    said = rungwise("label-next", climbed / "tickets", "--pool", climbed / "pool.csv", "--n", 10)
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == "10 of 180 rows, chosen by what classical is unsure of"
    assert lines[1] == "(left out: 1 that stand in the data already, or twice in the pool)"
    assert "% sure)" in lines[2]
    assert lines[-2].startswith("forecast: 10 more labels change the dev accuracy of linear (0.")
    assert "(90% interval)" in lines[-2]
    assert lines[-1] == f"next: fill in the labels in {climbed / 'tickets' / 'label-next.csv'}"
    assert len((climbed / "tickets" / "label-next.csv").read_text(encoding="utf-8").splitlines()) >= 11


def test_as_json_it_prints_one_document(rungwise: Terminal, climbed: Path, tmp_path: Path) -> None:
    output = tmp_path / "next.jsonl"
    said = rungwise("label-next", climbed / "tickets", "--pool", climbed / "pool.csv", "--n", 3, "--output", output, "--json")
    assert said.document["file"] == str(output)
    assert [set(row) for row in said.document["rows"]] == [
        {"place", "text", "suggested", "confidence", "uncertainty", "disagreement"}
    ] * 3
    gain = said.document["gain"]
    assert gain["low"] < gain["mean"] < gain["high"]
    assert said.document["rungs"] == ["classical"]


def test_a_project_without_a_decision_says_what_to_type(rungwise: Terminal, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "tickets.csv", ticket_rows())
    assert rungwise("init", tmp_path / "p", "--from", source).code == 0
    said = rungwise("label-next", tmp_path / "p")
    assert said.code == 2
    assert "rungwise climb" in said.err


def test_a_pool_that_is_not_there_is_named(rungwise: Terminal, climbed: Path) -> None:
    said = rungwise("label-next", climbed / "tickets", "--pool", climbed / "none.csv")
    assert said.code == 2
    assert "none.csv" in said.err


@pytest.mark.slow
def test_the_page_about_it_can_be_followed(rungwise: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="the page climbs until the head, which needs the extra local")
    text = (ROOT / "docs" / "how-to" / "label-next.md").read_text(encoding="utf-8")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    (code,) = [block for kind, block in blocks if kind == "python"]
    exec(compile(code, "label-next.md", "exec"), {})  # the very code that readers are shown
    (_, commands) = [block for kind, block in blocks if kind == ""]
    for line in commands.splitlines():
        said = rungwise(*shlex.split(line)[1:])
        assert said.code == 0, said.err
    assert len((tmp_path / "next.jsonl").read_text(encoding="utf-8").splitlines()) == 50
    assert said.document["technique"] == "head"
