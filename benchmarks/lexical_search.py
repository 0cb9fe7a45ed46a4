"""How fast and how good search by words is, against bm25s, tantivy and SQLite FTS5, one core, and whether feedback helps.

Speed: 100,000 texts of 60 to 150 words, made of sentences of SciFact, WikiText, Tatoeba and two books, with 500 queries of 6 to
12 words in a row from them, one at a time, every tool in turn, the 10 best; building, and replacing 1 % of the texts (ours: a new
segment, the old texts marked dead, open), three rounds, medians. Stop words and stems everywhere by the tool's own means, BM25
with k1 1.2 and b 0.75; bm25s can only be built anew; FTS5 is asked 100 of the queries, with OR between the words.
Quality: nDCG@10 of the 809 training claims of SciFact against the documents that they cite (as BEIR judges), and pseudo-relevance
feedback with the share of the query's own words from Anserini's 0.5 up; differences with 95 % intervals (paired bootstrap).
For the peers: pip install bm25s tantivy. Ours within 0.005 of bm25s, median <= 1 ms and update <= 3 % are asserted.
"""

from __future__ import annotations

import os

os.environ |= {"RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}

import gzip
import importlib.util
import json
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from statistics import median
from typing import Any
from unittest import mock

import numpy as np

from rungwise.engines.search import postings, vocabulary
from rungwise.engines.search.lexical import LexicalIndex
from rungwise.engines.search.postings import Postings, index_terms, load_postings
from rungwise.engines.search.terms import words_for

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
TEXTS, QUERIES, FTS_QUERIES, ROUNDS, K, K1, B = 100_000, 500, 100, 3, 10, 1.2, 0.75
WORDS = words_for("en")
OWN_SHARES = (0.5, 0.8, 0.9)

Ask = Callable[[str], Sequence[int]]


def lines(name: str) -> list[dict[str, Any]]:
    """The rows of a file of the data folder."""
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def sentences() -> list[str]:
    """Sentences of four sources, those of one source in their order."""
    found: list[str] = []
    for row in lines("scifact/corpus.jsonl.gz"):
        found += [row["title"], *row["abstract"]]
    for name in ("eng_es_train", "eng_fr_train"):
        found += [row["en"] for row in lines(f"tatoeba_translation/{name}.jsonl.gz")]
    for path in (*sorted((DATA / "gutenberg_en_pt").glob("en_*.txt.gz")), *sorted((DATA / "wikitext2_valid").glob("*.txt.gz"))):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            found += [piece.replace("\n", " ").strip() for piece in re.split(r"(?<=[.!?])\s+", file.read()) if piece.strip()]
    return found


def texts_and_queries() -> tuple[list[str], list[str]]:
    """Texts in which about half of the sentences follow each other, and windows of their words."""
    rng, pool = Random(0), sentences()
    sizes, texts = [len(sentence.split()) for sentence in pool], []
    while len(texts) < TEXTS:
        wanted, have, own, place = rng.randint(60, 150), 0, [], rng.randrange(len(pool))
        while have < wanted:
            chosen = place if rng.random() < 0.5 else rng.randrange(len(pool))
            place = (place + 1) % len(pool)
            own.append(pool[chosen])
            have += sizes[chosen]
        texts.append(" ".join(own))
    queries = []
    while len(queries) < QUERIES:
        words, size = rng.choice(texts).split(), rng.randint(6, 12)
        begin = rng.randrange(len(words) - size)
        queries.append(" ".join(words[begin : begin + size]))
    return texts, queries


class Ours:
    """The index of this package; `compiled=False` builds it as where numba is not installed."""

    def __init__(self, texts: Sequence[str], *, compiled: bool = True) -> None:
        self.segment = self._index(texts, compiled)
        self.index = LexicalIndex.of([self.segment], k1=K1, b=B)

    def _index(self, texts: Sequence[str], compiled: bool) -> Postings:
        if compiled:
            return index_terms(texts, words=WORDS)
        never = {"return_value": False}
        with mock.patch.object(vocabulary, "compiled", **never), mock.patch.object(postings, "compiled", **never):
            return index_terms(texts, words=WORDS)

    def ask(self, query: str) -> Sequence[int]:
        """The best texts."""
        found: list[int] = self.index.search(query, K)[0].tolist()
        return found

    def update(self, texts: Sequence[str]) -> None:
        """Replace the first texts."""
        alive = np.arange(self.segment.size) >= len(texts)
        LexicalIndex.of([self.segment, index_terms(texts, words=WORDS)], alive=[alive], k1=K1, b=B)


class Bm25s:
    """bm25s with its own tokens, its English stop words (the same 33) and PyStemmer."""

    update = None

    def __init__(self, texts: Sequence[str], *, backend: str) -> None:
        import bm25s
        import Stemmer

        self._tokens, self._stemmer = bm25s.tokenize, Stemmer.Stemmer("english")
        self._index = bm25s.BM25(method="lucene", k1=K1, b=B, backend=backend)
        self._index.index(self._tokenized(list(texts)), show_progress=False)

    def _tokenized(self, texts: list[str]) -> Any:
        return self._tokens(texts, stopwords="en", stemmer=self._stemmer, show_progress=False)

    def ask(self, query: str) -> Sequence[int]:
        """The best texts."""
        tokens = self._tokenized([query])
        found, scores = self._index.retrieve(tokens, k=K, show_progress=False)
        return [int(number) for number, score in zip(found[0], scores[0], strict=True) if score > 0]


class Tantivy:
    """tantivy in memory with its English stems (it removes no stop words by that name), one thread."""

    def __init__(self, texts: Sequence[str]) -> None:
        import tantivy

        schema = tantivy.SchemaBuilder()
        schema.add_unsigned_field("number", stored=True, indexed=True, fast=True)
        schema.add_text_field("body", stored=False, tokenizer_name="en_stem")
        self._document, self._index = tantivy.Document, tantivy.Index(schema.build())
        self._write(range(len(texts)), texts)

    def _write(self, numbers: Sequence[int], texts: Sequence[str], *, replace: bool = False) -> None:
        writer = self._index.writer(200_000_000, 1)
        for number, text in zip(numbers, texts, strict=True):
            if replace:
                writer.delete_documents_by_term("number", number)
            document = self._document()
            document.add_unsigned("number", number)
            document.add_text("body", text)
            writer.add_document(document)
        writer.commit()
        if not replace:
            writer.wait_merging_threads()
        self._index.reload()
        self._searcher = self._index.searcher()

    def ask(self, query: str) -> Sequence[int]:
        """The best texts."""
        parsed = self._index.parse_query(" ".join(re.findall(r"\w+", query.lower())), ["body"])
        return [self._searcher.doc(address)["number"][0] for _, address in self._searcher.search(parsed, K).hits]

    def update(self, texts: Sequence[str]) -> None:
        """Replace the first texts."""
        self._write(range(len(texts)), texts, replace=True)


class Fts5:
    """SQLite FTS5 in memory with the Porter stemmer; its k1 and b are 1.2 and 0.75."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._base = sqlite3.connect(":memory:")
        self._base.execute("CREATE VIRTUAL TABLE found USING fts5(body, tokenize='porter unicode61')")
        self._insert(texts)

    def _insert(self, texts: Sequence[str]) -> None:
        self._base.executemany("INSERT INTO found(rowid, body) VALUES (?, ?)", enumerate(texts, 1))
        self._base.commit()

    def ask(self, query: str) -> Sequence[int]:
        """The best texts."""
        wanted = " OR ".join(f'"{word}"' for word in re.findall(r"\w+", query))
        rows = self._base.execute("SELECT rowid FROM found WHERE found MATCH ? ORDER BY rank LIMIT ?", (wanted, K))
        return [row[0] - 1 for row in rows]

    def update(self, texts: Sequence[str]) -> None:
        """Replace the first texts."""
        self._base.executemany("DELETE FROM found WHERE rowid = ?", [(number + 1,) for number in range(len(texts))])
        self._insert(texts)


MAKERS: dict[str, Callable[[Sequence[str]], Any]] = {
    "ours": Ours,
    "ours, no numba": lambda texts: Ours(texts, compiled=False),
    "bm25s": lambda texts: Bm25s(texts, backend="numpy"),
    "bm25s, numba": lambda texts: Bm25s(texts, backend="numba"),
    "tantivy": Tantivy,
    "SQLite FTS5": Fts5,
}
ASKED = ("ours", "bm25s", "bm25s, numba", "tantivy")
NEEDS = {"bm25s": "bm25s", "bm25s, numba": "bm25s", "tantivy": "tantivy"}


def present() -> list[str]:
    """The tools that are installed."""
    return [name for name in MAKERS if name not in NEEDS or importlib.util.find_spec(NEEDS[name]) is not None]


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that it took, and what came out."""
    begin = time.perf_counter()
    found = run()
    return time.perf_counter() - begin, found


def speed(texts: Sequence[str], queries: Sequence[str], rounds: int) -> dict[str, dict[str, float]]:
    """Texts a second, seconds of an update of 1 % and its share of the build, and milliseconds a query: median and p95."""
    names = present()
    for name in names:
        MAKERS[name](texts[: 2 * K]).ask(queries[0])  # loads what is loaded once
    index_terms(texts, words=WORDS)  # and what is compiled
    build: dict[str, list[float]] = {name: [] for name in names}
    update: dict[str, list[float]] = {name: [] for name in names}
    made: dict[str, Any] = {}
    for _ in range(rounds):
        for name in names:
            made.pop(name, None)
            seconds, made[name] = timed(lambda name=name: MAKERS[name](texts))
            build[name].append(seconds)
            if made[name].update is not None:
                update[name].append(timed(lambda name=name: made[name].update(texts[: TEXTS // 100]))[0])
    asked: dict[str, list[float]] = {}
    for _ in range(2):  # the first time is not counted: every tool has seen the words once
        asked = {name: [] for name in names}
        for place, query in enumerate(queries):
            turn = place % len(ASKED)
            for name in (*ASKED[turn:], *ASKED[:turn]):  # nobody always comes first
                if name in made:
                    asked[name].append(timed(lambda name=name, query=query: made[name].ask(query))[0])
    for query in queries[:FTS_QUERIES]:  # apart: a third of a second of it would leave the others a cold cache
        asked["SQLite FTS5"].append(timed(lambda query=query: made["SQLite FTS5"].ask(query))[0])
    asked["ours, no numba"] = asked["ours"]  # numba has no part in a search
    return {
        name: {
            "texts_per_s": len(texts) / median(build[name]),
            "update_s": median(update[name] or build[name]),
            "update_share": median(update[name] or build[name]) / median(build[name]),
            "p50_ms": 1000 * float(np.percentile(asked[name], 50)),
            "p95_ms": 1000 * float(np.percentile(asked[name], 95)),
        }
        for name in names
    }


def size(texts: Sequence[str], queries: Sequence[str]) -> dict[str, float]:
    """What the index takes: on disk, in memory, to open, and when a word is asked for the first time."""
    segment = index_terms(texts, words=WORDS)
    files = segment.files()
    load_s, loaded = timed(lambda: load_postings(files))
    open_s, index = timed(lambda: LexicalIndex.of([loaded]))
    cold = [timed(lambda query=query: index.search(query, K))[0] for query in queries]
    return {
        "postings": float(len(segment.documents)),
        "disk_mb": sum(map(len, files.values())) / 1e6,
        "memory_mb": segment.nbytes / 1e6,
        "memory_after_queries_mb": (segment.nbytes + sum(weights.nbytes for weights in index._weighed.values())) / 1e6,
        "load_ms": 1000 * load_s,
        "open_ms": 1000 * open_s,
        "cold_p50_ms": 1000 * float(np.percentile(cold, 50)),
    }


def scifact() -> tuple[list[str], list[str], list[tuple[str, set[str]]]]:
    """Ids and texts of the abstracts, and each claim with the ids that it cites."""
    corpus, claims = lines("scifact/corpus.jsonl.gz"), {}
    for row in lines("scifact/claims_train.jsonl.gz"):
        claims[row["id"]] = (row["claim"], set(row["cited_doc_ids"]))
    texts = [row["title"] + " " + " ".join(row["abstract"]) for row in corpus]
    return [row["doc_id"] for row in corpus], texts, list(claims.values())


def ndcg(ask: Ask, ids: Sequence[str], claims: Sequence[tuple[str, set[str]]]) -> np.ndarray:
    """nDCG@10 of each claim."""
    discount, found = 1 / np.log2(np.arange(2, K + 2)), []
    for claim, wanted in claims:
        gains = [ids[number] in wanted for number in ask(claim)][:K]
        found.append(discount[: len(gains)][gains].sum() / discount[: len(wanted)].sum())
    return np.array(found)


def difference(one: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    """The mean difference of pairs and its 95 % interval: percentile bootstrap, 9,999 resamples."""
    pairs, rng = one - other, np.random.default_rng(0)
    means = np.array([pairs[rng.integers(0, len(pairs), len(pairs))].mean() for _ in range(9_999)])
    return float(pairs.mean()), *np.percentile(means, [2.5, 97.5]).tolist()


def quality() -> dict[str, dict[str, float]]:
    """nDCG@10 of every tool, and of ours with feedback from the five best texts, each against ours without."""
    ids, texts, claims = scifact()
    ours = Ours(texts)
    asks: dict[str, Ask] = {"ours": ours.ask}
    asks |= {name: MAKERS[name](texts).ask for name in present() if not name.startswith("ours")}
    for share in OWN_SHARES:
        asks[f"ours, feedback {share}"] = lambda query, share=share: ours.index.search_weighted(
            ours.index.expand(query, ours.index.search(query, 5)[0], own=share), K
        )[0].tolist()
    found = {name: ndcg(ask, ids, claims) for name, ask in asks.items()}
    results = {}
    for name, own in found.items():
        gap, low, high = difference(own, found["ours"])
        results[name] = {"ndcg10": float(own.mean()), "difference": gap, "low": low, "high": high}
    return results


def main(rounds: int) -> None:
    """Print the three tables and the JSON line."""
    texts, queries = texts_and_queries()
    print(f"{len(texts):,} texts, {sum(map(len, texts)) / 1e6:.0f} MB, {len(queries)} queries, words {WORDS}")
    print(f"{'':<16}{'texts/s':>9}{'update s':>10}{'of build':>10}{'p50 ms':>9}{'p95 ms':>9}{'p50 of ours':>13}")
    fast = speed(texts, queries, rounds)
    for name, own in fast.items():
        anew = "anew" if name.startswith("bm25s") else f"{own['update_share']:.1%}"
        ratio = own["p50_ms"] / fast["ours"]["p50_ms"]
        print(f"{name:<16}{own['texts_per_s']:>9,.0f}{own['update_s']:>10.3f}{anew:>10}", end="")
        print(f"{own['p50_ms']:>9.3f}{own['p95_ms']:>9.3f}{ratio:>13.1f}")
    taken = size(texts, queries)
    print("the index:", ", ".join(f"{name} {value:,.1f}" for name, value in taken.items()))
    print(f"\n{'SciFact, nDCG@10':<20}{'':>8}{'difference from ours (95 %)':>32}")
    good = quality()
    for name, own in good.items():
        print(f"{name:<20}{own['ndcg10']:>8.4f}{own['difference']:>+12.4f} [{own['low']:+.4f}, {own['high']:+.4f}]")
    print(json.dumps({"benchmark": "lexical_search", "speed": fast, "index": taken, "scifact": good}))
    assert all(good["ours"]["ndcg10"] >= good[name]["ndcg10"] - 0.005 for name in good if name.startswith("bm25s"))
    assert fast["ours"]["p50_ms"] <= 1
    assert fast["ours"]["update_share"] <= 0.03


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
