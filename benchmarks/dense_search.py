"""Dense search against faiss, hnswlib and usearch as it is: exact over 100,000, approximate over real sentences, a million.

Real vectors: MiniLM over 164,000 different sentences of the shared data (Tatoeba's English, intents, reviews, tweets, messages,
an encyclopaedia, two novels); 500 of them are taken out as queries. They are encoded once and kept in the folder of
temporary files. Synthetic: 100 topics of 100 centres each, 384 dimensions whose spread falls with the square root of their
place, as that of sentence encoders does. Every engine runs on one thread and gets the queries one at a time, in turns with the
others; recall is counted against float64. On a busy machine, the CPU time of the median query is the fairer figure.
For the peers: pip install faiss-cpu hnswlib; what is missing is left out.
`python -m benchmarks.dense_search exact settings approximate filters million` names the parts; without names, all run.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}

import gzip
import hashlib
import json
import mmap
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.engines.encoders.load import load_encoder
from rungwise.engines.search import graph
from rungwise.engines.search.codes import encode, encode_like
from rungwise.engines.search.dense import EFFORT, GRAPH, DenseIndex, Vectored, index_vectors, load_vectored

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
KEPT = Path(tempfile.gettempdir()) / "dense_search"
SHORTEST, LONGEST, QUERIES, K = 2_000, 166_000, 500, 10
MILLION, TOPICS, CENTRES, DIMENSIONS = 1_000_000, 100, 100, 384
FIELDS = {
    "tatoeba_translation/eng_es_train": "en",
    "tatoeba_translation/eng_fr_train": "en",
    "clinc150/train": "text",
    "banking77/train": "text",
    "reviews/sentence_polarity": "text",
    "hate_offensive/dev": "text",
    "sms_spam/train": "text",
}
PROSE = ("wikitext2_valid/valid", "gutenberg_en_pt/en_sherlock", "gutenberg_en_pt/en_alice")

LINKS = graph.CONNECTIVITY
OURS = {"connectivity": LINKS, "expansion_add": graph.EFFORT_OF_BUILD, "expansion_search": EFFORT}

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]
Search = Callable[[Floats], Any]
Result = dict[str, Any]


@dataclass
class Engine:
    """One way of finding the nearest K: its search, what its build took, and what it keeps."""

    name: str
    search: Search
    build_s: float
    megabytes: float


def sentences() -> list[str]:
    """Different sentences in a fixed random order, without the very shortest and the longest."""
    found: dict[str, None] = {}
    for name, field in FIELDS.items():
        for line in gzip.decompress((DATA / f"{name}.jsonl.gz").read_bytes()).decode("utf-8").splitlines():
            found.setdefault(json.loads(line)[field])
    for name in PROSE:
        text = gzip.decompress((DATA / f"{name}.txt.gz").read_bytes()).decode("utf-8")
        pieces = (" ".join(piece.split()) for piece in re.split(r"(?<=[.!?])\s+", text))
        found |= dict.fromkeys(piece for piece in pieces if 15 <= len(piece) <= 300)
    kept = sorted(found, key=len)[SHORTEST:LONGEST]
    Random(0).shuffle(kept)
    return kept


def real() -> tuple[Floats, Floats]:
    """Vectors (n, 384) and queries (500, 384) of real sentences."""
    texts = sentences()
    path = KEPT / f"minilm-{hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:12]}.npy"
    if not path.exists():
        KEPT.mkdir(exist_ok=True)
        np.save(path, load_encoder("minilm")(texts))
    vectors = np.load(path)
    return vectors[:-QUERIES], vectors[-QUERIES:]


def clustered(rows: int, seed: int) -> Floats:
    """(rows, 384) synthetic unit vectors; the centres are the same for every seed."""
    spread = (1 / np.sqrt(np.arange(1, DIMENSIONS + 1))).astype(np.float32)
    fixed, rng = np.random.default_rng(0), np.random.default_rng(seed)
    topics = fixed.standard_normal((TOPICS, 1, DIMENSIONS), dtype=np.float32)
    centres = (topics + 0.7 * fixed.standard_normal((TOPICS, CENTRES, DIMENSIONS), dtype=np.float32)).reshape(-1, DIMENSIONS)
    made = np.empty((rows, DIMENSIONS), dtype=np.float32)
    for start in range(0, rows, 50_000):
        some = made[start : start + 50_000]
        some[:] = centres[rng.integers(0, len(centres), len(some))]
        some += 0.7 * rng.standard_normal(some.shape, dtype=np.float32)
        some *= spread
        some /= np.linalg.norm(some, axis=1, keepdims=True)
    return made


def truth(vectors: Floats, queries: Floats, allowed: NDArray[np.bool_] | None = None) -> list[set[int]]:
    """The K nearest rows of each query by float64, found among the 4 K nearest by float32."""
    near: list[Numbers] = []
    for start in range(0, len(queries), 25):
        scores = vectors @ queries[start : start + 25].T
        if allowed is not None:
            scores[~allowed] = -np.inf
        near += list(np.argpartition(scores, len(scores) - 4 * K, axis=0)[-4 * K :].T)
    exact = [vectors[rows].astype(np.float64) @ query for rows, query in zip(near, queries, strict=True)]
    return [set(rows[np.argsort(-own)[:K]].tolist()) for rows, own in zip(near, exact, strict=True)]


def in_turns(engines: list[Engine], queries: Floats, nearest: list[set[int]]) -> list[Result]:
    """Recall at 10 and milliseconds of each engine, all on the same query before the next one."""
    took, worked = ({engine.name: np.zeros(len(queries)) for engine in engines} for _ in range(2))
    hits = dict.fromkeys(took, 0)
    for engine in engines:
        for query in queries[:20]:
            engine.search(query)
    for turn, (query, true) in enumerate(zip(queries, nearest, strict=True)):
        for place in range(len(engines)):
            engine = engines[(turn + place) % len(engines)]
            started, begun = time.perf_counter(), time.thread_time()
            found = engine.search(query)
            took[engine.name][turn], worked[engine.name][turn] = time.perf_counter() - started, time.thread_time() - begun
            hits[engine.name] += len(true & {int(number) for number in found})
    return [
        {
            "engine": engine.name,
            "recall": hits[engine.name] / K / len(queries),
            "p50_ms": 1000 * float(np.quantile(took[engine.name], 0.5)),
            "p95_ms": 1000 * float(np.quantile(took[engine.name], 0.95)),
            "p50_cpu_ms": 1000 * float(np.quantile(worked[engine.name], 0.5)),
            "build_s": engine.build_s,
            "megabytes": engine.megabytes,
        }
        for engine in engines
    ]


def timed(make: Callable[[], Any]) -> tuple[Any, float]:
    """What was made, and the seconds it took."""
    started = time.perf_counter()
    made = make()
    return made, time.perf_counter() - started


def megabytes(segment: Vectored) -> float:
    """What a segment keeps on disk."""
    return (segment.vectors.nbytes + len(segment.graph or b"")) / 1e6


def ours(vectors: Floats, *, approximate: bool) -> Engine:
    """Our search, through the graph or exact and warm."""
    segment, took = timed(lambda: index_vectors(vectors, approximate_from=1 if approximate else 10**9))
    index = DenseIndex.of([segment], exact_to=0 if approximate else 10**9)
    index.warm()
    name = f"ours, graph, ef {EFFORT}, rescored" if approximate else "ours, exact"
    return Engine(
        name, lambda query: index.search(query, K)[0], took, megabytes(segment) + (0 if approximate else vectors.size / 1e6)
    )


def ours_first(vectors: Floats) -> Engine:
    """Our exact search as the first searches of a program run: float32 only."""
    return Engine(
        "ours, exact, first searches", lambda q: DenseIndex.of([Vectored(vectors)]).search(q, K)[0], 0.0, vectors.nbytes / 1e6
    )


def exact_peers(vectors: Floats) -> Iterator[Engine]:
    """numpy by hand, usearch's exact search, faiss FlatIP."""
    import usearch.index

    def by_hand(query: Floats) -> Numbers:
        scores = vectors @ query
        near = np.argpartition(scores, len(scores) - K)[-K:]
        return near[np.argsort(-scores[near])]

    size = vectors.nbytes / 1e6
    yield Engine("numpy", by_hand, 0.0, size)
    yield Engine("usearch exact", lambda q: usearch.index.search(vectors, q, K, "ip", exact=True, threads=1).keys, 0.0, size)
    try:
        import faiss
    except ImportError:
        print("faiss is not installed: left out")
        return
    faiss.omp_set_num_threads(1)
    flat = faiss.IndexFlatIP(vectors.shape[1])
    _, took = timed(lambda: flat.add(vectors))
    yield Engine("faiss FlatIP", lambda query: flat.search(query[None], K)[1][0], took, size)


