"""How often the real climb calls a rung met that is truly below the target; prints a table and a JSON line.

    python benchmarks/wrong_accepts.py                  300 sequences a cell, some minutes
    python benchmarks/wrong_accepts.py --climbs 4000    the full run, 2 processes, about 2 hours on 2 busy cores

Every rung of every ladder is truly 0.1 point under the target. One sequence is
everything that is ever done to one set of rows: a climb that stops when it likes and
crashes between its first nomination and the verdict, the same climb resumed, and two
more climbs with fresh candidates on the same rows. It counts as wrong when any rung
of any of them is ever called met. Beside it stands what accepting the first rung whose
sealed score reaches the target would have done, in the first climb and in the whole sequence.

In the `honest` worlds dev is a sample like the sealed rows, so that few rungs are
worth opening. In the `overfit` worlds every rung reaches 0.95 on dev, as after tuning
on dev too hard: all of them are opened, which is the most that can be asked of the
levels. A cell fails when its exact 99 % interval lies above 5 %.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass

from benchmarks.simulation import (
    Crash,
    ReadOnceLedger,
    Rows,
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
from rungwise.core.dataset import SEALED
from rungwise.core.decision import MET
from rungwise.data.store import Store

TARGET, TRUTH, OVERFIT = 0.90, 0.899, 0.95
RECLIMBS = 2
ALPHA = 0.05


@dataclass(frozen=True)
class Setting:
    """One cell of the table: the length of the ladder, the sealed rows, and how alike all candidates err."""

    rungs: int
    sealed: int
    correlation: float
    overfit: bool

    @property
    def seed(self) -> int:
        """Where its seeds begin, so that no two cells see the same rows."""
        return zlib.crc32(repr(self).encode()) << 20


@dataclass(frozen=True)
class Outcome:
    """One sequence: whether a rung was ever called met, what the point score would have said, and what was opened."""

    met: bool
    point_first: bool
    point_ever: bool
    openings: int
    resumed: bool


@dataclass(frozen=True)
class Cell:
    """All sequences of one cell. `low` and `high` are the exact 99 % interval of `rate`."""

    rungs: int
    sealed: int
    correlation: float
    dev: str
    sequences: int
    wrong: int
    rate: float
    low: float
    high: float
    point_first: float
    point_ever: float
    openings: float
    resumed: int

    @property
    def failed(self) -> bool:
        """Whether the promise is broken beyond what chance explains."""
        return self.low > ALPHA


def candidates(world: Setting, climb: int) -> Sequence[Sequence[Truth]]:
    """Fresh ones for each climb, one a rung."""
    dev = OVERFIT if world.overfit else None
    return [[Truth(name=f"{climb}/{rung}", quality=TRUTH, dev_quality=dev)] for rung in range(world.rungs)]


def sequence(cell: Setting, rows: Rows, store: Store, runner: asyncio.Runner, seed: int) -> Outcome:
    """Everything that happens to one set of rows. Raises AssertionError when a resumed climb changed a nomination."""
    forget(store)
    ledger = ReadOnceLedger(store)
    worlds = [
        World(rungs=candidates(cell, climb), rows=rows, correlation=cell.correlation, seed=seed) for climb in range(1 + RECLIMBS)
    ]
    met = resumed = False
    for climb, world in enumerate(worlds):
        site = make_site(world, make_case(TARGET, name=str(climb)), ledger)
        if climb == 0:
            site.bench.faults["*!" if seed % 2 else "*!!"] = Crash()
            try:
                decision = runner.run(site.climb())
            except Crash:
                resumed = True
                before = [ledger.nomination(site.plan.key, stair.name) for stair in site.ladder]
                decision = runner.run(make_site(world, make_case(TARGET, name=str(climb)), ledger).climb())
                after = [ledger.nomination(site.plan.key, stair.name) for stair in site.ladder]
                kept = [(one, two) for one, two in zip(before, after, strict=True) if one is not None]
                assert all(two and (one.k, one.alpha, one.candidate) == (two.k, two.alpha, two.candidate) for one, two in kept)
        else:
            decision = runner.run(site.climb())
        met = met or any(one.state == MET for one in decision.rungs)
        if met:
            break
    points = [any(world.right(one, SEALED).mean() >= TARGET for one in world.truths.values()) for world in worlds]
    return Outcome(met, points[0], any(points), ledger.count(rows.splits.sealed.input_ids), resumed)


def simulate_cell(cell: Setting, sequences: int, *, seed: int = 0) -> list[Outcome]:
    """Independent sequences of one cell, in one store whose ledger is emptied between them."""
    base = make_rows(dev_size(cell.sealed), cell.sealed)
    with memory_store() as store, asyncio.Runner() as runner:
        return [
            sequence(cell, base.redrawn(one), store, runner, one) for one in range(cell.seed + seed, cell.seed + seed + sequences)
        ]


def summed_up(cell: Setting, outcomes: Sequence[Outcome]) -> Cell:
    """A line of the table."""
    n, wrong = len(outcomes), sum(one.met for one in outcomes)
    low, high = exact_interval(wrong, n)
    return Cell(
        rungs=cell.rungs,
        sealed=cell.sealed,
        correlation=cell.correlation,
        dev="overfit" if cell.overfit else "honest",
        sequences=n,
        wrong=wrong,
        rate=wrong / n,
        low=low,
        high=high,
        point_first=sum(one.point_first for one in outcomes) / n,
        point_ever=sum(one.point_ever for one in outcomes) / n,
        openings=sum(one.openings for one in outcomes) / n,
        resumed=sum(one.resumed for one in outcomes),
    )


def grid(*, overfit: bool) -> Iterator[Setting]:
    """The cells of the table."""
    for rungs, sealed, correlation in itertools.product((6, 12), (200, 1000), (0.0, 0.5, 0.9)):
        yield Setting(rungs, sealed, correlation, overfit)


def simulate_all(cells: Sequence[Setting], sequences: int, processes: int) -> Iterator[Cell]:
    """The cells one after the other, each cut into parts for the processes."""
    part = -(-sequences // (2 * processes))
    with ProcessPoolExecutor(processes) as pool:
        for cell in cells:
            starts = range(0, sequences, part)
            jobs = [pool.submit(simulate_cell, cell, min(part, sequences - start), seed=start) for start in starts]
            yield summed_up(cell, [one for job in jobs for one in job.result()])


def main() -> int:
    """Print the table and the JSON line; 1 when a cell fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--climbs", type=int, default=300, help="sequences a cell (default 300)")
    parser.add_argument("--overfit-climbs", type=int, help="the same for the overfit worlds (default: a quarter of --climbs)")
    parser.add_argument("--processes", type=int, default=2)
    wanted = parser.parse_args()
    overfit = wanted.overfit_climbs if wanted.overfit_climbs is not None else wanted.climbs // 4
    started = time.monotonic()
    print(
        "rungs sealed  corr  dev      sequences  wrong   rate   99 % interval    point score: first climb, ever  openings  resumed"
    )
    cells = []
    for worlds, sequences in ((grid(overfit=False), wanted.climbs), (grid(overfit=True), overfit)):
        for cell in simulate_all(list(worlds), sequences, wanted.processes) if sequences else ():
            cells.append(cell)
            print(
                f"{cell.rungs:5d} {cell.sealed:6d} {cell.correlation:5.1f}  {cell.dev:8s} {cell.sequences:9d} {cell.wrong:6d} "
                f"{cell.rate:6.4f}   {cell.low:.4f}-{cell.high:.4f}  {cell.point_first:26.3f} {cell.point_ever:6.3f} "
                f"{cell.openings:9.2f} {cell.resumed:8d}{'   FAILED' if cell.failed else ''}",
                flush=True,
            )
    seconds = time.monotonic() - started
    failed = sum(cell.failed for cell in cells)
    print(f"{seconds:.0f} s; {failed} cells with an exact 99 % interval above 5 %")
    rows = [asdict(cell) for cell in cells]
    print(json.dumps({"benchmark": "wrong_accepts", "target": TARGET, "truth": TRUTH, "seconds": round(seconds), "cells": rows}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
