"""A translator from English to Spanish from scratch: BLEU and chrF against minutes of training, as a curve with samples.

    python -m benchmarks.translator                  30 minutes on 2 cores
    python -m benchmarks.translator --minutes 5

Pairs of ../shared/data/tatoeba_translation, split by English sentence: none of the test part is trained on, and every
Spanish translation of a test sentence that the file has is a reference. Greedy decoding. The minutes are those of training
and its own judging; what the curve's translations take is not counted. A run that was ended goes on from --checkpoints.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from rungwise.engines.fitted.decoding import Decoding
from rungwise.engines.fitted.generation import load_generator
from rungwise.engines.fitted.models import model_files
from rungwise.fit.checkpoints import Checkpoints
from rungwise.fit.scaling import measure_pace
from rungwise.fit.translator import fit_translator, plan_translator

PAIRS = Path(__file__).resolve().parents[2] / "shared" / "data" / "tatoeba_translation" / "eng_es_train.jsonl.gz"
TEST_SHARE = 50  # one English sentence in so many, by hash
CURVE_SENTENCES = 400
SAMPLES = 6
LONGEST = 60  # tokens of a translation

References = dict[str, list[str]]


@dataclass(frozen=True)
class Point:
    """A point of the curve: minutes trained, BLEU and chrF in [0, 100]."""

    minutes: float
    bleu: float
    chrf: float


def split() -> tuple[list[tuple[str, str]], References]:
    """Training pairs, and the test sentences with all their translations."""
    train: list[tuple[str, str]] = []
    test: References = {}
    with gzip.open(PAIRS, "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if int(hashlib.sha256(row["en"].encode()).hexdigest()[:8], 16) % TEST_SHARE:
                train.append((row["en"], row["es"]))
            else:
                test.setdefault(row["en"], []).append(row["es"])
    return train, test


def scores(said: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[float, float]:
    """Corpus BLEU and chrF of sacrebleu with its defaults, several references a sentence."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    most = max(map(len, references))
    columns = [[one[place] if place < len(one) else None for one in references] for place in range(most)]
    return BLEU().corpus_score(said, columns).score, CHRF().corpus_score(said, columns).score


def translate(files: Mapping[str, bytes], sentences: Sequence[str]) -> list[str]:
    """Greedy translations by the engine that answers in the product."""
    generator = load_generator(files)
    return [one.text for one in generator.generate(list(sentences), Decoding(max_tokens=LONGEST))]


class Curve:
    """Looks at the model after every round; its own seconds are taken off the clock."""

    def __init__(self, test: References) -> None:
        self._sentences = sorted(test, key=lambda text: hashlib.sha256(text.encode()).hexdigest())[:CURVE_SENTENCES]
        self._test, self._begun, self._away = test, time.perf_counter(), 0.0
        self.points: list[Point] = []

    def see(self, model: Any, words: Mapping[str, bytes]) -> None:
        """A point."""
        stopped = time.perf_counter()
        said = translate(model_files(model, words), self._sentences)
        bleu, chrf = scores(said, [self._test[one] for one in self._sentences])
        self.points.append(Point((stopped - self._begun - self._away) / 60, bleu, chrf))
        print(f"{self.points[-1].minutes:6.1f} min  BLEU {bleu:5.1f}  chrF {chrf:5.1f}", flush=True)
        self._away += time.perf_counter() - stopped


def main() -> None:
    """Train, look, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--threads", type=int, default=0, help="0: as many as torch takes")
    parser.add_argument("--checkpoints", type=Path)
    parser.add_argument("--pace", type=float, help="operations a second, instead of measuring them")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    if not PAIRS.exists():
        sys.exit(f"{PAIRS} is not beside this checkout")
    train, test = split()
    plan = plan_translator(given.minutes * 60, pace=given.pace or measure_pace(), pairs=len(train))
    print(f"{len(train):,} pairs to learn from, {len(test):,} English sentences held out; {plan}", flush=True)
    key = hashlib.sha256(json.dumps(asdict(plan)).encode()).hexdigest()
    kept = Checkpoints(given.checkpoints, key=key, clock=time.monotonic) if given.checkpoints else None
    curve = Curve(test)
    found = fit_translator(train, plan, on_round=curve.see, checkpoints=kept)
    sentences = sorted(test)
    begun = time.perf_counter()
    said = translate(found.files, sentences)
    seconds = time.perf_counter() - begun
    bleu, chrf = scores(said, [test[one] for one in sentences])
    trained = found.trained
    print(
        f"whole test: BLEU {bleu:.1f}, chrF {chrf:.1f} on {len(sentences):,} sentences, {len(sentences) / seconds:.0f} a second; "
        f"{found.told['parameters']:,.0f} weights, {trained.tokens_per_s:,.0f} tokens/s"
    )
    for one, other in list(zip(sentences, said, strict=True))[:: max(1, len(sentences) // SAMPLES)][:SAMPLES]:
        print(f"  {one}\n    {other}\n    (given: {test[one][0]})")
    told = {"bleu": bleu, "chrf": chrf, "tokens_per_s": trained.tokens_per_s, "seconds": trained.seconds, "plan": asdict(plan)}
    print(json.dumps({"benchmark": "translator", **told, "curve": [asdict(point) for point in curve.points]}))


if __name__ == "__main__":
    main()
