"""kill -9 anywhere while documents are indexed: the version before is searched until the same command has made the next."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from crashes import KILLED, Commands, crash_server

# Files of a segment are missing; the new version is kept, and not searched yet; the pointer has not moved, and has moved.
MOMENTS = (
    "before file blob#1",
    "before file blob#3",
    "before insert nouns IndexVersion#1",
    "after insert nouns IndexVersion#1",
    "after insert settings index.trail#1",
)
BEFORE = {f"{place}.md": f"# Page {place}\n\nLamp number {place} shines for {place} hours.\n" for place in range(40)}
AFTER = {**BEFORE, "3.md": "# Page 3\n\nLamp number 3 was replaced by a candle.\n", "new.md": "A candle needs no plug.\n"}
del AFTER["5.md"]


@dataclass
class Shelf:
    """An index that was made and updated without interruption, and room for others of the same pages."""

    commands: Commands
    folder: Path
    points: list[str] = field(default_factory=list)
    made: int = 0

    def place(self) -> Path:
        """A folder with the first state of the pages, indexed."""
        self.made += 1
        place = self.folder / str(self.made)
        write(place / "pages", BEFORE)
        self.index(place)
        write(place / "pages", AFTER)
        return place

    def index(self, place: Path, *, crash_at: str | None = None, notes: Path | None = None) -> dict[str, Any]:
        code, out, err = self.commands(
            "index", place / "pages", "--into", place / "ix", "--encoder", "hashed", "--json", crash_at=crash_at, notes=notes
        )
        if crash_at is not None:
            assert code == KILLED, f"{crash_at} was never reached: {err}"
            return {}
        assert code == 0, err
        return dict(json.loads(out))

    def found(self, place: Path, query: str) -> list[str]:
        code, out, err = self.commands("search", place / "ix", query, "--mode", "lexical", "--json")
        assert code == 0, err
        return [hit["document"] for hit in json.loads(out)["hits"]]


def write(folder: Path, pages: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    folder = tmp_path_factory.mktemp("indexing")
    with crash_server(folder) as commands:
        shelf = Shelf(commands, folder)
        shelf.index(shelf.place(), notes=folder / "notes")
        shelf.points = (folder / "notes").read_text().splitlines()
        yield shelf


def killed_at(shelf: Shelf, *points: str) -> None:
    whole, place = shelf.folder / "1", shelf.place()
    for point in points:
        shelf.index(place, crash_at=point)
        found = shelf.found(place, "candle")
        assert found in ([], shelf.found(whole, "candle"))  # the version before or the next, nothing between
    told = shelf.index(place)
    assert told["index"] == shelf.index(whole)["index"]
    assert shelf.found(place, "candle") == shelf.found(whole, "candle") != []
    assert "5.md" not in shelf.found(place, "lamp number 5")


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_a_moment_the_same_command_ends_with_the_same_index(shelf: Shelf, moment: str) -> None:
    assert moment in shelf.points, shelf.points
    killed_at(shelf, moment)


def test_killed_time_and_again_it_still_comes_to_an_end(shelf: Shelf) -> None:
    killed_at(shelf, MOMENTS[0], MOMENTS[1], MOMENTS[3])


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_commit_and_every_file_of_an_update_is_a_safe_place_to_die(shelf: Shelf) -> None:
    assert len(shelf.points) >= 10
    for point in shelf.points:
        killed_at(shelf, point)
