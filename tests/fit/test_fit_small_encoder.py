"""A classifier with an encoder of one's own is fitted from rows alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rungwise.core.errors import CannotFit
from rungwise.engines.fitted.classifier import Classifier
from rungwise.fit.small_encoder import SmallEncoderSettings, fit_small_encoder, word_pieces

pytest.importorskip("torch", reason="needs the extra 'local'")
pytest.importorskip("transformers", reason="needs the extra 'local'")

SMALL = SmallEncoderSettings(words=400, layers=1, width=32, heads=2, epochs=6, least_steps=60, rows=16, max_tokens=16, lr=5e-3)
SUBJECTS = {"fruit": "apple pear plum cherry", "tool": "hammer saw drill pliers"}


def rows(count: int) -> list[tuple[str, tuple[str, ...]]]:
    rng = np.random.default_rng(0)
    names = sorted(SUBJECTS)
    return [(f"one {rng.choice(SUBJECTS[names[n % 2]].split())} of lot {n}", (names[n % 2],)) for n in range(count)]


def test_learns_from_nothing_and_equal_arguments_give_equal_bytes() -> None:
    first, again = (fit_small_encoder(rows(120), SMALL) for _ in range(2))
    assert first.files == again.files
    found = Classifier.load(first.files).probabilities(["one pear", "one drill"]).argmax(axis=1)
    assert found.tolist() == [0, 1]
    assert first.told["words"] <= 400


def test_the_folder_gives_the_same_logits_in_plain_transformers(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    files = fit_small_encoder(rows(60), replace(SMALL, epochs=1)).files
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path, local_files_only=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    given = tokenizer(["one PEAR", "one saw of lot 9, and a hammer"], padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model(input_ids=given["input_ids"], attention_mask=given["attention_mask"]).logits.numpy()
    own = Classifier.load(files, bf16=False).logits(["one PEAR", "one saw of lot 9, and a hammer"])
    assert own == pytest.approx(expected, abs=1e-5)


def test_its_tokenizer_knows_the_words_of_the_rows() -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(word_pieces([text for text, _ in rows(100)], most=400)["tokenizer.json"].decode())
    found = tokenizer.encode("one HAMMER")
    assert found.tokens == ["[CLS]", "Ġone", "Ġhammer", "[SEP]"]


def test_one_label_only_is_refused() -> None:
    with pytest.raises(CannotFit, match="same label"):
        fit_small_encoder([("a", ("x",)), ("b", ("x",))], SMALL)
