"""A sentence encoder and the linear head that was fitted on its vectors, as one classifier: what `fit.contrastive` leaves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import Corrupt
from rungwise.engines.bert import bert_of
from rungwise.engines.encoders.batches import in_batches
from rungwise.engines.encoders.processor import has_bf16
from rungwise.engines.fitted.models import ENCODER, load_model, read_config
from rungwise.engines.fitted.sentence_settings import most_tokens, takes_first_token
from rungwise.engines.fitted.token_ids import TokenIds
from rungwise.engines.linear import Head

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float32]
Network = Callable[["Tensor", "Tensor | None"], "Tensor"]

HEAD = "head/"
"""Where the files of the head stand among those of the encoder."""
BATCH_TOKENS = 8_192  # padded tokens of one batch, as for sentences


class SentenceClassifier:
    """Texts to the probabilities of labels. For any number of threads. `cut` counts the texts that were longer than it reads."""

    def __init__(self, network: Network, tokens: TokenIds, head: Head, *, first_token: bool, device: str = "cpu") -> None:
        self.labels, self.threshold, self.multi_label = head.labels, head.calibration.threshold, head.calibration.multi_label
        self.cut = 0
        self._network, self._tokens, self._head, self._first, self._device = network, tokens, head, first_token, device
        self._lock = threading.Lock()  # torch shares its threads: two calls at once are slower than one after the other

    @classmethod
    def load(cls, files: Mapping[str, bytes], *, bf16: bool | None = None, device: str = "cpu") -> SentenceClassifier:
        """The classifier of its files. Raises Corrupt when they do not go together, MissingExtra without the libraries."""
        head = Head.load({name.removeprefix(HEAD): data for name, data in files.items() if name.startswith(HEAD)})
        width = read_config(files).get("hidden_size")
        if width != len(head.weights):
            raise Corrupt(f"the head is for vectors of {len(head.weights)} numbers, and the encoder's have {width}. Fit it again")
        half = has_bf16() or device != "cpu" if bf16 is None else bf16
        tokens = TokenIds(files, max_tokens=most_tokens(files))
        return cls(_network(files, half=half, device=device), tokens, head, first_token=takes_first_token(files), device=device)

    def vectors(self, texts: Sequence[str]) -> Floats:
        """(n, d) float32 of unit length."""
        import torch

        found = np.zeros((len(texts), len(self._head.weights)), np.float32)
        encoded = self._tokens(texts)
        with self._lock, torch.inference_mode():
            self.cut += encoded.cut
            for batch in in_batches(encoded.ids, limit_tokens=BATCH_TOKENS):
                ids, mask = (torch.from_numpy(one).to(self._device) for one in (batch.ids, batch.mask))
                states = self._network(ids, None if bool(batch.mask.all()) else mask).float()
                weight = mask[:, :, None].float()
                pooled = states[:, 0] if self._first else (states * weight).sum(1) / weight.sum(1)
                found[batch.rows] = torch.nn.functional.normalize(pooled, dim=1).cpu().numpy()
        return found

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """(n, labels) float32; of a single-label classifier each row adds up to 1."""
        return self._head.probabilities(self.vectors(texts))


def _network(files: Mapping[str, bytes], *, half: bool, device: str) -> Network:
    """Hidden states (B, T, D) of an encoder's files. A plain BERT is computed without a model library."""
    import torch

    if device == "cpu" and read_config(files).get("architectures") == ["BertModel"]:
        forward, _, _ = bert_of(files, torch.bfloat16 if half else torch.float32)
        return lambda ids, mask: forward(ids, mask)
    model: Any = load_model(files, ENCODER, dtype="bfloat16" if half else "float32", device=device)
    return lambda ids, mask: model(input_ids=ids, attention_mask=mask).last_hidden_state
