"""A decoder on packed rows: its last states at the places that have a loss, and the head that turns them into logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import UsageError
from rungwise.fit.packing import IGNORED, Packed, document_mask

if TYPE_CHECKING:
    from torch import Tensor

BENT = ("final_logit_softcapping", "logit_scale", "logits_scaling")
"""Settings by which some models change the logits after their head."""


@dataclass(frozen=True)
class States:
    """What a loss needs: last states (N, D), the head (V, D), the next tokens (N,) and the numbers of their documents (N,)."""

    hidden: Tensor
    head: Tensor
    targets: Tensor
    documents: Tensor


def states_of(model: Any, rows: Packed) -> States:
    """Run the body of a causal language model, with or without an adapter, over packed rows on the device it stands on.

    No document sees another; the head is not run, so that whoever computes the loss does it on these N places alone.
    """
    import torch

    device = next(model.parameters()).device
    ids, targets, documents, positions = (
        torch.from_numpy(part).to(device) for part in (rows.ids, rows.targets, rows.documents, rows.positions)
    )
    # A document alone in its row, with its padding behind it, needs no mask: what is causal cannot see the padding.
    mask = None if rows.alone else document_mask(documents)
    # Positions are given with the mask only: without one, restarting positions would be taken for packing.
    placed = {} if rows.alone else {"position_ids": positions}
    hidden = body_of(model)(input_ids=ids, attention_mask=mask, use_cache=False, **placed).last_hidden_state
    valid = targets != IGNORED
    return States(hidden[valid], head_of(model), targets[valid], documents[valid])


def body_of(model: Any) -> Any:
    """The decoder below the head."""
    return _inner(model).get_decoder()


def head_of(model: Any) -> Tensor:
    """The output embedding (V, D)."""
    weight: Tensor = _inner(model).get_output_embeddings().weight
    return weight


def check_decoder(model: Any, row_tokens: int) -> None:
    """Raise UsageError when the model is none that `states_of` can run on rows of this length with the loss being its own."""
    config, head = _inner(model).config, _inner(model).get_output_embeddings()
    bent = [name for name in BENT if getattr(config, name, None) not in (None, 1, 1.0)]
    if bent or getattr(head, "bias", None) is not None:
        what = f"its setting {bent[0]}" if bent else "a bias in its head"
        raise UsageError(f"a {config.model_type} model changes its logits by {what}, which is not trained here. Use another base")
    longest = seen_tokens(model)
    if longest is not None and row_tokens > longest:
        raise UsageError(
            f"rows of {row_tokens} tokens are longer than the {longest} that the base can see. Use --set row_tokens={longest}"
        )


def seen_tokens(model: Any) -> int | None:
    """How many tokens the model can see at once; None where its settings do not say."""
    config = _inner(model).config
    windows = [getattr(config, name, None) for name in ("max_position_embeddings", "sliding_window")]
    return min([int(one) for one in windows if one], default=None)


def set_dropout(model: Any, share: float) -> None:
    """Set every dropout of a model, those inside its attention too."""
    import torch

    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = share
        for name in ("attention_dropout", "dropout"):
            if isinstance(getattr(part, name, None), float):
                setattr(part, name, share)


def _inner(model: Any) -> Any:
    """The transformers model, whether or not an adapter stands around it."""
    return model.get_base_model() if hasattr(model, "peft_config") and hasattr(model, "get_base_model") else model
