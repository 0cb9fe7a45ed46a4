"""Median days until planted drift raises an alarm, next to evidently's default statistics at the same realised false-alarm rate.

Simulated support traffic (`examples/traffic`: 300 requests a day, users with habits, seasons, noise): 28 days of reference, a quiet
week, then the drift. Both look once a day at the same requests. Ours are the product's monitors (`watch/drift/monitors.py`) as they
come: day, week and four weeks, promised 0.1 false alarms a month. Evidently 0.7.23 looks at windows of 1 and 7 days, each column by
the statistic that it chooses itself (normed Wasserstein, Jensen-Shannon, text content). Its thresholds are set on months without
drift, so that no more of them alarm than of ours: column by column in the measure of its own greatest quiet score ('columns'), or
the share of columns beyond their default thresholds ('share'). The better of the two stands against ours. Setting thresholds on
the months that count false alarms is kind to evidently: ours have seen none of them.

The peer lives in an environment of its own: python -m venv PEER; PEER/bin/pip install evidently==0.7.23 'pandas<3'

    EVIDENTLY_PYTHON=PEER/bin/python python -m benchmarks.drift_detection          # 20 quiet months, 5 worlds a cell
    python -m benchmarks.drift_detection --quiet 4 --worlds 2 --only wording       # a quick look
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

REFERENCE, QUIET_WEEK, HORIZON, MONTH = 28, 7, 14, 30
START = REFERENCE + QUIET_WEEK
CELLS: Mapping[str, tuple[float, float, float]] = {
    "new_intents": (0.03, 0.08, 0.25),
    "wording": (0.02, 0.05, 0.15),
    "language": (0.02, 0.05, 0.15),
    "label_shift": (0.1, 0.25, 0.5),
    "quality_drop": (0.1, 0.25, 0.5),
    "outage": (0.02, 0.1, 0.3),
    "length": (0.02, 0.05, 0.15),
}
PEER = os.environ.get("EVIDENTLY_PYTHON") or str(Path(tempfile.gettempdir()) / "evidently-peer" / "bin" / "python")


class StillClock:
    """A clock that stands."""

    def now(self) -> float:
        """Seconds since 1970."""
        return 1_800_000_000.0

    def tick(self) -> float:
        """The same."""
        return 1_800_000_000.0


def rows_of(traffic: Any) -> list[dict[str, Any]]:
    """A day's requests as rows with the columns that evidently is given."""
    columns = zip(
        traffic.text,
        traffic.answer,
        traffic.confidence.tolist(),
        traffic.seconds.tolist(),
        traffic.output_tokens.tolist(),
        traffic.failed.tolist(),
        traffic.group,
        strict=True,
    )
    return [
        {
            "length": float(len(text)),
            "words": float(len(text.split())),
            "confidence": None if math.isnan(confidence) else confidence,
            "seconds": seconds,
            "tokens": tokens,
            "answer": answer,
            "failed": str(failed),
            "group": group,
            "text": text,
        }
        for text, answer, confidence, seconds, tokens, failed, group in columns
    ]


def world_of(job: tuple[int, Sequence[tuple[str, float]], int, str]) -> dict[str, list[int]]:
    """One seed: its quiet month of `days` and its drifts. Writes the days for evidently; gives the days of our alarms, by name."""
    from examples.traffic.simulator import Drift, World, simulate

    seed, cells, days, folder = job
    world, found = World(seed=seed), dict[str, list[int]]()
    quiet = [simulate(world, day).traffic for day in range(max(START, REFERENCE + days))]
    looking = Looking(Path(folder) / f"store-{seed}", quiet[:START])
    if days:
        found[f"quiet-{seed}"] = looking.alarms(quiet)
        _write(Path(folder) / f"quiet-{seed}.{REFERENCE}.json", quiet)
    for kind, strength in cells:
        drift = Drift(kind=kind, start=START, strength=strength)
        drifted = [simulate(world, day, [drift]).traffic for day in range(START, START + HORIZON)]
        name = f"{kind}-{strength}-{seed}"
        found[name] = looking.alarms([*quiet[:START], *drifted])
        _write(Path(folder) / f"{name}.{START}.json", [*quiet[:START], *drifted])
    shutil.rmtree(looking.folder)
    return found


def _write(path: Path, traffic: Sequence[Any]) -> None:
    path.write_text(json.dumps([rows_of(one) for one in traffic]), encoding="utf-8")


class Looking:
    """Our monitors on one world: the reference and the quiet week are looked at once, each course of days goes on in a copy."""

    def __init__(self, folder: Path, before: Sequence[Any]) -> None:
        self.folder, self.copies = folder, 0
        self._look(folder / "first", before, range(REFERENCE))
        self.week = self._look(folder / "first", before, range(REFERENCE, len(before)), first=False)

    def alarms(self, days: Sequence[Any]) -> list[int]:
        """The days of the quiet week on which any monitor alarmed, and the first one after it."""
        self.copies += 1
        copy = self.folder / str(self.copies)
        shutil.copytree(self.folder / "first", copy)
        found = [*self.week, *self._look(copy, days, range(START, len(days)))]
        shutil.rmtree(copy)
        return found

    def _look(self, folder: Path, days: Sequence[Any], which: range, *, first: bool = True) -> list[int]:
        """The days with an alarm; with `first` no day after the first of them is looked at."""
        from examples.traffic.simulator import FIRST_DAY
        from rungwise.core.reading import ALARM
        from rungwise.core.usecase import UseCase
        from rungwise.core.watching import Watching
        from rungwise.data.store import EMBEDDED, Store
        from rungwise.engines.encoders.hashed import encode_hashed
        from rungwise.watch.drift.monitors import readings
        from rungwise.watch.scene import Scene

        store = Store.open(folder, clock=StillClock(), url=EMBEDDED)
        known, found = {FIRST_DAY + day: one for day, one in enumerate(days)}, []
        case, watching = UseCase(name="simulated", task="classify"), Watching(group_tag="language_level")
        for day in which:
            scene = Scene(
                store=store,
                directory=folder,
                case=case,
                watching=watching,
                day=FIRST_DAY + day,
                clock=StillClock(),
                encoder=lambda: encode_hashed,
                known=known,
            )
            if any(one.state == ALARM for one in readings(scene)):
                found.append(day)
                if first:
                    break
        store.close()
        return found


