"""One budget, several processes, and kill -9 among them."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rungwise.data.meters import Meters
from rungwise.data.store import Store
from rungwise.engines.clock import SystemClock

WORKER = Path(__file__).with_name("limit_worker.py")


def start(state: Path, budget: float, bound: float, used: float, at_once: int, output: Path) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).resolve().parents[2])
    with output.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, str(WORKER), str(state), str(budget), str(bound), str(used), str(at_once)], stdout=file, cwd=root
        )


def spent(outputs: list[Path]) -> tuple[float, int]:
    """What was let in and settled, and how many processes came to the end of the budget."""
    lines = [line for path in outputs for line in path.read_text().splitlines()]
    return sum(float(line) for line in lines if line != "full"), lines.count("full")


def counted(state: Path) -> float:
    store = Store.open(state, clock=SystemClock())
    try:
        return Meters(store).used("key:k", SystemClock().now()).get("usd_per_month", 0.0)
    finally:
        store.close()


def test_four_processes_spend_one_budget_to_its_end_and_not_beyond(tmp_path: Path) -> None:
    outputs = [tmp_path / f"out{n}" for n in range(4)]
    Store.open(tmp_path / "state", clock=SystemClock()).close()
    workers = [start(tmp_path / "state", 1.0, 0.01, 0.01, 8, output) for output in outputs]
    assert [worker.wait(60) for worker in workers] == [0] * 4
    paid, full = spent(outputs)
    assert full == 4
    assert paid <= 1.0 + 1e-9
    assert counted(tmp_path / "state") == pytest.approx(paid, abs=1e-9)
    # what one of them had leased and did not need when another was refused is a few requests at most
    assert paid >= 0.9


def kill_and_start_again(tmp_path: Path, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    state, budget, bound, used = tmp_path / "state", 8.0 + 4 * kills, 0.01, 0.004
    Store.open(state, clock=SystemClock()).close()
    outputs = [tmp_path / f"out{n}" for n in range(kills + 3)]
    running = {output: start(state, budget, bound, used, 4, output) for output in outputs[:3]}
    in_the_act = 0
    for output in outputs[3:]:
        victim = rng.choice(list(running))
        worker = running.pop(victim)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and worker.poll() is None and victim.stat().st_size == 0:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.2))
        in_the_act += worker.poll() is None
        worker.kill()
        worker.wait()
        running[output] = start(state, budget, bound, used, 4, output)
    for worker in running.values():
        worker.wait(120)
    assert in_the_act > 0
    paid, full = spent(outputs)
    total = counted(state)
    assert full >= 1
    assert paid <= total + 1e-9  # nothing that was let in is forgotten
    assert total <= budget + 1e-9  # and no kill makes room that is not there
    assert total - paid <= kills * budget / 16  # nor takes away more than the longest lease


def test_a_kill_leaves_the_budget_on_the_safe_side(tmp_path: Path) -> None:
    kill_and_start_again(tmp_path, kills=3, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_many_kills_leave_the_budget_on_the_safe_side(tmp_path: Path, seed: int) -> None:
    kill_and_start_again(tmp_path, kills=8, seed=seed)
