"""`rungwise reclimb`: what it shows, what it waits for, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rungwise.cli.app import run
from rungwise.core.usecase import Target
from tests.project.town import Town, configure, found, worded


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """A released project with a day of labelled questions; the climb waits for somebody's word."""
    town = found(
        tmp_path_factory.mktemp("verb") / "support", worded(300, 0), worded(1_000, 1), target="accuracy=0.5", approve=["climb"]
    )
    town.day(60)
    town.project.configure(target=Target.parse("accuracy=0.8"))
    return town


def said(town: Town, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    capsys.readouterr()
    code = run(["reclimb", str(town.project.directory), *options])
    out = capsys.readouterr()
    return code, out.out + out.err


def test_a_dry_run_shows_rows_and_forecast(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(town, capsys, "--dry-run")
    assert code == 0
    assert "60 new rows (60 from business); nothing was written" in text
    assert "live" in text
    code, text = said(town, capsys, "--dry-run", "--json")
    assert json.loads(text)["rows"]["new"] == 60


def test_it_says_what_it_waits_for_and_exits_with_1(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(town, capsys, "--until", "classical")
    assert code == 1
    assert "waits for: approval of climb" in text
    assert "data: version:HEAD" in text
    code, text = said(town, capsys, "--json")
    document = json.loads(text)
    assert (code, document["state"], document["step"]) == (1, "running", "climb")
    assert document["steps"]["gather"]["rows"] == {"business": 60}


def test_a_step_is_approved_by_somebody_and_one_that_there_is_not_is_refused(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(town, capsys, "--approve", "climb")
    assert (code, "--by NAME" in text) == (2, True)
    assert said(town, capsys, "--approve", "gather", "--by", "ann")[0] == 2


def test_stopping_settles_it_and_there_is_nothing_to_stop_then(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    said(town, capsys, "--until", "classical")
    code, text = said(town, capsys, "--stop", "--by", "ann")
    assert (code, "stopped by ann" in text) == (0, True)
    assert said(town, capsys, "--stop")[0] == 2


def test_a_project_without_a_release_is_told_to_release(tmp_path: Path, capsys: pytest.CaptureFixture[str], town: Town) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "rungwise.yaml").write_text("name: new\ntask: classify\n", encoding="utf-8")
    configure(tmp_path / "new", watch={})
    assert run(["reclimb", str(tmp_path / "new")]) == 2
    assert "rungwise release" in capsys.readouterr().err
