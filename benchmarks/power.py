"""How often the real climb finds the rung that is truly good enough; prints a table and a JSON line.

    python benchmarks/power.py

The target is 0.90. Two rungs are clearly below it (0.6 and 0.8), the third is truly at
0.93 and so the first that is worth opening. Dev is 15 rows to 25 sealed ones, the
default split. Beside the rate stands the power of the first opening alone, from
the binomial distribution: what is missing to it was not opened, because dev did
not promise enough.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass

from benchmarks.simulation import (
    ReadOnceLedger,
    Truth,
    World,
    dev_size,
    exact_interval,
    forget,
    make_case,
    make_rows,
    make_site,
    memory_store,
)
from rungwise.data.ledger import opening_level
from rungwise.evaluate.chance import power

TARGET, TRUTH = 0.90, 0.93
WANTED = {1000: 0.90, 500: 0.60}


@dataclass(frozen=True)
class Cell:
    """How often the rung was met, with the exact 99 % interval; how often it was opened; the power of the opening alone."""

    sealed: int
    dev: int
    climbs: int
    met: int
    rate: float
    low: float
    high: float
    opened: float
    power: float
    wanted: float | None

    @property
    def failed(self) -> bool:
        """Whether the wanted rate is missed."""
        return self.wanted is not None and self.rate < self.wanted


def simulate_cell(sealed: int, climbs: int, *, seed: int = 0) -> Cell:
    """Independent climbs, each on its own rows."""
    base = make_rows(dev_size(sealed), sealed)
    rungs = [[Truth(name="poor", quality=0.6)], [Truth(name="fair", quality=0.8)], [Truth(name="good", quality=TRUTH)]]
    met = opened = 0
    with memory_store() as store, asyncio.Runner() as runner:
        for one in range(seed, seed + climbs):
            forget(store)
            world = World(rungs=rungs, rows=base.redrawn(one), seed=one)
            site = make_site(world, make_case(TARGET), ReadOnceLedger(store))
            decision = runner.run(site.climb())
            met += decision.chosen_rung == "rung2"
            opened += "good" in site.bench.opened
    low, high = exact_interval(met, climbs)
    level = opening_level(1, 0.05)
    return Cell(
        sealed=sealed,
        dev=dev_size(sealed),
        climbs=climbs,
        met=met,
        rate=met / climbs,
        low=low,
        high=high,
        opened=opened / climbs,
        power=power(TARGET, TRUTH, sealed, level),
        wanted=WANTED.get(sealed),
    )


def main() -> int:
    """Print the table and the JSON line; 1 when a wanted rate is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--climbs", type=int, default=2000)
    wanted = parser.parse_args()
    started = time.monotonic()
    print("sealed   dev  climbs    met   99 % interval   opened   power if opened   wanted")
    cells = []
    for sealed in (200, 500, 1000, 2400):
        cell = simulate_cell(sealed, wanted.climbs)
        cells.append(cell)
        print(
            f"{cell.sealed:6d} {cell.dev:5d} {cell.climbs:7d}  {cell.rate:.3f}   {cell.low:.3f}-{cell.high:.3f}   "
            f"{cell.opened:6.3f}   "
            f"{cell.power:15.3f}   {cell.wanted or '':6}{'   MISSED' if cell.failed else ''}",
            flush=True,
        )
    rows = [asdict(cell) for cell in cells]
    seconds = round(time.monotonic() - started)
    print(json.dumps({"benchmark": "power", "target": TARGET, "truth": TRUTH, "seconds": seconds, "cells": rows}))
    return 1 if any(cell.failed for cell in cells) else 0


if __name__ == "__main__":
    sys.exit(main())
