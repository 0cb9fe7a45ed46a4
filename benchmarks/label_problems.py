"""How well wrong labels are found when one in ten of banking77 is flipped, and what setting them aside does for a climb.

Flips at random, or to the class whose mean vector is nearest. The peer is cleanlab on the same probabilities; without it
its rows are left out. Install it in an environment of its own that sees this one's packages:
pip install --no-deps cleanlab pandas python-dateutil pytz six termcolor tqdm
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.dataset import SEALED, TRAIN, Example
from rungwise.curate.labels import OUTLIER, confident_joint, likely_wrong, outliers, true_labels
from rungwise.data.splits import draw_split, unit_of
from rungwise.engines.encoders.load import load_encoder
from rungwise.engines.linear import Head, Linear
from rungwise.evaluate.catalogue import ACCURACY
from rungwise.evaluate.paired import compare_scores
from rungwise.fit.crossfit import CrossFit, find_wrong, review_labels
from rungwise.fit.head import fit_head
from rungwise.fit.linear import fit_linear

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
KINDS = ("random", "nearest")
SHARE = 0.10
SEEDS = (0, 1, 2)
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9)

Codes = NDArray[np.int64]


def read(name: str, field: str, count: int | None = None) -> tuple[list[str], list[str]]:
    """Texts and labels of a public set."""
    with gzip.open(DATA / name / "train.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines][:count]
    return [row["text"] for row in rows], [str(row[field]) for row in rows]


def flipped(codes: Codes, vectors: NDArray[np.float32], rows: Codes, kind: str, rng: np.random.Generator) -> Codes:
    """The labels with those of `rows` flipped, at random or to the nearest other class."""
    count = int(codes.max()) + 1
    found = codes.copy()
    if kind == "random":
        found[rows] = (codes[rows] + rng.integers(1, count, len(rows))) % count
        return found
    centres = np.stack([vectors[codes == label].mean(axis=0) for label in range(count)])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    likeness = centres @ centres.T
    np.fill_diagonal(likeness, -1.0)
    found[rows] = likeness.argmax(axis=1)[codes[rows]]
    return found


def curve(suspicion: NDArray[Any], wrong: NDArray[np.bool_]) -> dict[str, float]:
    """The best precision at each recall or more, when rows are taken in falling order of suspicion."""
    hits = np.cumsum(wrong[np.argsort(-suspicion, kind="stable")])
    precision, recall = hits / np.arange(1, len(hits) + 1), hits / max(1, wrong.sum())
    return {f"P@R{level:.1f}": round(float(precision[recall >= level].max()), 3) for level in LEVELS}


def at_default(named: Sequence[int], wrong: NDArray[np.bool_]) -> dict[str, float]:
    """Precision and recall of the rows that are named."""
    hits = int(wrong[list(named)].sum()) if len(named) else 0
    return {"named": len(named), "P": round(hits / max(1, len(named)), 3), "R": round(hits / max(1, int(wrong.sum())), 3)}


def posterior(fitted: CrossFit) -> NDArray[Any]:
    """The chance of each given label to be wrong."""
    return 1 - true_labels(fitted.probabilities, fitted.given)[np.arange(len(fitted.given)), fitted.given]


def margins(fitted: CrossFit) -> NDArray[Any]:
    """Confident learning's normalised margin: the likeliest other label's probability less that of the given one."""
    rows, others = np.arange(len(fitted.given)), fitted.probabilities.copy()
    others[rows, fitted.given] = 0.0
    return others.max(axis=1) - fitted.probabilities[rows, fitted.given]


def joint_rows(fitted: CrossFit) -> list[int]:
    """Confident learning's own choice: of each cell off the diagonal of the calibrated joint as many rows, by largest margin."""
    given, table = fitted.given, fitted.probabilities
    joint = confident_joint(table, given).astype(float)
    joint *= (np.bincount(given, minlength=len(joint)) / np.maximum(joint.sum(axis=0), 1))[None, :]
    named: set[int] = set()
    for label in range(len(joint)):
        rows = np.flatnonzero(given == label)
        for other in np.flatnonzero(joint[:, label] >= 0.5):
            if other != label:
                margin = table[rows, other] - table[rows, label]
                named |= set(rows[np.argsort(-margin)[: round(joint[other, label])]].tolist())
    return sorted(named)


