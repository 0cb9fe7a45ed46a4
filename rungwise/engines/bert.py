"""The BERT encoder in plain torch: a quarter of the import time of a model library, and no padding where none is needed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rungwise.core.errors import Corrupt

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Forward = Callable[["Tensor", "Tensor | None"], "Tensor"]
"""Token ids (B, T) and a mask (B, T), 1 for tokens and 0 for padding (None: no padding), to hidden states (B, T, D)."""


CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
"""The files of a model, named as Hugging Face libraries name them."""


class Bert(Protocol):
    """Token ids (B, T), a mask as in `Forward`, and the kind of each token (B, T): 0 in the first text, 1 in the second."""

    def __call__(self, ids: Tensor, mask: Tensor | None, kinds: Tensor | None = None) -> Tensor:
        """Hidden states (B, T, D). Without `kinds` all tokens are of the first text."""
        ...


def is_plain_bert(folder: Path) -> bool:
    """Whether the model of a folder is the BERT that `load_bert` computes: absolute positions and exact GELU."""
    return _is_plain(read_config(folder))


def _is_plain(config: Mapping[str, Any]) -> bool:
    return (
        config.get("model_type") == "bert"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and config.get("hidden_act", "gelu") == "gelu"
        and not config.get("is_decoder")
    )


def read_config(folder: Path) -> Mapping[str, Any]:
    """The settings of a model folder. Raises Corrupt when they cannot be read."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Corrupt(f"{folder / CONFIG} cannot be read ({error}). Use the folder of a Hugging Face encoder") from error
    return dict(config)


def bert_of(files: Mapping[str, bytes], dtype: torch.dtype) -> tuple[Bert, dict[str, Tensor], Mapping[str, Any]]:
    """The encoder in a model's files (config.json, model.safetensors), all its weights in `dtype`, and its settings.

    Names of weights lack the prefix `bert.`; those of a head stand beside the encoder's. Raises Corrupt when a file is
    missing, the model is no plain BERT, or the weights are not those of the settings.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        config = dict(json.loads(files[CONFIG]))
        if not _is_plain(config):
            raise ValueError(f"a model of type {config.get('model_type')!r} with {config.get('hidden_act')!r} is no plain BERT")
        weights = {name.removeprefix("bert."): tensor.to(dtype) for name, tensor in load(files[WEIGHTS]).items()}
        return _forward(weights, config), weights, config
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise Corrupt(f"the files of a BERT model cannot be used ({error}). Fit or install the model again") from error


def load_bert(folder: Path, dtype: torch.dtype) -> Bert:
    """The encoder of a folder, without its pooling layer. Source: Devlin et al. 2018, arXiv 1810.04805; post-norm transformer.

    Raises Corrupt when the weights are not those of the folder's settings.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    config = read_config(folder)
    try:
        weights = {name.removeprefix("bert."): tensor.to(dtype) for name, tensor in load_file(folder / WEIGHTS).items()}
        return _forward(weights, config)
    except (KeyError, ValueError, SafetensorError) as error:
        raise Corrupt(f"the weights in {folder} do not fit its config.json ({error}). Install the model again") from error


def _forward(weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> Bert:
    import torch
    from torch.nn.functional import embedding

    eps = float(config.get("layer_norm_eps", 1e-12))
    words, places, sides = (weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type"))
    begin = _Norm(weights, "embeddings.LayerNorm", eps)
    heads = int(config["num_attention_heads"])
    layers = [_layer(weights, f"encoder.layer.{place}", heads, eps) for place in range(int(config["num_hidden_layers"]))]

    def forward(ids: Tensor, mask: Tensor | None, kinds: Tensor | None = None) -> Tensor:
        side = sides[0] if kinds is None else embedding(kinds, sides)
        hidden = begin(embedding(ids, words) + places[: ids.shape[1]] + side)
        # what is added to the attention logits: nothing for tokens, minus infinity for padding
        shown = None if mask is None else mask[:, None, None, :].to(torch.bool)
        for layer in layers:
            hidden = layer(hidden, shown)
        return hidden

    return forward


class _Norm:
    """Layer normalisation with the weights of one name."""

    def __init__(self, weights: Mapping[str, Tensor], name: str, eps: float) -> None:
        self.scale, self.shift, self.eps = weights[f"{name}.weight"], weights[f"{name}.bias"], eps

    def __call__(self, hidden: Tensor) -> Tensor:
        from torch.nn.functional import layer_norm

        return layer_norm(hidden, self.scale.shape, self.scale, self.shift, self.eps)


def _layer(weights: Mapping[str, Tensor], name: str, heads: int, eps: float) -> Forward:
    """One block: attention over the text, then two dense layers, each added to its input and normalised."""
    import torch
    from torch.nn.functional import gelu, linear, scaled_dot_product_attention

    def dense(part: str) -> tuple[Tensor, Tensor]:
        return weights[f"{name}.{part}.weight"], weights[f"{name}.{part}.bias"]

    # query, key and value in one product
    parts = [dense(f"attention.self.{one}") for one in ("query", "key", "value")]
    mixed, mixed_bias = torch.cat([one for one, _ in parts]), torch.cat([one for _, one in parts])
    joined, up, down = dense("attention.output.dense"), dense("intermediate.dense"), dense("output.dense")
    after_attention, after_dense = (
        _Norm(weights, f"{name}.attention.output.LayerNorm", eps),
        _Norm(weights, f"{name}.output.LayerNorm", eps),
    )

    def layer(hidden: Tensor, shown: Tensor | None) -> Tensor:
        rows, length, width = hidden.shape
        split = linear(hidden, mixed, mixed_bias).view(rows, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        seen = scaled_dot_product_attention(split[0], split[1], split[2], attn_mask=shown)  # (B, H, T, D / H)
        hidden = after_attention(hidden + linear(seen.transpose(1, 2).reshape(rows, length, width), *joined))
        return after_dense(hidden + linear(gelu(linear(hidden, *up)), *down))

    return layer
