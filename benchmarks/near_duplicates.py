"""How fast exact and near duplicates are found in 56 MB of English with planted copies, against rensa and datasketch, one core.

Base: 40 MB of pieces of 500 to 5,000 characters (benchmarks/prose.py), cleaned of near-duplicates of their own without our code.
Planted, 30 % of all rows: exact copies, copies with 1 % and 3 % of their words replaced, and copies cut to 90 %; each stands
anywhere after its original. Every tool sees the same list of strings. The peers' shingles are the same five words, joined
strings of `text.lower().split()`, the cheapest tokenisation that there is; both hash and index as they document it for speed:
rensa's RMinHashDeduplicator with its LSH, datasketch's MinHash with xxhash in place of SHA-1, and MinHashLSH with 16 bands of 7.
For the peers: pip install rensa datasketch. Recall >= 0.95 and precision >= 0.99 of ours are asserted.
"""

from __future__ import annotations

import os

os.environ |= {"RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}

import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median

import xxhash

from benchmarks.prose import pieces
from rungwise.curate.duplicates import Duplicates

BASE, RUNS, SHARE = 40_000_000, 3, 0.3
KINDS = ("exact", "1 % of words", "3 % of words", "cut to 90 %")
BATCH = 8_192
PERMUTATIONS, BANDS, ROWS = 112, 16, 7
THRESHOLD = 0.65


@dataclass(frozen=True)
class Planted:
    """Rows, and for each the kind of edit (-1 for an original)."""

    texts: list[str]
    kinds: list[int]


@dataclass(frozen=True)
class Memory:
    """Rows as a step is given them."""

    held: list[str]
    splits: Sequence[str] = ()
    labels: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.held)

    def texts(self, rows: Sequence[int]) -> list[str]:
        """The texts of some rows."""
        return [self.held[row] for row in rows]

    def all_texts(self) -> Iterator[Sequence[str]]:
        """All of them."""
        yield self.held


def plant(base: list[str], rng: Random) -> Planted:
    """The base with one copy of 3 in 7 of it, each after its original."""
    vocabulary = [word for text in base[::20] for word in text.split()]
    rows = [(rng.random(), text, -1) for text in base]
    for place, text, _ in rng.sample(rows, round(len(base) * SHARE / (1 - SHARE))):
        kind = rng.randrange(len(KINDS))
        rows.append((rng.uniform(place, 1), edited(text, kind, vocabulary, rng), kind))
    rows.sort(key=lambda row: row[0])
    return Planted([row[1] for row in rows], [row[2] for row in rows])


def edited(text: str, kind: int, vocabulary: list[str], rng: Random) -> str:
    """A copy of one of the four kinds; at least one word is replaced by another."""
    if kind in (0, 3):
        return text if kind == 0 else text[: round(0.9 * len(text))]
    words = text.split(" ")
    for place in rng.sample(range(len(words)), max(1, round(len(words) * (0.01, 0.03)[kind - 1]))):
        words[place] = rng.choice(vocabulary) + "x" * (words[place] == "")
    return " ".join(words)


def shingles(text: str) -> list[str]:
    """Five words each."""
    words = text.lower().split()
    return [" ".join(words[i : i + 5]) for i in range(max(1, len(words) - 4))]


def ours(texts: list[str]) -> tuple[set[int], dict[str, float]]:
    """Look in batches, then decide."""
    step, begin = Duplicates(), time.perf_counter()
    looks = [step.look(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH)]
    looked = time.perf_counter()
    findings = step.decide(looks, Memory(texts))
    return {finding.row for finding in findings}, {"look": looked - begin, "decide": time.perf_counter() - looked}


def rensa(texts: list[str]) -> tuple[set[int], dict[str, float]]:
    """The pipeline of rensa's own README."""
    from rensa import RMinHashDeduplicator  # type: ignore[import-not-found]

    deduplicator = RMinHashDeduplicator(threshold=THRESHOLD, num_perm=PERMUTATIONS, use_lsh=True, num_bands=BANDS, seed=1)
    kept = deduplicator.add_pairs((str(i), shingles(text)) for i, text in enumerate(texts))
    return {i for i, new in enumerate(kept) if not new}, {}