def cleanlab_rows(fitted: CrossFit) -> dict[str, list[int]] | None:
    """What the peer names, by two of its filters; None where it is not installed."""
    if importlib.util.find_spec("cleanlab") is None:
        return None
    from cleanlab.filter import find_label_issues

    table = np.asarray(fitted.probabilities, dtype=np.float64)
    return {
        f"cleanlab {kind}": np.flatnonzero(find_label_issues(fitted.given, table, filter_by=kind, n_jobs=1)).tolist()
        for kind in ("prune_by_noise_rate", "both", "confident_learning")
    }


def detection(texts: list[str], labels: list[str], vectors: NDArray[np.float32], kind: str, seed: int) -> list[dict[str, Any]]:
    """One run: flips, probabilities in one round and in all, and what each way makes of them."""
    names = sorted(set(labels))
    codes = np.array([names.index(label) for label in labels])
    rng = np.random.default_rng(seed)
    given = flipped(codes, vectors, rng.permutation(len(codes))[: int(SHARE * len(codes))], kind, rng)
    wrong = given != codes
    told = [names[code] for code in given]
    units = [unit_of(Example(text=text)) for text in texts]
    begin = time.perf_counter()
    first_found, first = find_wrong(texts, told, units, vectors=vectors, seed=seed, rounds=1)
    seconds = time.perf_counter() - begin
    last_found, last = find_wrong(texts, told, units, vectors=vectors, seed=seed)
    all_seconds = time.perf_counter() - begin - seconds
    result: list[dict[str, Any]] = [
        {
            "way": "all rounds (ours, default)",
            **curve(posterior(last), wrong),
            **at_default([one.row for one in last_found], wrong),
        },
        {"way": "one round", **curve(posterior(first), wrong), **at_default([one.row for one in first_found], wrong)},
        {"way": "one round, joint", **curve(margins(first), wrong), **at_default(joint_rows(first), wrong)},
        {"way": "one round, self-confidence", **curve(1 - first.probabilities[np.arange(len(given)), given], wrong)},
    ]
    for member, table in first.members.items():
        alone = [one.row for one in likely_wrong(table, given, first.labels)]
        true = true_labels(table, given)
        result.append(
            {"way": f"one round, {member} only", **curve(1 - true[np.arange(len(given)), given], wrong), **at_default(alone, wrong)}
        )
    result += [{"way": f"one round, {name}", **at_default(rows, wrong)} for name, rows in (cleanlab_rows(first) or {}).items()]
    return [{"kind": kind, "seed": seed, "seconds": [round(seconds, 1), round(all_seconds, 1)], **row} for row in result]


