"""Re-climbs in simulated worlds whose truth is known: how often the right thing is done, and how often a worse release is promoted.

Each run is a whole ring with the product's own verbs: a climb on 530 support tickets of simulated users, a release, a week of
traffic that it answers itself, random reviews by a person who errs on 2 % of the items, late labels, and a re-climb that is gone
on with every day until it is settled: new rows, climb, gates, shadow, contest on live traffic, promotion or nothing. Then both
candidates answer 800 further requests of the present traffic, whose right answers are known. Kinds of worlds: two new intents
take a third of the traffic; all questions come in slang and haste; a sentence encoder answers, chosen when there were too
few rows for the linear model, which has more now; nothing is wrong. Targets are such that who answers misses them by several
points in the first two kinds, and meets them clearly in the others. A world in which the first climb finds nobody is drawn again.

Right is a promotion in the first three kinds and none in the last. 'Worse' is a promoted candidate that is truly more than the
margin (0.05; 0.1 for the cheaper rung) worse than the one before, or misses the target that the one before meets.

    python -m benchmarks.reclimb_journeys                      # 100 runs of each kind, in two processes
    python -m benchmarks.reclimb_journeys 5 --only wording     # a quick look
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from scipy import stats

RUNS, MARGIN, JUDGED, MOST_DAYS, DRAWS = 100, 0.05, 800, 35, 8


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of world: what drifts from the first day on, on how many rows it begins, and up to which rung its climbs go. `share`
    of the runs are made of it: those with a sentence encoder take long."""

    name: str
    drift: str | None
    strength: float
    right: str
    target: float
    rows: int = 530
    until: str = "classical"
    watched_days: int = 7
    reviewed: int = 40
    labelled: float = 0.6
    share: float = 1.0
    margin: float = MARGIN


KINDS = (
    Kind(name="new intents appear", drift="new_intents", strength=0.33, right="promoted", target=0.64),
    Kind(name="wording shifts", drift="language", strength=1.0, right="promoted", target=0.66, watched_days=8, labelled=0.8),
    Kind(
        name="a cheaper rung becomes enough",
        drift=None,
        strength=0.0,
        right="promoted",
        target=0.74,
        rows=400,
        until="head",
        share=0.2,
        margin=0.1,  # a few hundred judged answers can show this
    ),
    Kind(name="nothing is wrong", drift=None, strength=0.0, right="nothing", target=0.62),
)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What became of one world, and how good who answered before and who answers now truly are."""

    kind: str
    seed: int
    state: str
    why: str
    before: float
    after: float
    days: int
    seconds: float

    def worse(self, kind: Kind) -> bool:
        """Whether a worse release was promoted."""
        missed = self.before >= kind.target > self.after
        return self.state == "promoted" and (self.after < self.before - kind.margin or missed)


def run(kind: Kind, seed: int) -> Run:
    """One world from its first climb to the end of its re-climb; another one is drawn where the first climb chooses nobody."""
    from rungwise.core.errors import UsageError

    began, why = time.perf_counter(), ""
    for world in range(seed * DRAWS, (seed + 1) * DRAWS):
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
            try:
                filling = _begun(Path(folder), kind, world)
            except UsageError as error:
                why = str(error)
                continue
            with filling:
                found, before, after = _ring(filling, kind)
                return Run(
                    kind=kind.name,
                    seed=seed,
                    state=found.state,
                    why=found.why or found.waits_for,
                    before=before,
                    after=after,
                    days=filling.next,
                    seconds=time.perf_counter() - began,
                )
    raise SystemExit(f"no world of '{kind.name}' began with seed {seed}: {why}")


def _begun(folder: Path, kind: Kind, seed: int) -> Any:
    """The project of a world, with its first release. Raises UsageError where its climb chooses nobody."""
    from examples.traffic.filling import begun
    from examples.traffic.people import Voices
    from examples.traffic.pools import FEW_FRESH, FEW_INTENTS, support_pool
    from examples.traffic.simulator import Drift, World

    world = World(
        seed=seed,
        texts=in_slang(support_pool().only(FEW_INTENTS, fresh=FEW_FRESH)),
        requests_per_day=90,
        users=60,
        voices=Voices(labelled=kind.labelled, delay_days=1.0, slow=2.0, outcomes=0.0, thumbs=0.02),
    )
    drifts = [Drift(kind=kind.drift, start=0, strength=kind.strength)] if kind.drift is not None else []
    sections = {
        "serve": {"contest": {"metric": "correct"}},
        "watch": {
            "review": {"per_day": kind.reviewed, "uncertain_per_day": 0},
            "reclimb": {"shadow_requests": 40, "contest_share": 0.5, "margin": kind.margin},
        },
    }
    target = f"accuracy={kind.target}"
    return begun(folder, world, drifts, rows=kind.rows, target=target, until=kind.until, sections=sections)


def in_slang(pool: Any) -> Any:
    """A pool whose other language is its own texts in slang and great haste: the rewording of `wording`, twelve times over."""
    import dataclasses

    import numpy as np

    from examples.traffic.wording import reworded

    rng, said = np.random.default_rng(5), dict[str, list[str]]()
    for n in np.flatnonzero(~pool.past):
        text = str(pool.text[n])
        for _ in range(12):
            text = reworded(text, rng)
        said.setdefault(pool.label[n], []).append(text)
    return dataclasses.replace(pool, foreign=said)


def _ring(filling: Any, kind: Kind) -> tuple[Any, float, float]:
    """Days of traffic and reviews, then the re-climb until it is settled; the true quality before and after it."""
    from examples.traffic.people import Reviewer
    from rungwise.release.registry import Releases
    from rungwise.watch.look import scene_of
    from rungwise.watch.review.queue import fill

    ana, found = Reviewer(name="ana", error=0.02), None
    first = Releases(filling.store).live()
    while filling.next < MOST_DAYS:
        number = filling.day().number
        fill(scene_of(filling.store, filling.project.directory, filling.clock, number))
        if filling.next >= kind.watched_days:  # the week's reviews are made at once, which is quicker
            filling.review(ana)
            filling.clock.at += 700.0  # until then a verdict can be taken back
            because = kind.name if found is None else None
            found = filling.project.reclimbs.advance(because, until=kind.until, report=False)
            if found.settled:
                break
    last = Releases(filling.store).live()
    assert found is not None
    assert first is not None
    assert last is not None
    before = true_quality(filling, first)
    return found, before, before if last.id == first.id else true_quality(filling, last)


def true_quality(filling: Any, release: Any) -> float:
    """The share of right answers of a release's one candidate to requests of the present traffic that nobody asked yet."""
    from examples.traffic.simulator import Arm, simulate

    answering = filling.live.answering(release, max(release.variants, key=lambda one: one.weight).candidate)
    right = asked = 0
    day = 1_000
    while asked < JUDGED:
        found = simulate(filling.world, day, filling.drifts, arms=(Arm(answering=answering),))
        right, asked, day = right + int(found.correct.sum()), asked + int((~found.traffic.failed).sum()), day + 1
    return right / asked


