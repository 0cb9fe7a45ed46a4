"""A small training as one of several processes runs it: `torchrun --nproc-per-node 2 tests/fit/parallel_training.py OUT`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

from rungwise.fit.finetune import Trained, Training, batches_by_length, finetune, seeded
from rungwise.fit.parallel import ALONE, Parallel, joined

X = torch.tensor(np.random.default_rng(0).normal(size=(96, 8)).astype(np.float32))
Y = (X[:, 0] > 0).long()


def train(parallel: Parallel = ALONE) -> tuple[Trained, torch.nn.Module]:
    """Steps of four batches that weigh as many rows as they hold."""
    with seeded(1):
        model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))

    def loss(rows: np.ndarray) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(model(X[rows]).float(), Y[rows])

    trained = finetune(
        model,
        lambda rng: batches_by_length(rng.integers(1, 5, 96), rng, tokens=24),
        loss,
        Training(lr=1e-2, epochs=8, seed=3, accumulate=4, bf16=False),
        weight_of=len,
        parallel=parallel,
    )
    return trained, model


def main(out: Path) -> None:
    """Train with the others and write what the first process saw."""
    parallel = joined(cpu=True)
    trained, model = train(parallel)
    weights = [float(one.double().sum()) for one in model.parameters()]
    found = {"world": parallel.world, "losses": trained.losses, "norms": trained.grad_norms, "weights": weights}
    (out / f"{parallel.rank}.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
