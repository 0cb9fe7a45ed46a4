"""Preference pairs a second: our DPO against TRL's DPOTrainer on a Llama of about 10 million parameters, bf16, batches of 16 pairs.

The same pairs in the same order, about 142 tokens each with the prompt counted for both answers; the same weights, dtype,
optimiser and learning rate, no gradient checkpointing. TRL runs with the reference in the loop, and with the reference's
log-probabilities computed beforehand; ours are always computed beforehand. Interleaved; the median step of each round after
the first, then the median of the rounds. "With the reference" adds the seconds that the pass over the reference took for
these pairs, in full, as in a training of one epoch; in the loop it is inside the step anyway.
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from rungwise.engines.fitted.files import Files
from rungwise.engines.fitted.models import (
    CAUSAL,
    TEMPLATE,
    TOKENIZER,
    TOKENIZER_CONFIG,
    load_model,
    load_tokenizer,
    model_files,
    new_model,
)
from rungwise.fit.dpo import DpoSettings, batches_of, fit_dpo
from rungwise.fit.finetune import seeded
from rungwise.fit.preferences import Preference

ROUNDS, STEPS, BATCH = 3, 5, 16
WORDS = 8_190
PROMPT_TOKENS, ANSWER_TOKENS = 35, 36
SETTINGS = DpoSettings(technique="full", lr=1e-4, epochs=1, warmup=0.0, floor=1.0, batch_pairs=BATCH, held_out=0.0, bf16=True)
PLAIN = "{% for m in messages %}{{ m['content'] }}{{ eos_token if m['role'] == 'assistant' else ' ' }}{% endfor %}"
CONFIG = {
    "model_type": "llama",
    "vocab_size": WORDS + 2,
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": 1_024,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": None,
    "tie_word_embeddings": False,
}


def base() -> Files:
    """A Llama with random weights and one token for every word."""
    words = {word: place for place, word in enumerate(["<pad>", "<eos>", *(f"w{place}" for place in range(WORDS))])}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [{"id": place, "content": word, **flags} for word, place in words.items() if word[0] == "<"],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "<pad>"},
    }
    names = {"eos_token": "<eos>", "pad_token": "<pad>"}
    like = {TOKENIZER: json.dumps(tokenizer).encode(), TOKENIZER_CONFIG: json.dumps(names).encode(), TEMPLATE: PLAIN.encode()}
    with seeded(0):
        return model_files(new_model(CONFIG, CAUSAL), like)


def some_pairs(seed: int) -> list[Preference]:
    """Pairs of random words whose lengths are spread as those of real dialogues are, lognormal."""
    rng = np.random.default_rng(seed)

    def text(mean: int) -> str:
        size = int(np.clip(rng.lognormal(np.log(mean) - 0.125, 0.5), 4, 160))
        return " ".join(f"w{one}" for one in rng.integers(0, WORDS, size))

    return [Preference(text(PROMPT_TOKENS), text(ANSWER_TOKENS), text(ANSWER_TOKENS)) for _ in range(STEPS * BATCH)]


def ours(model: Files, pairs: Sequence[Preference]) -> dict[str, Any]:
    """The product's own training."""
    ticks = [now()]
    found = fit_dpo(pairs, model, SETTINGS, on_step=lambda step: ticks.append(now()))
    return median_step(ticks) | {"reference_s": found.told["reference_s"], "losses": found.trained.losses}


