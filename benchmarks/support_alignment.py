"""The support example, taught and then aligned: how often the aligned model's answer is preferred, with an interval.

A small Llama of its own (byte-level pairs, about 0.7 million parameters, no base) learns what agents answered to tickets,
two in three of them curt; then it is aligned with the 350 pairs of examples/support/preferences.jsonl. Both models answer the 150
held-out tickets greedily, and the judge, a rubric, prefers the answer with more points: 2 for the step that the article of
the ticket's intent names (3 points less, should it name another one), 1 for thanks, 1 for a polite close. Ties count half.
The judge is of one mind with the rule that the pairs were made by: it shows that alignment moves a model to where its pairs
point and holds on prompts that it never saw, not that people would like the answers. Beside it the pairs of those tickets:
how often the model finds the liked answer likelier. `short` is a quarter of it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rungwise.engines.fitted.chat import Chat, Message
from rungwise.engines.fitted.decoding import Decoding
from rungwise.engines.fitted.files import Files
from rungwise.engines.fitted.generation import load_generator
from rungwise.engines.fitted.models import CAUSAL, load_model, model_files, new_model
from rungwise.evaluate.binomial import wilson
from rungwise.fit.dpo import DpoSettings, fit_dpo, log_probabilities
from rungwise.fit.finetune import Step, seeded
from rungwise.fit.paired_rows import encoded
from rungwise.fit.preference_rows import read_preferences
from rungwise.fit.preferences import Preference
from rungwise.fit.sft import SftSettings, fit_sft
from rungwise.fit.tokenizer import END, PAD, train_tokenizer

SUPPORT = Path(__file__).parents[1] / "examples" / "support"
VOCABULARY = 1_024
SHAPE = {"hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 4}
TEACHING = SftSettings(technique="full", lr=3e-3, epochs=10, batch_tokens=2_048, row_tokens=256, patience=2, held_out=0.05)
ALIGNING = DpoSettings(technique="full", lr=1e-4, epochs=4, held_out=0.1, patience=1)
THANKED, CLOSED, STEP, OTHER_STEP = 1, 1, 2, -3
CLOSE = "Kind regards, Huxlow Home"


@dataclass(frozen=True)
class Share:
    """A share with its 95 % interval (Wilson), of `n`."""

    share: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, hits: float, n: int) -> Share:
        """Hits may be halves: ties. The interval is then wider than it need be."""
        return cls(hits / n, *wilson(hits, n), n)

    def __str__(self) -> str:
        return f"{self.share:.3f} ({self.low:.3f} to {self.high:.3f}, {self.n})"


def rules() -> Any:
    """examples/support/preferences.py, by whose rule the pairs were made."""
    spec = importlib.util.spec_from_file_location("support_preferences", SUPPORT / "preferences.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def points(answer: str, intent: str, steps: dict[str, dict[str, str]]) -> int:
    """The rubric."""
    own = steps[intent]["step"]
    others = any(one["step"] in answer for name, one in steps.items() if name != intent)
    named = STEP if own in answer else OTHER_STEP if others else 0
    return named + THANKED * answer.startswith(("Thank you", "Thanks")) + CLOSED * answer.rstrip().endswith(CLOSE)


def untaught(texts: Sequence[str]) -> Files:
    """A Llama with random weights and a tokenizer of these texts."""
    tokenizer = train_tokenizer(texts, vocabulary=VOCABULARY, special=(END, PAD, "<|user|>", "<|assistant|>"))
    config = {
        "model_type": "llama",
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": 0,
        "pad_token_id": 1,
        **SHAPE,
    }
    with seeded(0):
        return model_files(new_model(config, CAUSAL), tokenizer)


def answers(files: Files, prompts: Sequence[str]) -> list[str]:
    """Greedy answers."""
    generator = load_generator(files, engine="transformers")
    asked = [generator.conversation((Message("user", prompt),)) for prompt in prompts]
    return [one.text for one in generator.generate(asked, Decoding(max_tokens=80))]


def likelier(files: Files, pairs: Sequence[Preference]) -> Share:
    """How often the chosen answer has the higher log-probability."""
    chat = Chat(files)
    logs = log_probabilities(load_model(files, CAUSAL), [encoded(pair, chat) for pair in pairs], ALIGNING)
    return Share.of(float((logs[0] > logs[1]).sum()), len(pairs))


def told(step: Step) -> None:
    """A line now and then, on the error stream."""
    if step.done % 50 == 0:
        print(
            f"{step.done}/{step.total} loss {step.loss:.3f}, {step.tokens_per_s:,.0f} tokens/s, {step.left_s:.0f} s left",
            file=sys.stderr,
        )


def main(arguments: list[str]) -> None:
    """Print the table and the JSON line."""
    begin = time.perf_counter()
    example = rules()
    share = 4 if "short" in arguments else 1
    intents, steps = {row["id"]: row["intent"] for row in example.tickets()}, example.steps()
    rows = [json.loads(line) for line in (SUPPORT / "preferences.jsonl").read_text(encoding="utf-8").splitlines()]
    by_id = {row["id"]: row for row in rows}
    pairs = read_preferences(SUPPORT / "preferences.jsonl", splits=None).preferences.pairs
    parts: dict[str, list[Preference]] = {"learned": [], "held_out": []}
    for pair in pairs:
        parts[by_id[pair.sources[0]]["split"]].append(pair)
    learned, held = (own[: len(own) // share] for own in parts.values())
    history = example.history()[: len(example.history()) // share]
    texts = [row[name] for row in history for name in ("prompt", "answer")]
    texts += [path.read_text(encoding="utf-8") for path in sorted((SUPPORT / "articles").glob("*.md"))]
    conversations = [(Message("user", row["prompt"]), Message("assistant", row["answer"])) for row in history]
    taught = fit_sft(conversations, untaught(texts), TEACHING, on_step=told)
    taught_s = time.perf_counter() - begin
    aligned = fit_dpo(learned, taught.files, ALIGNING, on_step=told)
    aligned_s = time.perf_counter() - begin - taught_s

    asked = [pair.prompt for pair in held]
    wanted = [intents[by_id[pair.sources[0]]["ticket"]] for pair in held]
    said = {"taught": answers(taught.files, asked), "aligned": answers(aligned.files, asked)}
    scores = {
        name: [points(answer, intent, steps) for answer, intent in zip(own, wanted, strict=True)] for name, own in said.items()
    }
    contests = list(zip(scores["aligned"], scores["taught"], strict=True))
    wins, losses = sum(a > b for a, b in contests), sum(a < b for a, b in contests)
    ties = len(contests) - wins - losses
    preferred = Share.of(wins + ties / 2, len(contests))
    right = {
        name: Share.of(sum(steps[intent]["step"] in one for one, intent in zip(own, wanted, strict=True)), len(own))
        for name, own in said.items()
    }
    polite = {name: Share.of(sum(one.endswith(CLOSE) for one in own), len(own)) for name, own in said.items()}
    finds = {name: likelier(files, held) for name, files in (("taught", taught.files), ("aligned", aligned.files))}

    size = f"{taught.told['parameters']:,.0f} parameters"
    print(f"{size}; {len(history):,} answers taught in {taught_s:.0f} s, {len(learned)} pairs aligned in {aligned_s:.0f} s")
    print(f"{'on held-out tickets, with 95 % intervals':<44}{'taught (SFT)':>28}{'aligned (DPO)':>28}")
    for name, row in (("finds the liked answer likelier", finds), ("names the right step", right), ("closes politely", polite)):
        print(f"{name:<44}{row['taught']!s:>28}{row['aligned']!s:>28}")
    means = {name: sum(own) / len(own) for name, own in scores.items()}
    print(f"{'mean points of the rubric, of 4':<44}{means['taught']:>28.2f}{means['aligned']:>28.2f}")
    print(f"the aligned answer is preferred: {preferred}: {wins} won, {ties} alike, {losses} lost")
    margin, kl = aligned.told["margin"], aligned.told["kl"]
    print(f"kept epoch {aligned.told['kept_epoch']:.0f}; margin {margin:.2f}, {kl:.3f} nats a token from the taught model")
    figures = {"win_rate": preferred, "right": right, "polite": polite, "likelier": finds}
    plain = json.dumps(figures, default=lambda one: vars(one))
    line = {"benchmark": "support_alignment", "wins": wins, "ties": ties, "losses": losses, "points": means, "told": aligned.told}
    print(json.dumps(line | json.loads(plain) | {"seconds": time.perf_counter() - begin, "load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main(sys.argv[1:])
