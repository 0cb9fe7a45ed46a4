"""A reader fitted on questions of some articles and asked about others, beside the best sentence; prints a table and a JSON line.

`python -m benchmarks.squad2` cross-fits over the articles of squad2_part in four folds, so that every row is answered once by
a model that has seen nothing of its article; `--folds 1` runs only the first of them, `--rows N` learns from N rows, `--clozes N`
warms up on another number of questions made of the passages. Intervals are percentiles of 2,000 resamples of the eight articles.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.publish import machine
from rungwise.core.content import Passage, Response
from rungwise.core.dataset import Example
from rungwise.engines.encoders.encode import Encode, Vectors
from rungwise.engines.encoders.load import load_encoder
from rungwise.engines.encoders.minilm import minilm_folder
from rungwise.engines.reader import READER, Reader
from rungwise.engines.sentence_scorer import SentenceScorer
from rungwise.evaluate.text import exact_match, token_f1
from rungwise.fit.crossfit import fold_of
from rungwise.fit.finetune import Step
from rungwise.fit.reader import ReaderSettings, fit_reader, gold_spans
from rungwise.fit.sentence_scorer import fit_sentence_scorer
from rungwise.inference.extract import find_sentence

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "squad2_part" / "dev.jsonl.gz"
FOLDS, RESAMPLES = 4, 2_000

Floats = NDArray[np.float64]
Answers = Sequence[tuple[str, float]]
"""An answer, given in any case, and its confidence, for every row."""


@dataclass(frozen=True, slots=True)
class Read:
    """What one system made of some rows: F1 and exact match had it always answered, its confidence, and whether it did."""

    f1: Floats
    exact: Floats
    sure: Floats
    given: NDArray[np.bool_]


def rows_of(path: Path = DATA) -> list[Example]:
    """All rows; a question that cannot be answered has no references. The article is the group."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        Example(text=row["question"], passage=row["context"], references=tuple(dict.fromkeys(row["answers"])), group=row["title"])
        for row in rows
    ]


def passages_of(row: Example) -> tuple[Passage, ...]:
    """The passage that comes with a row."""
    return (Passage(row.passage or ""),)


def scored(rows: Sequence[Example], answers: Answers, threshold: float) -> Read:
    """The answers of a system, judged; below the threshold they are not given."""
    responses = [Response(text) for text, _ in answers]
    pairs = list(zip(rows, responses, strict=True))
    sure = np.array([confidence for _, confidence in answers])
    return Read(
        f1=np.array([token_f1(row, one) for row, one in pairs]),
        exact=np.array([exact_match(row, one) for row, one in pairs]),
        sure=sure,
        given=sure >= threshold,
    )


def tuned(rows: Sequence[Example], answers: Answers) -> float:
    """The threshold with the highest mean F1 on rows of known answer."""
    read = scored(rows, answers, 0.0)
    return best_threshold(read.sure, read.f1, unanswerable(rows))


def best_threshold(sure: Floats, scores: Floats, silent: NDArray[np.bool_]) -> float:
    """The confidence from which on answering scores most on average, where silence is worth 1 for what has no answer."""
    order = np.argsort(-sure, kind="stable")
    answered = int(np.argmax(np.concatenate([[0.0], np.cumsum((scores - silent)[order])])))
    edges = np.concatenate([[1.0], sure[order], [0.0]])
    return float((edges[answered] + edges[answered + 1]) / 2)


def unanswerable(rows: Sequence[Example]) -> NDArray[np.bool_]:
    """(n,) the questions without an answer."""
    return np.array([not row.references for row in rows])


def sentences(rows: Sequence[Example]) -> Answers:
    """The best sentence by shared words, for every row."""
    found = [find_sentence(row.text, passages_of(row)) for row in rows]
    return [("", 0.0) if one is None else (one.passage.text, one.confidence) for one in found]


def scored_sentences(scorer: SentenceScorer, rows: Sequence[Example]) -> Answers:
    """The first sentence of a fitted scorer, for every row."""
    ranked = [scorer.rank(row.text, passages_of(row)) for row in rows]
    return [(own[0].sentence.passage.text, own[0].probability) if own else ("", 0.0) for own in ranked]