def graph_peers(vectors: Floats) -> Iterator[Engine]:
    """usearch as it is, faiss and hnswlib, all with as many links and candidates as ours."""
    yield from (usearch_peer(vectors, dtype) for dtype in ("bf16", "i8"))
    try:
        import faiss
        import hnswlib
    except ImportError as error:
        print(f"{error.name} is not installed: left out")
        return
    faiss.omp_set_num_threads(1)
    flat = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
    flat.hnsw.efConstruction, flat.hnsw.efSearch = graph.EFFORT_OF_BUILD, EFFORT
    _, took = timed(lambda: flat.add(vectors))
    yield Engine(
        f"faiss HNSW{LINKS}", lambda query: flat.search(query[None], K)[1][0], took, len(faiss.serialize_index(flat)) / 1e6
    )
    near = hnswlib.Index(space="ip", dim=vectors.shape[1])
    near.init_index(max_elements=len(vectors), M=LINKS, ef_construction=graph.EFFORT_OF_BUILD)
    near.set_ef(EFFORT)
    _, took = timed(lambda: near.add_items(vectors, num_threads=1))
    yield Engine(
        f"hnswlib M{LINKS}", lambda query: near.knn_query(query, K, num_threads=1)[0][0], took, near.index_file_size() / 1e6
    )