def datasketch(texts: list[str]) -> tuple[set[int], dict[str, float]]:
    """Query, then insert what is new; candidates are checked by the estimate, as rensa does."""
    from datasketch import MinHash, MinHashLSH  # type: ignore[import-not-found]

    index, sketches, removed = MinHashLSH(num_perm=PERMUTATIONS, params=(BANDS, ROWS)), {}, set()
    coded = ([gram.encode() for gram in shingles(text)] for text in texts)
    for i, sketch in enumerate(MinHash.generator(coded, num_perm=PERMUTATIONS, hashfunc=xxhash.xxh32_intdigest)):
        if any(sketch.jaccard(sketches[other]) >= THRESHOLD for other in index.query(sketch)):
            removed.add(i)
        else:
            index.insert(i, sketch)
            sketches[i] = sketch
    return removed, {}


def quality(planted: Planted, removed: set[int]) -> dict[str, float]:
    """Precision, recall, and the recall of each kind of edit; every copy has one original before it."""
    copies = {i for i, kind in enumerate(planted.kinds) if kind >= 0}
    by_kind = {
        name: len([i for i in copies & removed if planted.kinds[i] == kind]) / planted.kinds.count(kind)
        for kind, name in enumerate(KINDS)
    }
    return {"precision": len(copies & removed) / max(1, len(removed)), "recall": len(copies & removed) / len(copies)} | by_kind


def main() -> None:
    """Medians of three interleaved runs."""
    base, made_of = pieces(int(sys.argv[1]) if len(sys.argv) > 1 else BASE)
    planted = plant(base, Random(0))
    size = sum(len(text.encode()) for text in planted.texts) / 1e6
    tools: dict[str, Callable[[list[str]], tuple[set[int], dict[str, float]]]] = {
        "ours": ours,
        "rensa": rensa,
        "datasketch": datasketch,
    }
    absent = [name for name in list(tools)[1:] if importlib.util.find_spec(name) is None]
    print("made of", ", ".join(f"{kind} {count / 1e6:.1f} MB" for kind, count in made_of.items()))
    print(f"{len(planted.texts):,} rows, {size:.1f} MB, of them {sum(kind >= 0 for kind in planted.kinds):,} planted copies")
    for name in absent:
        print(f"{name} is not installed: pip install {name}")
        del tools[name]
    ours(planted.texts[:2000])  # compiles
    seconds: dict[str, list[float]] = {name: [] for name in tools}
    parts: dict[str, list[float]] = {"look": [], "decide": []}
    found: dict[str, dict[str, float]] = {}
    for _ in range(RUNS):
        for name, tool in tools.items():
            begin = time.perf_counter()
            removed, stages = tool(planted.texts)
            seconds[name].append(time.perf_counter() - begin)
            found[name] = quality(planted, removed)
            for stage, value in stages.items():
                parts[stage].append(value)
    speeds = {name: size / median(values) for name, values in seconds.items()}
    head = ("precision", "recall", *KINDS)
    print(f"{'':12}{'MB/s':>8}{'ratio':>8}  " + "  ".join(head))
    for name, speed in speeds.items():
        shown = "  ".join(f"{found[name][key]:{len(key)}.3f}" for key in head)
        print(f"{name:12}{speed:8.1f}{speeds['ours'] / speed:8.1f}  {shown}")
    stages_shown = {stage: round(size / median(values), 1) for stage, values in parts.items()}
    print("ours, MB/s of each stage alone:", ", ".join(f"{stage} {value}" for stage, value in stages_shown.items()))
    speed_shown = {name: round(speed, 1) for name, speed in speeds.items()}
    print(
        json.dumps(
            {"benchmark": "near_duplicates", "mb": round(size, 1), "mb_per_s": speed_shown, **stages_shown, "quality": found}
        )
    )
    assert found["ours"]["recall"] >= 0.95, found["ours"]
    assert found["ours"]["precision"] >= 0.99, found["ours"]


if __name__ == "__main__":
    main()