def spans(reader: Reader, rows: Sequence[Example]) -> tuple[Answers, NDArray[np.bool_]]:
    """What the reader marks, for every row, and whether it would say it."""
    found = reader.answer_many([(row.text, passages_of(row)) for row in rows])
    answers = [("", 0.0) if one is None else (one.readings[0].passage.text, one.confidence) for one in found]
    return answers, np.array([one is not None and not one.silent for one in found])


def systems(train: Sequence[Example], test: Sequence[Example], settings: ReaderSettings, encode: Encode) -> dict[str, Read]:
    """Everything fitted and tuned on `train`, and judged on `test`."""
    found = {"best sentence": scored(test, sentences(test), 0.0)}
    found["best sentence, threshold"] = scored(test, sentences(test), tuned(train, sentences(train)))
    scorer = SentenceScorer.load(
        fit_sentence_scorer(train, [passages_of(row) for row in train], encode, encoder="minilm"), lambda name: encode
    )
    found["sentence scorer, threshold"] = scored(
        test, scored_sentences(scorer, test), tuned(train, scored_sentences(scorer, train))
    )
    begin = time.perf_counter()
    files = fit_reader(train, minilm_folder(), settings, on_step=say)
    about = json.loads(files[READER])
    fitted = time.perf_counter() - begin
    reader = Reader(files)
    begin = time.perf_counter()
    answers, given = spans(reader, test)
    pace = 1000 * (time.perf_counter() - begin) / len(test)
    found["reader"] = scored(test, answers, 0.0)
    found["reader, silent when in doubt"] = replace(found["reader"], given=given)
    windows = reader.windows([(row.text, passages_of(row)) for row in test])
    shown = [
        bool(gold_spans(one, row.references)) for row, one in zip(test, windows, strict=True) if one is not None and row.references
    ]
    print(
        f"reader: {np.mean(shown):.1%} of answers stand in what is read; {about['answered']} answered, "
        f"{about['unanswerable']} unanswerable, {about['left_out']} left out, {about['clozes']} clozes; "
        f"{fitted:.0f} s to fit, {pace:.1f} ms an answer in batches; losses {[round(loss, 3) for loss in about['losses']]}",
        flush=True,
    )
    found["always silent"] = scored(test, [("", 0.0)] * len(test), 1.0)
    return found


def say(step: Step) -> None:
    """Where the training is, every fifty steps."""
    if step.done % 50 == 0:
        print(
            f"  step {step.done} of {step.total}, loss {step.loss:.3f}, {step.tokens_per_s:.0f} tokens/s, {step.left_s:.0f} s left",
            flush=True,
        )


def measures(read: Read, silent: NDArray[np.bool_], groups: NDArray[np.int64]) -> dict[str, Any]:
    """The figures of one system: each with the percentile interval over articles."""
    f1 = np.where(read.given, read.f1, silent)
    exact = np.where(read.given, read.exact, silent)
    every = np.ones(len(f1), dtype=bool)
    surest = read.sure >= np.quantile(read.sure, 0.2)
    return {
        "f1": over_articles(f1, every, groups),
        "exact": over_articles(exact, every, groups),
        "f1_answerable": over_articles(read.f1, ~silent, groups),
        "exact_answerable": over_articles(read.exact, ~silent, groups),
        "no_answer_accuracy": over_articles(read.given != silent, every, groups),
        "answered": float(read.given.mean()),
        "auc": auc(read.sure, ~silent),
        "f1_always_answering": float(read.f1.mean()),
        "f1_surest_80": float(read.f1[surest].mean()),
        "f1_answerable_surest_80": float(read.f1[~silent & (read.sure >= np.quantile(read.sure[~silent], 0.2))].mean()),
        "calibration_error": calibration_error(read),
    }


def over_articles(values: NDArray[Any], counted: NDArray[np.bool_], groups: NDArray[np.int64]) -> list[float]:
    """Mean over the counted rows, and the 95 % percentile interval of it over resampled articles."""
    tops, bottoms = (np.bincount(groups, own * counted) for own in (values.astype(float), np.ones(len(groups))))
    drawn = np.random.default_rng(0).multinomial(len(tops), np.full(len(tops), 1 / len(tops)), size=RESAMPLES)
    means = drawn @ tops / np.maximum(drawn @ bottoms, 1e-9)
    return [float(tops.sum() / bottoms.sum()), float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))]


