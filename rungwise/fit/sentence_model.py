"""A sentence encoder under training: texts to token ids, ids to vectors of unit length, and back to the files of a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rungwise.engines.encoders.processor import has_bf16
from rungwise.engines.fitted.files import Files
from rungwise.engines.fitted.models import CONFIG, ENCODER, TOKENIZER_CONFIG, load_model, model_files, read_config
from rungwise.engines.fitted.sentence_settings import SENTENCE_FILES, most_tokens, takes_first_token
from rungwise.engines.fitted.token_ids import TokenIds
from rungwise.fit.finetune import RateOf, batches_by_length, layer_rates

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float32]
Ids = list[list[int]]

ENCODED_TOKENS = 8_192  # padded tokens of one batch when nothing is learned, as for sentences
_DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob")


class SentenceModel:
    """The encoder of checked files; `network` is trained in place. `cut` counts the texts that were longer than it reads."""

    def __init__(
        self, base: Mapping[str, bytes], *, max_tokens: int | None = None, device: str = "cpu", dropout: float = 0.1
    ) -> None:
        """`max_tokens` None is what the folder says. Raises Corrupt when the files are no encoder's, MissingExtra without torch.

        Dropout is on the hidden states only: attention weights with dropout have no fast kernel on a processor.
        """
        self.base, self.device, self.cut = base, device, 0
        self.first_token, room = takes_first_token(base), most_tokens(base)
        self.max_tokens = min(max_tokens or room, room)
        self._tokens = TokenIds(base, max_tokens=self.max_tokens)
        config = read_config(base)
        changes: dict[str, Any] = dict(zip(_DROPOUTS, (dropout, 0.0), strict=True)) if _DROPOUTS[0] in config else {}
        self.network: Any = load_model(base, ENCODER, device=device, **changes)
        self.layers = int(config.get("num_hidden_layers", 0))

    def rates(self, *, frozen: int = 0) -> RateOf:
        """The layers above the lowest `frozen` learn; the word embeddings do not, nor a pooling layer that no vector uses."""
        rates = layer_rates(self.layers, frozen=frozen)
        return lambda name: 0.0 if "pooler" in name else rates(name)

    def tokens(self, texts: Sequence[str]) -> Ids:
        """The token ids of each text, cut at `max_tokens` and counted."""
        encoded = self._tokens(texts)
        self.cut += encoded.cut
        return encoded.ids

    def vectors(self, ids: Sequence[Sequence[int]]) -> Tensor:
        """(B, D) float32 of unit length, through which a gradient flows: the mean over the tokens, or the first one's state."""
        import torch

        longest = max(1, *map(len, ids))
        block, mask = (np.zeros((len(ids), longest), np.int64) for _ in range(2))
        for row, own in enumerate(ids):
            block[row, : len(own)], mask[row, : max(1, len(own))] = own, 1
        held = torch.from_numpy(mask).to(self.device)
        # Rows of equal length need no mask, and without one the faster attention is used.
        seen = None if mask.all() else held
        states = self.network(input_ids=torch.from_numpy(block).to(self.device), attention_mask=seen).last_hidden_state.float()
        if self.first_token:
            return torch.nn.functional.normalize(states[:, 0], dim=1)
        weight = held[:, :, None].to(states.dtype)
        return torch.nn.functional.normalize((states * weight).sum(1) / weight.sum(1), dim=1)

    def encode(self, ids: Ids, *, bf16: bool | None = None) -> Floats:
        """(n, D) float32 of unit length of token ids, without a gradient and without dropout."""
        import torch

        half = bf16 if bf16 is not None else self.device != "cpu" or has_bf16()
        vectors = np.zeros((len(ids), int(self.network.config.hidden_size)), np.float32)
        was = self.network.training
        self.network.eval()
        with torch.inference_mode(), torch.autocast(torch.device(self.device).type, dtype=torch.bfloat16, enabled=half):
            for rows in batches_by_length([len(own) for own in ids], np.random.default_rng(0), tokens=ENCODED_TOKENS):
                vectors[rows] = self.vectors([ids[row] for row in rows]).cpu().numpy()
        self.network.train(was)
        return vectors

    def files(self) -> Files:
        """A folder that transformers, sentence-transformers and `load_encoder` read as it is, with the tokenizer of the base."""
        kept = (*SENTENCE_FILES, TOKENIZER_CONFIG)
        found = model_files(self.network, self.base) | {name: self.base[name] for name in kept if name in self.base}
        # Dropout is of this training, and no property of the model.
        own = read_config(found) | {name: value for name, value in read_config(self.base).items() if name in _DROPOUTS}
        return {**found, CONFIG: (json.dumps(own, indent=1, sort_keys=True) + "\n").encode()}
