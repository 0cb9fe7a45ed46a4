"""A released project with two variants and weeks of answers, costs and outcomes, drawn by a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

from rungwise.core.content import Usage
from rungwise.core.feedback import Feedback
from rungwise.core.reading import DAY_S
from rungwise.core.release import Release, Variant
from rungwise.core.trace import Trace, new_trace_id
from rungwise.data.feedback import Judgements
from rungwise.data.judging import about
from rungwise.data.store import Store
from rungwise.release.registry import Releases
from tests.data.judged import write


def release(store: Store, names: Sequence[tuple[str, str]], *, at: float, evidence: tuple[str, ...] = ()) -> Release:
    """Make variants (name, candidate) live, with equal shares."""
    variants = tuple(Variant(name=name, candidate=id, weight=1 / len(names)) for name, id in names)
    made = Release(use_case="u" * 64, variants=variants, evidence=evidence, salt="s", at=at)
    Releases(store).put(made)
    return made


def answered(at: float, rng: random.Random, **more: object) -> Trace:
    """A trace as a server writes it."""
    usd = float(more.pop("usd", 0.001))  # type: ignore[arg-type]
    usage = Usage(10, 5, calls=1, usd=usd, seconds=0.2)
    return Trace(id=new_trace_id(at, rng.randbytes(10)), at=at, seconds=0.2, asked="p", usage=usage, **more)  # type: ignore[arg-type]


def judged(store: Store, pairs: Sequence[tuple[Trace, Feedback]]) -> None:
    """Keep feedback as the endpoint does."""
    Judgements(store).add([(feedback, about(trace, feedback)) for trace, feedback in pairs])


def month(store: Store, made: Release, *, first: int, days: int, users: int = 80, a_day: int = 120, seed: int = 0) -> list[Trace]:
    """Days of traffic with quiet weekends; users keep their variant, and those of the second bring more."""
    rng = random.Random(seed)
    traces, said = [], []
    for day in range(first, first + days):
        quiet = 0.5 if (day + 3) % 7 >= 5 else 1.0
        for _ in range(int(a_day * quiet * rng.lognormvariate(0, 0.12))):
            user = int(users * rng.random() ** 1.5)
            variant = made.variants[user % len(made.variants)]
            usd = rng.lognormvariate(-6.0, 0.6) * (1.4 if variant is made.variants[-1] else 1.0)
            at = (day + rng.random()) * DAY_S
            named = {"user": f"user{user}", "tenant": f"team{user % 3}", "variant": variant.name, "candidate": variant.candidate}
            trace = answered(at, rng, usd=usd, release=made.id, tags={"team": f"t{user % 4}"}, **named)
            traces.append(trace)
            if rng.random() < (0.05 if variant is made.variants[0] else 0.08):
                value = round(rng.lognormvariate(0.5, 0.8), 2)
                said.append(
                    (trace, Feedback(trace=trace.id, source="business", at=at + 3600, outcome="converted", value_usd=value))
                )
            if rng.random() < 0.1:
                shadow = answered(at, rng, usd=usd / 2, release=made.id, candidate="5" * 64, shadow_of=trace.id)
                traces.append(shadow)
    write(store, traces)
    judged(store, said)
    return traces
