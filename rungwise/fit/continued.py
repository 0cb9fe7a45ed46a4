"""Continued pre-training: a language model goes on reading, one's own texts with a few general ones among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rungwise.core.errors import CannotFit, UsageError
from rungwise.engines.fitted.models import CAUSAL, load_model, model_files, read_config
from rungwise.fit.blocks import Held, blocks_loss
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.corpus import HELD_OUT, Blocks, Corpus, Starts, corpus
from rungwise.fit.decoder import check_decoder
from rungwise.fit.finetune import Step, Training, finetune
from rungwise.fit.fit import Fit
from rungwise.fit.parallel import ALONE, Parallel

Mixed = tuple[Starts, Starts]
"""Where the new and the general blocks of a batch begin."""


@dataclass(frozen=True, kw_only=True)
class ContinuedSettings:
    """How a model goes on: the rate is warmed up again and falls as a cosine, and the share `replay` of each batch is general text.

    Re-warming, re-decaying and about 5 % of replay: Ibrahim et al. 2024, arXiv 2403.08763, sections 6.2 and 6.3. `passes`
    over the new texts, at most four, which are nearly as good as new ones (Muennighoff et al. 2023, arXiv 2305.16264).
    """

    lr: float = 3e-4
    warmup: float = 0.01
    floor: float = 0.1
    weight_decay: float = 0.1
    passes: float = 2.0
    replay: float = 0.05
    context: int = 256
    batch: int = 8
    accumulate: int = 1
    rounds: int = 4
    held_out: float = HELD_OUT
    seed: int = 0


def fit_continued(
    base: Mapping[str, bytes],
    texts: Sequence[str],
    settings: ContinuedSettings | None = None,
    *,
    general: Sequence[str] = (),
    device: str = "cpu",
    on_step: Callable[[Step], None] | None = None,
    checkpoints: Checkpoints | None = None,
    parallel: Parallel = ALONE,
) -> Fit:
    """Train all weights of a causal language model on new texts, with `general` ones replayed; all of its files come back.

    `told` has the loss in nats per token before and after on the held-out tenths of both (`general_loss_before` ...), so
    that forgetting can be seen. The weights kept are those with the lowest held-out loss on the new texts. Raises
    CannotFit with too little text, UsageError when the base cannot see a block or replay is asked for without texts.
    """
    settings = settings or ContinuedSettings()
    _check(settings, general)
    context = min(settings.context, int(read_config(base).get("max_position_embeddings") or settings.context))
    new = corpus(texts, base, context=context, held_out=settings.held_out)
    old = corpus(general, base, context=context, held_out=settings.held_out) if any(general) else None
    model = load_model(base, CAUSAL, device=device)
    check_decoder(model, context)
    held = Held(model, new.held, context, device=device)
    other = Held(model, old.held, context, device=device) if old is not None else None
    before = _losses(held, other, "before")
    steps = max(
        settings.rounds, round(settings.passes * len(new.train) / (context * _new_rows(settings, old) * settings.accumulate))
    )

    def loss(rows: Mixed) -> Any:
        mean = blocks_loss(model, new.train, rows[0], context)
        if old is None or not len(rows[1]):
            return mean
        share = len(rows[1]) / (len(rows[0]) + len(rows[1]))
        return (1.0 - share) * mean + share * blocks_loss(model, old.train, rows[1], context)

    training = Training(
        lr=settings.lr,
        epochs=settings.rounds,
        seed=settings.seed,
        warmup=settings.warmup,
        floor=settings.floor,
        weight_decay=settings.weight_decay,
        schedule="cosine",
        accumulate=settings.accumulate,
        betas=(0.9, 0.95),  # Ibrahim et al. 2024, appendix A.1
        device=device,
    )
    fresh = Blocks(len(new.train), context)
    replayed = Blocks(len(old.train), context) if old is not None else None
    trained = finetune(
        model,
        lambda rng: _batches(fresh, replayed, settings, steps // settings.rounds * settings.accumulate, rng),
        loss,
        training,
        tokens_of=lambda rows: (len(rows[0]) + len(rows[1])) * context,
        on_step=on_step,
        stop=held.see,
        checkpoints=checkpoints,
        remembers=held,
        parallel=parallel,
    )
    held.restore_best()
    counts = {"train_tokens": float(len(new.train)), "replay_tokens": float(len(old.train)) if old is not None else 0.0}
    told = {**before, **_losses(held, other, "after"), **counts}
    return Fit(files=model_files(model, base), trained=trained, told=told)


def _check(settings: ContinuedSettings, general: Sequence[str]) -> None:
    if not 0.0 <= settings.replay < 1.0:
        raise UsageError(f"replay is a share from 0 to below 1, not {settings.replay:g}")
    if settings.replay and not any(general):
        raise UsageError("replay needs general texts, and there are none. Give some, or set replay=0 and watch what is forgotten")
    if settings.batch < 1 or settings.rounds < 1 or settings.accumulate < 1:
        raise CannotFit("batch, rounds and accumulate are at least 1")


def _new_rows(settings: ContinuedSettings, old: Corpus | None) -> float:
    """New blocks of a batch, on average."""
    return settings.batch * (1.0 - (settings.replay if old is not None else 0.0))


def _batches(new: Blocks, old: Blocks | None, settings: ContinuedSettings, count: int, rng: np.random.Generator) -> list[Mixed]:
    """Batches with as many general blocks as a binomial draw of the share gives, so that small shares are met on average."""
    general = np.zeros(count, np.int64) if old is None else rng.binomial(settings.batch - 1, _drawn_share(settings), count)
    fresh = new.take(1, rng, steps=int(settings.batch * count - general.sum()))
    replayed = old.take(1, rng, steps=int(general.sum())) if old is not None else []
    found: list[Mixed] = []
    one = two = 0
    for share in general.tolist():
        size = settings.batch - share
        found.append((_joined(fresh[one : one + size]), _joined(replayed[two : two + share])))
        one, two = one + size, two + share
    return found


def _drawn_share(settings: ContinuedSettings) -> float:
    """The chance of each of a batch's rows but the first, which is always new, to be a general one."""
    return min(1.0, settings.replay * settings.batch / max(1, settings.batch - 1))


def _joined(starts: Sequence[Starts]) -> Starts:
    return np.concatenate(starts) if starts else np.zeros(0, np.int64)


def _losses(held: Held, other: Held | None, when: str) -> dict[str, float]:
    found = {f"held_out_loss_{when}": held.whole()}
    return found if other is None else {**found, f"general_loss_{when}": other.whole()}