def usearch_peer(vectors: Floats, dtype: str) -> Engine:
    """usearch with its own codes, without rescoring."""
    from usearch.index import Index

    index = Index(ndim=vectors.shape[1], metric="ip", dtype=dtype, **OURS)
    _, took = timed(lambda: index.add(np.arange(len(vectors)), vectors, threads=1))
    return Engine(f"usearch {dtype}", lambda query: index.search(query, K, threads=1).keys, took, index.serialized_length / 1e6)


def settings(vectors: Floats, queries: Floats) -> list[Result]:
    """Recall after rescoring and milliseconds by codes, links and candidates at build and search."""
    from usearch.index import Index

    codes, nearest, rows = encode(vectors), truth(vectors, queries), []
    trials = [("our codes", 16, 64), ("usearch i8", 16, 64), ("usearch bf16", 16, 64), ("our codes", 8, 64), ("our codes", 32, 64)]
    for name, links, effort in [*trials, ("our codes", 16, 32), ("our codes", 16, 128)]:
        own = name == "our codes"
        dtype = "i8" if own else name.split()[1]
        index = Index(ndim=vectors.shape[1], metric="ip", dtype=dtype, connectivity=links, expansion_add=effort, expansion_search=1)
        keys, given = np.arange(len(vectors)), codes.values if own else vectors
        _, took = timed(lambda index=index, keys=keys, given=given: index.add(keys, given, threads=1))
        for count in (64, 128, 192, 256):

            def search(query: Floats, *, index: Any = index, count: int = count, own: bool = own) -> Numbers:
                found = index.search(encode_like(query, codes.scale) if own else query, count, threads=1).keys.astype(np.int64)
                return found[np.argsort(-(vectors[found] @ query))[:K]]

            engine = Engine(f"{name}, M {links}, build {effort}, ef {count}", search, took, index.serialized_length / 1e6)
            rows += in_turns([engine], queries, nearest)
    return rows


def filters(segment: Vectored, queries: Floats) -> list[Result]:
    """Recall and milliseconds by the share of rows that a filter lets through, rows chosen at random."""
    index, rows = DenseIndex.of([segment], exact_to=50_000), []
    index.warm()
    for share in (0.001, 0.01, 0.1, 0.5, 0.9):
        allowed = np.random.default_rng(7).random(len(index)) < share
        nearest = truth(segment.vectors, queries, allowed)

        def search(query: Floats, *, allowed: NDArray[np.bool_] = allowed) -> Numbers:
            return index.search(query, K, allowed=allowed)[0]

        rows += in_turns([Engine(f"a filter lets {100 * share:g} % through", search, 0.0, megabytes(segment))], queries, nearest)
    return rows


