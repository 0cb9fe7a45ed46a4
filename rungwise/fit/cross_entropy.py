"""Cross-entropy over a large vocabulary without the whole table of logits: chunk by chunk, the gradient made on the way."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import MissingExtra

if TYPE_CHECKING:
    from torch import Tensor

CHUNK_LOGITS = 2**24
"""Logits that exist at one time: 64 MiB in fp32 (benchmarks/sft_speed.py; more made no step shorter)."""

KEPT_LOGITS = 2**26
"""As many gradients of logits are kept for the backward pass of `sequence_log_probabilities`; beyond, they are made again."""


def mean_cross_entropy(hidden: Tensor, head: Tensor, targets: Tensor, *, weights: Tensor | None = None) -> Tensor:
    """Mean of -log softmax(hidden head^T) at the targets, in nats: a scalar in fp32.

    `hidden` (N, D) are the last states, `head` (V, D) the output embedding, `targets` (N,) in [0, V), all of them counted:
    leave out what has no loss before. With `weights` (N,) it is the weighted mean. Under autocast the products are in its
    dtype and the softmax in fp32, as in the transformers models. The gradient of the mean is made in the forward pass, while
    each chunk's logits are at hand, so that (N, V) never exists (Hsu et al. 2024, Liger Kernel, arXiv 2410.10989, section 3.2).
    No targets give 0.
    """
    torch = _torch()
    if not len(targets):
        return hidden.sum() * 0.0
    shares = torch.full_like(targets, 1.0 / len(targets), dtype=torch.float32)
    if weights is not None:
        shares = weights.float() / weights.float().sum()
    found: Tensor = _functions()[0].apply(hidden, head, targets, shares, torch.is_grad_enabled())
    return found


def sequence_log_probabilities(hidden: Tensor, head: Tensor, targets: Tensor, owners: Tensor, sequences: int) -> Tensor:
    """(S,) log-probabilities in fp32: of every sequence the sum over its targets of log softmax(hidden head^T), in nats.

    `hidden` (N, D), `head` (V, D) and `targets` (N,) are those of `mean_cross_entropy`; `owners` (N,) in [0, S) says whose a
    target is. A sequence without targets has 0. It can be differentiated in `hidden` and `head`: the gradient of the states
    is made in the forward pass, that of the head in the backward pass, where the weight of every sequence is known.
    """
    torch = _torch()
    if not len(targets):
        return hidden.sum() * torch.zeros(sequences, device=hidden.device)
    each: Tensor = _functions()[1].apply(hidden, head, targets, torch.is_grad_enabled())
    return torch.zeros(sequences, dtype=torch.float32, device=hidden.device).index_add(0, owners, each)


def _product_dtype(hidden: Tensor) -> Any:
    """The dtype of matrix products here and now."""
    torch = _torch()
    kind = hidden.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype


def _chunks(rows: int, vocabulary: int) -> list[slice]:
    size = max(1, CHUNK_LOGITS // vocabulary)
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def _log_softmax(hidden: Tensor, head: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """All log-probabilities (C, V) and those of the targets (C,), in fp32."""
    torch = _torch()
    table = torch.log_softmax(hidden @ head.t(), dim=-1, dtype=torch.float32)
    return table, table.gather(1, targets[:, None])[:, 0]


def _slope(table: Tensor, targets: Tensor) -> Tensor:
    """softmax minus one at the target, (C, V): the gradient of -log p in the logits. Takes the place of `table`."""
    slope = table.exp_()
    slope.scatter_add_(1, targets[:, None], slope.new_full((len(targets), 1), -1.0))
    return slope


@cache
def _functions() -> tuple[Any, Any]:
    """The two autograd functions; made on first use, because torch is imported no sooner."""
    torch = _torch()

    class Mean(torch.autograd.Function):  # type: ignore[name-defined,misc]
        @staticmethod
        def forward(context: Any, hidden: Tensor, head: Tensor, targets: Tensor, shares: Tensor, differentiated: bool) -> Tensor:
            dtype = _product_dtype(hidden)
            with torch.autocast(hidden.device.type, enabled=False):
                states, rows = hidden.to(dtype), head.to(dtype)
                for_hidden = differentiated and context.needs_input_grad[0]
                for_head = differentiated and context.needs_input_grad[1]
                hidden_slope = torch.empty_like(hidden) if for_hidden else None
                head_slope = torch.zeros_like(head, dtype=torch.float32) if for_head else None
                loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
                for chunk in _chunks(len(targets), len(head)):
                    table, own = _log_softmax(states[chunk], rows, targets[chunk])
                    loss -= own @ shares[chunk]
                    if hidden_slope is None and head_slope is None:
                        continue
                    slope = _slope(table, targets[chunk]).mul_(shares[chunk, None]).to(dtype)
                    if hidden_slope is not None:
                        hidden_slope[chunk] = slope @ rows
                    if head_slope is not None:
                        head_slope += slope.t() @ states[chunk]
            context.slopes = hidden_slope, None if head_slope is None else head_slope.to(head.dtype)
            return loss

        @staticmethod
        def backward(context: Any, given: Tensor) -> tuple[Tensor | None, ...]:
            hidden, head = (None if one is None else one * given for one in context.slopes)
            return hidden, head, None, None, None

    class Each(torch.autograd.Function):  # type: ignore[name-defined,misc]
        @staticmethod
        def forward(context: Any, hidden: Tensor, head: Tensor, targets: Tensor, differentiated: bool) -> Tensor:
            dtype = _product_dtype(hidden)
            with torch.autocast(hidden.device.type, enabled=False):
                states, rows = hidden.to(dtype), head.to(dtype)
                for_hidden = differentiated and context.needs_input_grad[0]
                for_head = differentiated and context.needs_input_grad[1]
                keeps = for_head and len(targets) * len(head) <= KEPT_LOGITS
                hidden_slope = torch.empty_like(hidden) if for_hidden else None
                found, kept = [], []
                for chunk in _chunks(len(targets), len(head)):
                    table, own = _log_softmax(states[chunk], rows, targets[chunk])
                    found.append(own)
                    if hidden_slope is None and not keeps:
                        continue
                    slope = _slope(table, targets[chunk]).to(dtype)
                    if hidden_slope is not None:
                        hidden_slope[chunk] = -(slope @ rows)
                    if keeps:
                        kept.append(slope)
            context.save_for_backward(hidden, head, targets)
            context.hidden_slope, context.kept, context.dtype, context.for_head = hidden_slope, kept, dtype, for_head
            return torch.cat(found)

        @staticmethod
        def backward(context: Any, given: Tensor) -> tuple[Tensor | None, ...]:
            hidden, head, targets = context.saved_tensors
            for_hidden = None if context.hidden_slope is None else context.hidden_slope * given[:, None].to(hidden.dtype)
            if not context.for_head:
                return for_hidden, None, None, None
            states, total = hidden.to(context.dtype), torch.zeros_like(head, dtype=torch.float32)
            rows = None if context.kept else head.to(context.dtype)
            for place, chunk in enumerate(_chunks(len(targets), len(head))):
                if rows is None:
                    slope = context.kept[place]
                else:
                    slope = _slope(_log_softmax(states[chunk], rows, targets[chunk])[0], targets[chunk]).to(context.dtype)
                total -= slope.t() @ (states[chunk] * given[chunk, None].to(context.dtype))
            return for_hidden, total.to(head.dtype), None, None

    return Mean, Each


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("training a language model", "local") from error
    return torch
