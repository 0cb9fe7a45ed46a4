"""`rungwise feedback`: what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rungwise.cli.app import run
from rungwise.core.release import Release, Variant
from rungwise.data.store import Store
from rungwise.project import Project
from rungwise.release.registry import Releases
from tests.clocks import StillClock
from tests.data.judged import answered, judge, write


@pytest.fixture
def support(tmp_path: Path, clock: StillClock) -> str:
    """A project with a release of two variants and 40 judged answers, the second variant's better."""
    table = tmp_path / "tickets.csv"
    table.write_text("text,label\n" + "".join(f"question number {n},{'ab'[n % 2]}\n" for n in range(40)))
    project = Project.create(tmp_path / "support", source=table, clock=clock)
    store = Store.open(project.directory / "state", clock=clock)
    variants = (Variant(name="old", candidate="1" * 64, weight=0.5), Variant(name="new", candidate="2" * 64, weight=0.5))
    live = Release(use_case="u", variants=variants, evidence=(), salt="s")
    Releases(store).put(live)
    traces = [answered(n, f"asked {n}", "a", release=live.id, variant="old" if n % 2 else "new") for n in range(40)]
    write(store, traces)
    for n, trace in enumerate(traces):
        judge(store, trace, score=0.1 if n % 2 else 0.95, label="b" if n % 2 else "a", comment="two\nlines")
    store.close()
    return str(project.directory)


def test_a_judgement_is_added_once_and_listed(support: str, capsys: pytest.CaptureFixture[str]) -> None:
    trace = answered(3, "", "").id
    assert run(["feedback", "add", support, "--trace", trace, "--thumb", "down", "--by", "ann", "--json"]) == 0
    added = json.loads(capsys.readouterr().out)
    assert (added["trace"], added["new"]) == (trace, True)
    assert run(["feedback", "add", support, "--trace", trace, "--thumb", "down", "--by", "ann"]) == 0
    assert "known already" in capsys.readouterr().out
    assert run(["feedback", "list", support, "--limit", "2"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 2
    assert "thumb down" in shown[0]
    assert "comment two lines" in shown[1]
    assert run(["feedback", "list", support, "--limit", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["by"] == "ann"


def test_what_cannot_be_judged_is_bad_usage(support: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["feedback", "add", support, "--trace", "f" * 32, "--thumb", "up"]) == 2
    assert run(["feedback", "add", support, "--trace", answered(3, "", "").id]) == 2
    assert "nothing is judged" in capsys.readouterr().err
    assert run(["feedback", "add", support, "--thumb", "up"]) == 2
    assert "x-request-id" in capsys.readouterr().err


def test_a_file_with_bad_lines_ends_in_one(support: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "outcomes.jsonl"
    file.write_text(json.dumps({"trace": answered(3, "", "").id, "value_usd": 2.5, "source": "business"}) + "\nbad\n")
    assert run(["feedback", "import", support, str(file)]) == 1
    assert "set aside outcomes.jsonl:2" in capsys.readouterr().out
    assert run(["feedback", "import", support, str(file), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["new"], told["known"], len(told["bad"])) == (0, 1, 1)


def test_the_contest_is_told_with_the_next_command(support: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["feedback", "contest", support]) == 0
    shown = capsys.readouterr().out
    assert "new is better than old" in shown
    assert f"rungwise release {support} --traffic old=0,new=1" in shown
    assert run(["feedback", "contest", support, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["metric"], told["ruling"]["action"]) == ("score", "promote")


def test_what_cannot_be_told_yet_ends_in_one(support: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(support) / "rungwise.yaml"
    file.write_text(file.read_text() + "serve:\n  contest:\n    metric: thumb\n")
    assert run(["feedback", "contest", support]) == 1
    assert "new cannot be told from old" in capsys.readouterr().out


def test_judgements_become_rows(support: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["feedback", "to-dataset", support, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["judged"], told["dataset"]) == (40, 40, None)
    assert Path(told["output"]).name == "feedback.jsonl"
    assert run(["feedback", "to-dataset", support, "--pairs"]) == 0
    assert "20 pairs from 40 judged answers" in capsys.readouterr().out
    assert run(["feedback", "to-dataset", support, "--pairs", "--approved"]) == 2
    assert run(["feedback", "to-dataset", support, "--names", "--keep-personal-data"]) == 2


def test_a_project_that_nobody_judged_says_what_to_type(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Project.create(tmp_path / "fresh", source=tmp_path / "none.csv")
    assert run(["feedback", "list", str(tmp_path / "fresh")]) == 0
    assert "rungwise feedback add" in capsys.readouterr().out
    assert run(["feedback", "to-dataset", str(tmp_path / "fresh")]) == 2
