"""Runs one step of a release's life in a project and dies by SIGKILL at a named point of it, or notes all its points."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "journeys"))
from crash_server import Points

from rungwise.engines.clock import SystemClock
from rungwise.project.releases import ProjectReleases
from rungwise.release.plan import Wishes


def main(folder: str, verb: str, crash_at: str, notes: str) -> None:
    """Release, change the shares, or go back."""
    releases = ProjectReleases(Path(folder), SystemClock(), Path(folder) / "state")
    Points(crash_at or None, notes or None).watch()
    waived = {"approved_by": "ann", "despite": "a pilot"}
    if verb == "release":
        releases.release(Wishes(candidates=("head", "classical"), relays=("local",), traffic={"head": 0.5, "local": 0.5}), **waived)
    elif verb == "reweigh":
        assert releases.release(Wishes(traffic={"classical": 1.0})).moved
    else:
        releases.rollback(by="ann")


if __name__ == "__main__":
    main(*sys.argv[1:])
