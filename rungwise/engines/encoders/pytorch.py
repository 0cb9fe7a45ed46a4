"""Sentence encoders on torch."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import MissingExtra
from rungwise.engines.bert import Forward, is_plain_bert, load_bert
from rungwise.engines.encoders.encode import Vectors
from rungwise.engines.encoders.folder import check_weights, pools_first_token, tokenizer_of, width_of

BATCH_TOKENS = 8_192  # padded tokens of one batch: large enough for the matrix units, small enough for the cache


class TransformerEncoder:
    """An encoder with pooling over its last states, in bf16 where the processor multiplies it natively, else in fp32."""

    def __init__(self, folder: Path, *, sha256: str | None = None, bf16: bool | None = None) -> None:
        torch = _torch()
        weights = folder / "model.safetensors"
        check_weights(weights, sha256)
        self._torch, self._tokenizer = torch, tokenizer_of(folder)
        self.bf16 = has_bf16() if bf16 is None else bf16
        dtype = torch.bfloat16 if self.bf16 else torch.float32
        self._forward = load_bert(folder, dtype) if is_plain_bert(folder) else _any_model(folder, dtype)
        self._width = width_of(folder)
        self._first_only = pools_first_token(folder)
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


def _any_model(folder: Path, dtype: Any) -> Forward:
    """The model of a folder that is no plain BERT, without looking anywhere else for it."""
    try:
        from transformers import AutoModel
    except ImportError as error:
        raise MissingExtra(f"the encoder in {folder}", "local") from error
    model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).to(dtype).eval()
    return lambda ids, mask: model(input_ids=ids, attention_mask=mask).last_hidden_state


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
