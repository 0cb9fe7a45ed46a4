"""A training that was killed goes on, and ends in the weights that it would have had."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.finetune import Step, Trained, Training, batches_by_length, finetune, seeded

torch = pytest.importorskip("torch")

X = torch.tensor(np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32))
Y = (X[:, 0] > 0).long()


class Killed(Exception):
    """What stands for the end of the process."""


def small_model() -> torch.nn.Module:
    with seeded(1):
        return torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Dropout(0.3), torch.nn.Linear(16, 2))


def train(model: torch.nn.Module, folder: Path | None, *, killed_at: int | None = None, accumulate: int = 1) -> Trained:
    def loss(rows: np.ndarray) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(model(X[rows]).float(), Y[rows])

    def on_step(step: Step) -> None:
        if step.done == killed_at:
            raise Killed

    return finetune(
        model,
        lambda rng: batches_by_length([1] * 64, rng, tokens=16),
        loss,
        Training(lr=1e-2, epochs=4, seed=3, schedule="cosine", accumulate=accumulate),
        on_step=on_step,
        checkpoints=None if folder is None else Checkpoints(folder, key="this", every_s=0.0, clock=lambda: 0.0),
    )


@pytest.mark.parametrize("killed_at", [1, 3, 4, 5, 8, 15])
def test_ends_in_equal_weights_wherever_it_was_killed(tmp_path: Path, killed_at: int) -> None:
    whole, cut, again = small_model(), small_model(), small_model()
    expected = train(whole, None)
    with pytest.raises(Killed):
        train(cut, tmp_path, killed_at=killed_at)
    found = train(again, tmp_path)
    assert all(torch.equal(one, other) for one, other in zip(whole.parameters(), again.parameters(), strict=True))
    assert found.losses == expected.losses
    assert found.epochs == expected.epochs
    assert found.resumed == killed_at - 1  # the checkpoint of the step that it was killed after had not been written


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path) -> None:
    whole, again = small_model(), small_model()
    train(whole, None)
    with pytest.raises(Killed):
        train(small_model(), tmp_path, killed_at=9)
    newest = sorted(tmp_path.iterdir())[-1]
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    assert train(again, tmp_path).resumed == 7
    assert all(torch.equal(one, other) for one, other in zip(whole.parameters(), again.parameters(), strict=True))


def test_another_trainings_checkpoints_are_not_taken_up(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(small_model(), tmp_path, killed_at=9)
    assert Checkpoints(tmp_path, key="another", clock=lambda: 0.0).load() is None


def test_no_more_than_two_checkpoints_are_kept(tmp_path: Path) -> None:
    train(small_model(), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_batches_that_share_a_step_weigh_as_one(tmp_path: Path) -> None:
    one, four = small_model().eval(), small_model().eval()
    for layer in (one[2], four[2]):
        layer.p = 0.0
    train(one, None)
    apart = train(four, None, accumulate=2)
    assert len(apart.losses) == 8
    assert not torch.equal(one[0].weight, four[0].weight)  # half as many steps, each on twice the rows
