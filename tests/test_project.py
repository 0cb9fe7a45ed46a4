"""`Project` as programs and notebooks use it: no event loop of their own, or one that is already running."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from terminal import ticket_rows, write_csv

import rungwise
from rungwise.core.errors import ProjectBusy, UnknownName, UsageError
from rungwise.core.progress import Progress
from rungwise.core.usecase import Target
from rungwise.data.lock import project_lock
from rungwise.ladder.expedition import Wishes

UNTIL_CLASSICAL = Wishes(until="classical")


@pytest.fixture(scope="module")
def climbed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    project = rungwise.Project.create(folder / "tickets", source=write_csv(folder / "tickets.csv", ticket_rows()))
    assert project.climb("accuracy=0.7", wishes=UNTIL_CLASSICAL).decision.verdict == "met"
    return folder


@pytest.fixture
def project(climbed_once: Path, tmp_path: Path) -> rungwise.Project:
    shutil.copytree(climbed_once, tmp_path / "work")
    return rungwise.Project(tmp_path / "work" / "tickets")


def test_the_public_names_are_there_and_few() -> None:
    assert len(rungwise.__all__) <= 16
    assert [name for name in rungwise.__all__ if getattr(rungwise, name, None) is None] == []
    assert sorted(rungwise.__all__) == sorted(rungwise._HOMES)
    with pytest.raises(AttributeError, match="Projct"):
        _ = rungwise.Projct  # type: ignore[attr-defined]


def test_the_public_names_are_listed_before_anything_heavy_is_imported() -> None:
    code = "import sys, rungwise as r; [getattr(r, n) for n in r.__all__]; print('numpy' in sys.modules, 'click' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_climb_gives_its_decision_and_a_report(project: rungwise.Project) -> None:
    news: list[Progress] = []
    climbed = project.climb(wishes=UNTIL_CLASSICAL, say=news.append)
    assert climbed.decision.chosen_rung == "classical"
    assert climbed.report is not None
    assert climbed.report.exists()
    assert climbed.document["verdict"] == "met"
    assert climbed.spent.calls == 0
    assert [one.step for one in news if one.rung == "classical"][-1] == "met"


def test_a_climb_shows_itself_in_a_notebook(project: rungwise.Project) -> None:
    shown = project.climb(wishes=UNTIL_CLASSICAL)._repr_html_()
    assert "<table" in shown
    assert "classical" in shown
    assert "<script" not in shown


async def test_it_works_where_an_event_loop_is_already_running(project: rungwise.Project) -> None:
    # As in a notebook: the cell is run by a loop, and the methods are plain calls.
    assert asyncio.get_running_loop().is_running()
    assert project.climb(wishes=UNTIL_CLASSICAL).decision.verdict == "met"
    assert project.ask("where is my parcel?").answer == "track_order"
    assert project.replay().agrees


def test_the_chosen_candidate_is_a_function_from_text_to_answer(project: rungwise.Project) -> None:
    answer = rungwise.load(project.directory)
    assert answer("where is my parcel?") == "track_order"
    assert answer("I forgot my password") == "reset_password"


def test_several_threads_may_ask_one_project(project: rungwise.Project) -> None:
    answer = rungwise.load(project.directory)
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(answer("where is my parcel?"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["track_order"] * 8


def test_an_answer_says_who_gave_it_and_how_sure_they_were(project: rungwise.Project) -> None:
    asked = project.ask("where is my parcel?")
    assert asked.candidate == project.climb(wishes=UNTIL_CLASSICAL).decision.chosen
    assert asked.confidence is not None
    assert 0.5 < asked.confidence <= 1.0
    assert asked.seconds >= 0.0


def test_a_new_climb_changes_who_answers(project: rungwise.Project) -> None:
    assert project.ask("where is my parcel?").answer == "track_order"
    project.climb("accuracy=0.99", wishes=Wishes(until="floor"))
    with pytest.raises(UsageError, match="Nothing was chosen"):
        project.ask("where is my parcel?")


def test_the_use_case_can_be_changed_from_a_program(project: rungwise.Project) -> None:
    project.configure(target=Target(metric="accuracy", value=0.65), forecast_volume=5)
    assert project.case.target == Target(metric="accuracy", value=0.65)
    assert rungwise.Project(project.directory).case.forecast_volume == 5
    with pytest.raises(UsageError, match="alpha"):
        project.configure(alpha=2.0)
    assert project.case.alpha == 0.05


def test_a_file_that_says_it_already_keeps_its_comments(project: rungwise.Project) -> None:
    path = project.directory / "rungwise.yaml"
    path.write_text("# agreed with the help desk in May\n" + path.read_text())
    project.climb("accuracy=0.7", wishes=UNTIL_CLASSICAL)
    assert path.read_text().startswith("# agreed with the help desk in May\n")


def test_a_target_that_cannot_be_one_leaves_the_use_case_as_it_was(project: rungwise.Project) -> None:
    for target in ("accurcy=0.9", "log_loss=0.3", "accuracy=1.0", "accuracy"):
        with pytest.raises(UsageError):
            project.climb(target)
        with pytest.raises(UsageError):
            project.forecast(target)
    assert project.case.target == Target(metric="accuracy", value=0.7)


def test_a_forecast_spends_and_opens_nothing(project: rungwise.Project) -> None:
    before = project.forecast().k
    foreseen = project.forecast("accuracy=0.8")
    assert foreseen.k == before == 2  # one opening was made by the climb
    assert {chance.truth for chance in foreseen.chances} == {0.82, 0.85, 0.9}
    assert all(rung.seconds >= 0 for rung in foreseen.rungs)
    assert foreseen.plain()["feasible"] is True


def test_a_project_is_made_once(project: rungwise.Project) -> None:
    with pytest.raises(UsageError, match="already is a project"):
        rungwise.Project.create(project.directory)


def test_a_folder_that_is_no_project_says_so_and_stays_empty(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no project"):
        rungwise.Project(tmp_path / "nothing").ask("hello")
    with pytest.raises(UsageError, match="there is no project"):
        rungwise.load(tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


def test_another_climb_that_holds_the_project_is_an_error_on_request(project: rungwise.Project) -> None:
    with project_lock(project.directory / "state"), pytest.raises(ProjectBusy):
        project.climb(wait=False)


def test_what_is_compared_and_traced_must_exist(project: rungwise.Project) -> None:
    contest = project.compare("floor", "classical")
    assert contest.test.difference > 0.5
    with pytest.raises(UnknownName, match="classical"):
        project.compare("clasical", "floor")
    with pytest.raises(UsageError, match="there is no id"):
        project.lineage("f" * 64)


def test_a_report_may_go_anywhere(project: rungwise.Project, tmp_path: Path) -> None:
    assert project.report() == project.directory / "report.html"
    assert project.report(tmp_path / "deep" / "down.html").read_text(encoding="utf-8").startswith("<!doctype html>")
