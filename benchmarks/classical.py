"""The classical rung against a hand-written scikit-learn pipeline of equal accuracy: wall time, cold, imports included.

Both fit four values of C on the 15,000 training rows of CLINC150 (150 labels) and
choose C on the 600 dev rows. The hand-written one computes TF-IDF once with
`FeatureUnion` and fits `LinearSVC` as it comes, two values of C at a time; ours also
calibrates its probabilities and writes its files. Interleaved, each run in a process
of its own, medians.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from benchmarks.clinc150 import load_clinc150

CS = (0.1, 0.3, 1.0, 3.0)
ROUNDS = 3

Predict = Callable[[Sequence[str]], Sequence[str]]


def ours(texts: Sequence[str], labels: Sequence[str]) -> Mapping[float, Predict]:
    """The product's fit and what answers after it."""
    from rungwise.engines.linear import Linear
    from rungwise.fit.linear import fit_linear

    fitted = fit_linear(texts, [(label,) for label in labels], cs=CS)

    def predictor(files: Mapping[str, bytes]) -> Predict:
        model = Linear.load(files)
        return lambda asked: [model.labels[place] for place in model.probabilities(asked).argmax(axis=1)]

    return {c: predictor(files) for c, files in fitted.items()}


def by_hand(texts: Sequence[str], labels: Sequence[str]) -> Mapping[float, Predict]:
    """What a practitioner writes."""
    from concurrent.futures import ThreadPoolExecutor

    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import FeatureUnion
    from sklearn.svm import LinearSVC

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    features = FeatureUnion([("words", words), ("characters", characters)])
    x = features.fit_transform(texts)
    with ThreadPoolExecutor(2) as pool:
        models = list(pool.map(lambda c: LinearSVC(C=c).fit(x, labels), CS))
    return {c: lambda asked, model=model: model.predict(features.transform(asked)) for c, model in zip(CS, models, strict=True)}


def run(fit: Callable[[Sequence[str], Sequence[str]], Mapping[float, Predict]]) -> dict[str, float]:
    """Fit, choose C on dev, score on the rest."""
    data = load_clinc150()
    part = {
        split: ([row["text"] for row in data if row["split"] == split], [row["intent"] for row in data if row["split"] == split])
        for split in ("train", "dev")
    }

    def accuracy(predict: Predict, split: str) -> float:
        texts, labels = part[split]
        return sum(given == true for given, true in zip(predict(texts), labels, strict=True)) / len(labels)

    started, cpu = time.perf_counter(), time.process_time()
    fitted = fit(*part["train"])
    dev = {c: accuracy(predict, "dev") for c, predict in fitted.items()}
    best = max(dev, key=lambda c: (dev[c], -c))
    return {"wall_s": time.perf_counter() - started, "cpu_s": time.process_time() - cpu, "c": best, "dev": dev[best]}


def main() -> None:
    runs: dict[str, list[dict[str, float]]] = {"ours": [], "by_hand": []}
    for _ in range(ROUNDS):
        for name, results in runs.items():
            done = subprocess.run([sys.executable, __file__, name], check=True, capture_output=True)
            results.append(json.loads(done.stdout))
    walls, cpus = ({name: statistics.median(run[key] for run in own) for name, own in runs.items()} for key in ("wall_s", "cpu_s"))
    print(f"{'':<10} {'wall s':>7} {'CPU s':>7} {'best C':>7} {'dev accuracy':>13}   (median of {ROUNDS})")
    for name, results in runs.items():
        one = results[0]
        print(f"{name:<10} {walls[name]:>7.2f} {cpus[name]:>7.2f} {one['c']:>7g} {one['dev']:>13.4f}")
    ratio = walls["ours"] / walls["by_hand"]
    print(f"ratio ours / by hand: {ratio:.2f} (goal: at most 1.3)")
    line = json.dumps(
        {"benchmark": "classical", "ratio": round(ratio, 3), "goal": 1.3, "wall_s": walls, "cpu_s": cpus, "runs": runs}
    )
    print(line)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        print(json.dumps(run({"ours": ours, "by_hand": by_hand}[sys.argv[1]])))
