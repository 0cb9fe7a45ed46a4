"""Continued pre-training of an encoder: it guesses words that were hidden in the user's own texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import CannotFit
from rungwise.engines.encoders.batches import in_batches
from rungwise.engines.fitted.files import Files
from rungwise.engines.fitted.models import MASKED, WEIGHTS, load_model, read_config
from rungwise.engines.fitted.token_ids import TokenIds
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.finetune import Step, Training, batches_by_length, finetune, seeded
from rungwise.fit.fit import Fit
from rungwise.fit.parallel import ALONE, Parallel

Ids = NDArray[np.int64]

MASKED_SHARE, AS_MASK, AS_RANDOM = 0.15, 0.8, 0.1
"""Of the tokens 15 % are asked for: 80 % of them hidden, 10 % replaced by any other, 10 % left (Devlin et al. 2018, 3.1)."""

UNASKED = -100
"""The target of a token that is not asked for, as torch's cross-entropy passes over it."""

LEAST_TEXTS = 20
HELD_SEED = 1  # of what is hidden in the held-out texts, which is the same before and after


@dataclass(frozen=True, kw_only=True)
class MaskedSettings:
    """How an encoder goes on learning a language: a step takes at most `batch_tokens` padded tokens.

    `replay` general texts are mixed in for each text of one's own, so that what it knew is not lost. The share `held_out` of
    one's own texts is only measured on.
    """

    lr: float = 1e-4
    epochs: int = 3
    batch_tokens: int = 2_048
    max_tokens: int = 256
    replay: float = 0.0
    held_out: float = 0.1
    weight_decay: float = 0.01
    seed: int = 0
    bf16: bool | None = None
    device: str = "cpu"

    def training(self) -> Training:
        """For the training loop."""
        return Training(
            lr=self.lr, epochs=self.epochs, seed=self.seed, weight_decay=self.weight_decay, bf16=self.bf16, device=self.device
        )


def fit_masked(
    texts: Sequence[str],
    base: Mapping[str, bytes],
    settings: MaskedSettings | None = None,
    *,
    general: Sequence[str] = (),
    on_step: Callable[[Step], None] | None = None,
    checkpoints: Checkpoints | None = None,
    parallel: Parallel = ALONE,
) -> Fit:
    """Go on pre-training the encoder in the files `base`; the files are those of the base with other weights.

    A base without a layer that guesses words gets a new one, which is trained and left out of the files, as it was before.
    Told are the loss on held-out texts in nats a hidden token, `before` and after, and that on `general` texts.
    Raises CannotFit with fewer than 20 texts or a tokenizer without [MASK].
    """
    settings = settings or MaskedSettings()
    hiding, cut, own, held, replayed = _texts(texts, general, base, settings)
    with seeded(settings.seed):
        model = load_model(base, MASKED, tie_word_embeddings=True)
    before = _losses(model, hiding, held, replayed, settings)
    taught = [*own, *replayed[: round(settings.replay * len(own))]]
    lengths = [len(one) for one in taught]

    def batches(rng: np.random.Generator) -> list[tuple[Ids, Ids, Ids]]:
        """One epoch, with other tokens hidden than in the last."""
        return [
            hiding.hide([taught[row] for row in rows], rng)
            for rows in batches_by_length(lengths, rng, tokens=settings.batch_tokens)
        ]

    trained = finetune(
        model,
        batches,
        lambda batch: guess_loss(model, batch, settings.device),
        settings.training(),
        tokens_of=lambda batch: int(batch[0].size),
        weight_of=lambda batch: float((batch[2] != UNASKED).sum()),
        on_step=on_step,
        checkpoints=checkpoints,
        parallel=parallel,
    )
    after = _losses(model, hiding, held, replayed, settings)
    told = {
        "texts": float(len(own)),
        "held_out_texts": float(len(held)),
        "replayed_texts": float(len(taught) - len(own)),
        "cut_rows": float(cut),
        "tokens": float(trained.tokens),
        "parameters": float(sum(one.numel() for one in model.parameters())),
        **{f"{name}_before": value for name, value in before.items()},
        **after,
    }
    return Fit(files=_files(model, base), trained=trained, told=told)


class Hiding:
    """Hides tokens of texts, and asks for them."""

    def __init__(self, mask: int, special: Sequence[int], size: int) -> None:
        """`mask` and `special` are the ids of [MASK] and of tokens that are never hidden; ids are below `size`."""
        self._mask, self._special, self._size = mask, np.array(sorted(special), dtype=np.int64), size

    def hide(self, texts: Sequence[Sequence[int]], rng: np.random.Generator) -> tuple[Ids, Ids, Ids]:
        """Ids with some hidden, a mask (1 for tokens), and targets (-100 where nothing is asked), each (B, T).

        In every text with an ordinary token at least one is asked for, so that each text teaches.
        """
        width = max(len(one) for one in texts)
        ids, shown = np.zeros((len(texts), width), dtype=np.int64), np.zeros((len(texts), width), dtype=np.int64)
        for place, one in enumerate(texts):
            ids[place, : len(one)], shown[place, : len(one)] = one, 1
        ordinary = (shown > 0) & ~np.isin(ids, self._special)
        draw = np.where(ordinary, rng.random(ids.shape), 2.0)
        asked = (draw < MASKED_SHARE) | (ordinary & (draw == draw.min(axis=1, keepdims=True)))
        targets = np.where(asked, ids, UNASKED)
        how = rng.random(ids.shape)
        hidden = np.where(
            how < AS_MASK, self._mask, np.where(how < AS_MASK + AS_RANDOM, rng.integers(0, self._size, ids.shape), ids)
        )
        return np.where(asked, hidden, ids), shown, targets