def interval(count: int, of: int) -> tuple[float, float]:
    """Clopper-Pearson, 95 %."""
    low = stats.beta.ppf(0.025, count, of - count + 1) if count else 0.0
    high = stats.beta.ppf(0.975, count + 1, of - count) if count < of else 1.0
    return float(low), float(high)


def summary(kind: Kind, runs: Sequence[Run]) -> Mapping[str, Any]:
    """The counts of a kind."""
    states = Counter(one.state for one in runs)
    right, worse = states[kind.right], sum(one.worse(kind) for one in runs)
    return {
        "kind": kind.name,
        "runs": len(runs),
        "margin": kind.margin,
        "right": right,
        "right_interval": [round(one, 3) for one in interval(right, len(runs))],
        "worse": worse,
        "worse_interval": [round(one, 3) for one in interval(worse, len(runs))],
        "states": dict(states),
        "before": round(sum(one.before for one in runs) / len(runs), 3),
        "after": round(sum(one.after for one in runs) / len(runs), 3),
        "days": sorted(one.days for one in runs)[len(runs) // 2],
    }


def main(count: int = RUNS, *, only: str | None = None, processes: int = 2, first: int = 0) -> None:
    """Print the table, what went another way, and the figures."""
    began = time.perf_counter()
    kinds = [kind for kind in KINDS if only is None or only in kind.name]
    jobs = [(kind, seed) for kind in kinds for seed in range(first, first + math.ceil(count * kind.share))]
    jobs.sort(key=lambda job: job[1])
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        runs = list(pool.map(run, *zip(*jobs, strict=True)))
    print(f"{'kind':32} {'runs':>5} {'right':>6} {'95 %':>15} {'worse':>6} {'95 %':>15} {'before':>7} {'after':>7} {'days':>5}")
    found = []
    for kind in kinds:
        one = summary(kind, [each for each in runs if each.kind == kind.name])
        found.append(one)
        ranges = ["{:.3f} to {:.3f}".format(*one[name]) for name in ("right_interval", "worse_interval")]
        print(
            f"{one['kind']:32} {one['runs']:5} {one['right']:6} {ranges[0]:>15} {one['worse']:6} {ranges[1]:>15} "
            f"{one['before']:7.3f} {one['after']:7.3f} {one['days']:5}"
        )
    print("before, after: the true share of right answers on the present traffic; days: median, until settled")
    for made in runs:
        kind = next(each for each in kinds if each.name == made.kind)
        if made.state != kind.right or made.worse(kind):
            figures = f"{made.state} after {made.days} days ({made.before:.3f}, {made.after:.3f})"
            print(f"  {made.kind}, seed {made.seed}: {figures}: {made.why[:160]}")
    print(json.dumps({"kinds": found, "seconds": round(time.perf_counter() - began, 1)}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int, nargs="?", default=RUNS)
    parser.add_argument("--only")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    main(given.count, only=given.only, processes=given.processes, first=given.first)
