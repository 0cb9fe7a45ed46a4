"""Re-climbs that begin by themselves, and what reviews bring them: fresh sealed rows, and questions that both candidates answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rungwise.core.candidate import Candidate
from rungwise.core.decision import Decision
from rungwise.core.reading import Reading
from rungwise.core.usecase import Target
from rungwise.data.alerts import Alert, keep
from rungwise.data.nouns import Nouns
from rungwise.project.reclimbs import CHORE
from rungwise.release.evidence import decision_of
from rungwise.watch.reclimb.reviewed import reviewed_pairs
from tests.project.town import Town, configure, found, worded


def alert(id: str, *, monitor: str = "quality.reviewed", **more: Any) -> Alert:
    reading = Reading(monitor=monitor, since=0.0, until=86_400.0, why="it fell")
    return Alert(
        id=id, rule="worse", reading=reading, opened_at=1.0, changed_at=1.0, since=0.0, heard_until=86_400.0, reclimb=True, **more
    )


def raised(town: Town, *alerts: Alert) -> None:
    store = town.store()
    with store.write() as connection:
        keep(connection, alerts)
    store.close()


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return found(
        tmp_path_factory.mktemp("itself") / "support", worded(300, 0), worded(2_000, 1), target="accuracy=0.5", approve=["climb"]
    )


def test_an_alert_begins_one_by_itself_where_the_settings_say_so_and_only_once(town: Town) -> None:
    state, clock, folder = town.project.directory / "state", town.clock, town.project.directory
    raised(town, alert("a" * 32))
    store = town.store()
    assert not CHORE.due(store, folder, clock)  # not automatic
    configure(folder, watch={"reclimb": {"automatic": True, "least_rows": 5, "approve": ["climb"]}})
    assert CHORE.due(store, folder, clock)
    CHORE.run(store, folder, clock)
    running = town.project.reclimbs.now()
    assert running is not None
    assert (running.state, running.about["because"]["alert"]) == ("running", "a" * 32)
    assert running.about["because"]["reading"]["why"] == "it fell"
    CHORE.run(store, folder, clock)
    assert len(town.project.reclimbs.history()) == 1
    town.project.reclimbs.stop(by="ann")
    assert not CHORE.due(store, folder, clock)  # that alert had its re-climb
    store.close()
    assert state.is_dir()


def test_an_alert_about_costs_needs_no_new_rows(town: Town) -> None:
    raised(town, alert("b" * 32, monitor="cost.budget"))
    waits = town.project.reclimbs.advance("bbbbbb")
    assert waits.step == "climb"
    assert waits.steps["gather"]["new"] == 0
    town.project.reclimbs.stop()


def test_answers_that_chance_chose_and_people_judged_renew_the_sealed_rows(town: Town) -> None:
    town.review(town.day(120, labelled=0.0))
    before = town.project.reclimbs.foresee("reviews came").forecast["sealed"]
    done = town.project.reclimbs.advance("reviews came")
    gathered = done.steps["gather"]
    assert gathered["rows"] == {"reviewer": gathered["new"]}
    assert 30 <= gathered["sealed"] <= 90  # half of 120
    assert done.steps["forecast"]["sealed"] == before + gathered["sealed"]
    town.project.reclimbs.stop()


def test_reviewed_questions_are_answered_by_both_once(tmp_path: Path) -> None:
    town = found(tmp_path / "support", worded(300, 0), worded(2_000, 1), target="accuracy=0.5")
    since = town.clock.now()
    town.review(town.day(30, labelled=0.0))
    store = town.store()
    live = town.live()
    own = Nouns(store).get(Candidate, live.variants[0].candidate)
    decision = decision_of(store, live, own.id)
    assert isinstance(decision, Decision)
    floor = next(one for one in decision.rungs if one.rung == "floor")
    other = Nouns(store).get(Candidate, str(floor.candidate))
    asked = {"case": town.project.case, "since": since, "clock": town.clock}
    pairs = reviewed_pairs(store, town.project.directory, (own, decision), (other, decision), **asked)  # type: ignore[arg-type]
    assert len(pairs) == 30
    assert sum(first for first, _ in pairs) > sum(second for _, second in pairs)
    assert reviewed_pairs(store, town.project.directory, (own, decision), (other, decision), **asked) == pairs  # type: ignore[arg-type]
    later = {**asked, "since": town.clock.now()}
    assert reviewed_pairs(store, town.project.directory, (own, decision), (other, decision), **later) == []  # type: ignore[arg-type]
    store.close()


def test_a_target_that_is_raised_is_what_the_next_climb_aims_at(town: Town) -> None:
    town.project.configure(target=Target.parse("accuracy=0.6"))
    done = town.project.reclimbs.advance("a higher target", until="classical", report=False)
    done = town.project.reclimbs.advance(approve="climb", by="ann", report=False)
    store = town.store()
    assert str(town.project.decision(store).target) == "accuracy=0.6"
    store.close()
    assert done.steps["climb"]["decision"]
