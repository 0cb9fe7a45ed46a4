"""Two processes train as one does: the same losses, step by step, and the same weights in both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("accelerate")

SCRIPT = Path(__file__).with_name("parallel_training.py")


def test_two_processes_have_the_loss_curve_of_one(tmp_path: Path) -> None:
    from tests.fit.parallel_training import train

    root = SCRIPT.parents[2]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(SCRIPT), str(tmp_path)]
    subprocess.run(command, check=True, env=environment, cwd=root, timeout=200, capture_output=True)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1))
    alone, model = train()
    assert first["world"] == second["world"] == 2
    assert len(first["losses"]) == len(alone.losses) > 20
    assert first["losses"] == pytest.approx(alone.losses, abs=1e-3)
    assert first["norms"] == pytest.approx(alone.grad_norms, rel=1e-3)
    assert first["weights"] == second["weights"]
    assert first["weights"] == pytest.approx([float(one.double().sum()) for one in model.parameters()], abs=1e-3)
