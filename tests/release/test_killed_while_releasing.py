"""kill -9 at every commit: the old release is live whole, or the new one is, and the same command ends what was begun."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from rungwise.release.plan import Wishes
from tests.clocks import StillClock
from tests.release.decided_projects import Decided, decided

SCRIPT = Path(__file__).with_name("crash_release.py")
ROOT = Path(__file__).parents[2]


def step(project: Decided, verb: str, *, crash_at: str = "", notes: Path | str = "") -> int:
    command = [sys.executable, str(SCRIPT), str(project.folder), verb, crash_at, str(notes)]
    return subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}, check=False, timeout=60
    ).returncode


def sound(project: Decided) -> list[str]:
    """The releases that were ever live, oldest first; each is kept whole, with its lineage, and the file is whole too."""
    with closing(sqlite3.connect(project.folder / "state" / "rungwise.db")) as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
        kept = {id for (id,) in connection.execute("select id from nouns where kind = 'Release'")}
        parents = {child for (child,) in connection.execute("select child from edges where role = 'variant'")}
        moved = [id for (id,) in connection.execute("select release from release_moves order by n")]
    assert set(moved) == kept == parents
    live = project.releases.live()
    assert (live.id if live else None) == (moved[-1] if moved else None)
    return moved


def points(project: Decided, verb: str, tmp_path: Path) -> list[str]:
    notes = tmp_path / f"points-{verb}"
    assert step(project, verb, notes=notes) == 0
    return notes.read_text().splitlines()


@pytest.mark.parametrize("verb", ["release", pytest.param("reweigh", marks=pytest.mark.slow), "rollback"])
def test_every_commit_of_a_release_is_a_safe_place_to_die(tmp_path: Path, verb: str) -> None:
    start = decided(tmp_path / "start", StillClock())
    start.releases.release()
    if verb != "release":
        start.releases.release(Wishes(candidates=("head", "classical"), traffic={"head": 1.0}), approved_by="ann", despite="x")
    before = sound(start)
    done = Decided(Path(shutil.copytree(start.folder, tmp_path / "done")), start.clock)
    found = points(done, verb, tmp_path)
    assert any("Release" in point or "release_moves" in point for point in found), found
    after = project_after(done)
    for place, point in enumerate(found):
        project = Decided(Path(shutil.copytree(start.folder, tmp_path / f"{verb}{place}")), start.clock)
        assert step(project, verb, crash_at=point) == -9, f"{point} was never reached"
        moved = sound(project)
        assert moved[: len(before)] == before
        assert len(moved) - len(before) in (0, 1)
        if len(moved) == len(before) and verb != "rollback":
            assert step(project, verb) == 0
            assert project_after(project) == after


def project_after(project: Decided) -> list[tuple[str, str, float]]:
    """Who answers now."""
    live = project.releases.live()
    assert live is not None
    return [(one.name, one.candidate, one.weight) for one in live.variants]