def averaged(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over the seeds of each kind and way."""
    keys = list(dict.fromkeys((run["kind"], run["way"]) for run in runs))
    found = []
    for kind, way in keys:
        own = [run for run in runs if (run["kind"], run["way"]) == (kind, way)]
        figures = [name for name in own[0] if name not in ("kind", "way", "seed", "seconds")]
        found.append({"kind": kind, "way": way} | {name: round(float(np.mean([run[name] for run in own])), 3) for name in figures})
    return found


def quality(texts: list[str], labels: list[str], vectors: NDArray[np.float32], kind: str) -> list[dict[str, Any]]:
    """Classical and head, fitted on all training rows and on those that were kept, scored on clean rows held out."""
    names = sorted(set(labels))
    codes = np.array([names.index(label) for label in labels])
    splits = [draw_split(unit_of(Example(text=text)), "benchmark") for text in texts]
    sealed = np.array([split == SEALED for split in splits])
    rng = np.random.default_rng(0)
    open_rows = np.flatnonzero(~sealed)
    given = codes.copy()
    if kind != "as published":
        given = flipped(codes, vectors, rng.permutation(open_rows)[: int(SHARE * len(open_rows))], kind, rng)
    rows = [Example(text=text, references=(names[code],)) for text, code in zip(texts, given, strict=True)]
    found = review_labels(rows, splits, vectors=vectors)
    train = np.array([row for row in open_rows if splits[row] == TRAIN])
    aside = {one.row for one in found.quarantined}
    kept = np.array([row for row in train if row not in aside])
    clean = [rows[row] for row in np.flatnonzero(sealed)]
    results = []
    for rung in ("classical", "head"):
        right = [_right(rung, own, rows, vectors, np.flatnonzero(sealed), codes, names) for own in (train, kept)]
        one = compare_scores(ACCURACY, clean, *right)
        results.append(
            {"kind": kind, "rung": rung, "train": len(train), "aside": len(train) - len(kept)}
            | {"before": round(one.first, 4), "after": round(one.second, 4), "gain": round(one.difference, 4)}
            | {"low": round(one.low, 4), "high": round(one.high, 4)}
        )
    return results


def _right(
    rung: str, own: Codes, rows: list[Example], vectors: NDArray[np.float32], held: Codes, codes: Codes, names: list[str]
) -> NDArray[np.float64]:
    references = [rows[row].references for row in own]
    if rung == "classical":
        linear = Linear.load(fit_linear([rows[row].text for row in own], references, cs=[1.0])[1.0])
        table, labels = linear.probabilities([rows[row].text for row in held]), linear.labels
    else:
        head = Head.load(fit_head(vectors[own], references, cs=[10.0])[10.0])
        table, labels = head.probabilities(vectors[held]), head.labels
    said = [labels[place] for place in table.argmax(axis=1)]
    return np.array([one == names[codes[row]] for one, row in zip(said, held, strict=True)], dtype=np.float64)


def strangers(texts: list[str], labels: list[str], vectors: NDArray[np.float32]) -> dict[str, Any]:
    """Text messages slipped in among the questions under random labels: how many are found as outliers, and what else is."""
    foreign, _ = read("sms_spam", "label", 200)
    names = sorted(set(labels))
    rng = np.random.default_rng(0)
    codes = np.array([*(names.index(label) for label in labels), *rng.integers(0, len(names), len(foreign))])
    found = outliers(np.concatenate((vectors, load_encoder("minilm")(foreign))), codes, names)
    assert all(one.reason == OUTLIER for one in found)
    hits = sum(one.row >= len(texts) for one in found)
    return {
        "foreign": len(foreign),
        "named": len(found),
        "R": round(hits / len(foreign), 3),
        "P": round(hits / max(1, len(found)), 3),
    }


def show(rows: list[dict[str, Any]]) -> None:
    """A table of the rows, which may lack some of the columns."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = [[str(row.get(name, "-")) for name in columns] for row in rows]
    widths = [max(len(line[i]) for line in [columns, *table]) for i in range(len(columns))]
    for line in [columns, *table]:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print()


def main() -> None:
    """Detection over three draws, quality before and after, strangers."""
    texts, labels = read("banking77", "intent")
    vectors = load_encoder("minilm")(texts)
    runs = [run for kind in KINDS for seed in SEEDS for run in detection(texts, labels, vectors, kind, seed)]
    print(f"banking77, {len(texts):,} rows, {len(set(labels))} labels, {SHARE:.0%} flipped; means of {len(SEEDS)} draws")
    if importlib.util.find_spec("cleanlab") is None:
        print("(cleanlab is not installed: its rows are left out)")
    means = averaged(runs)
    show(means)
    seconds = np.median([run["seconds"] for run in runs], axis=0)
    print(f"seconds for the probabilities: {seconds[0]:.1f} for one round, {seconds[1]:.1f} for all\n")
    effects = [row for kind in (*KINDS, "as published") for row in quality(texts, labels, vectors, kind)]
    show(effects)
    foreign = strangers(texts, labels, vectors)
    show([foreign])
    document = {"detection": means, "quality": effects, "outliers": foreign, "seconds": seconds.round(1).tolist()}
    print(json.dumps({"benchmark": "label_problems", "results": document}))


if __name__ == "__main__":
    main()
