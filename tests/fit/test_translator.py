"""A translator from nothing but pairs: it learns them, speaks in plain transformers, and is the same every time."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rungwise.core.errors import BadData, CannotFit
from rungwise.engines.fitted.models import SEQ2SEQ, WEIGHTS, load_model, load_tokenizer
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.finetune import Step
from rungwise.fit.fit import Fit
from rungwise.fit.translator import TranslatorPlan, fit_translator, hold_out_sources, plan_translator

torch = pytest.importorskip("torch")

WORDS = {"one": "uno", "two": "dos", "three": "tres", "red": "rojo", "blue": "azul", "cat": "gato", "dog": "perro", "and": "y"}
PAIRS = [
    (f"{a} {b} {c}", f"{WORDS[a]} {WORDS[b]} {WORDS[c]}")
    for a, b, c in itertools.product(list(WORDS)[:6], list(WORDS)[2:8], list(WORDS))
]
TINY = TranslatorPlan(
    width=32,
    encoder_layers=1,
    decoder_layers=1,
    heads=2,
    inner=64,
    vocabulary=300,
    max_tokens=16,
    batch_tokens=512,
    steps=300,
    lr=1e-2,
    dropout=0.0,
    rounds=3,
)


@pytest.fixture(scope="module")
def fitted() -> Fit:
    return fit_translator(PAIRS, TINY)


def test_translates_what_it_has_not_seen_word_by_word(fitted: Fit) -> None:
    model, tokenizer = load_model(fitted.files, SEQ2SEQ), load_tokenizer(fitted.files)
    _, held = hold_out_sources(PAIRS, TINY.held_out, seed=TINY.seed)
    asked = tokenizer([PAIRS[row][0] for row in held], return_tensors="pt", padding=True)
    given = model.generate(
        input_ids=asked["input_ids"], attention_mask=asked["attention_mask"], max_new_tokens=14, do_sample=False, num_beams=1
    )
    said = tokenizer.batch_decode(given, skip_special_tokens=True)
    right = np.mean([one == PAIRS[row][1] for one, row in zip(said, held, strict=True)])
    assert right >= 0.9


def test_loads_in_plain_transformers(fitted: Fit, tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    for name, data in fitted.files.items():
        (tmp_path / name).write_bytes(data)
    plain = AutoModelForSeq2SeqLM.from_pretrained(tmp_path, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    ids = torch.tensor([tokenizer.encode("one red cat")])
    assert ids[0, -1] == tokenizer.eos_token_id
    with torch.no_grad():
        assert torch.equal(plain.generate(ids, max_new_tokens=8), load_model(fitted.files, SEQ2SEQ).generate(ids, max_new_tokens=8))


def test_ctranslate2_says_the_same_tokens(fitted: Fit, tmp_path: Path) -> None:
    ctranslate2 = pytest.importorskip("ctranslate2")
    from rungwise.engines.fitted.generation import load_generator

    assert ctranslate2
    asked = [source for source, _ in PAIRS[::29]]
    one = load_generator(fitted.files, engine="transformers").generate(asked)
    other = load_generator(fitted.files).generate(asked)
    assert [answer.ids for answer in one] == [answer.ids for answer in other]


def test_no_source_and_no_target_stands_on_both_sides() -> None:
    pairs = [("Go.", "Ve."), ("Go.", "Vete."), ("Leave.", "Vete."), *((f"s{n}", f"t{n}") for n in range(60))]
    for seed in range(20):
        kept, held = hold_out_sources(pairs, 6, seed=seed)
        assert sorted(kept + held) == list(range(len(pairs)))
        for side in (0, 1):
            assert not {pairs[row][side] for row in kept} & {pairs[row][side] for row in held}
        assert 6 <= len(held) <= 8


def test_equal_plans_give_equal_bytes_and_a_training_that_stopped_goes_on_to_the_same(tmp_path: Path) -> None:
    short = replace(TINY, steps=30, dropout=0.1)
    whole = fit_translator(PAIRS, short)
    assert fit_translator(PAIRS, short).files == whole.files

    class Killed(Exception):
        pass

    def kill(step: Step) -> None:
        if step.done == 17:
            raise Killed

    def kept() -> Checkpoints:
        return Checkpoints(tmp_path, key="this", every_s=0.0, clock=lambda: 0.0)

    with pytest.raises(Killed):
        fit_translator(PAIRS, short, checkpoints=kept(), on_step=kill)
    again = fit_translator(PAIRS, short, checkpoints=kept())
    assert again.trained.resumed == 16
    assert again.files[WEIGHTS] == whole.files[WEIGHTS]


def test_pairs_that_are_too_long_or_empty_are_left_out_and_counted() -> None:
    odd = [("one " * 40, "uno"), ("", "dos"), ("red", " ")]
    found = fit_translator([*PAIRS, *odd], replace(TINY, steps=3)).told
    assert (found["pairs_too_long"], found["pairs_empty"]) == (1, 2)
    assert found["pairs"] + found["held_out_pairs"] == len(PAIRS)


def test_too_few_pairs_are_told() -> None:
    with pytest.raises(CannotFit, match="needs 20 pairs with text on both sides, and there are 19"):
        fit_translator([*PAIRS[:19], ("", "")], TINY)


def test_pairs_that_are_all_too_long_are_told() -> None:
    with pytest.raises(CannotFit, match="no longer than 2 tokens"):
        fit_translator(PAIRS, replace(TINY, max_tokens=2))


def test_text_that_is_no_text_is_told() -> None:
    with pytest.raises(BadData, match="half a surrogate pair"):
        fit_translator([*PAIRS, ("a\ud800", "b")], TINY)


def test_a_longer_budget_gives_a_wider_model() -> None:
    short, long = (plan_translator(seconds, pace=1e11, pairs=100_000) for seconds in (300, 30_000))
    assert long.width > short.width
    assert plan_translator(300, pace=1e11, pairs=100_000) == short


def test_few_pairs_are_not_repeated_without_end() -> None:
    found = plan_translator(3_000, pace=1e11, pairs=1_000)
    assert found.steps * found.batch_tokens <= 41 * 1_000 * 24
