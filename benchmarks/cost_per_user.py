"""Cost per user over a million traces: exact to the cent against adding each up in exact fractions, and the seconds that it takes.

A million traces of 10,000 users over 30 days, in the files of two workers, as `benchmarks.trace_store` writes them. The bill is
the product's own (`watch/money/bill.py`, what `rungwise value` shows); the peer adds up the very numbers that were written, as
fractions, trace by trace, and rounds once.

Run: python -m benchmarks.cost_per_user [TRACES]
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.trace_store import BEGIN, SPAN_S, TRACES, a_trace
from rungwise.core.usecase import UseCase
from rungwise.core.watching import Watching
from rungwise.data.store import Store
from rungwise.data.traces.file import FOLDER, TraceFile
from rungwise.data.traces.writer import GROUP
from rungwise.engines.clock import SystemClock
from rungwise.watch.money.bill import Bill, Line, bill, lines
from rungwise.watch.money.days import day_costs
from rungwise.watch.value.account import FIELDS, account

RUNS = 3
CENT = Fraction(1, 100)


def filled(store: Store, total: int) -> dict[str, Fraction]:
    """Write the traces; what each user's cost, exactly."""
    rng, exact = random.Random(2), defaultdict[str, Fraction](Fraction)
    sinks = [TraceFile(store.directory / FOLDER, worker=number) for number in range(2)]
    for start in range(0, total, GROUP):
        group = [a_trace(number, rng, total) for number in range(start, min(total, start + GROUP))]
        for trace in group:
            exact[str(trace.user)] += Fraction(trace.usage.usd)
        sink = sinks[rng.randrange(2)]
        sink.write(group)
        sink.tidy()
    for sink in sinks:
        sink.close()
    return exact


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """(median seconds of the runs, what the last one gave)."""
    took, found = [], None
    for _ in range(RUNS):
        began = time.perf_counter()
        found = work()
        took.append(time.perf_counter() - began)
    return median(took), found


def differing(found: list[Line], exact: dict[str, Fraction]) -> tuple[int, float]:
    """(users whose cents differ, the largest difference in USD)."""
    own = {str(one.value): one.usd for one in found}
    assert own.keys() == exact.keys()
    wrong = sum(round(Fraction(own[user]) / CENT) != round(usd / CENT) for user, usd in exact.items())
    return wrong, max(float(abs(Fraction(own[user]) - usd)) for user, usd in exact.items())


def main(total: int) -> None:
    """Print the table and a line of JSON."""
    case, watching = UseCase(name="p", task="classify"), Watching()
    until = BEGIN + SPAN_S + 1
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder), clock=SystemClock())
        exact = filled(store, total)

        def make() -> Bill:
            return bill(store, case, watching, (), since=BEGIN, until=until)

        whole_s, whole = timed(make)
        users_s, users = timed(lambda: lines(store, replace(whole, sums={}), "user"))
        wrong, off = differing(users, exact)
        first, last = int(BEGIN // 86_400), int(until // 86_400)
        days_s, days = timed(lambda: day_costs(store, first, last, today=last))
        total_off = float(abs(Fraction(whole.usd) - sum(exact.values())))
        days_off = float(abs(Fraction(sum(one.usd for one in days)) - sum(exact.values())))
        account_s, _ = timed(lambda: account(store, case, watching, until, days=31, fields=FIELDS))
        store.close()
    print(f"{total:,} traces of {len(exact):,} users, {whole.usd:,.2f} USD, SQLite; medians of {RUNS} runs")
    print(f"  the bill of all             {whole_s:6.2f} s   off by {total_off:.1e} USD")
    print(f"  the bill by user            {users_s:6.2f} s   {wrong} users off by a cent, the furthest {off:.1e} USD")
    print(f"  the bill by day             {days_s:6.2f} s   off by {days_off:.1e} USD")
    print(f"  everything of the account   {account_s:6.2f} s")
    figures = {"traces": total, "users": len(exact), "wrong_cents": wrong, "furthest_usd": off, "by_user_s": round(users_s, 3)}
    print(json.dumps({**figures, "bill_s": round(whole_s, 3), "days_s": round(days_s, 3), "account_s": round(account_s, 3)}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else TRACES)
