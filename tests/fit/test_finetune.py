"""The training loop learns, repeats itself, and says when it goes astray."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.fit.finetune import BATCH_TOKENS, Diverged, Step, Training, batches_by_length, finetune, layer_rates, seeded

torch = pytest.importorskip("torch")

X = torch.tensor(np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32))
Y = (X[:, 0] > 0).long()


def small_model() -> torch.nn.Module:
    with seeded(1):
        return torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Dropout(0.1), torch.nn.Linear(16, 2))


def train(model: torch.nn.Module, *, epochs: int = 20, **others: object) -> list[float]:
    def loss(rows: np.ndarray) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(model(X[rows]).float(), Y[rows])

    watching = {name: others.pop(name) for name in ("on_step", "stop", "clock", "tokens_of") if name in others}
    training = Training(**({"lr": 1e-2, "epochs": epochs, "seed": 3} | others))
    return finetune(model, lambda rng: batches_by_length([1] * 64, rng, tokens=16), loss, training, **watching).epochs


@pytest.mark.parametrize("bf16", [False, True])
def test_the_loss_falls_and_the_model_ends_in_evaluation_mode(bf16: bool) -> None:
    model = small_model()
    losses = train(model, bf16=bf16)
    assert len(losses) == 20
    assert losses[-1] < 0.5 * losses[0]
    assert not model.training


def test_equal_arguments_give_equal_weights_and_leave_the_generator_of_torch_alone() -> None:
    first, second = small_model(), small_model()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(first)
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(3)
    train(second)
    assert all(torch.equal(one, other) for one, other in zip(first.parameters(), second.parameters(), strict=True))


def test_another_seed_gives_other_weights() -> None:
    first, second = small_model(), small_model()
    train(first, seed=3)
    train(second, seed=4)
    assert not torch.equal(first[0].weight, second[0].weight)


def test_parameters_of_rate_zero_stay_as_they_are() -> None:
    model = small_model()
    before = model[0].weight.clone()
    train(model, rate_of=lambda name: 0.0 if name.startswith("0.") else 1.0)
    assert torch.equal(before, model[0].weight)


def test_says_where_it_is_and_how_long_it_will_take() -> None:
    seen: list[Step] = []
    ticks = iter(range(1_000))
    train(small_model(), epochs=2, on_step=seen.append, tokens_of=len, clock=lambda: float(next(ticks)))
    assert [step.done for step in seen] == list(range(1, 9))
    assert {step.total for step in seen} == {8}
    assert seen[-1].left_s == 0.0
    assert seen[3].left_s == pytest.approx(4.0)  # four steps took four ticks, four are left
    assert seen[-1].tokens_per_s == pytest.approx(16.0)  # 128 rows of one token in eight ticks


def test_ends_early_when_told_to() -> None:
    assert len(train(small_model(), stop=lambda epoch, loss: epoch == 1)) == 2


def test_a_loss_that_is_not_a_number_says_what_to_try() -> None:
    model = small_model()
    training = Training(lr=5.0, epochs=1)
    with pytest.raises(Diverged, match=r"loss of step 1 is nan.*lower learning rate than 5"):
        finetune(model, lambda rng: [0], lambda batch: model[0].weight.sum() * math.nan, training)


def test_the_rate_rises_and_falls_in_straight_lines() -> None:
    from rungwise.fit.finetune import _share

    shares = [_share(step, 20, Training(lr=1.0, epochs=1, warmup=0.2)) for step in range(20)]
    assert shares[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert shares[4:] == pytest.approx([1 - place / 16 for place in range(16)])


def test_layers_learn_by_their_height() -> None:
    rate = layer_rates(6, frozen=2, decay=0.5, head=10.0)
    assert rate("bert.embeddings.word_embeddings.weight") == 0.0
    assert rate("bert.encoder.layer.1.output.dense.weight") == 0.0
    assert rate("bert.encoder.layer.5.output.dense.weight") == 1.0
    assert rate("bert.encoder.layer.3.output.dense.weight") == 0.25
    assert rate("qa_outputs.weight") == 10.0


@given(st.lists(st.integers(1, 600), max_size=200), st.integers(0, 9))
def test_every_row_is_in_one_batch_and_batches_keep_their_size(lengths: list[int], seed: int) -> None:
    batches = batches_by_length(lengths, np.random.default_rng(seed))
    assert sorted(int(row) for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(len(batch) * max(lengths[row] for row in batch) <= BATCH_TOKENS for batch in batches)
