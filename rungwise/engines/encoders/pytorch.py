"""Sentence encoders on torch: any model of a local folder, and the one that others are checked against."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rungwise.core.errors import MissingExtra
from rungwise.engines.bert import Forward, is_plain_bert, load_bert
from rungwise.engines.encoders.batches import Batch, in_batches
from rungwise.engines.encoders.encode import Vectors
from rungwise.engines.encoders.folder import check_weights, pools_first_token
from rungwise.engines.encoders.processor import has_bf16 as has_bf16
from rungwise.engines.encoders.sentence import SentenceEncoder

BATCH_TOKENS = 8_192  # padded tokens of one batch: large enough for the matrix units, small enough for the cache


class TransformerEncoder(SentenceEncoder):
    """An encoder on torch, in bf16 where the processor multiplies it natively, else in fp32."""

    def __init__(self, folder: Path, *, sha256: str | None = None, bf16: bool | None = None) -> None:
        check_weights(folder, sha256)
        super().__init__(folder, TorchNetwork(folder, bf16=has_bf16() if bf16 is None else bf16))


class TorchNetwork:
    """A model of a folder on torch. Raises MissingExtra without torch, Corrupt when the weights are not those of the settings."""

    def __init__(self, folder: Path, *, bf16: bool) -> None:
        torch = _torch()
        dtype = torch.bfloat16 if bf16 else torch.float32
        self._torch, self._forward, self._pool = torch, _model(folder, dtype), _pooling(folder)
        self.kind = "torch bf16" if bf16 else "torch fp32"
        self._lock = threading.Lock()  # torch shares its threads: two calls at once are slower than one after the other

    def batches(self, encoded: Sequence[Sequence[int]]) -> list[Batch]:
        """Large batches, padded to the longest text only."""
        return in_batches(encoded, limit_tokens=BATCH_TOKENS)

    def run(self, batches: Sequence[Batch], vectors: Vectors) -> None:
        """See `Network`."""
        torch = self._torch
        with self._lock, torch.inference_mode():
            for batch in batches:
                ids, mask = torch.from_numpy(batch.ids), torch.from_numpy(batch.mask)
                # Rows of equal length need no mask, and without one the faster attention is used.
                hidden = self._forward(ids, None if bool(batch.mask.all()) else mask)
                vectors[batch.rows] = self._pool(hidden.float(), mask).numpy()


def traceable(folder: Path) -> tuple[Any, tuple[Any, Any]]:
    """The folder's encoder in fp32 with pooling inside, as a torch module of (ids, mask), and example inputs to trace it with."""
    torch = _torch()
    forward, pool = _model(folder, torch.float32), _pooling(folder)

    class Pooled(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, ids: Any, mask: Any) -> Any:
            return pool(forward(ids, mask), mask)

    ids = torch.tensor([[1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5, 0, 0, 0]])
    return Pooled().eval(), (ids, (ids > 0).long())


def _pooling(folder: Path) -> Any:
    """Hidden states (B, T, D) and a mask (B, T) to vectors (B, D) of unit length: the first state, or the mean over the tokens."""
    normalize = _torch().nn.functional.normalize
    if pools_first_token(folder):
        return lambda hidden, mask: normalize(hidden[:, 0], dim=1)

    def mean(hidden: Any, mask: Any) -> Any:
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        return normalize((hidden * weight).sum(1) / weight.sum(1), dim=1)

    return mean


def _model(folder: Path, dtype: Any) -> Forward:
    return load_bert(folder, dtype) if is_plain_bert(folder) else _any_model(folder, dtype)


def _any_model(folder: Path, dtype: Any) -> Forward:
    """The model of a folder that is no plain BERT, without looking anywhere else for it."""
    try:
        from transformers import AutoModel
    except ImportError as error:
        raise MissingExtra(f"the encoder in {folder}", "local") from error
    model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).to(dtype).eval()
    return lambda ids, mask: model(input_ids=ids, attention_mask=mask).last_hidden_state


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("sentence encoders", "local") from error
    return torch
