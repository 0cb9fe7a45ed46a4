"""A language model of one's own, from nothing but texts: a small Llama-style decoder that learns to foretell the next token."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rungwise.engines.fitted.models import CAUSAL, load_tokenizer, model_files, new_model
from rungwise.fit.blocks import Held, blocks_loss, compiled
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.corpus import Blocks, Corpus, corpus, cut_tail
from rungwise.fit.finetune import Step, Training, finetune, seeded
from rungwise.fit.fit import Fit
from rungwise.fit.parallel import ALONE, Parallel
from rungwise.fit.scaling import Plan, first_spread
from rungwise.fit.tokenizer import train_tokenizer

BETAS = (0.9, 0.99)
"""The second as in nanoGPT's config/train_shakespeare_char.py: a step sees few tokens, so that the mean is taken over more."""


def fit_scratch(
    texts: Sequence[str],
    plan: Plan,
    *,
    tokenizer: Mapping[str, bytes] | None = None,
    device: str = "cpu",
    on_step: Callable[[Step], None] | None = None,
    checkpoints: Checkpoints | None = None,
    parallel: Parallel = ALONE,
) -> Fit:
    """Train a decoder by a plan (`scaling.plan_decoder` makes one from a budget) on all of the texts but their last tenth.

    The tokenizer is learned from the same nine tenths unless its files are given. The held-out loss is taken `plan.rounds`
    times on a sample, and on all of it for the weights that had the lowest, which are kept. Loads as `LlamaForCausalLM` in
    plain transformers. Equal arguments give equal bytes on one machine with one number of threads, also when the training
    was killed and went on from its `checkpoints`. Raises CannotFit with too little text for one block.
    """
    before, _ = cut_tail([text for text in texts if text], plan.held_out)
    own = dict(tokenizer) if tokenizer else train_tokenizer(before, vocabulary=plan.vocabulary, characters=plan.characters)
    data = corpus(texts, own, context=plan.context, held_out=plan.held_out)
    model = _new_decoder(plan, own)
    held = Held(model, data.held, plan.context, device=device)
    run = compiled(model) if plan.compiled else None
    training = Training(
        lr=plan.lr,
        epochs=plan.rounds,
        seed=plan.seed,
        warmup=plan.warmup,
        weight_decay=plan.weight_decay,
        schedule="cosine",
        betas=BETAS,
        device=device,
    )
    drawn = Blocks(len(data.train), plan.context)
    trained = finetune(
        model,
        lambda rng: drawn.take(plan.batch, rng, steps=max(1, plan.steps // plan.rounds)),
        lambda starts: blocks_loss(model, data.train, starts, plan.context, body=run),
        training,
        tokens_of=lambda starts: len(starts) * plan.context,
        on_step=on_step,
        stop=held.see,
        checkpoints=checkpoints,
        remembers=held,
        parallel=parallel,
    )
    held.restore_best()
    told = {
        **_told(held.whole(), data),
        "parameters": float(sum(one.numel() for one in model.parameters())),
        "passes": trained.tokens / len(data.train),
        "compiled": float(run is not None),
        **{f"held_out_loss_{place}": loss for place, loss in enumerate(held.curve, start=1)},
    }
    return Fit(files=model_files(model, own), trained=trained, told=told)


def _told(loss: float, data: Corpus) -> dict[str, float]:
    """The held-out loss in nats: per token, and per character, which can be compared between tokenizers."""
    return {
        "held_out_loss": loss,
        "held_out_loss_per_character": loss * data.tokens_per_character,
        "held_out_tokens": float(len(data.held)),
        "held_out_unknown": float(data.unknown),
        "train_tokens": float(len(data.train)),
    }


def _new_decoder(plan: Plan, tokenizer: Mapping[str, bytes]) -> Any:
    """A LlamaForCausalLM of the plan's shape with weights drawn from its seed; input and output embedding are one."""
    words = load_tokenizer(tokenizer)
    shape = {
        "model_type": "llama",
        "vocab_size": len(words),
        "hidden_size": plan.width,
        "intermediate_size": plan.inner,
        "num_hidden_layers": plan.layers,
        "num_attention_heads": plan.heads,
        "num_key_value_heads": plan.heads,
        "max_position_embeddings": plan.context,
        "tie_word_embeddings": True,
        "initializer_range": first_spread(plan.width),
        "bos_token_id": None,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }
    with seeded(plan.seed):
        model: Any = new_model(shape, CAUSAL)
    _with_dropout(model, plan.dropout)
    return model


def _with_dropout(model: Any, rate: float) -> None:
    """Drop shares of what the embedding and each layer's two halves add (Srivastava et al. 2014); Llama's classes do not."""
    if not rate:
        return
    from torch.nn.functional import dropout

    def drop(module: Any, given: Any, found: Any) -> Any:
        if isinstance(found, tuple):
            return (dropout(found[0], rate, module.training), *found[1:])
        return dropout(found, rate, module.training)

    for part in (model.model.embed_tokens, *(half for layer in model.model.layers for half in (layer.self_attn, layer.mlp))):
        part.register_forward_hook(drop)