def calibration_error(read: Read, *, bins: int = 10) -> float:
    """Mean distance of confidence and F1 over ten bins of equally many answers, given in any case."""
    parts = np.array_split(np.argsort(read.sure, kind="stable"), bins)
    return float(sum(abs(read.sure[part].mean() - read.f1[part].mean()) * len(part) for part in parts) / len(read.sure))


def auc(sure: Floats, answerable: NDArray[np.bool_]) -> float:
    """The chance that an answerable question has the higher confidence; ties count half."""
    own, other = sure[answerable], sure[~answerable]
    return float((own[:, None] > other).mean() + (own[:, None] == other).mean() / 2)


def joined(parts: Sequence[Read]) -> Read:
    """The rows of several folds in one."""
    return Read(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("f1", "exact", "sure", "given")))


def remembered(encode: Encode) -> Encode:
    """An encoder that encodes a text once."""
    known: dict[str, Vectors] = {}

    def look_up(texts: Sequence[str]) -> Vectors:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        known.update(zip(new, encode(new), strict=True) if new else ())
        return np.stack([known[text] for text in texts])

    return look_up


def show(results: Mapping[str, Mapping[str, Any]]) -> None:
    """A line for each system."""
    for name, figures in results.items():
        cells = [
            f"{key} {one[0]:.3f} [{one[1]:.3f}, {one[2]:.3f}]" if isinstance(one, list) else f"{key} {one:.3f}"
            for key, one in figures.items()
        ]
        print(f"{name}: " + "  ".join(cells))


def main() -> None:
    """All systems on the same folds, and the differences between them."""
    asked = argparse.ArgumentParser()
    for name, kind, default in (
        ("folds", int, FOLDS),
        ("rows", int, 0),
        ("epochs", int, 3),
        ("clozes", int, ReaderSettings().clozes),
        ("lr", float, 3e-4),
    ):
        asked.add_argument(f"--{name}", type=kind, default=default)
    wanted = asked.parse_args()
    rows = rows_of()
    fold = fold_of([row.group or "" for row in rows], [""] * len(rows), k=FOLDS)
    encode = remembered(load_encoder("minilm"))
    parts: dict[str, list[Read]] = {}
    shown: list[Example] = []
    print(f"{machine()}; {len(rows)} rows, {len({row.group for row in rows})} articles, fold 1 to {wanted.folds} of {FOLDS}")
    for number in range(wanted.folds):
        test = [row for row, own in zip(rows, fold, strict=True) if own == number]
        train = [row for row, own in zip(rows, fold, strict=True) if own != number]
        if wanted.rows:
            train = [train[place] for place in np.sort(np.random.default_rng(0).permutation(len(train))[: wanted.rows])]
        settings = ReaderSettings(epochs=wanted.epochs, clozes=wanted.clozes, lr=wanted.lr)
        for name, read in systems(train, test, settings, encode).items():
            parts.setdefault(name, []).append(read)
        shown += test
    silent = unanswerable(shown)
    groups = np.unique([row.group or "" for row in shown], return_inverse=True)[1]
    reads = {name: joined(own) for name, own in parts.items()}
    results = {name: measures(read, silent, groups) for name, read in reads.items()}
    worth = {name: np.where(read.given, read.f1, silent) for name, read in reads.items()}
    every = np.ones(len(shown), dtype=bool)
    ahead = {
        name: over_articles(worth["reader, silent when in doubt"] - own, every, groups)
        for name, own in worth.items()
        if name != "reader, silent when in doubt"
    }
    answerable = over_articles(reads["reader"].f1 - reads["best sentence"].f1, ~silent, groups)
    show(results)
    for name, own in ahead.items():
        print(f"reader, silent when in doubt, less {name}: F1 {own[0]:+.3f} [{own[1]:+.3f}, {own[2]:+.3f}]")
    print(f"on answerable rows, both always answering: F1 {answerable[0]:+.3f} [{answerable[1]:+.3f}, {answerable[2]:+.3f}]")
    document = {
        "results": results,
        "reader_ahead_of": ahead,
        "answerable_ahead": answerable,
        "rows": len(shown),
        **vars(wanted),
    }
    print(json.dumps({"benchmark": "squad2", **document}))


if __name__ == "__main__":
    main()
