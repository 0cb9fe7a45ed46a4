"""The loss of preferences, its gradients and a training with it are those of TRL's DPOTrainer."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rungwise.engines.fitted.files import Files
from rungwise.fit.dpo import DpoSettings, batches_of, dpo_loss, fit_dpo
from rungwise.fit.preferences import Preference
from tests.fit.small_decoder import WORDS, small_decoder

torch = pytest.importorskip("torch", reason="needs the extra 'local'")
pytest.importorskip("transformers", reason="needs the extra 'local'")
pytest.importorskip("trl", reason="needs the extra 'dev'")

SETTINGS = DpoSettings(
    technique="full",
    lr=1e-3,
    epochs=3,
    seed=5,
    warmup=0.0,
    floor=1.0,
    batch_pairs=4,
    held_out=0.0,
    beta=0.3,
    bf16=False,
    row_tokens=64,
)


@pytest.fixture(autouse=True)
def _others_may_warn() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def some_pairs(count: int) -> list[Preference]:
    rng = np.random.default_rng(1)
    draw = lambda low, high: " ".join(rng.choice(WORDS, size=rng.integers(low, high)))  # noqa: E731
    return [Preference(draw(2, 9), draw(1, 12), draw(1, 12)) for _ in range(count)]


def trl_trainer(base: Files, pairs: list[Preference], folder: Path, settings: DpoSettings, *, precompute: bool) -> Any:
    """TRL's trainer on the same pairs in the given order, one step for each batch."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    from rungwise.engines.fitted.models import CAUSAL, load_model, load_tokenizer

    tokenizer = load_tokenizer(base)
    tokenizer.chat_template = None
    rows = [{"prompt": f"{one.prompt} ", "chosen": one.chosen, "rejected": one.rejected} for one in pairs]
    config = DPOConfig(
        output_dir=str(folder),
        per_device_train_batch_size=settings.batch_pairs,
        num_train_epochs=1,
        learning_rate=settings.lr,
        lr_scheduler_type="constant",
        beta=settings.beta,
        max_grad_norm=settings.clip,
        weight_decay=0.0,
        logging_steps=1,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        train_sampling_strategy="sequential",
        precompute_ref_log_probs=precompute,
        disable_tqdm=True,
    )
    model = load_model(base, CAUSAL)
    return DPOTrainer(
        model=model,
        ref_model=load_model(base, CAUSAL),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )


@pytest.mark.parametrize("precompute", [False, True])
def test_twelve_steps_have_the_losses_and_end_in_the_weights_of_trl(tmp_path: Path, precompute: bool) -> None:
    base, pairs = small_decoder(), some_pairs(16)
    found = fit_dpo(pairs, base, SETTINGS)
    rng = np.random.default_rng(SETTINGS.seed)
    orders = [batch for _ in range(SETTINGS.epochs) for batch in batches_of(np.arange(16), rng, SETTINGS.batch_pairs)]
    trainer = trl_trainer(base, [pairs[row] for rows in orders for row in rows], tmp_path, SETTINGS, precompute=precompute)
    trainer.train()
    theirs = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(theirs) == 12
    np.testing.assert_allclose(found.trained.losses, theirs, rtol=0, atol=1e-5)
    assert found.trained.losses[-1] < 0.6 * found.trained.losses[0]
    from rungwise.engines.fitted.models import CAUSAL, load_model

    for ours, other in zip(load_model(found.files, CAUSAL).parameters(), trainer.model.parameters(), strict=True):
        torch.testing.assert_close(ours, other, rtol=0, atol=1e-4)


def test_the_gradients_of_one_batch_are_those_of_trl(tmp_path: Path) -> None:
    from rungwise.engines.fitted.chat import Chat
    from rungwise.engines.fitted.models import CAUSAL, load_model
    from rungwise.fit.paired_rows import answer_log_probabilities, encoded, paired_rows

    base, pairs = small_decoder(), some_pairs(4)
    trainer = trl_trainer(base, pairs, tmp_path, SETTINGS, precompute=False)
    shift = load_model(small_decoder(seed=1), CAUSAL).state_dict()  # away from the reference, where the margins are not 0
    ours = load_model(base, CAUSAL)
    for model in (ours, trainer.model):
        model.load_state_dict(shift)
    (batch,) = list(trainer.get_train_dataloader())
    theirs = trainer.compute_loss(trainer.model, batch)
    theirs.backward()
    rows = paired_rows([encoded(pair, Chat(base)) for pair in pairs], 64)
    with torch.no_grad():
        reference = answer_log_probabilities(load_model(base, CAUSAL), rows)
    loss = dpo_loss(answer_log_probabilities(ours, rows), reference, beta=SETTINGS.beta)
    loss.backward()
    assert abs(float(loss) - float(theirs)) < 1e-5
    assert abs(float(loss) - float(np.log(2))) > 1e-2
    for (name, one), other in zip(ours.named_parameters(), trainer.model.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=0, atol=1e-5, msg=name)