def guess_loss(model: Any, batch: tuple[Ids, Ids, Ids], device: str) -> Any:
    """Mean cross-entropy in nats over the tokens that are asked for.

    Only these go through the last layer: with 30,522 words it costs as much as six thin layers do on all tokens.
    """
    import torch

    ids, shown, targets = (torch.from_numpy(one).to(device) for one in batch)
    hidden = model.base_model(input_ids=ids, attention_mask=shown).last_hidden_state
    asked = targets != UNASKED
    logits = _guesser(model)(hidden[asked])
    return torch.nn.functional.cross_entropy(logits.float(), targets[asked])


def _guesser(model: Any) -> Any:
    """What turns hidden states into guesses: all of the model above its encoder."""
    above = [part for name, part in model.named_children() if name != model.base_model_prefix]
    if len(above) != 1:
        raise CannotFit(f"no single layer of {type(model).__name__} guesses words. Use a BERT-like encoder as the base")
    return above[0]


def _texts(
    texts: Sequence[str], general: Sequence[str], base: Mapping[str, bytes], settings: MaskedSettings
) -> tuple[Hiding, int, list[list[int]], list[list[int]], list[list[int]]]:
    """What hides tokens, how many texts were cut, and token ids of what teaches, of what is held out, and of general texts."""
    usable = [text for text in dict.fromkeys(texts) if text.strip()]
    if len(usable) < LEAST_TEXTS:
        raise CannotFit(f"continued pre-training needs {LEAST_TEXTS} different texts, and there are {len(usable)}. Add texts")
    room = min(settings.max_tokens, int(read_config(base).get("max_position_embeddings", settings.max_tokens)))
    tokens = TokenIds(base, max_tokens=room)
    mask = tokens.id_of("[MASK]") if tokens.id_of("[MASK]") is not None else tokens.id_of("<mask>")
    if mask is None:
        raise CannotFit("the tokenizer of the base has no [MASK] to hide words behind. Use a BERT-like encoder as the base")
    special = [one for name in ("[CLS]", "[SEP]", "[PAD]", "<s>", "</s>", "<pad>") if (one := tokens.id_of(name)) is not None]
    found, extra = tokens(usable), tokens([text for text in dict.fromkeys(general) if text.strip()])
    order = np.random.default_rng(settings.seed).permutation(len(usable))
    count = max(1, round(settings.held_out * len(usable)))
    held, own = ([found.ids[row] for row in sorted(rows)] for rows in (order[:count], order[count:]))
    return Hiding(mask, [*special, mask], tokens.size), found.cut + extra.cut, own, held, extra.ids


def _losses(
    model: Any, hiding: Hiding, held: Sequence[list[int]], general: Sequence[list[int]], settings: MaskedSettings
) -> dict[str, float]:
    """The loss on held-out and on general texts, in nats a hidden token."""
    found = {"held_out_loss": _loss(model, hiding, held, settings)}
    return found | ({"general_loss": _loss(model, hiding, general, settings)} if general else {})


def _loss(model: Any, hiding: Hiding, texts: Sequence[list[int]], settings: MaskedSettings) -> float:
    import torch

    model.to(settings.device).eval()
    rng, total, count = np.random.default_rng(HELD_SEED), 0.0, 0
    with (
        torch.inference_mode(),
        torch.autocast(torch.device(settings.device).type, torch.bfloat16, enabled=settings.training().half),
    ):
        for batch in in_batches(texts, limit_tokens=settings.batch_tokens):
            hidden = hiding.hide([texts[row] for row in batch.rows], rng)
            asked = int((hidden[2] != UNASKED).sum())
            total, count = total + asked * float(guess_loss(model, hidden, settings.device)), count + asked
    return total / max(1, count)


def _files(model: Any, base: Mapping[str, bytes]) -> Files:
    """The base's files with the new weights under their old names."""
    import torch
    from safetensors.torch import load, save

    state = model.state_dict()
    prefix = f"{model.base_model_prefix}."
    weights = {}
    for name, old in load(base[WEIGHTS]).items():
        new = next((state[one] for one in (name, prefix + name, name.removeprefix(prefix)) if one in state), old)
        weights[name] = new.detach().to("cpu", old.dtype if torch.is_floating_point(old) else new.dtype).contiguous()
    return {**base, WEIGHTS: save(dict(sorted(weights.items())), {"format": "pt"})}
