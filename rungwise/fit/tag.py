"""Trains the tagger of names from templates and word lists of our own: `python -m rungwise.fit.tag`.

The same seed gives the same bytes. No row of any data set is read.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from rungwise.curate.names.lexicon import groups
from rungwise.curate.names.sentences import Labelled, corpus, ordinary_words
from rungwise.curate.names.tagger import (
    DIGEST,
    LABELS,
    TYPES,
    WEIGHTS,
    Tagger,
    Tokens,
    chain,
    featurise,
    kernels,
    pack,
    phrase_keys,
    tokenise,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TEXTS = 450_000
"""How many generated texts the shipped tagger is trained on; more gain less than two seeds differ (0.01 of F1)."""
RUNS = 3
"""How many taggers are trained, on a share of the texts each, and averaged: it takes out some of the chance of one run."""
SEED = 20
_CHUNK = 10_000  # texts whose features are held at once
_RATE = 0.12  # AdaGrad's step
_HIDDEN_NAMES = 0.3  # share of names whose list membership is hidden, so that they are found by context and shape
_HIDDEN_WORDS = 0.1  # share of other words made unknown, so that an unknown word is no reason to see a name
_DROPPED = 0.3  # share of features left out at random, so that the rest learn to do without (Hinton et al. 2012, arXiv 1207.0580)
_FORBIDDEN = -1e6

Lists: TypeAlias = "tuple[NDArray[np.uint64], NDArray[np.int32]]"
Report: TypeAlias = "Callable[[int, float], None]"


def word_lists() -> list[tuple[int, Iterable[str]]]:
    """The lists that the tagger looks words up in, each with its bit."""
    cities, countries, streets, firms, words = (
        groups("cities"),
        groups("countries"),
        groups("streets"),
        groups("organisations"),
        groups("words"),
    )
    kinds = [(name.split(" ")[1], items) for name, items in streets.items()]
    return [
        (0, ordinary_words()),
        (1, (item for items in groups("given").values() for item in items)),
        (2, (item for items in groups("surnames").values() for item in items)),
        (3, (item for name, items in cities.items() if name not in ("state", "region") for item in items)),
        (4, (*countries["country"], *countries["local"], *countries["continent"], *cities["state"], *cities["region"])),
        (5, countries["demonym"]),
        (6, (item for kind, items in kinds if kind in ("before", "after", "type", "unit") for item in items)),
        (7, (item for kind, items in kinds if kind in ("name", "alone") for item in items)),
        (8, firms["suffix"]),
        (9, (*firms["trade"], *firms["place_org"], *firms["of_org"], *firms["local_org"])),
        (10, (*firms["known"], *firms["ministry"])),
        (11, words["title"]),
        (12, (*words["role"], *words["kin"])),
        (13, words["product"]),
        (14, groups("parts")["particle"]),
        (15, firms["stem"]),
    ]


def build_lists() -> Lists:
    """The word lists as sorted hashes of phrases and masks of the lists they stand in."""
    import numpy as np

    found: dict[int, int] = {}
    for bit, items in word_lists():
        for item in items:
            *prefixes, key = phrase_keys(item) or [0]
            for prefix in prefixes:
                found[prefix] = found.get(prefix, 0) | 1 << 17
            found[key] = found.get(key, 0) | 1 << bit
    keys = sorted(found)
    return np.array(keys, np.uint64), np.array([found[key] for key in keys], np.int32)


def label(tokens: Tokens, spans: Sequence[tuple[int, int, str]]) -> NDArray[np.int8]:
    """(n,): the label of each token, from spans in characters."""
    import numpy as np

    labels = np.zeros(tokens.starts.size, np.int8)
    for start, end, kind in spans:
        first, last = np.searchsorted(tokens.ends, start, "right"), np.searchsorted(tokens.starts, end, "left")
        labels[first:last] = 2 * TYPES.index(kind) + 2
        if first < last:
            labels[first] -= 1
    return labels


def _hide(labels: NDArray[np.int8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """(n,): 1 for the tokens whose lists are hidden: whole names, single other words."""
    import numpy as np

    hidden = (rng.random(labels.size) < _HIDDEN_WORDS).astype(np.uint8)
    whole = np.cumsum(labels % 2 == 1)  # the number of the name that a token belongs to
    chosen = rng.random(int(whole[-1]) + 1 if whole.size else 1) < _HIDDEN_NAMES
    inside = labels > 0
    hidden[inside] = chosen[whole[inside]]
    return hidden


def encode(
    texts: Iterable[Labelled], lists: Lists, rng: np.random.Generator
) -> tuple[NDArray[np.int32], NDArray[np.int8], NDArray[np.int64]]:
    """Features (N, SLOTS), labels (N,) and limits (texts + 1,) of generated texts."""
    import numpy as np

    rows, labels, limits = [], [], [0]
    for text in texts:
        tokens = tokenise(text.text)
        if not tokens.starts.size:
            continue
        found = label(tokens, text.spans)
        rows.append(featurise(tokens, lists, _hide(found, rng)))
        labels.append(found)
        limits.append(limits[-1] + found.size)
    joined = np.concatenate(rows)
    joined[rng.integers(0, 256, joined.shape, np.uint8) < int(256 * _DROPPED)] = 0
    return joined, np.concatenate(labels), np.array(limits, np.int64)


def train(*, texts: int = TEXTS, seed: int = SEED, share: int = 0, report: Report | None = None) -> Tagger:
    """A tagger trained on so many generated texts, each seen once: the mean of `RUNS` runs, each on texts of its own.

    With `share` n every n-th template is left out, to measure on. `report(done, loss)` is called after each chunk of texts;
    the loss is in nats a token.
    """
    lists, count = build_lists(), texts // RUNS
    seeds = range(RUNS * seed, RUNS * seed + RUNS)
    runs = [_run(corpus(each, count, share=share), count, each, lists, report) for each in seeds]
    weights, transitions = (sum(parts[1:], parts[0]) / RUNS for parts in list(zip(*runs, strict=True))[:2])
    return quantise(weights, transitions, runs[0][2], lists)


def _run(
    texts: Iterator[Labelled], count: int, seed: int, lists: Lists, report: Report | None
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    """Weights, transitions and beginnings after one pass over the texts."""
    import numpy as np

    rng = np.random.default_rng(seed)
    weights, seen = (np.zeros((1 << kernels().BITS, LABELS), np.float32) for _ in range(2))
    transitions, moved, begin = np.zeros((LABELS, LABELS)), np.zeros((LABELS, LABELS)), np.zeros(LABELS)
    for kind in range(len(TYPES)):
        inner = 2 * kind + 2
        transitions[[state for state in range(LABELS) if state not in (inner, inner - 1)], inner] = _FORBIDDEN
        begin[inner] = _FORBIDDEN
    for done, chunk in _chunks(texts):
        rate = _RATE * (1.0 - 0.9 * done / count)
        loss = chain().train(*encode(chunk, lists, rng), weights, seen, transitions, moved, begin, rate)
        if report:
            report(done, loss)
    return weights, transitions, begin


def _chunks(texts: Iterator[Labelled]) -> Iterator[tuple[int, list[Labelled]]]:
    done = 0
    while chunk := list(islice(texts, _CHUNK)):
        yield done, chunk
        done += len(chunk)


def quantise(weights: NDArray[np.float32], transitions: NDArray[np.float64], begin: NDArray[np.float64], lists: Lists) -> Tagger:
    """Weights as whole numbers from -127 to 127; the largest one in 50,000 are clipped, which the rest gain in precision."""
    import numpy as np

    size = np.abs(weights)
    scale = float(np.quantile(size[size > 0], 0.9998)) / 127 if size.any() else 1.0
    steps = np.clip(np.rint(weights / scale), -127, 127).astype(np.int8)
    return Tagger(steps, transitions.round(6), begin, *lists, scale * (1 - _DROPPED))


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and write the weights and their SHA-256."""
    parser = argparse.ArgumentParser(prog="python -m rungwise.fit.tag", description=__doc__)
    parser.add_argument("--texts", type=int, default=TEXTS, help="how many texts to generate and train on")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--share", type=int, default=0, help="leave every n-th template out")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    given, begin = parser.parse_args(arguments), time.perf_counter()

    def report(done: int, loss: float) -> None:
        sys.stderr.write(f"{done:8} texts  loss {loss:.4f}  {time.perf_counter() - begin:6.1f} s\n")

    data = pack(train(texts=given.texts, seed=given.seed, share=given.share, report=report))
    digest = hashlib.sha256(data).hexdigest()
    given.out.write_bytes(data)
    given.out.with_suffix(DIGEST.suffix).write_text(digest + "\n", encoding="ascii")
    sys.stdout.write(f"{given.out}: {len(data):,} bytes, sha256 {digest}\n")


if __name__ == "__main__":
    main()