Scores = Mapping[str, Mapping[str, tuple[float, float]]]
"""By day, by column and window: evidently's score and default threshold."""


def by_columns(day: Mapping[str, tuple[float, float]], greatest: Mapping[str, float]) -> float:
    """The greatest score of a day in the measure of each column's greatest quiet score."""
    return max((score / max(greatest[name], 1e-9) for name, (score, _) in day.items()), default=0.0)


def by_share(day: Mapping[str, tuple[float, float]]) -> float:
    """The greatest share of columns beyond their default thresholds, of any window."""
    windows = {name.rpartition("/")[2] for name in day}
    beyond = {one: [score >= limit for name, (score, limit) in day.items() if name.endswith(f"/{one}")] for one in windows}
    return max((sum(some) / len(some) for some in beyond.values()), default=0.0)


def threshold(months: Sequence[float], alarms: int) -> float:
    """The score that the greatest of so many quiet months, and no more, are above."""
    return sorted(months, reverse=True)[alarms]


def delay(days: Sequence[int]) -> int:
    """Looks from the first day of drift until an alarm, 1 being the first; HORIZON + 1 where there was none."""
    return next((day - START + 1 for day in days if day >= START), HORIZON + 1)


def main(quiet: int = 20, worlds: int = 5, only: str | None = None) -> None:
    """Print the table and the figures."""
    began = time.perf_counter()
    cells = [(kind, strength) for kind, several in CELLS.items() for strength in several if only is None or only in kind]
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        count = max(quiet, worlds)
        jobs = [(seed, cells if seed < worlds else (), MONTH if seed < quiet else 0, folder) for seed in range(count)]
        ours = {name: days for found in pool.map(world_of, jobs) for name, days in found.items()}
        script = Path(__file__).with_name("evidently_scores.py")
        subprocess.run([PEER, str(script), folder], check=True)
        scores: dict[str, Scores] = {name: json.loads((Path(folder) / f"{name}.scores.json").read_text()) for name in ours}
    months = [name for name in ours if name.startswith("quiet-")]
    false_alarms = sum(bool(ours[name]) for name in months)
    greatest: dict[str, float] = {}
    for name in months:
        for day in scores[name].values():
            for column, (score, _) in day.items():
                greatest[column] = max(greatest.get(column, 0.0), score)
    limits = (
        threshold([max(by_columns(day, greatest) for day in scores[name].values()) for name in months], false_alarms),
        threshold([max(by_share(day) for day in scores[name].values()) for name in months], false_alarms),
    )
    _print(cells, worlds, ours, scores, greatest, limits)
    told = {"quiet_months": quiet, "worlds": worlds, "our_false_alarms": false_alarms, "evidently_false_alarms": false_alarms}
    rows = [_cell(kind, strength, worlds, ours, scores, greatest, limits) for kind, strength in cells]
    share = sum(first <= min(others) for first, *others in rows) / len(rows)
    print(f"{false_alarms} of {quiet} quiet months alarmed, ours and theirs")
    print(f"ours as early or earlier in {share:.0%} of {len(rows)} cells")
    print(json.dumps({**told, "earlier_or_equal": round(share, 4), "seconds": round(time.perf_counter() - began, 1)}))


def _cell(
    kind: str,
    strength: float,
    worlds: int,
    ours: Mapping[str, Sequence[int]],
    scores: Mapping[str, Scores],
    greatest: Mapping[str, float],
    limits: tuple[float, float],
) -> tuple[float, float, float]:
    """Median days to an alarm: ours, evidently by columns, evidently by the share of columns."""
    names = [f"{kind}-{strength}-{seed}" for seed in range(worlds)]
    columns = [[int(day) for day, one in scores[name].items() if by_columns(one, greatest) > limits[0]] for name in names]
    shares = [[int(day) for day, one in scores[name].items() if by_share(one) > limits[1]] for name in names]
    return median(delay(ours[name]) for name in names), median(map(delay, columns)), median(map(delay, shares))


def _print(cells: Sequence[tuple[str, float]], *found: Any) -> None:
    print(
        f"{'drift':14} {'strength':>8} {'ours':>6} {'columns':>8} {'share':>6}   median days to an alarm; - none in {HORIZON} days"
    )
    for kind, strength in cells:
        told = ["-" if days > HORIZON else f"{days:g}" for days in _cell(kind, strength, *found)]
        print(f"{kind:14} {strength:8.2f} {told[0]:>6} {told[1]:>8} {told[2]:>6}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quiet", type=int, default=20)
    parser.add_argument("--worlds", type=int, default=5)
    parser.add_argument("--only")
    given = parser.parse_args()
    main(given.quiet, given.worlds, given.only)
