"""A fitted reranker: reads a query and a passage together and says how likely the passage is relevant."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import Corrupt
from rungwise.engines.bert import CONFIG, TOKENIZER, WEIGHTS
from rungwise.engines.linear import sigmoid
from rungwise.engines.pair_encoder import Pair, PairEncoder, token_batches

RERANK = "rerank.json"
"""Calibration and length of a reranker, beside the files that Hugging Face libraries read."""

MAX_TOKENS = 256
TECHNIQUE = "rerank"

_HEAD = ("pooler.dense.weight", "pooler.dense.bias", "classifier.weight", "classifier.bias")


class CrossEncoder:
    """A BERT with one output over (query, passage) pairs: `BertForSequenceClassification` with one label.

    Files are those of `transformers` (config.json, model.safetensors, tokenizer.json) with rerank.json beside them; without
    that one, as in a model that was fitted elsewhere, the logit is taken as it is.
    """

    def __init__(self, files: Mapping[str, bytes], *, bf16: bool | None = None) -> None:
        """bf16 None: where the processor multiplies it natively. Raises MissingExtra, and Corrupt for files of another kind."""
        slope, offset, max_tokens = _settings(files)
        self._encoder = PairEncoder(files, max_tokens=max_tokens, bf16=bf16)
        self._slope, self._offset = slope, offset
        try:
            # in fp32: a logit in bf16 has three digits, and near ones would tie
            self._head = [self._encoder.weights[name].float() for name in _HEAD]
            if self._head[2].shape[0] != 1:
                raise ValueError(f"it has {self._head[2].shape[0]} outputs, not one")
        except (KeyError, ValueError) as error:
            raise Corrupt(f"the model is no reranker ({error}). Fit one, or use a cross-encoder with a single output") from error

    def logits(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """(n,) float32, as the classification model gives them: higher is more relevant. Passages are cut where room ends."""
        from torch.nn.functional import linear

        weight, bias, last, last_bias = self._head
        found = np.zeros(len(pairs), dtype=np.float32)
        for batch in token_batches(self._encoder.tokenizer.tokens(pairs)):
            first = self._encoder.states(batch)[:, 0].float()
            found[batch.rows] = linear(linear(first, weight, bias).tanh(), last, last_bias)[:, 0].numpy()
        return found

    def score(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """(n,) float32: the probability that the passage is relevant, calibrated on queries that the fit had not seen."""
        return sigmoid(np.float32(self._slope) * self.logits(pairs) + np.float32(self._offset))


def load_cross_encoder(folder: Path) -> CrossEncoder:
    """The reranker in a folder. Raises Corrupt when its files are missing or of another kind."""
    try:
        files = {name: (folder / name).read_bytes() for name in (CONFIG, WEIGHTS, TOKENIZER)}
        if (folder / RERANK).is_file():
            files[RERANK] = (folder / RERANK).read_bytes()
    except OSError as error:
        raise Corrupt(f"the reranker in {folder} cannot be read ({error}). Fit it again") from error
    return CrossEncoder(files)


def _settings(files: Mapping[str, bytes]) -> tuple[float, float, int]:
    """Slope and offset of the calibration, and the longest pair in tokens."""
    if RERANK not in files:
        return 1.0, 0.0, MAX_TOKENS
    try:
        found: dict[str, Any] = json.loads(files[RERANK])
        if found["technique"] != TECHNIQUE:
            raise ValueError(f"technique {found['technique']!r}")
        return float(found["slope"]), float(found["offset"]), int(found["max_tokens"])
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"{RERANK} cannot be read ({error!r}). Fit the reranker again") from error
