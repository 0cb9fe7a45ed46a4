"""How long after its limit each case of the fault matrix ends, and in what.

Every case of `tests/serve/faults.py` runs against a real server on loopback that does wrong as its script says; the router has
the limits of the case, on uvloop as when it serves. Printed is how much later than its limit a case ended; the goal is 50 ms.

Run: python -m benchmarks.faults [--repeats 3] [--all]
"""

from __future__ import annotations

import argparse
import json
import statistics

import uvloop

from benchmarks.publish import machine
from tests.serve.faults import CASES, Case, Ended, run

GOAL_S = 0.050


def main() -> None:
    """Print the table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--all", action="store_true", help="print every case")
    options = parser.parse_args()
    late: list[float] = []
    right = 0
    for case in CASES:
        ends = [_ended(case) for _ in range(options.repeats)]
        over = [ended.seconds - case.within_s for ended in ends]
        late += over
        right += all(_as_told(case, ended) for ended in ends)
        if options.all or max(over) > GOAL_S:
            print(f"{1e3 * max(over):8.1f} ms late  {'stream' if case.stream else 'whole':6s}  {case.name}: {ends[-1].told}")
    late.sort()
    print(f"{len(CASES)} cases x {options.repeats}; {right} ended as documented")
    p99 = late[int(0.99 * (len(late) - 1))]
    print(f"after the limit: median {1e3 * statistics.median(late):.1f} ms, p99 {1e3 * p99:.1f} ms, most {1e3 * late[-1]:.1f} ms")
    figures = {"cases": len(CASES), "right": right, "late_ms": {"median": statistics.median(late) * 1e3, "p99": p99 * 1e3}}
    print(json.dumps({"bench": "faults", **figures, "most_ms": late[-1] * 1e3, "machine": machine()}))


def _ended(case: Case) -> Ended:
    return uvloop.run(run(case))


def _as_told(case: Case, ended: Ended) -> bool:
    """Whether it ended as documented; how many words an endless answer had is not documented."""
    return ended.told == case.told or (case.name.endswith("words for ever") and ended.told.endswith(case.told.split(", ")[1]))


if __name__ == "__main__":
    main()
