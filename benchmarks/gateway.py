"""What a gateway costs: chat completions of about a kilobyte through Rungwise and its peers, one process on one core each.

The gateway under test has one core, the load and the fixed upstream have the other; the systems take turns, round by round, and
the figures are medians of the rounds. CPU time is that of the gateway's whole process tree, for one answer. Rungwise answers with
everything on: it checks the key, chooses one of two variants, lets a guard look at question and answer, prices the answer, and
commits a trace with all that was said to disk before the answer ends. The peers run in their fastest set-ups; MLflow's gateway
and SGLang's router (Rust) check no keys and keep nothing. `benchmarks/gateway_systems.py` says how they are installed.

Run: python -m benchmarks.gateway [--rounds 5] [--seconds 4] [--concurrency 1 16 64] [--only rungwise LiteLLM ...]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gateway_systems import DIRECT, LITELLM, LOAD_CORE, MLFLOW, OURS, SGLANG, System, pin, start_all, upstream
from benchmarks.load import Measured, press, run_press

GOALS = {LITELLM: 40.0, MLFLOW: 4.0, SGLANG: 0.7}
"""How many times the peer's requests a second Rungwise is meant to answer."""


def measure(system: System, concurrency: int, seconds: float) -> Measured:
    """One turn of one system. Raises RuntimeError when more than a thousandth of the answers failed."""
    warm_s = min(1.0, seconds / 2)
    result = run_press(press(system.target, concurrency=concurrency, seconds=seconds, warm_s=warm_s, meter=system.cpu_s))
    if result.errors > result.requests / 1000:
        raise RuntimeError(f"{system.name}: {result.errors} of {result.errors + result.requests} answers failed")
    return result


def summary(runs: Sequence[Measured]) -> dict[str, float]:
    """Medians over the rounds, and the spread of the requests a second."""
    median = statistics.median
    rates = [one.per_s for one in runs]
    return {
        "per_s": round(median(rates), 1),
        "per_s_low": round(min(rates), 1),
        "per_s_high": round(max(rates), 1),
        "cpu_us": round(median(one.cpu_us for one in runs), 1),
        "p50_ms": round(median(one.latency_ms(0.5) for one in runs), 3),
        "p99_ms": round(median(one.latency_ms(0.99) for one in runs), 3),
        "errors": sum(one.errors for one in runs),
    }


def ratios(name: str, runs: dict[tuple[str, int], list[Measured]], concurrency: int) -> tuple[float, float]:
    """How many times the peer's answers a second, and for a CPU second: medians of the ratios of each round."""
    pairs = list(zip(runs[OURS, concurrency], runs[name, concurrency], strict=True))
    wall = statistics.median(ours.per_s / peer.per_s for ours, peer in pairs)
    cpu = statistics.median(peer.cpu_us / ours.cpu_us for ours, peer in pairs) if name != DIRECT else float("nan")
    return wall, cpu


def show(systems: Sequence[System], runs: dict[tuple[str, int], list[Measured]], levels: Sequence[int]) -> dict[str, Any]:
    """Print the tables; the same as plain data."""
    result: dict[str, Any] = {}
    for level in levels:
        print(f"{level} in flight{'':14}{'CPU us':>9}{'answers/s':>11}{'lowest':>9}{'highest':>9}{'p50 ms':>9}{'p99 ms':>9}")
        for system in systems:
            row = summary(runs[system.name, level])
            label = f"  {system.name} {system.version}"
            cpu = f"{row['cpu_us']:9,.0f}" if system.root else f"{'-':>9}"
            print(
                f"{label:<26}{cpu}{row['per_s']:11,.0f}{row['per_s_low']:9,.0f}{row['per_s_high']:9,.0f}"
                f"{row['p50_ms']:9.2f}{row['p99_ms']:9.2f}"
            )
            result.setdefault(system.name, {"version": system.version})[f"c{level}"] = row
        print()
    memory = {system.name: system.memory_mb() for system in systems if system.root}
    print(f"memory after the runs (PSS of the tree): {', '.join(f'{name} {mb:.0f} MB' for name, mb in memory.items())}")
    for system in systems:
        result[system.name]["memory_mb"] = round(memory.get(system.name, 0.0), 1)
        if system.name == OURS or system.root is None or (OURS, levels[0]) not in runs:
            continue
        for level in levels:
            wall, by_cpu = ratios(system.name, runs, level)
            goal = f" (goal {GOALS[system.name]:g}x)" if level == 16 else ""
            print(
                f"Rungwise against {system.name}, {level} in flight: {wall:.2f}x the answers a second, {by_cpu:.2f}x by CPU{goal}"
            )
            ours_times = {"rungwise_times_per_s": round(wall, 3), "rungwise_times_per_cpu_s": round(by_cpu, 3)}
            result[system.name][f"c{level}"] |= ours_times
    return result


def main() -> None:
    """Measure, print tables and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--only", nargs="+", default=[DIRECT, OURS, SGLANG, MLFLOW, LITELLM])
    given = parser.parse_args()
    pin(LOAD_CORE)
    runs: dict[tuple[str, int], list[Measured]] = {}
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(upstream(directory))
        systems = stack.enter_context(start_all(given.only, url, directory))
        for system in systems:  # caches fill, connections open
            measure(system, 16, 1.0)
        for number in range(given.rounds):
            for level in given.concurrency:
                for system in systems:
                    runs.setdefault((system.name, level), []).append(measure(system, level, given.seconds))
                    print(f"round {number + 1}: {system.name}, {level} in flight", file=sys.stderr)
        result = show(systems, runs, given.concurrency)
    print(json.dumps({"benchmark": "gateway", "rounds": given.rounds, "seconds": given.seconds, "systems": result}))


if __name__ == "__main__":
    main()
