"""A model learns what is preferred, keeps its best epoch, goes on after a kill, and says how far it went."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rungwise.core.errors import CannotFit, UsageError
from rungwise.engines.fitted.adapters import ADAPTER, ADAPTER_CONFIG, merged
from rungwise.engines.fitted.models import CAUSAL, TEMPLATE, load_model
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.dpo import DpoSettings, dpo_loss, fit_dpo
from rungwise.fit.finetune import Step
from rungwise.fit.fit import Fit
from rungwise.fit.preferences import Preference
from tests.fit.small_decoder import WORDS, small_decoder

torch = pytest.importorskip("torch", reason="needs the extra 'local'")
pytest.importorskip("transformers", reason="needs the extra 'local'")
pytest.importorskip("peft", reason="needs the extra 'train'")

SETTINGS = DpoSettings(technique="full", lr=3e-3, epochs=3, seed=1, batch_pairs=8, row_tokens=64, held_out=0.25, bf16=False)
BASE = small_decoder()


def polite(count: int = 60) -> list[Preference]:
    """Answers that say please are preferred to answers that say no."""
    rng = np.random.default_rng(0)
    found = []
    for place in range(count):
        words = " ".join(rng.choice(WORDS[:40], size=3))
        found.append(
            Preference(words, f"{rng.choice(WORDS[:40])} please thanks", f"{rng.choice(WORDS[:40])} no no", 1.0, (f"r{place}",))
        )
    return found


@pytest.fixture(scope="module")
def fitted() -> Fit:
    return fit_dpo(polite(), BASE, SETTINGS)


def test_held_out_answers_that_are_preferred_become_the_likelier_ones(fitted: Fit) -> None:
    told = fitted.told
    assert told["pairs"] + told["held_pairs"] == 60
    assert told["accuracy_before"] < 0.9
    assert told["accuracy_after"] == told["preferred"] == 1.0
    assert told["margin"] > 0.5
    assert told["loss"] < math.log(2)
    assert 0.01 < told["kl"] < 10
    assert told["kept_epoch"] == 3


def test_the_files_are_a_whole_model_that_renders_as_it_was_fitted(fitted: Fit) -> None:
    assert fitted.files[TEMPLATE] == BASE[TEMPLATE]
    assert set(BASE) <= set(fitted.files)
    other = load_model(fitted.files, CAUSAL).state_dict()
    assert any(not torch.equal(one, other[name]) for name, one in load_model(BASE, CAUSAL).state_dict().items())


def test_equal_arguments_give_equal_bytes(fitted: Fit) -> None:
    assert fit_dpo(polite(), BASE, SETTINGS).files == fitted.files


def test_an_adapter_learns_alone_and_is_a_peft_folder() -> None:
    found = fit_dpo(polite(), BASE, replace(SETTINGS, technique="lora", rank=4, alpha=8, lr=2e-2), base_name="the/base")
    assert set(found.files) == {ADAPTER, ADAPTER_CONFIG, TEMPLATE}
    assert b'"the/base"' in found.files[ADAPTER_CONFIG]
    assert found.told["preferred"] == 1.0
    assert found.told["trained_parameters"] < 0.5 * found.told["parameters"]
    whole = merged(load_model(BASE, CAUSAL), found.files)
    assert not torch.equal(whole.model.layers[0].mlp.up_proj.weight, load_model(BASE, CAUSAL).model.layers[0].mlp.up_proj.weight)


def test_a_training_that_only_makes_it_worse_keeps_the_base() -> None:
    right = polite()
    asked = {pair.asked for pair in right}
    assert len(asked) == 60
    # The rows that will be held out say the opposite of those that are learned.
    held = fit_dpo(right, BASE, replace(SETTINGS, epochs=1)).told["held_pairs"]
    from rungwise.fit.dpo import _split

    _, apart = _split([pair.asked for pair in right], SETTINGS)
    assert len(apart) == held
    turned = [Preference(p.prompt, p.rejected, p.chosen) if place in set(apart.tolist()) else p for place, p in enumerate(right)]
    found = fit_dpo(turned, BASE, SETTINGS)
    assert found.told["kept_epoch"] == 0
    assert len(found.trained.epochs) == 1  # patience
    assert found.told["kl"] == pytest.approx(0, abs=1e-9)
    base = load_model(BASE, CAUSAL).state_dict()
    assert all(torch.equal(one, base[name]) for name, one in load_model(found.files, CAUSAL).state_dict().items())


def test_ends_in_equal_weights_after_a_kill(tmp_path: Path, fitted: Fit) -> None:
    class Killed(Exception):
        """What stands for the end of the process."""

    def on_step(step: Step) -> None:
        if step.done == 8:
            raise Killed

    checkpoints = lambda: Checkpoints(tmp_path, key="this", every_s=0.0, clock=lambda: 0.0)  # noqa: E731
    with pytest.raises(Killed):
        fit_dpo(polite(), BASE, SETTINGS, on_step=on_step, checkpoints=checkpoints())
    again = fit_dpo(polite(), BASE, SETTINGS, checkpoints=checkpoints())
    assert again.trained.resumed == 7
    assert again.files == fitted.files
    assert again.told["accuracy_before"] == fitted.told["accuracy_before"]


def test_pairs_that_are_too_long_are_counted_and_left_out() -> None:
    long = Preference("w1", " ".join(["w2"] * 60), "no")
    assert fit_dpo([*polite(20), long], BASE, replace(SETTINGS, epochs=1, max_tokens=50)).told["too_long"] == 1


def test_prompts_stand_on_one_side_only_and_without_held_out_pairs_the_last_epoch_is_kept() -> None:
    from rungwise.fit.dpo import _split

    asked = [str(place // 5) for place in range(50)]
    kept, held = _split(asked, replace(SETTINGS, held_out=0.2))
    assert {asked[row] for row in kept}.isdisjoint({asked[row] for row in held})
    assert len(held) == 10
    found = fit_dpo(polite(16), BASE, replace(SETTINGS, epochs=2, held_out=0.0))
    assert found.told["kept_epoch"] == 2
    assert "accuracy_after" not in found.told


def test_another_reference_is_stayed_near_to() -> None:
    found = fit_dpo(polite(), BASE, replace(SETTINGS, epochs=1), reference=small_decoder(seed=9))
    assert found.trained.losses[0] != pytest.approx(math.log(2), abs=1e-4)


def test_pairs_weigh_as_often_as_their_weight_says() -> None:
    logs, reference = torch.randn(2, 4), torch.randn(2, 4)
    weights = torch.tensor([2.0, 1.0, 0.0, 1.0])
    again = [0, 0, 1, 3]
    expected = dpo_loss(logs[:, again], reference[:, again], beta=0.2)
    torch.testing.assert_close(dpo_loss(logs, reference, beta=0.2, weights=weights), expected)


def test_smoothing_is_the_mean_over_pairs_of_which_some_are_turned_round() -> None:
    logs, reference = torch.randn(2, 4), torch.randn(2, 4)
    expected = 0.9 * dpo_loss(logs, reference, beta=0.2) + 0.1 * dpo_loss(logs.flip(0), reference.flip(0), beta=0.2)
    torch.testing.assert_close(dpo_loss(logs, reference, beta=0.2, smoothing=0.1), expected)


def test_dropout_is_off_in_attention_too() -> None:
    trained = fit_dpo(polite(), small_decoder(attention_dropout=0.5), SETTINGS).trained
    assert trained.losses[0] == pytest.approx(math.log(2), abs=1e-5)  # as model and reference answer alike before the first step


def test_too_few_pairs_say_how_many_are_needed() -> None:
    with pytest.raises(CannotFit, match="needs 8 pairs, and there are 7 of at most 128 tokens, of 7 in all"):
        fit_dpo(polite(7), BASE, SETTINGS)


@pytest.mark.parametrize("wrong", [{"beta": 0.0}, {"smoothing": 0.5}, {"held_out": 1.0}, {"batch_pairs": 0}, {"accumulate": 0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        fit_dpo(polite(), BASE, replace(SETTINGS, **wrong))
