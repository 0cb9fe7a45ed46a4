"""Running a fitted language model: `transformers.generate` against Rungwise's engines, tokens a second and equal sequences.

Llama-style models with random weights, prompts of 24 tokens, 64 new ones, greedy, batches of 1 and 16. One round runs every
engine once, in turn; medians of the rounds, and of the ratios within a round. Processor seconds stand beside the clock, since
they say more on a machine that is not idle. What rounding to 8 bits costs is the loss of a
small model that was trained on Shakespeare here, on held-out text, computed by each engine.

Run: python -m benchmarks.fitted_inference [--rounds 5]
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.publish import machine
from rungwise.engines.fitted.decoding import Decoding
from rungwise.engines.fitted.files import Files
from rungwise.engines.fitted.generation import load_generator
from rungwise.engines.fitted.models import CAUSAL, load_model, load_tokenizer, model_files, new_model
from rungwise.fit.finetune import seeded
from rungwise.fit.tokenizer import train_tokenizer

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "tinyshakespeare" / "train.txt.gz"
PROMPT, NEW, BATCHES = 24, 64, (1, 16)
PEER = "transformers.generate fp32"
GOALS = {1: 2.5, 16: 1.3}
SHAPES = {
    "10M": {"hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 8, "num_attention_heads": 8, "vocab_size": 8_192},
    "100M": {
        "hidden_size": 768,
        "intermediate_size": 2_048,
        "num_hidden_layers": 10,
        "num_attention_heads": 12,
        "vocab_size": 16_000,
    },
}
Prompts = list[list[int]]
Engine = Callable[[Prompts], list[list[int]]]


def random_model(shape: str, text: str) -> Files:
    """A model with random weights, larger than usual so that its likeliest token is a clear one. Nothing ends its answers early."""
    config = {"model_type": "llama", "max_position_embeddings": 512, "initializer_range": 0.05, "eos_token_id": 0, **SHAPES[shape]}
    with seeded(0):
        return model_files(new_model(config, CAUSAL), train_tokenizer([text], vocabulary=2_000))


def engines(files: Files) -> dict[str, Engine]:
    """The peers, which load the folder as anyone does, then ours."""
    import torch
    from transformers import AutoModelForCausalLM

    def peer(dtype: Any) -> Engine:
        with tempfile.TemporaryDirectory() as folder:
            for name, data in files.items():
                (Path(folder) / name).write_bytes(data)
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()

        def answer(prompts: Prompts) -> list[list[int]]:
            ids = torch.tensor(prompts)
            made = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW, do_sample=False, pad_token_id=1, eos_token_id=0
            )
            found: list[list[int]] = made[:, PROMPT:].tolist()
            return found

        return answer

    def own(**how: Any) -> Engine:
        generator = load_generator(files, **how)
        return lambda prompts: [list(one.ids) for one in generator.generate(prompts, Decoding(max_tokens=NEW))]

    return {
        PEER: peer(torch.float32),
        "transformers.generate bf16": peer(torch.bfloat16),
        "ours, transformers fp32": own(engine="transformers"),
        "ours, ctranslate2 fp32": own(engine="ctranslate2"),
        "ours, ctranslate2 int8": own(engine="ctranslate2", dtype="int8"),
    }


def measure(run: dict[str, Engine], prompts: Prompts, rounds: int) -> dict[str, dict[str, float]]:
    """Tokens a second, prefill included; ratios to the peer by the clock and by processor seconds; the share of equal rows."""
    made = {name: answer(prompts) for name, answer in run.items()}  # also the warm-up
    if any(len(row) != NEW for row in made[PEER]):
        raise RuntimeError("an answer ended early: choose another end token")
    seconds: dict[str, list[float]] = {name: [] for name in run}
    spent: dict[str, list[float]] = {name: [] for name in run}
    for _ in range(rounds):
        for name, answer in run.items():
            begun, before = time.perf_counter(), time.process_time()
            answer(prompts)
            seconds[name].append(time.perf_counter() - begun)
            spent[name].append(time.process_time() - before)
    tokens = len(prompts) * NEW
    return {
        name: {
            "tokens_per_s": tokens / statistics.median(seen),
            "ratio": statistics.median(peer / own for peer, own in zip(seconds[PEER], seen, strict=True)),
            "cpu_ratio": statistics.median(peer / own for peer, own in zip(spent[PEER], spent[name], strict=True)),
            "equal": sum(a == b for a, b in zip(made[PEER], made[name], strict=True)) / len(prompts),
        }
        for name, seen in seconds.items()
    }


def quality(text: str, steps: int) -> dict[str, float]:
    """Nats a token on held-out text, of a small model trained on the rest, by engine."""
    import torch

    from rungwise.engines.fitted.faster import faster
    from rungwise.engines.fitted.generation import rules_of
    from rungwise.fit.scaling import Plan
    from rungwise.fit.scratch import fit_scratch

    cut = len(text) * 9 // 10
    words = train_tokenizer([text[:cut]], vocabulary=1_024)
    tokenizer = load_tokenizer(words)
    plan = Plan(steps=steps, rounds=2, vocabulary=1_024)
    files = fit_scratch([text], plan, tokenizer=words).files
    held = tokenizer(text[cut:])["input_ids"]
    size = plan.context - 1
    rows = [held[begin : begin + size] for begin in range(0, len(held) - size, size)][:64]
    model = load_model(files, CAUSAL)
    with torch.inference_mode():
        log = torch.log_softmax(model(torch.tensor(rows)).logits[:, :-1], -1)
        exact = -log.gather(2, torch.tensor(rows)[:, 1:, None]).mean().item()
    found = {"transformers fp32": exact}
    for dtype in ("float32", "int8"):
        own = faster(load_model(files, CAUSAL), rules_of(files, tokenizer), dtype=dtype)
        scores = own.score([row[:1] for row in rows], [row[1:] for row in rows])
        found[f"ctranslate2 {dtype}"] = -sum(scores) / (len(rows) * (size - 1))
    return found


def shown(shape: str, batch: int, found: dict[str, dict[str, float]]) -> None:
    """One table, and whether the goals are reached."""
    print(f"\n{shape} parameters, batch {batch:<20}{'tokens/s':>12}{'ratio':>8}{'per cpu s':>11}  equal sequences")
    for name, row in found.items():
        print(
            f"  {name:36}{row['tokens_per_s']:12.0f}{row['ratio']:8.2f}{row['cpu_ratio']:11.2f}  {row['equal'] * batch:.0f}/{batch}"
        )
    fast = found["ours, ctranslate2 fp32"]
    reached = fast["ratio"] >= GOALS[batch] and fast["equal"] == 1
    print(f"  goal of ctranslate2 fp32: all equal, ratio >= {GOALS[batch]}: {'reached' if reached else 'MISSED'}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print tables and one line of JSON."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--steps", type=int, default=800, help="of the small model whose loss is shown; 0: none")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    text = gzip.decompress(DATA.read_bytes()).decode()
    rng = np.random.default_rng(0)
    everything: dict[str, dict[str, dict[str, float]]] = {}
    print(f"{machine()}; prompts of {PROMPT} tokens, {NEW} new ones, greedy, {given.threads} threads, {given.rounds} rounds")
    for shape in given.shapes:
        run = engines(random_model(shape, text))
        for batch in BATCHES:
            prompts = rng.integers(2, SHAPES[shape]["vocab_size"], size=(batch, PROMPT)).tolist()
            found = measure(run, prompts, given.rounds)
            everything[f"{shape} batch {batch}"] = found
            shown(shape, batch, found)
    losses = quality(text, given.steps) if given.steps else {}
    if losses:
        print("\nheld-out loss of a small trained model, nats a token")
    for name, loss in losses.items():
        print(f"  {name:36}{loss:12.4f}{loss - losses['transformers fp32']:+10.4f}")
    print(
        json.dumps({"bench": "fitted_inference", "machine": machine(), "rounds": given.rounds, "runs": everything, "loss": losses})
    )


if __name__ == "__main__":
    main()
