"""Token tagging with an encoder on WNUT17: strict span F1 on its dev part, whole fine-tuning and LoRA, and the seconds of each.

MiniLM (22.7 M parameters, uncased) learns the 3,394 training texts (with a share of them held out to choose the epoch) and
marks the 1,009 of dev, which it never saw. What others reach on the test part, which is not here: 0.34 to 0.43 for
distilbert-base (Hugging Face model cards), 0.42 for the best of the shared task (Derczynski et al. 2017, W17-4418).

Run: python -m benchmarks.wnut17_tagging [--methods full lora] [--epochs 6] [--rows 0]
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from pathlib import Path
from typing import Any

from benchmarks.publish import machine
from rungwise.engines.encoders.minilm import minilm_folder
from rungwise.engines.fitted.files import read_folder
from rungwise.engines.fitted.tagger import TokenTagger
from rungwise.evaluate.spans import Span, span_score
from rungwise.fit.tagging import Tagged, TaggingSettings, fit_tagger

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "wnut17"
LR = {"full": 3e-4, "lora": 1e-3}


def read(part: str) -> list[Tagged]:
    """Tokens joined by blanks, and the spans of their BIO tags."""
    with gzip.open(DATA / f"{part}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [tagged(row["tokens"], row["tags"]) for row in map(json.loads, lines)]


def tagged(tokens: list[str], tags: list[str]) -> Tagged:
    """A text and its spans."""
    spans: list[Span] = []
    start = 0
    for token, tag in zip(tokens, tags, strict=True):
        end = start + len(token)
        if tag.startswith("B-"):
            spans.append((start, end, tag[2:]))
        elif tag.startswith("I-") and spans:
            spans[-1] = (spans[-1][0], end, spans[-1][2])
        start = end + 1
    return " ".join(tokens), tuple(spans)


def measure(method: str, train: list[Tagged], dev: list[Tagged], epochs: int) -> dict[str, Any]:
    """Fit, mark the dev part, compare."""
    base = read_folder(minilm_folder())
    settings = TaggingSettings(method=method, lr=LR[method], epochs=epochs)  # type: ignore[arg-type]
    begin, spent = time.perf_counter(), time.process_time()
    fit = fit_tagger(train, base, settings)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - spent
    tagger = TokenTagger.load(fit.files, base if method == "lora" else None)
    begin = time.perf_counter()
    found = tagger.spans([text for text, _ in dev])
    marked = time.perf_counter() - begin
    score = span_score([list(spans) for _, spans in dev], [[span[:3] for span in own] for own in found])
    return {
        "f1": score.f1,
        "low": score.low,
        "high": score.high,
        "precision": score.precision,
        "recall": score.recall,
        "fit_s": seconds,
        "fit_cpu_s": cpu,
        "dev_s": marked,
        "tokens_per_s": fit.trained.tokens_per_s,
        **fit.told,
    }


def main() -> None:
    """Print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+", choices=list(LR), default=list(LR))
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rows", type=int, default=0, help="training texts; 0: all")
    given = parser.parse_args()
    train, dev = read("train"), read("dev")
    train = train[: given.rows or None]
    found = {method: measure(method, train, dev, given.epochs) for method in given.methods}
    print(f"{machine()}; {len(train)} training texts, {len(dev)} dev texts with {sum(len(own) for _, own in dev)} spans")
    head = f"{'method':<8}{'strict F1':>10}  {'95 % interval':<16}{'precision':>10}{'recall':>8}"
    print(f"{head}{'fit s':>8}{'cpu s':>8}{'dev s':>7}  best epoch")
    for name, row in found.items():
        print(
            f"{name:<8}{row['f1']:>10.4f}  [{row['low']:.4f}, {row['high']:.4f}]{row['precision']:>10.3f}{row['recall']:>8.3f}"
            f"{row['fit_s']:>8.1f}{row['fit_cpu_s']:>8.1f}{row['dev_s']:>7.1f}  {row['best_epoch']:.0f}"
        )
    print(json.dumps({"bench": "wnut17_tagging", "machine": machine(), "methods": found}))


if __name__ == "__main__":
    main()