def trl(model: Files, pairs: Sequence[Preference], *, precompute: bool) -> dict[str, Any]:
    """TRL's trainer, its own defaults but for checkpointing, which would make it slower."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from transformers.trainer_callback import PrinterCallback
    from trl import DPOConfig, DPOTrainer

    ticks: list[tuple[float, float]] = []
    reference = [0.0]

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *arguments: Any, **others: Any) -> None:
            ticks.append(now())

    class Timed(DPOTrainer):  # type: ignore[misc]
        def _precompute_ref_logps(self, *arguments: Any, **others: Any) -> Any:
            begin = time.perf_counter()
            found = super()._precompute_ref_logps(*arguments, **others)
            reference[0] += time.perf_counter() - begin
            return found

    tokenizer = load_tokenizer(model)
    tokenizer.chat_template = None
    order = np.concatenate(batches_of(np.arange(len(pairs)), np.random.default_rng(SETTINGS.seed), BATCH))
    chosen = [pairs[row] for row in order]
    rows = [{"prompt": f"{one.prompt} ", "chosen": one.chosen, "rejected": one.rejected} for one in chosen]
    with tempfile.TemporaryDirectory() as folder:
        config = DPOConfig(
            output_dir=folder,
            per_device_train_batch_size=BATCH,
            num_train_epochs=1,
            learning_rate=SETTINGS.lr,
            lr_scheduler_type="constant",
            beta=SETTINGS.beta,
            weight_decay=0.0,
            logging_steps=1,
            report_to=[],
            save_strategy="no",
            use_cpu=True,
            bf16=True,
            gradient_checkpointing=False,
            train_sampling_strategy="sequential",
            precompute_ref_log_probs=precompute,
            disable_tqdm=True,
        )
        trainer = Timed(
            model=load_model(model, CAUSAL),
            ref_model=load_model(model, CAUSAL),
            args=config,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[Watch()],
        )
        trainer.remove_callback(PrinterCallback)
        ticks.append(now())
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return median_step(ticks) | {"reference_s": reference[0], "losses": losses}


def now() -> tuple[float, float]:
    """Seconds of the clock, and of the processor."""
    return time.perf_counter(), time.process_time()


def median_step(ticks: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """The median of the steps after the first, which still warms up."""
    wall, processor = np.median(np.diff(np.array(ticks), axis=0)[1:], axis=0)
    return {"step_s": float(wall), "step_cpu_s": float(processor)}


def main() -> None:
    """Print the table and the JSON line."""
    os.environ["TQDM_DISABLE"] = "1"
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    import datasets

    datasets.disable_progress_bars()
    model = base()
    parameters = sum(one.numel() for one in load_model(model, CAUSAL).parameters())
    kinds = {
        "ours": ours,
        "TRL, reference in the loop": lambda model, pairs: trl(model, pairs, precompute=False),
        "TRL, reference beforehand": lambda model, pairs: trl(model, pairs, precompute=True),
    }
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in kinds}
    tokens = []
    for number in range(ROUNDS):
        pairs = some_pairs(number)
        tokens += [2 * len(one.prompt.split()) + len(one.chosen.split()) + len(one.rejected.split()) + 2 for one in pairs]
        for name, run in kinds.items():
            runs[name].append(run(model, pairs))
            print(f"round {number + 1}, {name}: {runs[name][-1]}", file=sys.stderr, flush=True)
    count = STEPS * BATCH
    steady = {name: [BATCH / one["step_s"] for one in own] for name, own in runs.items()}
    whole = {name: [1 / (one["step_s"] / BATCH + one["reference_s"] / count) for one in own] for name, own in runs.items()}
    print(f"{parameters:,} parameters, {np.mean(tokens):.0f} tokens a pair, bf16, {BATCH} pairs a step, {ROUNDS} rounds of {STEPS}")
    print(f"{'':<28}{'pairs/s':>9}{'ours is':>9}{'with the reference':>20}{'ours is':>9}{'CPU s a step':>14}{'last loss':>11}")
    found: dict[str, Any] = {"benchmark": "dpo_speed", "goal": 2.0, "parameters": parameters, "tokens": float(np.mean(tokens))}
    for name, own in runs.items():
        ratio = statistics.median(a / b for a, b in zip(steady["ours"], steady[name], strict=True))
        total = statistics.median(a / b for a, b in zip(whole["ours"], whole[name], strict=True))
        pace, all_in = statistics.median(steady[name]), statistics.median(whole[name])
        cpu = statistics.median(one["step_cpu_s"] for one in own)
        last = own[-1]["losses"][-1]
        print(f"{name:<28}{pace:>9.1f}{ratio:>8.2f}x{all_in:>20.1f}{total:>8.2f}x{cpu:>14.2f}{last:>11.4f}")
        found[name] = {"pairs_per_s": pace, "ratio": ratio, "pairs_per_s_with_reference": all_in, "ratio_with_reference": total}
        found[name] |= {"step_cpu_s": cpu, "rounds": steady[name], "losses": own[-1]["losses"]}
    apart = max(
        abs(a - b) for a, b in zip(runs["ours"][-1]["losses"], runs["TRL, reference in the loop"][-1]["losses"], strict=True)
    )
    print(f"losses of single steps are at most {apart:.4f} apart in bf16 (fp32: 1e-5, tests/fit/test_dpo_parity.py)")
    print(f"goal: at least 2x TRL, the reference counted. Load at the end: {os.getloadavg()[0]:.1f}")
    print(json.dumps(found | {"apart": apart}))


if __name__ == "__main__":
    main()
