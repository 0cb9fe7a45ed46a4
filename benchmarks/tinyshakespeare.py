"""A character model of Shakespeare from scratch in minutes: held-out loss against nanoGPT's recipe for a processor.

    python -m benchmarks.tinyshakespeare                  3 and 15 minutes, and nanoGPT's recipe: about 22 minutes on 2 cores
    python -m benchmarks.tinyshakespeare --minutes 3

The text is the one of ../shared/data/tinyshakespeare (1,003,854 characters); its last tenth is held out and all of it is
judged, in blocks side by side. The seconds are those of the whole call: tokenizer, compiler, training, judging, writing. The
plan is made from the seconds and the pace of this machine, measured in the second before. nanoGPT's recipe (README, "I only
have a macbook": GPT-2 with 4 layers, 128 wide, context 64, batch 12, 2,000 steps, dropout 0, rate 1e-3, fp32) is trained by
the same loop on the same text.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from rungwise.engines.fitted.models import CAUSAL, load_tokenizer, new_model
from rungwise.fit.blocks import Held, blocks_loss
from rungwise.fit.corpus import Blocks, corpus, cut_tail, read_text
from rungwise.fit.finetune import Training, finetune, seeded
from rungwise.fit.scaling import Plan, measure_pace, plan_decoder
from rungwise.fit.scratch import fit_scratch
from rungwise.fit.tokenizer import train_tokenizer

TEXT = Path(__file__).resolve().parents[2] / "shared" / "data" / "tinyshakespeare" / "train.txt.gz"
GOALS = {3.0: 1.80, 15.0: 1.60}
REPORTED = 1.88  # nanoGPT's README, on the last tenth of the whole text, 20 batches of it


@dataclass(frozen=True)
class Row:
    """One training: what it was given, what it took, and the held-out loss in nats per character."""

    name: str
    minutes: float
    seconds: float
    loss: float
    parameters: float
    tokens: int
    tokens_per_s: float
    curve: list[float]
    plan: dict[str, object]


def ours(text: str, minutes: float) -> Row:
    """A plan for so many minutes, and what it gives."""
    begun = time.perf_counter()
    before, _ = cut_tail([text])
    vocabulary = len(set(before[0])) + 3
    plan = plan_decoder(minutes * 60, pace=measure_pace(), tokens=len(before[0]), vocabulary=vocabulary, characters=True)
    found = fit_scratch([text], plan)
    curve = [found.told[f"held_out_loss_{place}"] for place in range(1, plan.rounds + 1)]
    trained = found.trained
    return Row(
        "planned",
        minutes,
        time.perf_counter() - begun,
        found.told["held_out_loss"],
        found.told["parameters"],
        trained.tokens,
        trained.tokens_per_s,
        curve,
        plan.recipe(),
    )


def nano(text: str) -> Row:
    """nanoGPT's recipe for a processor, trained by the same loop."""
    begun = time.perf_counter()
    context, batch, steps, rounds = 64, 12, 2_000, 8
    words = train_tokenizer(cut_tail([text])[0], characters=True)
    data = corpus([text], words, context=context)
    shape = {
        "model_type": "gpt2",
        "vocab_size": len(load_tokenizer(words)),
        "n_positions": context,
        "n_embd": 128,
        "n_layer": 4,
        "n_head": 4,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
    }
    with seeded(0):
        model = new_model(shape, CAUSAL)
    held = Held(model, data.held, context)
    training = Training(
        lr=1e-3, epochs=rounds, warmup=0.05, schedule="cosine", floor=0.1, betas=(0.9, 0.99), weight_decay=0.1, bf16=False
    )
    drawn = Blocks(len(data.train), context)
    trained = finetune(
        model,
        lambda rng: drawn.take(batch, rng, steps=steps // rounds),
        lambda starts: blocks_loss(model, data.train, starts, context),
        training,
        tokens_of=lambda starts: len(starts) * context,
        stop=held.see,
    )
    held.restore_best()
    loss, parameters = held.whole(), float(sum(one.numel() for one in model.parameters()))
    seconds = time.perf_counter() - begun
    return Row(
        "nanoGPT's",
        0.0,
        seconds,
        loss,
        parameters,
        trained.tokens,
        trained.tokens_per_s,
        held.curve,
        {"steps": steps, "batch": batch},
    )


def table(rows: list[Row]) -> str:
    """The rows for people."""
    head = (
        f"{'recipe':<12} {'asked':>7} {'took':>8} {'nats/char':>10} {'goal':>6} {'weights':>10} {'characters':>12} {'chars/s':>9}"
    )
    lines = [head]
    for row in rows:
        goal = f"{GOALS[row.minutes]:.2f}" if row.minutes in GOALS else "-"
        asked = f"{row.minutes:g} min" if row.minutes else "-"
        lines.append(
            f"{row.name:<12} {asked:>7} {row.seconds:>6.0f} s {row.loss:>10.4f} {goal:>6} {row.parameters:>10,.0f} "
            f"{row.tokens:>12,} {row.tokens_per_s:>9,.0f}"
        )
    lines.append(f"nanoGPT's README reports {REPORTED} for its recipe, estimated on another tenth of the text.")
    shapes = [Plan(**row.plan) for row in rows if row.minutes]  # type: ignore[arg-type]
    for row, plan in zip([row for row in rows if row.minutes], shapes, strict=True):
        lines.append(
            f"{row.minutes:g} minutes: {plan.layers} layers, {plan.width} wide, context {plan.context}, batch {plan.batch}, "
            f"{plan.steps:,} steps, rate {plan.lr:.1e}, dropout {plan.dropout}, compiled {plan.compiled}; "
            f"curve {' '.join(f'{one:.3f}' for one in row.curve)}"
        )
    return "\n".join(lines)


def main() -> None:
    """Train, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, nargs="+", default=[3.0, 15.0])
    parser.add_argument("--threads", type=int, default=0, help="0: as many as torch takes")
    parser.add_argument("--alone", action="store_true", help="without nanoGPT's recipe")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    if not TEXT.exists():
        sys.exit(f"{TEXT} is not beside this checkout")
    text = read_text(TEXT)
    rows: list[Row] = []
    for minutes in given.minutes:
        rows.append(ours(text, minutes))
        print(
            f"{minutes:g} minutes: {rows[-1].loss:.4f} nats per character in {rows[-1].seconds:.0f} s", file=sys.stderr, flush=True
        )
    rows += [] if given.alone else [nano(text)]
    print(table(rows))
    print(json.dumps({"benchmark": "tinyshakespeare", "rows": [row.__dict__ for row in rows]}))


if __name__ == "__main__":
    main()
