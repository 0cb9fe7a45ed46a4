"""Fill a project with simulated months: `python -m examples.traffic demo/months --days 90 --drift new_intents@45:0.3`."""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path

from examples.traffic.filling import Filling, begun
from examples.traffic.simulator import KINDS, Drift, World
from rungwise.core.errors import RungwiseError, UsageError
from rungwise.core.reading import DAY_S

_DRIFT = re.compile(r"(?P<kind>[a-z_]+)@(?P<start>\d+)(?:-(?P<end>\d+))?:(?P<strength>[0-9.]+)\Z")


def read_drift(text: str) -> Drift:
    """Read `kind@start:strength` or `kind@start-end:strength`. Raises UsageError for anything else."""
    found = _DRIFT.match(text)
    if found is None:
        raise UsageError(f"cannot read the drift '{text}'. Write for instance --drift new_intents@45:0.3 or outage@20-22:0.5")
    try:
        strength = float(found["strength"])
    except ValueError:
        raise UsageError(f"'{found['strength']}' is no share. Write for instance --drift new_intents@45:0.3") from None
    end = int(found["end"]) if found["end"] is not None else None
    return Drift(kind=found["kind"], start=int(found["start"]), strength=strength, end=end)


def main(arguments: list[str] | None = None) -> int:
    """Make the project, climb on the past of its users, release, and let it answer them day by day until yesterday."""
    parser = argparse.ArgumentParser(prog="python -m examples.traffic", description=__doc__)
    parser.add_argument("directory", type=Path, help="a folder that is no project yet")
    parser.add_argument("--days", type=int, default=90, help="how many days, the last being yesterday (90)")
    parser.add_argument("--requests", type=int, default=300, help="requests on an average day (300)")
    parser.add_argument("--users", type=int, default=120, help="how many users there are (120)")
    parser.add_argument("--rows", type=int, default=1_200, help="rows of the past to climb on (1200)")
    parser.add_argument("--target", default="accuracy=0.45", help="what the climb aims at (accuracy=0.45)")
    parser.add_argument("--until", default="classical", help="the last rung that is tried (classical)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drift", action="append", default=[], help=f"KIND@START[-END]:STRENGTH; kinds: {', '.join(KINDS)}")
    given = parser.parse_args(arguments)
    try:
        drifts = [read_drift(one) for one in given.drift]
        first = int(time.time() // DAY_S) - given.days
        world = World(seed=given.seed, requests_per_day=given.requests, users=given.users, first_day=first)
        print(f"climbing on {given.rows:,} rows of the past ...")
        with begun(given.directory, world, drifts, rows=given.rows, target=given.target, until=given.until) as filling:
            _fill(filling, given.days)
    except RungwiseError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"done. Look at it: rungwise watch {given.directory}")
    return 0


def _fill(filling: Filling, days: int) -> None:
    """Every day, with a line a week."""
    for number in range(days):
        day = filling.day()
        if number % 7 == 6 or number == days - 1:
            print(f"day {number + 1:>3} of {days}: {len(day.traffic):>4} requests, {day.quality:.0%} of the answers right")


if __name__ == "__main__":
    sys.exit(main())
