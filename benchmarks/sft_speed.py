"""Training of Llama-style models on texts of unequal length beside TRL's SFTTrainer; prints a table and a JSON line.

`python -m benchmarks.sft_speed` trains random-init models of about 10 and 100 million parameters in bf16 on the paragraphs of
WikiText-2, and the small one on short messages, in turns with TRL: the same texts, first weights, tokens to a step, learning
rate, clipping and AdamW. TRL packs (`packing=bfd`, without gradient checkpointing), or pads as it does by default. A pace is
the tokens that are no padding over the seconds of all steps but the first two, a median over rounds, and the ratio the median of
those of the rounds; beside it the same ratio in processor seconds. `--rounds N` takes more, `--only NAME` some of the races.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.publish import machine
from rungwise.engines.fitted.models import CAUSAL, new_model
from rungwise.fit.cross_entropy import mean_cross_entropy
from rungwise.fit.decoder import states_of
from rungwise.fit.finetune import Step, Training, finetune, seeded
from rungwise.fit.forgetting import mean_loss
from rungwise.fit.packing import Document, Packed, fitted_to, pack, packed_batches

os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
VOCABULARY, ROW, UNTIMED, HELD = 8_192, 512, 2, 24

SHAPES = {
    "10M": {
        "hidden_size": 320,
        "intermediate_size": 864,
        "num_hidden_layers": 6,
        "num_attention_heads": 5,
        "num_key_value_heads": 5,
    },
    "100M": {"hidden_size": 768, "intermediate_size": 2_048, "num_hidden_layers": 12, "num_attention_heads": 12},
}


@dataclass(frozen=True)
class Race:
    """What is trained on what, in how many steps, beside which settings of TRL."""

    name: str
    shape: str
    texts: str
    batch_tokens: int
    steps: int
    lr: float
    peer: str
    trl: dict[str, Any]
    goal: float


PACKED = {"packing": True, "packing_strategy": "bfd", "gradient_checkpointing": False}
RACES = (
    Race("10M, packed", "10M", "paragraphs", 2_048, 12, 1e-3, "TRL packing=bfd", PACKED, 2.5),
    Race("100M, packed", "100M", "paragraphs", 1_024, 6, 5e-4, "TRL packing=bfd", PACKED, 1.2),
    Race("10M, short texts", "10M", "messages", 2_048, 8, 1e-3, "TRL default", {}, 5.0),
)


@dataclass
class Run:
    """One training: when each step ended by the clock and by the processors' time, its tokens and places, the held-out loss."""

    ends: list[float] = field(default_factory=list)
    worked: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    held_loss: float = 0.0

    @property
    def pace(self) -> float:
        """Real tokens a second after the first steps."""
        return self._over(self.ends)

    @property
    def work_pace(self) -> float:
        """Real tokens a second of processor time, which other programs on the machine change less."""
        return self._over(self.worked)

    def ended(self) -> None:
        """A step is over."""
        self.ends.append(time.perf_counter())
        self.worked.append(time.process_time())

    def _over(self, times: Sequence[float]) -> float:
        return sum(self.tokens[UNTIMED : len(times)]) / (times[-1] - times[UNTIMED - 1])

    @property
    def fill(self) -> float:
        """The share of what was computed that is no padding."""
        return sum(self.tokens) / sum(self.places)


def paragraphs() -> list[str]:
    """The paragraphs of the WikiText-2 validation part that are no headings."""
    folder = DATA / "wikitext2_valid"
    lines = [line.strip() for line in _lines(folder) if line.strip() and not line.strip().startswith("=")]
    return [line for line in lines if len(line) > 20]


def messages() -> list[str]:
    """Questions of CLINC150 and text messages of SMS spam, in turns: short, of unequal length."""
    found = [[json.loads(line)["text"] for line in _lines(DATA / name)] for name in ("clinc150", "sms_spam")]
    return [text for pair in zip(*(own[:3_000] for own in found), strict=False) for text in pair]


def _lines(folder: Path) -> Iterable[str]:
    for path in sorted([*folder.glob("*.txt.gz"), *folder.glob("*.jsonl.gz")]):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            yield from lines


