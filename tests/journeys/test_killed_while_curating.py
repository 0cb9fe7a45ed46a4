"""kill -9 anywhere in an import or a curation: the same command goes on, and ends with the same versions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from crashes import KILLED, Commands, crash_server, rows
from terminal import ticket_rows, write_csv

STEPS = "quality,language,dedup,pii,labels,leaks"
# A pack is on disk and nobody points at it; it is pending; the version is in; a look is kept; the curated version is in.
MOMENTS = (
    ("import", "before file blob#1"),
    ("import", "after insert pending_packs#1"),
    ("import", "before insert nouns Version#1"),
    ("import", "after insert nouns Version#1"),
    ("curate", "after insert steps look#2"),
    ("curate", "before insert nouns Version#1"),
    ("curate", "after insert nouns Version#1"),
)


@dataclass
class Desk:
    """An import and a curation that were never interrupted, and room for others of the same file."""

    commands: Commands
    folder: Path
    points: list[tuple[str, str]] = field(default_factory=list)
    made: int = 0

    def place(self) -> Path:
        """A fresh copy of the file in a folder of its own."""
        self.made += 1
        place = self.folder / str(self.made)
        place.mkdir()
        shutil.copy(self.folder / "tickets.csv", place / "tickets.csv")
        return place

    def work(self, place: Path, *crashes: tuple[str, str], noting: bool = False) -> dict[str, Any]:
        """Import and curate, each again after every kill; what the curation printed in the end."""
        left = list(crashes)
        printed: dict[str, Any] = {}
        for verb, *more in (
            ("import", place / "tickets.csv", "--into", place / "project"),
            ("curate", place / "project", "--steps", STEPS),
        ):
            notes = self.folder / verb if noting else None
            while left and left[0][0] == verb:
                point = left.pop(0)[1]
                code, _, err = self.commands("data", verb, *more, "--json", crash_at=point)
                assert code == KILLED, f"{point} was never reached: {err}"
            code, out, err = self.commands("data", verb, *more, "--json", notes=notes)
            assert code in (0, 1), err
            printed = json.loads(out)
            if notes is not None:
                self.points += [(verb, point) for point in notes.read_text().splitlines()]
        return printed


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("curating")
    data = ticket_rows(30)
    data += [{**data[3], "id": "again"}, {**data[5], "id": data[4]["id"]}]
    data[7]["message"] += " my password: hunter2-Kx81-qq-Zt"
    write_csv(folder / "tickets.csv", data)
    with crash_server(folder) as commands:
        desk = Desk(commands, folder)
        desk.work(desk.place(), noting=True)
        yield desk


def kept(place: Path) -> dict[str, Any]:
    """The versions of a project, where its head stands, what is unfinished, and the salt of its splits."""
    return {
        "versions": rows(place / "project", "select id from nouns where kind = 'Version' order by id"),
        "head": rows(place / "project", "select value from settings where name = 'data.head'"),
        "pending": rows(place / "project", "select count(*) from pending_packs"),
        "salt": rows(place / "project", "select value from settings where name = 'salt'"),
    }


def killed_at(desk: Desk, *points: tuple[str, str]) -> None:
    whole, place = desk.folder / "1", desk.place()
    printed = desk.work(place, *points)
    assert kept(place) == kept(whole)
    assert printed["kept"] > 100
    assert sum(printed["quarantined"].values()) >= 1


@pytest.mark.parametrize("moment", MOMENTS, ids=[" ".join(moment) for moment in MOMENTS])
def test_killed_at_a_moment_the_same_commands_end_with_the_same_versions(desk: Desk, moment: tuple[str, str]) -> None:
    killed_at(desk, moment)


def test_killed_time_and_again_it_still_comes_to_an_end(desk: Desk) -> None:
    look = ("curate", "after insert steps look#1")
    killed_at(desk, ("import", "after insert pending_packs#1"), ("import", "before insert nouns Version#1"), look, look)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_commit_and_every_file_of_an_import_and_a_curation_is_a_safe_place_to_die(desk: Desk) -> None:
    assert len(desk.points) > 30
    for point in desk.points:
        killed_at(desk, point)
