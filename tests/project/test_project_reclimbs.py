"""Re-climbs of a project, from what people said of answers to a promotion or nothing, killed and resumed at every step."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rungwise.core.errors import ProjectBusy, UnknownName, UsageError
from rungwise.core.usecase import Target
from rungwise.data.audit import Audit
from rungwise.data.lock import project_lock
from rungwise.data.reclimbs import Reclimbs
from rungwise.data.spec import read_watching
from rungwise.project import Project
from rungwise.project.reclimbs import LOCK, Reclimbed
from rungwise.watch.reclimb.course import STEPS
from tests.clocks import StillClock
from tests.project.town import Town, configure, found, worded

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {"least_rows": 5, "shadow_requests": 20}
BEFORE = 300
"""Rows of the first climb: too few to know all the words."""


class Killed(Exception):
    """What happens at a step boundary."""


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """A released project, a day of 900 labelled questions, and a target that the live candidate is not shown to meet."""
    town = found(tmp_path_factory.mktemp("founded") / "support", worded(BEFORE, 0), worded(4_000, 1), target="accuracy=0.5")
    town.day(900)
    town.project.configure(target=Target.parse("accuracy=0.8"))
    return town


@pytest.fixture
def town(founded: Town, tmp_path: Path) -> Town:
    """A copy of it."""
    return copied(founded, tmp_path)


@pytest.fixture(scope="module")
def begun(founded: Town, tmp_path_factory: pytest.TempPathFactory) -> Town:
    """The same after the climb, whose choice is to answer as a shadow."""
    town = copied(founded, tmp_path_factory.mktemp("begun"))
    configure(town.project.directory, watch={"reclimb": {**SETTINGS, "approve": ["shadow"]}, "review": {"per_day": 0}})
    assert advance(town).waits_for.startswith("approval of shadow")
    configure(town.project.directory, watch={"reclimb": SETTINGS, "review": {"per_day": 0}})
    return town


@pytest.fixture
def climbed(begun: Town, tmp_path: Path) -> Town:
    """A copy of that."""
    return copied(begun, tmp_path)


def copied(town: Town, folder: Path) -> Town:
    shutil.copytree(town.project.directory.parent, folder / "copy")
    clock = StillClock(town.clock.at)
    return Town(Project(folder / "copy" / "support", clock=clock), clock, town.pool, asked=town.asked)


def advance(town: Town, because: str | None = None, **more: object) -> Reclimbed:
    return town.project.reclimbs.advance(because, until="classical", report=False, **more)  # type: ignore[arg-type]


def until_settled(town: Town, *, days: int = 10) -> Reclimbed:
    for _ in range(days):
        done = advance(town)
        if done.settled:
            return done
        town.day(200)
    raise AssertionError(done.waits_for)


def shares(town: Town) -> dict[str, float]:
    return {one.name: one.weight for one in town.live().variants}


def test_what_is_shown_to_be_better_answers_unseen_then_some_users_then_all(climbed: Town) -> None:
    base = climbed.live()
    first = advance(climbed)
    assert (first.state, first.step, first.waits_for) == ("running", "shadow", "0 of 20 shadow answers")
    assert first.steps["gather"]["rows"] == {"business": 900}
    assert first.steps["climb"]["action"] == "better"
    assert shares(climbed) == {"classical": 1.0}
    assert climbed.live().shadow == (first.steps["climb"]["candidate"],)
    climbed.day(200)
    second = advance(climbed)
    assert second.step == "contest"
    assert second.steps["shadow"]["answers"] == 200
    assert sorted(shares(climbed).values()) == [0.2, 0.8]
    done = until_settled(climbed)
    assert done.state == "promoted"
    assert [one.candidate for one in climbed.live().variants] == [first.steps["climb"]["candidate"]]
    assert done.steps["contest"]["verdict"] == "winner"
    assert climbed.project.releases.rollback().live.id == base.id


def test_the_decision_names_what_started_it_and_replays(town: Town) -> None:
    done = advance(town, "people complain")
    store = town.store()
    decision = town.project.decision(store)
    store.close()
    assert done.steps["climb"]["decision"] == decision.id
    assert decision.options["because"]["reason"] == "people complain"
    assert decision.options["because"]["rows"] == {"business": 900}
    assert decision.ladder[0] == "live"
    assert town.project.replay().agrees


def test_the_live_candidate_is_measured_as_it_is_and_nothing_of_it_is_made_again(climbed: Town) -> None:
    live = climbed.live().variants[0].candidate
    before = climbed.project.lineage(live)
    done = advance(climbed)
    after = climbed.project.lineage(live)
    assert after["made_of"] == before["made_of"]
    assert done.steps["climb"]["decision"] in {one["id"] for one in after["reached"]}


def test_lineage_leads_from_a_live_answer_to_the_traces_behind_it_and_back(climbed: Town) -> None:
    until_settled(climbed)
    (trace,) = climbed.day(1)
    behind = climbed.project.lineage(trace)
    kinds = {one["kind"] for one in behind["made_of"]}
    assert {"Release", "Candidate", "Decision", "Dataset", "Version"} <= kinds
    candidate = climbed.live().variants[0].candidate
    taught = [row for row in climbed.project.lineage(candidate, rows=True)["training_rows"] if row["record"] is not None]
    parents = [one for row in taught[-50:] for one in climbed.project.lineage(row["record"])["made_of"] if one["kind"] == "Trace"]
    assert parents
    learned = climbed.project.lineage(parents[0]["id"])["reached"]
    assert candidate in {one["id"] for one in learned}
    assert climbed.live().id in {one["id"] for one in learned}


def test_a_re_climb_that_dies_before_each_step_is_kept_goes_on(town: Town) -> None:
    deaths: list[str] = []

    def crash(at: str) -> None:
        if at not in deaths:
            deaths.append(at)
            raise Killed(at)

    for _ in range(20):
        with contextlib.suppress(Killed):
            done = advance(town, crash=crash)
            if done.settled:
                break
            town.day(200)
        assert sum(shares(town).values()) == pytest.approx(1.0)
    assert deaths == list(STEPS)
    assert done.state == "promoted"
    moves = [move.verb for move, _ in town.project.releases.history()]
    assert moves == ["release", "rollback", "release", "release", "release"]


ONE_CALL = """
import os, signal, sys
from pathlib import Path
from rungwise.project import Project
from tests.clocks import StillClock

