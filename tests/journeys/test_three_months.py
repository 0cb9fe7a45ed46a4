"""Simulated months on the support example: a cheaper rung becomes enough, users change, and every step can be walked back.

The users, their drift and a reviewer are simulated (`examples/traffic`); the project, its climbs, looks, alerts, reviews, re-climbs
and releases are real. Looks use the encoder that needs no model, so that they are quick.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from examples.traffic.filling import Filling, begun
from examples.traffic.people import Reviewer, Voices
from examples.traffic.pools import FEW_FRESH, FEW_INTENTS, support_pool
from examples.traffic.simulator import Drift, SimulatedDay, World
from rungwise.engines.encoders.hashed import encode_hashed
from rungwise.project.reclimbs import Reclimbed
from rungwise.watch.look import catch_up

SETTINGS = {
    "serve": {"contest": {"metric": "correct"}},
    "watch": {
        "reference_days": 14,
        "review": {"per_day": 15, "uncertain_per_day": 3},
        "reclimb": {"shadow_requests": 40, "contest_share": 0.5, "margin": 0.1},
    },
}
TAKEN_BACK_S = 700.0
"""Until then a reviewer may take a verdict back."""


class Team:
    """People who watch a project: they look each morning, judge what waits, and climb again where they are told to."""

    def __init__(self, filling: Filling, until: str) -> None:
        self.filling, self.until = filling, until
        self.project, self.ana = filling.project, Reviewer(name="ana", error=0.02)

    def day(self) -> SimulatedDay:
        """One more day of traffic, a look at it, and a review."""
        day = self.filling.day()
        looked = list(catch_up(self.filling.store, self.project.directory, self.filling.clock, encoder=lambda: encode_hashed))
        assert [one.day for one in looked] == [day.number]  # each day once
        self.filling.review(self.ana)
        self.filling.clock.at += TAKEN_BACK_S
        return day

    def days(self, until: int) -> list[SimulatedDay]:
        """Days up to the one with this number."""
        return [self.day() for _ in range(self.filling.next, until)]

    def climb_again(self, because: str, *, most: int = 20) -> tuple[Reclimbed, set[str]]:
        """Begin a re-climb and go on with it every day until it is settled; how it ended, and the steps that it waited at."""
        found, waited = self._advance(because), set[str]()
        for _ in range(most):
            if found.settled:
                return found, waited
            waited.add(str(found.step))
            self.day()
            found = self._advance(None)
        raise AssertionError(f"not settled in {most} days: {found.waits_for}")

    def alarmed(self, most: int) -> str:
        """The first alert about drift within so many days."""
        for _ in range(most):
            self.day()
            told = [one for one in self.project.alerts.list() if one.reading.monitor.startswith("drift")]
            if told:
                return told[-1].id
        raise AssertionError(f"no alert in {most} days")

    def live(self) -> Any:
        live = self.project.releases.live()
        assert live is not None
        return live

    def _advance(self, because: str | None) -> Reclimbed:
        return self.project.reclimbs.advance(because, until=self.until, report=False)


@contextmanager
def team_of(folder: Path, drift: Drift, *, requests: int, until: str, target: str) -> Iterator[Team]:
    """A project of simulated users who had asked 400 questions before."""
    pool = support_pool().only(FEW_INTENTS, fresh=FEW_FRESH)
    voices = Voices(labelled=0.2, delay_days=1.0, slow=2.0)
    world = World(seed=1, texts=pool, requests_per_day=requests, users=60, voices=voices)
    with begun(folder, world, [drift], rows=400, target=target, until=until, sections=SETTINGS) as filling:
        yield Team(filling, until)


def quality(days: list[SimulatedDay]) -> float:
    """The true share of right answers."""
    return sum(int(one.correct.sum()) for one in days) / sum(len(one.traffic) for one in days)


def walk_back_and_forth(team: Team, day: SimulatedDay) -> None:
    """From a live answer back to a row that taught who gave it, to the trace of that row, and from there to the live release."""
    live, project = team.live(), team.project
    (candidate,) = {one.candidate for one in live.variants if one.weight > 0}
    trace = next(id for id, by in zip(day.traffic.ids, day.traffic.candidate, strict=True) if by == candidate)
    origin = json.dumps(project.lineage(trace))
    assert live.id in origin
    assert candidate in origin
    taught = {one["key"] for one in project.lineage(candidate, rows=True)["training_rows"] if one["split"] == "train"}
    traces = [str(cells["from_trace"]) for _, cells in project.data.rows() if cells["id"] in taught and cells.get("from_trace")]
    assert len(traces) > 20
    for source in (traces[0], traces[-1]):
        assert source in team.filling.truth
        reached = json.dumps(project.lineage(source)["reached"])
        assert candidate in reached
        assert live.id in reached


def users_change_and_are_answered_well_again(team: Team, start: int) -> None:
    """From the day on which new questions appear: alert, review, re-climb, shadow, contest, promotion."""
    team.days(start)
    assert not [one for one in team.project.alerts.list() if one.reading.monitor.startswith("drift")]
    before = team.live()
    alert = team.alarmed(most=10)
    team.days(team.filling.next + 3)  # time to review
    dropped = quality(team.days(team.filling.next + 2))
    found, waited = team.climb_again(alert)
    assert found.state == "promoted", found.why
    assert {"shadow", "contest"} <= waited
    assert found.about["because"]["alert"].startswith(alert)
    assert team.live().id != before.id
    assert quality(team.days(team.filling.next + 2)) > dropped + 0.1


@pytest.mark.timeout(900)
def test_a_month_in_which_users_change(tmp_path: Path) -> None:
    drift = Drift(kind="new_intents", start=18, strength=0.45)
    with team_of(tmp_path / "shop", drift, requests=60, until="classical", target="accuracy=0.65") as team:
        first = team.live()
        users_change_and_are_answered_well_again(team, start=18)
        walk_back_and_forth(team, team.day())
        moved = team.project.releases.rollback(to=first.id, by="ana", why="a drill")
        assert moved.live.id == first.id
        assert set(team.day().traffic.release) == {first.id}


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_three_months_in_which_a_cheaper_rung_becomes_enough_and_users_change(tmp_path: Path) -> None:
    drift = Drift(kind="new_intents", start=52, strength=0.4)
    with team_of(tmp_path / "shop", drift, requests=60, until="head", target="accuracy=0.74") as team:
        first = team.live()
        assert team.project.decision(team.filling.store).chosen_rung != "classical"  # too few rows for it
        for until in (20, 25, 30):  # the more was labelled, the better the cheap rung
            team.days(until)
            found, waited = team.climb_again("is a cheaper rung enough by now?")
            if found.state == "promoted":
                break
        assert found.state == "promoted", found.why
        assert found.steps["climb"]["action"] == "cheaper"
        assert found.steps["climb"]["rung"] == "classical"
        assert {"shadow", "contest"} <= waited
        cheaper = team.live()
        assert cheaper.id != first.id

        team.until = "classical"  # the dear rungs take minutes
        users_change_and_are_answered_well_again(team, start=52)
        third = team.live()
        walk_back_and_forth(team, team.day())

        team.days(88)
        moved = team.project.releases.rollback(to=cheaper.id, by="ana", why="a drill")
        assert moved.live.id == cheaper.id
        assert set(team.day().traffic.release) == {cheaper.id}
        team.project.releases.rollback(to=third.id, by="ana", why="the drill is over")
        walk_back_and_forth(team, team.day())