def million_built(folder: Path) -> Result:
    """Index a million synthetic vectors into a folder: seconds, and the largest memory of the process."""
    import resource

    vectors = clustered(MILLION, 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    cpu = time.process_time()
    segment, took = timed(lambda: index_vectors(vectors))
    cpu = time.process_time() - cpu
    files, written = timed(segment.files)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    sizes = {name: len(data) / 1e6 for name, data in files.items()}
    return {
        "build_s": took,
        "build_cpu_s": cpu,
        "files_s": written,
        "rss_before_mb": before,
        "rss_peak_mb": after,
        "megabytes": sizes,
    }


def million_searched(folder: Path) -> Result:
    """Open that folder by memory map and search it: seconds to open with and without digests, recall, milliseconds, memory."""
    maps = {path.name: _mapped(path) for path in folder.iterdir()}
    segment, opened = timed(lambda: load_vectored(maps))
    queries = clustered(QUERIES, 2)[:200]
    index, of = timed(lambda: DenseIndex.of([segment]))
    for query in queries:
        index.search(query, K)
    memory = _memory()
    exact = DenseIndex.of([segment], exact_to=10**9)
    exact.warm()
    engines = [
        Engine("ours, graph", lambda query: index.search(query, K)[0], 0.0, megabytes(segment)),
        Engine("ours, exact", lambda query: exact.search(query, K)[0], 0.0, megabytes(segment)),
    ]
    rows = in_turns(engines, queries, truth(segment.vectors, queries))
    return {"open_s": opened, "of_s": of, "graph_only_mb": memory, "rows": rows, "filters": filters(segment, queries[:100])}


def _mapped(path: Path) -> memoryview:
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _memory() -> dict[str, float]:
    """Memory of this process in MB: its own, and mapped from files."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) / 1e3 for line in lines if line.startswith("Rss")}
    return {"own": found["RssAnon"], "mapped": found["RssFile"]}


def million() -> Result:
    """Build and search in processes of their own, so that the memory is theirs."""
    with tempfile.TemporaryDirectory() as name:
        steps = []
        for step in ("build", "search"):
            command = [sys.executable, "-m", "benchmarks.dense_search", f"--{step}", name]
            steps.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]))
    return steps[0] | steps[1]


def table(title: str, rows: list[Result]) -> None:
    """One line for each engine."""
    print(f"\n{title}\n{'':<44}{'recall@10':>10}{'p50 ms':>9}{'p95 ms':>9}{'CPU ms':>9}{'build s':>9}{'MB':>8}")
    for row in rows:
        figures = f"{row['recall']:>10.4f}{row['p50_ms']:>9.3f}{row['p95_ms']:>9.3f}{row['p50_cpu_ms']:>9.3f}"
        figures += f"{row['build_s']:>9.1f}{row['megabytes']:>8.0f}"
        print(f"{row['engine']:<44}{figures}", flush=True)


def main(parts: list[str]) -> None:
    """Run the named parts, or all."""
    parts = parts or ["exact", "settings", "approximate", "filters", "million"]
    results: Result = {"benchmark": "dense_search"}
    if {"exact", "settings", "approximate", "filters"} & set(parts):
        vectors, queries = real()
    if "exact" in parts:
        some = np.ascontiguousarray(vectors[:100_000])
        engines = [ours(some, approximate=False), ours_first(some), *exact_peers(some)]
        results["exact"] = in_turns(engines, queries, truth(some, queries))
        table("exact, 100,000 x 384 real vectors", results["exact"])
    if "settings" in parts:
        results["settings"] = settings(vectors, queries)
        table(f"settings of the graph, {len(vectors):,} real vectors, candidates rescored in float32", results["settings"])
    if "approximate" in parts:
        engines = [ours(vectors, approximate=True), ours(vectors, approximate=False), *graph_peers(vectors)]
        results["approximate"] = in_turns(engines, queries, truth(vectors, queries))
        table(f"approximate, {len(vectors):,} x 384 real vectors", results["approximate"])
    if "filters" in parts:
        results["filters"] = filters(index_vectors(vectors, approximate_from=1), queries)
        table(f"filters, {len(vectors):,} real vectors, exact up to 50,000 allowed rows", results["filters"])
    if "million" in parts:
        results["million"] = one = million()
        table("1,000,000 x 384 synthetic vectors", one["rows"])
        table("1,000,000 x 384 synthetic vectors, filtered", one["filters"])
        print(f"build {one['build_s']:.0f} s on one thread, peak memory {one['rss_peak_mb']:,.0f} MB; the vectors alone before")
        print(f"took {one['rss_before_mb']:,.0f} MB; graph {one['megabytes'][GRAPH]:,.0f} MB; opened by memory map with digests in")
        print(
            f"{one['open_s']:.1f} s, first use {one['of_s']:.2f} s; memory after 200 searches through the graph: "
            f"{one['graph_only_mb']['own']:,.0f} MB own, {one['graph_only_mb']['mapped']:,.0f} MB mapped"
        )
    results["graph"] = OURS
    print(json.dumps(results))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--build"]:
        print(json.dumps(million_built(Path(sys.argv[2]))))
    elif sys.argv[1:2] == ["--search"]:
        print(json.dumps(million_searched(Path(sys.argv[2]))))
    else:
        main(sys.argv[1:])