def die(step):
    if step == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)

project = Project(Path(sys.argv[1]), clock=StillClock(float(sys.argv[2])))
project.reclimbs.advance(until="classical", report=False, crash=die)
"""


@pytest.mark.slow
def test_a_killed_process_leaves_a_whole_release_and_the_next_one_goes_on(town: Town) -> None:
    died = []
    for step in STEPS:
        for _ in range(10):
            command = [sys.executable, "-c", ONE_CALL, str(town.project.directory), str(town.clock.at), step]
            code = subprocess.run(command, cwd=ROOT, check=False).returncode
            assert sum(shares(town).values()) == pytest.approx(1.0)
            if code == -signal.SIGKILL:
                died.append(step)
                break
            assert code == 0
            town.day(200)
    assert died == list(STEPS)
    assert until_settled(town).state == "promoted"
    assert len(town.live().variants) == 1


def test_where_nothing_is_wrong_nothing_is_promoted(town: Town) -> None:
    town.project.configure(target=Target.parse("accuracy=0.5"))
    live = town.live().id
    done = advance(town)
    assert (done.state, done.step) == ("nothing", None)
    assert "still enough" in done.why
    assert town.live().id == live
    assert len(town.project.releases.history()) == 1


def test_too_few_new_rows_wait_for_more_unless_somebody_gives_a_reason(town: Town) -> None:
    configure(town.project.directory, watch={"reclimb": {"least_rows": 1_000, "approve": ["climb"]}})
    waits = advance(town)
    assert (waits.step, waits.waits_for[:22]) == ("gather", "900 of 1000 new rows: ")
    town.project.reclimbs.stop(by="ann")
    assert advance(town, "a cheaper rung").step == "climb"


def test_a_live_candidate_whose_part_was_erased_is_not_made_again_of_other_rows(town: Town) -> None:
    for blob in (town.project.directory / "state" / "blobs").rglob("*"):
        if blob.is_file():
            blob.unlink()
    with pytest.raises(UsageError, match="linear of the live candidate is gone"):
        advance(town, "nobody knows")


def test_an_alert_that_there_is_not_is_said(town: Town) -> None:
    with pytest.raises(UnknownName, match="alert"):
        advance(town, "deadbeef00")


def test_a_second_process_is_told_that_one_is_at_it(town: Town) -> None:
    with (
        project_lock(town.project.directory / "state" / LOCK),
        pytest.raises(ProjectBusy, match="another process is at the re-climb"),
    ):
        advance(town)


def test_one_runs_at_most_and_a_second_beginning_joins_it(town: Town) -> None:
    store = town.store()
    first = Reclimbs(store).begin({"because": {}})
    town.clock.advance(1)
    assert Reclimbs(store).begin({"because": {"reason": "another"}}).id == first.id
    store.close()


def test_a_person_lets_the_steps_begin_that_the_settings_name(town: Town) -> None:
    configure(town.project.directory, watch={"reclimb": {"approve": ["climb", "contest"], "shadow_requests": 20, "least_rows": 1}})
    with pytest.raises(UsageError, match="no re-climb runs"):
        advance(town, approve="climb", by="ann")
    assert town.project.reclimbs.now() is None
    assert advance(town).waits_for.startswith("approval of climb")
    assert town.project.reclimbs.now().steps.keys() == {"gather", "forecast"}  # type: ignore[union-attr]
    assert advance(town, approve="climb", by="ann").step == "shadow"
    town.day(30)
    assert advance(town).waits_for.startswith("approval of contest")
    assert advance(town, approve="contest", by="bob").waits_for.startswith("the contest cannot tell yet")
    assert town.live().approved_by == "bob"
    store = town.store()
    said = [(one.actor, one.details["step"]) for one in Audit(store).entries() if one.action == "reclimb.approve"]
    store.close()
    assert sorted(said) == [("ann", "climb"), ("bob", "contest")]
    with pytest.raises(UsageError, match="--by NAME"):
        advance(town, approve="promote")


def test_whoever_moves_the_traffic_meanwhile_is_left_alone(climbed: Town) -> None:
    advance(climbed)
    climbed.day(200)
    advance(climbed)
    climbed.project.releases.rollback(by="ann")
    live = climbed.live().id
    done = advance(climbed)
    assert (done.state, climbed.live().id) == ("stopped", live)
    assert "went live meanwhile by ann" in done.why


def test_a_re_climb_that_is_stopped_leaves_the_release_that_it_began_with(climbed: Town) -> None:
    base = climbed.live().id
    advance(climbed)
    climbed.day(200)
    advance(climbed)
    assert climbed.live().id != base
    stopped = climbed.project.reclimbs.stop(by="ann")
    assert (stopped.state, stopped.why, climbed.live().id) == ("stopped", "stopped by ann", base)
    with pytest.raises(UsageError, match="no re-climb runs"):
        climbed.project.reclimbs.stop()


def test_without_proof_in_time_the_live_candidate_keeps_all_traffic(climbed: Town) -> None:
    base = climbed.live().id
    configure(
        climbed.project.directory,
        watch={"reclimb": {"contest_days": 2.0, "shadow_requests": 0, "least_rows": 1}, "review": {"per_day": 0}},
    )
    assert advance(climbed).step == "contest"
    for _ in range(2):
        climbed.day(20, labelled=0.0)
    done = advance(climbed)
    assert (done.state, climbed.live().id) == ("nothing", base)
    assert "2 days on live traffic did not show it" in done.why


def test_a_dry_run_tells_and_writes_nothing_lasting(town: Town) -> None:
    before = (town.project.directory / "rungwise.yaml").read_bytes()
    seen = town.project.reclimbs.foresee()
    assert seen.rows["new"] == 900
    assert "live" in [one["rung"] for one in seen.forecast["rungs"]]
    assert (town.project.directory / "rungwise.yaml").read_bytes() == before
    assert not town.project.data.exists()
    assert town.project.reclimbs.now() is None


def test_nothing_that_is_released_is_a_reason_to_say_so(tmp_path: Path, clock: StillClock) -> None:
    project = Project.create(tmp_path / "new", clock=clock)
    with pytest.raises(UsageError, match="nothing is released"):
        project.reclimbs.advance()
    assert read_watching(tmp_path / "new" / "rungwise.yaml").reclimb.least_rows == 20


@pytest.mark.parametrize("because", ["3f", "3FA1C0", "3fa1c09e7b21", "deadbeef", " "])
def test_a_misspelt_alert_is_no_reason(town: Town, because: str) -> None:
    with pytest.raises(UnknownName):
        town.project.reclimbs.foresee(because)
    assert town.project.reclimbs.now() is None


def test_a_reason_is_words(town: Town) -> None:
    assert town.project.reclimbs.foresee("a bad decade").because["reason"] == "a bad decade"
    assert town.project.reclimbs.foresee("bad").because["reason"] == "bad"
