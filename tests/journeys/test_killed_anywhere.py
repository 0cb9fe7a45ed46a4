"""kill -9 anywhere: the same command resumes, pays nothing committed twice, and ends with the same decision."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from crashes import KILLED, Commands, committed, crash_server, decided, openings, rows
from terminal import ticket_rows, write_csv

TARGET = ("--target", "accuracy=0.7", "--until", "classical")
# The moments that the design names: during a fit, during dev, between nomination and verdict, right after.
MOMENTS = (
    "before create alembic_version#1",
    "after insert steps artefact#2",  # two of the four models are saved
    "after insert steps evaluate#3",
    "after insert sealed_rows#1",  # nominated, and no sealed row answered
    "after insert nouns Evaluation#6",  # the sealed rows are answered, and nothing says so yet
    "after update openings#1",  # the verdict is in, the decision is not
    "after insert nouns Decision#1",
)


@dataclass
class Site:
    """A climb that was never interrupted, and room for others of the same file."""

    commands: Commands
    folder: Path
    target: tuple[str, ...]
    points: list[str] = field(default_factory=list)
    made: int = 0

    def source(self) -> Path:
        """A fresh copy of the file in a folder of its own; equal names, so that use cases are equal too."""
        self.made += 1
        place = self.folder / str(self.made)
        place.mkdir()
        return Path(shutil.copy(self.folder / "tickets.csv", place / "tickets.csv"))

    def climb(self, source: Path, **crash: object) -> int:
        code, _, said = self.commands("climb", source, *self.target, "--quiet", **crash)  # type: ignore[arg-type]
        assert code in (0, 1, KILLED), said
        return code


def made(folder: Path, target: tuple[str, ...], *options: str) -> Iterator[Site]:
    with crash_server(folder, *options) as commands:
        site = Site(commands, folder, target)
        write_csv(folder / "tickets.csv", ticket_rows())
        assert site.climb(site.source(), notes=folder / "points") in (0, 1)
        site.points = (folder / "points").read_text().splitlines()
        yield site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from made(tmp_path_factory.mktemp("killed"), TARGET)


def same_as_uninterrupted(site: Site, project: Path) -> None:
    """The same decision and the same ledger as the first climb of the site, and a replay that agrees."""
    first = site.folder / "1" / "tickets"
    assert decided(project) == decided(first)
    assert openings(project) == openings(first)
    assert rows(project, "select count(*) from members") == rows(first, "select count(*) from members")
    code, out, err = site.commands("replay", project)
    assert code == 0, out + err


def killed_at(site: Site, point: str) -> None:
    source = site.source()
    project = source.with_suffix("")
    assert site.climb(source, crash_at=point) == KILLED, f"{point} was never reached"
    before = committed(project)
    assert site.climb(source) == 0
    assert before <= committed(project)  # nothing that was committed was done again
    same_as_uninterrupted(site, project)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_climb_that_was_killed_ends_with_the_same_decision(site: Site, moment: str) -> None:
    killed_at(site, moment)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_commit_and_every_file_is_a_safe_place_to_die(site: Site) -> None:
    assert len(site.points) > 80
    for point in site.points:
        killed_at(site, point)


def test_a_climb_that_is_killed_at_every_second_opening_counts_each_once(site: Site) -> None:
    source = site.source()
    project = source.with_suffix("")
    for point in (
        "after insert openings#1",
        "after insert openings#1",
        "after insert nouns Evaluation#1",
        "before update openings#1",
    ):
        site.climb(source, crash_at=point)
    assert site.climb(source) == 0
    same_as_uninterrupted(site, project)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_thirty_random_kills_of_the_whole_ladder_change_nothing(tmp_path: Path) -> None:
    # accuracy=0.80 opens three rungs one after the other on so few rows, so kills fall between openings too.
    rng = random.Random(20)
    kills = 0
    for site in made(tmp_path, ("--target", "accuracy=0.8"), "--torch"):
        while kills < 30:
            source = site.source()
            project = source.with_suffix("")
            before = committed(project)
            while site.climb(source, kill_after_s=rng.uniform(0.1, 2.5)) == KILLED:
                kills += 1
                before = committed(project)
            assert before <= committed(project)
            same_as_uninterrupted(site, project)
