"""The benchmark of the bounds, scaled down: its verdict is computed, and can be no."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "bounds.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = spec_from_file_location("bounds_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["bounds_benchmark"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_every_deciding_bound_covers_in_every_cell(script: ModuleType) -> None:
    cells = script.deciding(800, sizes=(20, 200), rates=(0.02, 0.5, 0.9))
    assert {cell.kind for cell in cells} == {"0-1", "scores", "groups", "micro F1"}
    assert [cell for cell in cells if cell.failed] == []
    # and none is absurdly wide: at n = 200 and 5 % the truth is within 0.09 of the bound
    assert max(cell.room for cell in cells if cell.n == 200 and cell.level == 0.05) < 0.09


def test_a_bound_that_misses_too_often_fails_its_cell(script: ModuleType) -> None:
    cell = script.Cell("scores", "low", 0.05, 200, 0.5, 0.05, 1000, 0.05)
    assert not cell.failed
    assert replace(cell, miss_rate=0.07).failed  # 70 of 1,000 at 5 %: one time in 400
    assert replace(cell, miss_rate=0.0501, draws=0).failed  # enumerated: no tolerance


def test_approximate_bounds_stay_near_their_level(script: ModuleType) -> None:
    cells = [
        cell
        for level in (0.05,)
        for cell in script.corpus_cells("macro_f1", 5, 300, 0.9, level, 120, script.np.random.default_rng(0))
    ]
    assert all(cell.miss_rate < 0.13 for cell in cells)
    assert all(cell.room < 0.06 for cell in cells)


@pytest.mark.slow
def test_the_script_prints_one_json_line_with_its_claim() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1])["met"] is True
