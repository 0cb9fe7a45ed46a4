"""A drift report of a table of 8 columns of numbers and 2 of names: ours against evidently's DataDriftPreset, and against scipy.

Both sides report on the same files, in turns, in one run; loading is not timed. The peer needs an environment of its own:

    python3 -m venv PEER && PEER/bin/pip install evidently==0.7.23 'pandas<3' pyarrow
    python -m benchmarks.drift_report --peer PEER/bin/python [--short]

Ours gives for each column of numbers KS with its p, Wasserstein, PSI, Jensen-Shannon, moments, quantiles and a test of what is
missing; evidently's default gives one statistic a column. Peers without an environment are left out, and the table says so.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rungwise.watch.drift import report as ours

SIZES = (100_000, 1_000_000)
ROUNDS = 3
NUMBERS, NAMES = 8, 2
PLANS = np.array([f"plan {letter}" for letter in "abcdefgh"], dtype=object)


def table(rows: int, shift: float, rng: np.random.Generator) -> dict[str, Any]:
    """Columns of several shapes; each of the numbers is shifted by a different part of `shift` standard deviations."""
    shapes: list[Callable[[], Any]] = [
        lambda: rng.normal(size=rows),
        lambda: rng.lognormal(0, 0.5, size=rows),
        lambda: rng.gamma(2.0, size=rows),
        lambda: rng.poisson(5, size=rows).astype(np.float64),
    ]
    found: dict[str, Any] = {f"number {i}": shapes[i % 4]() + np.floor(i / 2) * shift for i in range(NUMBERS)}
    for i in range(NAMES):
        chances = np.arange(1.0, 9.0) + (8 * shift * i) * (np.arange(8) == 0)
        found[f"name {i}"] = PLANS[rng.choice(8, size=rows, p=chances / chances.sum())]
    return found


def written(path: Path, columns: dict[str, Any]) -> Path:
    """The table as a Parquet file."""
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), path)
    return path


def ours_and_scipy(reference: dict[str, Any], current: dict[str, Any]) -> dict[str, float]:
    """The largest differences of our statistics from scipy's, over all columns of numbers."""
    from scipy import stats
    from scipy.spatial.distance import jensenshannon

    from rungwise.watch.drift.columns import bin_edges

    apart = {"ks": 0.0, "p": 0.0, "wasserstein": 0.0, "js": 0.0}
    for column in ours.drift_report(reference, current).columns:
        if column.numbers is None:
            continue
        before, after = reference[column.column], current[column.column]
        test = stats.ks_2samp(before, after)
        edges = bin_edges(np.sort(before))
        shares = [np.bincount(np.searchsorted(edges, side, side="left"), minlength=len(edges) + 1) for side in (before, after)]
        told, wanted = column.numbers, stats.wasserstein_distance(before, after)
        assert told.ks is not None
        assert told.p is not None
        assert told.wasserstein is not None
        assert told.js is not None
        apart["ks"] = max(apart["ks"], abs(told.ks - test.statistic))
        apart["p"] = max(apart["p"], abs(told.p - test.pvalue))
        apart["wasserstein"] = max(apart["wasserstein"], abs(told.wasserstein - wanted) / wanted)
        apart["js"] = max(apart["js"], abs(told.js - jensenshannon(*shares, base=2) ** 2))
    return apart


def scipy_alone(reference: dict[str, Any], current: dict[str, Any]) -> None:
    """What scipy takes for KS and Wasserstein, which it computes apart."""
    from scipy import stats

    for name in reference:
        if name.startswith("number"):
            stats.ks_2samp(reference[name], current[name])
            stats.wasserstein_distance(reference[name], current[name])


def timed(call: Callable[[], object]) -> float:
    """The seconds a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def one_size(rows: int, rounds: int, peer: str | None) -> dict[str, Any]:
    """Medians of `rounds` turns, ours and the peer's one after the other."""
    rng = np.random.default_rng(rows)
    reference, current = table(rows, 0.0, rng), table(rows, 0.05, rng)
    seconds: dict[str, list[float]] = {"ours": [], "scipy": [], "evidently": []}
    with tempfile.TemporaryDirectory() as folder:
        files = [str(written(Path(folder) / f"{i}.parquet", one)) for i, one in enumerate((reference, current))]
        running = _peer(peer, files) if peer else None
        ours.drift_report(reference, current)
        for _ in range(rounds):
            seconds["ours"].append(timed(lambda: ours.drift_report(reference, current)))
            seconds["scipy"].append(timed(lambda: scipy_alone(reference, current)))
            if running is not None:
                seconds["evidently"].append(_ask(running))
        if running is not None:
            running.communicate()
    medians = {name: statistics.median(values) for name, values in seconds.items() if values}
    return {"rows": rows, "seconds": medians, "apart": ours_and_scipy(reference, current)}


def _peer(python: str, files: list[str]) -> subprocess.Popen[str]:
    """The peer with its tables loaded, and one report made, as ours has."""
    program = str(Path(__file__).with_name("drift_peer.py"))
    running = subprocess.Popen([python, program, *files], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    if running.stdout.readline().strip() != "ready":
        raise SystemExit(f"{python} cannot run {program}. Install evidently==0.7.23 'pandas<3' pyarrow there")
    _ask(running)
    return running


def _ask(running: subprocess.Popen[str]) -> float:
    assert running.stdin is not None
    assert running.stdout is not None
    running.stdin.write("run\n")
    running.stdin.flush()
    return float(running.stdout.readline())


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    standing = os.environ.get("EVIDENTLY_PYTHON") or str(Path(tempfile.gettempdir()) / "evidently-peer" / "bin" / "python")
    known = standing if Path(standing).exists() else None
    parser.add_argument("--peer", default=known, help="the Python of an environment with evidently; also EVIDENTLY_PYTHON")
    parser.add_argument("--short", action="store_true", help="100,000 rows only")
    options = parser.parse_args()
    sizes, rounds = SIZES[:1] if options.short else SIZES, ROUNDS
    print(f"{NUMBERS} columns of numbers, {NAMES} of names; {rounds} rounds in turns, medians; {ours.THREADS} threads here\n")
    print(f"{'rows':>10}{'ours':>10}{'evidently':>12}{'ratio':>8}{'scipy KS + W1':>16}")
    found = []
    for rows in sizes:
        one = one_size(rows, rounds, options.peer)
        seconds = one["seconds"]
        one["ratio"] = seconds["evidently"] / seconds["ours"] if "evidently" in seconds else None
        theirs = f"{seconds['evidently']:>10.2f} s{one['ratio']:>7.1f}x" if one["ratio"] else f"{'left out':>12}{'':>8}"
        print(f"{rows:>10,}{seconds['ours']:>8.3f} s{theirs}{seconds['scipy']:>14.2f} s")
        found.append(one)
    worst = {name: max(one["apart"][name] for one in found) for name in found[0]["apart"]}
    print("\nlargest difference from scipy: " + ", ".join(f"{name} {value:.1e}" for name, value in worst.items()))
    print(json.dumps({"sizes": found, "rounds": rounds, "python": sys.version.split()[0]}))


if __name__ == "__main__":
    main()
