"""What more labels bring: how often the forecast's interval holds the outcome, and what choosing the rows adds to drawing them."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.dataset import Dataset, Example
from rungwise.engines.encoders.encode import Encode
from rungwise.engines.encoders.load import load_encoder
from rungwise.engines.linear import softmax
from rungwise.evaluate.paired import newcombe_paired
from rungwise.fit.crossfit import Learner, head_learner, linear_learner
from rungwise.ladder.label_next import choose, expected_gain
from rungwise.ladder.pool import PoolRow

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
DEV = 600
TRIALS = 10
CASES = (
    ("banking77", "linear", 1_000, 100),
    ("banking77", "linear", 1_000, 1_000),
    ("banking77", "linear", 2_000, 500),
    ("banking77", "head", 1_000, 500),
    ("support", "linear", 1_200, 300),
    ("support", "linear", 1_200, 1_200),
)
START, POOL, TEST = 1_000, 5_000, 3_000
WANTED = (100, 300)

Codes = NDArray[np.int64]
Floats = NDArray[np.float32]


def read(name: str) -> tuple[list[str], list[str]]:
    """Texts and labels: the shipped example, or a public set beside the checkout."""
    if name == "support":
        with (ROOT / "examples" / "support" / "tickets.csv").open(encoding="utf-8", newline="") as file:
            table = list(csv.DictReader(file))
        return [row["message"] for row in table], [row["intent"] for row in table]
    with gzip.open(DATA / name / "train.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [row["text"] for row in rows], [row["intent"] for row in rows]


def remembered(name: str, texts: list[str]) -> Callable[[], Floats]:
    """The vectors of all texts, computed once and only when asked for."""
    kept: list[Floats] = []

    def vectors() -> Floats:
        if not kept:
            kept.append(load_encoder("minilm")(texts))
        return kept[0]

    return vectors


def coverage(texts: list[str], labels: list[str], vectors: Callable[[], Floats], case: tuple[str, str, int, int]) -> dict[str, Any]:
    """Forecasts on random parts of a set against what a fit with as many more rows then reaches."""
    name, technique, now, more = case
    names = sorted(set(labels))
    given = np.array([names.index(label) for label in labels])
    held, outcome, forecast = [], [], []
    for trial in range(TRIALS):
        order = np.random.default_rng(trial).permutation(len(texts))
        dev, train, further = order[:DEV], order[DEV : DEV + now], order[DEV : DEV + now + more]
        rows = np.concatenate((train, dev))
        learn = _learner(technique, [texts[row] for row in rows], given[rows], len(names), lambda rows=rows: vectors()[rows])
        _, found = expected_gain(_dataset(texts, labels, train, dev, names), learn, more=more, seed=trial)
        assert found is not None
        every = np.concatenate((further, dev))
        after = _learner(technique, [texts[row] for row in every], given[every], len(names), lambda every=every: vectors()[every])
        place = np.arange(len(further), len(every))
        right = [
            (after(np.arange(now), place).argmax(axis=1) == given[dev]).mean(),
            (after(np.arange(now + more), place).argmax(axis=1) == given[dev]).mean(),
        ]
        outcome.append(right[1] - right[0])
        forecast.append(found)
        held.append(found.low <= outcome[-1] <= found.high)
    means = np.array([one.mean for one in forecast])
    return {
        "set": name,
        "technique": technique,
        "rows": now,
        "more": more,
        "forecast": round(float(means.mean()), 4),
        "half width": round(float(np.mean([one.high - one.mean for one in forecast])), 4),
        "outcome": round(float(np.mean(outcome)), 4),
        "rms error": round(float(np.sqrt(((means - outcome) ** 2).mean())), 4),
        "held": f"{sum(held)} of {TRIALS}",
    }


def _dataset(texts: list[str], labels: list[str], train: Codes, dev: Codes, names: list[str]) -> Dataset:
    """The rows as a dataset. All labels must stand among them, so that its columns are those of the learner."""
    rows = tuple(Example(text=texts[row], references=(labels[row],)) for row in (*train, *dev))
    dataset = Dataset(rows=rows, splits=("train",) * len(train) + ("dev",) * len(dev))
    assert list(dataset.labels) == names, "a label is missing among the rows drawn: draw more"
    return dataset


def _learner(technique: str, texts: list[str], given: Codes, count: int, vectors: Callable[[], Floats]) -> Learner:
    return linear_learner(texts, given, count, c=1.0) if technique == "linear" else head_learner(vectors(), given, count, c=10.0)


def selection(texts: list[str], labels: list[str], vectors: Callable[[], Floats], trial: int) -> list[dict[str, Any]]:
    """From 1,000 labelled rows: accuracy after labelling n more that were drawn, and n more that were chosen."""
    names = sorted(set(labels))
    given = np.array([names.index(label) for label in labels])
    order = np.random.default_rng(trial).permutation(len(texts))
    start, pool, test = order[:START], order[START : START + POOL], order[START + POOL : START + POOL + TEST]
    learners = {
        "linear": linear_learner(texts, given, len(names), c=1.0),
        "head": head_learner(vectors(), given, len(names), c=10.0),
    }
    tables = {name: dict(zip(names, softmax(5 * learn(start, pool)).T, strict=True)) for name, learn in learners.items()}
    known = {texts[row]: row for row in pool}
    encode: Encode = lambda asked: vectors()[[known[text] for text in asked]]  # noqa: E731 - the encoder, looked up
    rows = [PoolRow(place=str(row), cells={}, text=texts[row]) for row in pool]
    found = []
    for n in WANTED:
        chosen = np.array([pool[place] for place, _ in choose(rows, tables, "head", encode, n=n, labels=names)])
        for name, learn in learners.items():
            right = [learn(np.concatenate((start, more)), test).argmax(axis=1) == given[test] for more in (pool[:n], chosen)]
            before = learn(start, test).argmax(axis=1) == given[test]
            both, gained = int((right[0] & right[1]).sum()), int((~right[0] & right[1]).sum())
            lost = int((right[0] & ~right[1]).sum())
            low, high = newcombe_paired(both, gained, lost, len(test) - both - gained - lost)
            means = [float(one.mean()) for one in (before, *right)]
            found.append(
                {"n": n, "technique": name, "before": means[0], "drawn": means[1], "chosen": means[2]}
                | {"chosen - drawn": means[2] - means[1], "low": low, "high": high}
            )
    return found


def show(rows: list[dict[str, Any]]) -> None:
    """A table."""
    columns = list(rows[0])
    table = [[f"{row[name]:.4f}" if isinstance(row[name], float) else str(row[name]) for name in columns] for row in rows]
    widths = [max(len(line[i]) for line in [columns, *table]) for i in range(len(columns))]
    for line in [columns, *table]:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print()


def main() -> None:
    """Coverage of the forecast, then what choosing adds."""
    sets = {name: read(name) for name in ("banking77", "support")}
    vectors = {name: remembered(name, texts) for name, (texts, _) in sets.items()}
    forecasts = [coverage(*sets[case[0]], vectors[case[0]], case) for case in CASES]
    print(f"forecast of the gain in dev accuracy ({DEV} dev rows), 90 % interval, {TRIALS} draws each")
    show(forecasts)
    runs = [row for trial in range(3) for row in selection(*sets["banking77"], vectors["banking77"], trial)]
    print(f"banking77, {START:,} labelled rows, n more out of {POOL:,}: drawn and chosen, accuracy on {TEST:,} others, three draws")
    show(runs)
    print(json.dumps({"benchmark": "label_next", "results": {"forecasts": forecasts, "selection": runs}}))


if __name__ == "__main__":
    main()
