"""A model goes on reading: better on the new texts, and with replay not much worse on the general ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rungwise.core.errors import CannotFit, UsageError
from rungwise.engines.fitted.models import CONFIG, TOKENIZER, WEIGHTS
from rungwise.fit.continued import ContinuedSettings, fit_continued
from rungwise.fit.fit import Fit
from rungwise.fit.scaling import Plan
from rungwise.fit.scratch import fit_scratch

pytest.importorskip("torch")

GENERAL = [
    "".join(f"the {one} is {two} and the {two} is old. " for one in ("cat", "dog", "cow") for two in ("red", "big", "wet"))
] * 6
NEW = ["".join(f"{n} + {m} = {n + m}; " for n in range(10) for m in range(10))] * 4
SETTINGS = ContinuedSettings(lr=3e-3, passes=3, context=16, batch=8, rounds=2, replay=0.25)


@pytest.fixture(scope="module")
def first() -> Fit:
    plan = Plan(width=32, layers=2, heads=2, inner=64, context=16, batch=8, steps=100, rounds=2, vocabulary=300, lr=1e-2)
    return fit_scratch(GENERAL, plan)


@pytest.fixture(scope="module")
def replayed(first: Fit) -> Fit:
    return fit_continued(first.files, NEW, SETTINGS, general=GENERAL)


def test_new_texts_are_learned_and_both_losses_are_told(replayed: Fit) -> None:
    told = replayed.told
    assert told["held_out_loss_after"] < 0.7 * told["held_out_loss_before"]
    assert {"general_loss_before", "general_loss_after"} <= set(told)


def test_replay_keeps_what_was_known(first: Fit, replayed: Fit) -> None:
    alone = fit_continued(first.files, NEW, replace(SETTINGS, replay=0.0), general=GENERAL).told
    assert alone["general_loss_after"] > replayed.told["general_loss_after"] + 0.2
    assert alone["general_loss_before"] == replayed.told["general_loss_before"]


def test_the_tokenizer_and_the_shape_stay(first: Fit, replayed: Fit) -> None:
    assert replayed.files[TOKENIZER] == first.files[TOKENIZER]
    assert replayed.files[CONFIG] == first.files[CONFIG]
    assert replayed.files[WEIGHTS] != first.files[WEIGHTS]


def test_equal_settings_give_equal_bytes(first: Fit, replayed: Fit) -> None:
    assert fit_continued(first.files, NEW, SETTINGS, general=GENERAL).files == replayed.files


def test_replay_without_general_texts_is_told(first: Fit) -> None:
    with pytest.raises(UsageError, match="replay needs general texts"):
        fit_continued(first.files, NEW, SETTINGS)


def test_a_share_that_leaves_nothing_new_is_told(first: Fit) -> None:
    with pytest.raises(UsageError, match="from 0 to below 1, not 1"):
        fit_continued(first.files, NEW, replace(SETTINGS, replay=1.0), general=GENERAL)


def test_too_little_new_text_is_told(first: Fit) -> None:
    with pytest.raises(CannotFit, match="a block needs 17"):
        fit_continued(first.files, ["short"], SETTINGS, general=GENERAL)
