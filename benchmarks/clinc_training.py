"""Does training the encoder beat a linear head on it? CLINC150, 100 rows a label, MiniLM, accuracy on 3,000 unseen rows.

All 15,000 in-scope rows of the training file teach (each training holds some of them out itself), all 3,000 in-scope rows of the
validation file are measured on; settings were tried on a fifth of the training file. The head is the best of three values of C on
the very rows that are measured on, which favours it. Beside each row: the interval of its difference to the head on the same rows
(Newcombe 1998, paired) and McNemar's exact p. `seconds` are wall time on whatever else the machine did, `CPU s` what was computed:
on two idle cores the wall time is about half of them. Last, how fast a fitted model answers here and in plain transformers, the
same model, in turns. `short` takes 20 rows a label; names (`lora full small`) choose what is fitted beside the head.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.clinc150 import load_clinc150
from rungwise.engines.encoders.minilm import minilm_folder
from rungwise.engines.encoders.pytorch import TransformerEncoder
from rungwise.engines.fitted.classifier import Classifier
from rungwise.engines.fitted.files import read_folder
from rungwise.engines.linear import Head
from rungwise.evaluate.binomial import wilson
from rungwise.evaluate.paired import mcnemar, newcombe_paired
from rungwise.fit.classifier import FULL, LORA, fit_classifier
from rungwise.fit.fit import Fit
from rungwise.fit.head import fit_head
from rungwise.fit.labelled import Row
from rungwise.fit.small_encoder import fit_small_encoder

CS = (1.0, 10.0, 30.0)
SHORT = 20
ROUNDS = 3


@dataclass(frozen=True)
class Measured:
    """What one way of fitting gave: probabilities (n, labels) of the measured rows, wall and CPU seconds of the fit."""

    name: str
    labels: tuple[str, ...]
    probabilities: NDArray[np.float32]
    seconds: float
    cpu_s: float
    files: Mapping[str, bytes] | None = None

    def right(self, truth: Sequence[str]) -> NDArray[np.bool_]:
        """(n,) whether the likeliest label is the true one."""
        return np.array([self.labels[place] == one for place, one in zip(self.probabilities.argmax(axis=1), truth, strict=True)])


def by_head(train: Sequence[Row], texts: Sequence[str], truth: Sequence[str]) -> Measured:
    """The linear head on frozen vectors, with the C that is best on the measured rows."""
    start, cpu = time.perf_counter(), time.process_time()
    encode = TransformerEncoder(minilm_folder())
    fitted = fit_head(encode([text for text, _ in train]), [names for _, names in train], cs=CS)
    seconds, spent = time.perf_counter() - start, time.process_time() - cpu
    vectors = encode(texts)
    found = []
    for c, files in fitted.items():
        head = Head.load(files)
        found.append(Measured(f"head, C = {c:g}", head.labels, head.probabilities(vectors), seconds, spent))
    return max(found, key=lambda one: int(one.right(truth).sum()))


def by_training(name: str, fit: Callable[[], Fit], base: Mapping[str, bytes], texts: Sequence[str]) -> Measured:
    """A training and what its classifier says."""
    start, cpu = time.perf_counter(), time.process_time()
    files = fit().files
    seconds, spent = time.perf_counter() - start, time.process_time() - cpu
    classifier = Classifier.load(files, base)
    return Measured(name, classifier.labels, classifier.probabilities(texts), seconds, spent, files)


def row(one: Measured, head: Measured, truth: Sequence[str]) -> dict[str, float]:
    """Print and give one line of the table."""
    right, other = one.right(truth), head.right(truth)
    n, gained, lost = len(right), int((right & ~other).sum()), int((other & ~right).sum())
    low, high = wilson(float(right.sum()), n)
    less, more = newcombe_paired(int((right & other).sum()), gained, lost, int((~right & ~other).sum()))
    p, mean = mcnemar(gained, lost), float(right.mean())
    says = float(one.probabilities.max(axis=1).mean())
    line = f"{one.name:16}{mean:>9.4f}  {low:.4f} - {high:.4f}{says:>8.3f}"
    against = "" if one is head else f"  {mean - other.mean():+.4f} [{less:+.4f}, {more:+.4f}]{p:>10.2g}"
    print(f"{line}{one.seconds:>9.0f}{one.cpu_s:>8.0f}{against}", flush=True)
    measured = {"accuracy": mean, "low": low, "high": high, "confidence": says, "seconds": one.seconds, "cpu_s": one.cpu_s}
    return measured | {"difference": mean - float(other.mean()), "difference_low": less, "difference_high": more, "p": p}


def pace(files: Mapping[str, bytes], texts: Sequence[str]) -> dict[str, float]:
    """Texts a second of a whole model: here in bf16 and fp32, and in plain transformers, which is given lengths in order too."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    half, exact = Classifier.load(files, bf16=True), Classifier.load(files, bf16=False)
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        model = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    ordered = sorted(texts, key=len)

    def plain() -> None:
        with torch.inference_mode():
            for start in range(0, len(ordered), 256):
                model(**tokenizer(ordered[start : start + 256], padding=True, truncation=True, return_tensors="pt"))

    ways: dict[str, Callable[[], object]] = {
        "here, bf16": lambda: half.probabilities(texts),
        "here, fp32": lambda: exact.probabilities(texts),
        "transformers": plain,
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, run in ways.items():
            start = time.perf_counter()
            run()
            spent[name].append(time.perf_counter() - start)
    found = {name: len(texts) / statistics.median(one) for name, one in spent.items()}
    for name, value in found.items():
        print(f"{name:16}{value:>9,.0f} texts a second{value / found['transformers']:>8.2f} times transformers")
    return found


def main(arguments: Sequence[str]) -> None:
    """Print the tables and the JSON line."""
    rows = load_clinc150()
    most, met = (SHORT if "short" in arguments else len(rows)), dict[str, int]()
    train: list[Row] = []
    for one in rows:
        if one["split"] == "train":
            met[one["intent"]] = met.get(one["intent"], 0) + 1
            if met[one["intent"]] <= most:
                train.append((one["text"], (one["intent"],)))
    test = [one for one in rows if one["split"] != "train"]
    texts, truth = [one["text"] for one in test], [one["intent"] for one in test]
    base = read_folder(minilm_folder())
    ways: dict[str, Callable[[], Fit]] = {
        "lora": lambda: fit_classifier(train, base, LORA),
        "full": lambda: fit_classifier(train, base, FULL),
        "small": lambda: fit_small_encoder(train),
    }
    chosen = [name for name in ways if name in arguments] or list(ways)
    print(f"{len(train):,} rows teach, {len(test):,} are measured on")
    print(f"{'':16}{'accuracy':>9}  {'95 % interval':15}{'says':>8}{'seconds':>9}{'CPU s':>8}  against the head{'p':>22}")
    head = by_head(train, texts, truth)
    found = {"head": row(head, head, truth)}
    whole: Mapping[str, bytes] | None = None
    for name in chosen:
        one = by_training(name, ways[name], base, texts)
        found[name] = row(one, head, truth)
        whole = one.files if name == "full" else whole
    paces = pace(whole, texts) if whole is not None else {}
    print(json.dumps({"benchmark": "clinc_training", "rows": len(train), "found": found, "texts_per_s": paces}))


if __name__ == "__main__":
    main(sys.argv[1:])
