"""What a gateway costs a stream: 20 pieces of text through Rungwise and its peers, one process on one core each.

First as many streams as it can (16 and 64 at once, an upstream that writes one piece after the other without a pause): streams a
second and CPU time of the gateway's process tree for one stream. Then 200 new streams a second with 5 ms between the pieces: how
much later the first piece comes than without a gateway. LiteLLM cannot begin 200 streams a second; it is asked at a rate it can do.
Rungwise checks the key, chooses a variant, lets a guard look at the question, reads the usage, prices it, and commits the whole
answer to disk before the last event leaves. A guard on the answer too holds a stream back until it has seen a window of it: that is
a row of its own.
Set-ups and pinning are those of `benchmarks/gateway.py`.

Run: python -m benchmarks.streaming [--rounds 5] [--seconds 4] [--rate 200] [--slow-rate 20] [--only rungwise LiteLLM ...]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gateway_systems import (
    ASKED,
    DIRECT,
    LITELLM,
    LOAD_CORE,
    MLFLOW,
    OURS,
    SGLANG,
    System,
    pin,
    start_all,
    upstream,
)
from benchmarks.load import Measured, press, run_press

GOAL_TIMES, GOAL_ADDED_MS = 25.0, 3.0


def flood(system: System, concurrency: int, seconds: float) -> Measured:
    """As many streams as there can be, `concurrency` at once."""
    warm_s = min(1.0, seconds / 2)
    return _checked(
        system,
        run_press(press(system.target, concurrency=concurrency, seconds=seconds, warm_s=warm_s, stream=True, meter=system.cpu_s)),
    )


def paced(system: System, rate: float, seconds: float) -> Measured:
    """`rate` new streams a second, each with pauses between its pieces."""
    streams = max(4, int(rate / 5))
    return _checked(
        system,
        run_press(
            press(system.target, concurrency=streams, seconds=seconds, rate=rate, stream=True, slow=True, meter=system.cpu_s)
        ),
    )


def _checked(system: System, result: Measured) -> Measured:
    if result.errors > result.requests / 1000 or not result.requests:
        raise RuntimeError(f"{system.name}: {result.errors} of {result.errors + result.requests} streams failed")
    return result


def show_floods(
    systems: Sequence[System], runs: Mapping[tuple[str, int], Sequence[Measured]], levels: Sequence[int]
) -> dict[str, Any]:
    """Print streams a second and CPU time for a stream; the same as plain data."""
    result: dict[str, Any] = {}
    median = statistics.median
    for level in levels:
        columns = ("CPU us", 9), ("streams/s", 11), ("lowest", 9), ("highest", 9), ("Rungwise, times", 18), ("by CPU", 9)
        print(f"{f'{level} streams at once':<34}" + "".join(f"{name:>{width}}" for name, width in columns))
        for system in systems:
            mine, ours = runs[system.name, level], runs.get((ASKED, level))
            rates, cpu = [one.per_s for one in mine], median(one.cpu_us for one in mine)
            row = {"cpu_us": round(cpu, 1), "per_s": round(median(rates), 1)}
            line = f"  {system.name} {system.version}"
            line = f"{line:<34}{cpu:9,.0f}{median(rates):11,.0f}{min(rates):9,.0f}{max(rates):9,.0f}"
            if ours and system.root and system.name != ASKED:
                row["rungwise_times_per_s"] = round(median(a.per_s / b.per_s for a, b in zip(ours, mine, strict=True)), 3)
                row["rungwise_times_per_cpu_s"] = round(median(b.cpu_us / a.cpu_us for a, b in zip(ours, mine, strict=True)), 3)
                line += f"{row['rungwise_times_per_s']:17.2f}x{row['rungwise_times_per_cpu_s']:8.2f}x"
            print(line)
            result.setdefault(system.name, {"version": system.version})[f"c{level}"] = row
        print()
    return result


def show_paces(
    systems: Sequence[System], runs: Mapping[tuple[str, float], Sequence[Measured]], rates: Sequence[float]
) -> dict[str, Any]:
    """Print when the first piece came; the same as plain data. Added is the p99 less the median without a gateway."""
    result: dict[str, Any] = {}
    median = statistics.median
    for rate in rates:
        bare = median(one.first_ms(0.5) for one in runs[DIRECT, rate])
        columns = (
            ("first piece p50 ms", 20),
            ("p99 ms", 9),
            ("added p50", 11),
            ("added p99", 11),
            ("CPU us", 9),
            ("Rungwise, by CPU", 18),
        )
        print(f"{f'{rate:g} new streams a second':<34}" + "".join(f"{name:>{width}}" for name, width in columns))
        for system in systems:
            if (system.name, rate) not in runs:
                continue
            mine = runs[system.name, rate]
            p50, p99 = (median(one.first_ms(share) for one in mine) for share in (0.5, 0.99))
            cpu = median(one.cpu_us for one in mine)
            row = {"first_p50_ms": round(p50, 3), "first_p99_ms": round(p99, 3), "cpu_us": round(cpu, 1)}
            row |= {"added_p50_ms": round(p50 - bare, 3), "added_p99_ms": round(p99 - bare, 3)}
            line = f"  {system.name} {system.version}"
            line = f"{line:<34}{p50:20.2f}{p99:9.2f}{p50 - bare:11.2f}{p99 - bare:11.2f}{cpu:9,.0f}"
            if (ours := runs.get((ASKED, rate))) and system.root and system.name != ASKED:
                row["rungwise_times_per_cpu_s"] = round(median(b.cpu_us / a.cpu_us for a, b in zip(ours, mine, strict=True)), 3)
                line += f"{row['rungwise_times_per_cpu_s']:17.2f}x"
            print(line)
            result.setdefault(system.name, {})[f"rate{rate:g}"] = row
        print()
    return result


def main() -> None:
    """Measure, print tables and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--slow-rate", type=float, default=20.0, help="new streams a second when LiteLLM is among those asked")
    parser.add_argument("--only", nargs="+", default=[DIRECT, ASKED, OURS, SGLANG, MLFLOW, LITELLM])
    given = parser.parse_args()
    pin(LOAD_CORE)
    floods: dict[tuple[str, int], list[Measured]] = {}
    paces: dict[tuple[str, float], list[Measured]] = {}
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(upstream(directory))
        systems = stack.enter_context(start_all(list(dict.fromkeys([DIRECT, *given.only])), url, directory))
        for system in systems:  # caches fill, connections open
            flood(system, 16, 1.0)
        for number in range(given.rounds):
            for system in systems:
                for level in given.concurrency:
                    floods.setdefault((system.name, level), []).append(flood(system, level, given.seconds))
                for rate in (given.rate, given.slow_rate):
                    if rate == given.slow_rate or system.name != LITELLM:
                        paces.setdefault((system.name, rate), []).append(paced(system, rate, given.seconds))
                print(f"round {number + 1}: {system.name}", file=sys.stderr)
        result = show_floods(systems, floods, given.concurrency)
        for name, rows in show_paces(systems, paces, (given.rate, given.slow_rate)).items():
            result[name] |= rows
    if ASKED in result and LITELLM in result:
        times = result[LITELLM][f"c{given.concurrency[0]}"]["rungwise_times_per_s"]
        added = result[ASKED][f"rate{given.rate:g}"]["added_p99_ms"]
        print(f"Rungwise: {times:.1f}x LiteLLM's streams a second (goal {GOAL_TIMES:g}x)")
        print(f"first piece later by {added:.2f} ms at p99, {given.rate:g} new streams a second (goal {GOAL_ADDED_MS:g} ms)")
    print(json.dumps({"benchmark": "streaming", "rounds": given.rounds, "seconds": given.seconds, "systems": result}))


if __name__ == "__main__":
    main()
