"""`rungwise value`: what it prints, what it notes, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from rungwise.cli.app import run
from rungwise.core.reading import DAY_S
from rungwise.data.store import Store
from rungwise.engines.clock import SystemClock
from rungwise.project import Project
from tests.watch.earning import month, release

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "know-what-it-earns.md"


@pytest.fixture
def support(tmp_path: Path) -> str:
    """A project with a release of two variants and a week of answers."""
    table = tmp_path / "tickets.csv"
    table.write_text("text,label\n" + "".join(f"question number {n},{'ab'[n % 2]}\n" for n in range(40)))
    project = Project.create(tmp_path / "support", source=table, value_per_success_usd=0.1)
    file = project.directory / "rungwise.yaml"
    money = {"budget_usd_per_month": 500.0, "user_budget_usd_per_month": 0.01}
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "watch": {"money": money}}))
    store = Store.open(project.directory / "state", clock=SystemClock())
    first = int(project.clock.now() // DAY_S) - 7
    live = release(store, [("plain", "1" * 64), ("rich", "2" * 64)], at=first * DAY_S)
    month(store, live, first=first, days=7, users=12, a_day=30)
    store.close()
    return str(project.directory)


def test_people_are_shown_cost_value_and_return(support: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["value", support, "--by", "user", "--by", "tag.team", "--top", "2"]) == 0
    shown = capsys.readouterr().out
    for words in ("requests of 12 users", "cost by user", "10 others", "cost by tag.team", "over their budget", "value by variant"):
        assert words in shown
    assert "rich against plain, revenue per user" in shown
    assert "Return:" in shown


def test_the_document_has_the_keys_that_the_page_names(support: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["value", support, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["cost", "value", "return"]
    page = PAGE.read_text(encoding="utf-8")
    for part, keys in found.items():
        for key in keys:
            assert re.search(rf"`(?:{part})?\.{key}\b", page), f"{part}.{key}"
    for key in (*found["value"]["variants"][0], *found["cost"]["month"], *found["cost"]["development"]):
        assert f"`{key}" in page, key


def test_a_cost_is_noted_once_and_taken_back(support: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["value", support, "--note-cost", "120", "--kind", "people", "--why", "an afternoon", "--json"]) == 0
    noted = json.loads(capsys.readouterr().out)
    assert (noted["usd"], noted["kind"], noted["note"]) == (120.0, "people", "an afternoon")
    assert run(["value", support, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cost"]["noted_usd"] == 120.0
    assert run(["value", support, "--drop-cost", noted["id"]]) == 0
    assert "taken back: 120.00 USD" in capsys.readouterr().out
    assert run(["value", support, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cost"]["noted"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        ["--by", "nonsense"],
        ["--days", "0"],
        ["--kind", "labels"],
        ["--note-cost", "0"],
        ["--note-cost", "nan"],
        ["--note-cost", "5", "--for", "abc"],
        ["--note-cost", "5", "--drop-cost", "abc"],
        ["--drop-cost", "abc"],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_refused_in_words(support: str, wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["value", support, *wrong]) == 2
    assert "rungwise: " in capsys.readouterr().err


def test_a_folder_that_is_no_project_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["value", str(tmp_path)]) == 2
    assert not (tmp_path / "state").exists()
    assert capsys.readouterr().err
