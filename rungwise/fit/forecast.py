"""What a training will take before it is begun: seconds by the operations it needs, and bytes at the peak."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rungwise.core.errors import TrainingFailed

REFERENCE_PACE = 1.0e11
"""Floating-point operations a second of a training in bf16 on the two-core machine that forecasts were tried on."""

START_S = 4.0
"""Seconds until the libraries are imported and the base is loaded, and the result written."""

LIBRARIES_BYTES = 700_000_000
"""Resident bytes of a process that has imported torch, transformers and peft, before any model."""

CHARS_PER_TOKEN = 4.2
"""Characters of English a token of WordPiece or byte-level BPE, spaces counted."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """A training as it counts: tokens seen in all, tokens of one batch, and the model's weights.

    `body` are the weights that every token is multiplied with, `weights` all of them, `trained` those with a gradient,
    `logits` the size of the vocabulary where every token is scored against it, else 0.
    """

    tokens: float
    batch_tokens: int
    weights: int
    body: int
    trained: int
    width: int
    layers: int
    logits: int = 0


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds and bytes, of which work."""

    seconds: float
    bytes: int
    work: Work | None = None


class TooLarge(TrainingFailed):
    """A training needs more memory than there is."""


def cost(work: Work, *, pace: float) -> Cost:
    """The seconds and the peak bytes of a training at `pace` operations a second.

    A token costs 2 operations a weight forwards and 4 backwards (Kaplan et al. 2020, arXiv 2001.08361, section 2.1); of weights
    without a gradient only the 2 for their inputs'. AdamW keeps two fp32 moments beside weight and gradient. The
    activations of a layer are about 34 bytes a token and unit of width in half precision (Korthikanti et al. 2022,
    arXiv 2205.05198, eq. 2, without the attention matrix, which SDPA does not keep).
    """
    share = work.trained / max(1, work.weights)
    scored = work.logits * work.width
    operations = (4.0 + 2.0 * share) * (work.body + scored) * work.tokens
    activations = 34 * work.batch_tokens * work.width * work.layers + 6 * work.batch_tokens * min(work.logits, 16_384)
    held = 4 * work.weights + 12 * work.trained + activations
    return Cost(seconds=START_S + operations / pace, bytes=int(held) + LIBRARIES_BYTES, work=work)


def check_memory(work: Work, *, available: int | None) -> None:
    """Raise TooLarge when a training will not fit into the memory that is left; the message names a batch that does."""
    needed = cost(work, pace=REFERENCE_PACE).bytes
    if available is None or needed <= available:
        return
    batch = work.batch_tokens
    while batch > 16:
        batch //= 2
        if cost(replace(work, batch_tokens=batch), pace=REFERENCE_PACE).bytes <= available:
            raise TooLarge(
                f"the training needs about {needed / 1e9:.1f} GB and {available / 1e9:.1f} GB are left. "
                f"A batch of {batch:,} tokens fits: --set batch_tokens={batch}"
            )
    raise TooLarge(
        f"the training needs about {needed / 1e9:.1f} GB and {available / 1e9:.1f} GB are left, with any batch. "
        "Try lora instead of full, or a smaller base"
    )