def tokenizer_of(texts: Sequence[str]) -> Any:
    """A byte-level BPE of these texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=["<pad>", "<eos>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="<eos>")


def model_of(shape: str) -> Any:
    """The same first weights every time."""
    config = {"model_type": "llama", "vocab_size": VOCABULARY, "max_position_embeddings": 2_048, "tie_word_embeddings": True}
    with seeded(0):
        return new_model({**config, **SHAPES[shape], "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}, CAUSAL)


def ours(race: Race, documents: Sequence[Document], held: Sequence[Document], seed: int) -> Run:
    """The training loop of `fit sft`, on all tokens."""
    model, run = model_of(race.shape), Run()
    rows = pack(documents, ROW)

    def batches(rng: np.random.Generator) -> list[Packed]:
        found: list[Packed] = []
        while len(found) < race.steps:
            found += packed_batches(rows, rng, batch_tokens=race.batch_tokens)
        return found[: race.steps]

    def loss(batch: Packed) -> Any:
        run.tokens.append(batch.tokens)
        run.places.append(batch.ids.size)
        states = states_of(model, batch)
        return mean_cross_entropy(states.hidden, states.head, states.targets)

    def on_step(step: Step) -> None:
        run.ended()

    training = Training(lr=race.lr, epochs=1, seed=seed, warmup=0.0, floor=1.0, bf16=True)  # one rate throughout, as there
    finetune(model, batches, loss, training, tokens_of=lambda batch: batch.tokens, on_step=on_step)
    run.held_loss = mean_loss(model, held, half=True)
    return run


def trl(race: Race, documents: Sequence[Document], held: Sequence[Document], seed: int, tokenizer: Any) -> Run:
    """SFTTrainer with the same settings where it has them, and its own elsewhere."""
    from datasets import Dataset
    from transformers import PrinterCallback, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    model, run = model_of(race.shape), Run()
    mean = sum(map(len, documents)) / len(documents)
    size = race.batch_tokens // ROW if race.trl.get("packing") else max(1, round(race.batch_tokens / mean))

    class Watch(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            run.ended()

    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=size,
            max_steps=race.steps,
            max_length=ROW,
            learning_rate=race.lr,
            lr_scheduler_type="constant",
            weight_decay=0.01,
            seed=seed,
            bf16=True,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            **race.trl,
        )
        data = Dataset.from_dict({"input_ids": [one.ids.tolist() for one in documents]})
        trainer = SFTTrainer(model=model, args=config, train_dataset=data, processing_class=tokenizer, callbacks=[Watch()])
        trainer.remove_callback(PrinterCallback)
        trainer.data_collator = _counting(trainer.data_collator, run)
        trainer.train()
    run.held_loss = mean_loss(model.eval(), held, half=True)
    return run


def _counting(collate: Callable[[Any], Any], run: Run) -> Callable[[Any], Any]:
    """The collator, with the tokens of each batch written down as it makes it."""

    def counted(examples: Any) -> Any:
        batch = collate(examples)
        run.places.append(int(batch["input_ids"].numel()))
        run.tokens.append(sum(len(one["input_ids"]) for one in examples))
        return batch

    return counted


def raced(race: Race, rounds: int) -> dict[str, Any]:
    """Ours and theirs in turns; paces, their ratio and the held-out losses."""
    texts = paragraphs() if race.texts == "paragraphs" else messages()
    tokenizer = tokenizer_of(texts)
    made = [Document.of([*tokenizer(text)["input_ids"], tokenizer.eos_token_id]) for text in texts]
    order = np.random.default_rng(0).permutation(len(made))
    documents = fitted_to([made[place] for place in order], ROW).documents
    held, documents = documents[:HELD], documents[HELD:]
    mine: list[Run] = []
    theirs: list[Run] = []
    for seed in range(rounds):
        mine.append(ours(race, documents, held, seed))
        theirs.append(trl(race, documents, held, seed, tokenizer))
        gc.collect()
    paces = [statistics.median(one.pace for one in runs) for runs in (mine, theirs)]
    return {
        "race": race.name,
        "peer": race.peer,
        "parameters": sum(one.numel() for one in model_of(race.shape).parameters()),
        "mean_tokens": round(sum(map(len, documents)) / len(documents), 1),
        "ours_tokens_per_s": round(paces[0]),
        "trl_tokens_per_s": round(paces[1]),
        "ratio": round(statistics.median(one.pace / other.pace for one, other in zip(mine, theirs, strict=True)), 2),
        "work_ratio": round(statistics.median(one.work_pace / other.work_pace for one, other in zip(mine, theirs, strict=True)), 2),
        "goal": race.goal,
        "fill": [round(runs[0].fill, 3) for runs in (mine, theirs)],
        "held_loss_before": round(mean_loss(model_of(race.shape).eval(), held, half=True), 3),
        "held_loss": [[round(one.held_loss, 3) for one in runs] for runs in (mine, theirs)],
        "steps": race.steps,
        "rounds": rounds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="races whose name holds this")
    parser.add_argument("--steps", type=int, default=0, help="steps of each training, instead of each race's own")
    asked = parser.parse_args()
    import torch

    found = []
    print(f"{'':18}{'ours':>8}{'TRL':>8}{'ratio':>8}{'processor':>12}{'goal':>7}   {'fill':14}held-out loss, ours / TRL (steps)")
    for race in RACES:
        if asked.only not in race.name:
            continue
        if asked.steps:
            race = replace(race, steps=asked.steps)
        one = raced(race, asked.rounds if race.shape == "10M" else max(1, asked.rounds - 1))
        found.append(one)
        fill, (mine, theirs) = " / ".join(f"{share:.2f}" for share in one["fill"]), one["held_loss"]
        losses = f"{one['held_loss_before']:.3f} -> {statistics.mean(mine):.3f} / {statistics.mean(theirs):.3f} ({one['steps']})"
        ratios = f"{one['ratio']:7.2f}x{one['work_ratio']:11.2f}x{race.goal:6.1f}x"
        paces = f"{one['ours_tokens_per_s']:8,}{one['trl_tokens_per_s']:8,}{ratios}"
        print(f"{race.name:18}{paces}   {fill:14}{losses}", flush=True)
    threads, load = torch.get_num_threads(), os.getloadavg()[1]
    print(f"real tokens a second, {threads} threads, load {load:.1f}, {machine()}")
    print(json.dumps({"benchmark": "sft_speed", "races": found, "threads": threads, "load": round(load, 1)}))


if __name__ == "__main__":
    main()
