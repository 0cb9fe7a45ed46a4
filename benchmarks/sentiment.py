"""How well the model of sentiment reads comments: templates it never saw, movie reviews (a transfer), and a project's own thumbs.

- held-out templates: fitted without every fifth template, measured on comments made of those;
- sentence polarity: sentences of movie reviews (Pang and Lee 2005), of which the model saw none. They are far from comments on
  answers: it is a test of transfer, not of the use. Beside it what the best constant guess and our word lists alone get;
- thumbs: such sentences as the comments of a project, their labels as thumbs; the project's correction is cross-fitted.
`short` uses fewer sentences.
"""

from __future__ import annotations

import gzip
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rungwise.curate.sentiment.lexicon import comments
from rungwise.curate.sentiment.reader import DISLIKED, LIKED, features, shipped
from rungwise.evaluate.binomial import clopper_pearson_high, clopper_pearson_low
from rungwise.fit.sentiment import fit, spoken

POLARITY = Path(__file__).parents[2] / "shared" / "data" / "reviews" / "sentence_polarity.jsonl.gz"
SHARE = 5
HELD = 5_000
THUMBS = (100, 300, 1_000, 3_000)


def row(name: str, right: Sequence[bool]) -> dict[str, float]:
    """Print and give an accuracy with its 95 % interval."""
    n, hits = len(right), int(np.sum(right))
    low, high = float(clopper_pearson_low(hits, n, 0.025)), float(clopper_pearson_high(hits, n, 0.025))
    print(f"{name:56}{n:>8,}{hits / n:>10.3f}{low:>9.3f} - {high:.3f}", flush=True)
    return {"n": n, "accuracy": hits / n, "low": low, "high": high}


def by_lists(texts: Sequence[str]) -> np.ndarray:
    """(n,) whether good words outnumber bad ones, those that are negated turned round; at a tie, good."""
    marks = {"*good": 1, "not_*bad": 1, "*bad": -1, "not_*good": -1}
    return np.array([sum(marks.get(name, 0) for name in features(text)) >= 0 for text in texts])


def polarity(short: bool) -> list[tuple[str, bool]]:
    """The sentences and whether they are positive, shuffled; empty where the file is not there."""
    if not POLARITY.is_file():
        return []
    with gzip.open(POLARITY, "rt", encoding="utf-8") as lines:
        rows = [(one["text"], one["label"] == "pos") for one in map(json.loads, lines)]
    random.Random(0).shuffle(rows)
    return rows[:2_000] if short else rows


def main(arguments: list[str]) -> None:
    """Print the table and the JSON line."""
    short = "short" in arguments
    found: dict[str, object] = {}
    print(f"{'':56}{'texts':>8}{'accuracy':>10}{'95 % interval':>17}")
    partial = fit(share=SHARE, texts=20_000 if short else 60_000)
    for name, model in (("fitted without them", partial), ("shipped, which saw them", shipped())):
        for kind in ("negated", "all"):
            made = [one for one in comments(99, HELD, share=SHARE, held=True) if one.sounds != 0.5]
            if kind == "negated":
                made = [one for one in made if any(feature.startswith("not_") for feature in features(one.text))]
            chances = model.chances([one.text for one in made])
            found[f"templates, {name}, {kind}"] = row(
                f"held-out templates, {kind}: {name}", (chances > 0.5) == [one.sounds for one in made]
            )
    rows = polarity(short)
    if rows:
        texts, up = [text for text, _ in rows], np.array([good for _, good in rows])
        begin = time.perf_counter()
        chances = shipped().chances(texts)
        each_us = 1e6 * (time.perf_counter() - begin) / len(texts)
        found["polarity, shipped"] = row("sentence polarity: shipped", (chances > 0.5) == up)
        sure = (chances > LIKED) | (chances < DISLIKED)
        found["polarity, shipped, where it says something"] = row(
            "sentence polarity: shipped, where it says something", ((chances > 0.5) == up)[sure]
        )
        found["polarity, word lists counted"] = row("sentence polarity: words of our lists counted", by_lists(texts) == up)
        found["polarity, constant"] = row("sentence polarity: the best constant guess", up == (up.mean() > 0.5))
        for n in THUMBS:
            if n < len(rows):
                thumbs: list[bool | None] = [bool(one) for one in up[:n]]
                said = spoken(texts[:n], thumbs, [str(i) for i in range(n)])
                found[f"polarity, {n} thumbs"] = row(
                    f"sentence polarity: {n:,} thumbs, the {said.model} model spoke", (said.chances > 0.5) == up[:n]
                )
        found["each_us"] = each_us
        print(f"\nreading a comment takes {each_us:.0f} microseconds on one core")
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
