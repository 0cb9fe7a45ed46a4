"""Retrieval on SciFact before and after contrastive fine-tuning of MiniLM: nDCG@10 on claims of families that it never saw.

Claims that cite a common abstract are one family. A fifth of the families is tested on, the rest is learned from, with near
misses mined by the base itself; all 5,183 abstracts are searched. Both encoders read the first `--tokens` tokens of an abstract.

Run: python -m benchmarks.scifact_retriever [--epochs 2] [--tokens 128]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.publish import machine
from benchmarks.scifact import first, interval, judge, read
from rungwise.engines.encoders.minilm import minilm_folder
from rungwise.engines.encoders.pytorch import TransformerEncoder
from rungwise.engines.fitted.files import read_folder
from rungwise.engines.fitted.sentence_settings import SENTENCES
from rungwise.fit.families import folds_by_family
from rungwise.fit.retriever import RetrieverSettings, fit_retriever, mined

FOLDS, SEED = 5, 0


def encoder_of(files: Mapping[str, bytes], place: Path) -> TransformerEncoder:
    """The encoder of files, which are written to a folder."""
    for name, data in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    return TransformerEncoder(place)


def main() -> None:
    """Print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=RetrieverSettings.epochs)
    parser.add_argument("--lr", type=float, default=RetrieverSettings.lr)
    parser.add_argument("--negatives", type=int, default=RetrieverSettings.negatives)
    parser.add_argument("--tokens", type=int, default=128)
    given = parser.parse_args()
    data = read()
    base = dict(read_folder(minilm_folder()))
    base[SENTENCES] = json.dumps({"max_seq_length": given.tokens, "do_lower_case": False}).encode()
    learned, tested = next(folds_by_family(data.family, FOLDS, seed=SEED))
    with tempfile.TemporaryDirectory() as place:
        before = encoder_of(base, Path(place) / "before")
        old_texts = before(data.texts)
        known = dict(zip(data.texts, old_texts, strict=True))
        judged = mined(
            [data.claims[row] for row in learned],
            [data.relevant[row] for row in learned],
            data.texts,
            lambda texts: np.stack([known[one] if one in known else before([one])[0] for one in texts]),
        )
        settings = RetrieverSettings(epochs=given.epochs, lr=given.lr, negatives=given.negatives)
        begin, spent = time.perf_counter(), time.process_time()
        fit = fit_retriever(judged, base, settings)
        seconds, cpu = time.perf_counter() - begin, time.process_time() - spent
        after = encoder_of(fit.files, Path(place) / "after")
        claims = [data.claims[row] for row in tested]
        scores = {"MiniLM": before(claims) @ old_texts.T, "fine-tuned": after(claims) @ after(data.texts).T}
    found = {name: judge(data, first(own), tested)["nDCG@10"] for name, own in scores.items()}
    family = data.family[tested]
    print(f"{machine()}; {len(learned)} claims learned from, {len(tested)} tested on")
    print(f"{len(data.texts)} abstracts, of which {given.tokens} tokens are read")
    means = {}
    for name, own in found.items():
        low, high, _ = interval(own, family)
        means[name] = {"ndcg": float(own.mean()), "low": low, "high": high}
        print(f"{name:<12} nDCG@10 {own.mean():.4f}  [{low:.4f}, {high:.4f}]")
    low, high, p_value = interval(found["fine-tuned"] - found["MiniLM"], family)
    difference = float((found["fine-tuned"] - found["MiniLM"]).mean())
    print(f"claim by claim {difference:+.4f}  [{low:+.4f}, {high:+.4f}]  p = {p_value:.4f}")
    print(f"fitted in {seconds:.0f} s, {cpu:.0f} s of processor time")
    test = {"difference": difference, "low": low, "high": high, "p": p_value}
    print(
        json.dumps({"bench": "scifact_retriever", "systems": means, "test": test, "fit_s": seconds, "fit_cpu_s": cpu, **fit.told})
    )


if __name__ == "__main__":
    main()
