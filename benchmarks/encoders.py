"""Sentence encoders on every backend against sentence-transformers in fp32: chunks a second, query latency, and faithfulness.

The same MiniLM weights, the same texts (SciFact abstracts cut to at most 1,000 characters, their titles as queries), two threads
each. One round runs every engine once, in turn; medians of the rounds. Processor seconds stand beside the clock, since they
say more on a machine that is not idle.

Run: python -m benchmarks.encoders [--chunks 1000] [--queries 100] [--rounds 3]
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.publish import machine
from rungwise.engines.encoders.backends import BACKENDS
from rungwise.engines.encoders.encode import Vectors
from rungwise.engines.encoders.fidelity import fidelity
from rungwise.engines.encoders.load import load_encoder
from rungwise.engines.encoders.minilm import minilm_folder

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "scifact" / "corpus.jsonl.gz"
PEER = "sentence-transformers fp32"
CHARACTERS = 1_000
Engine = Callable[[Sequence[str]], Vectors]


def read(chunks: int, queries: int) -> tuple[list[str], list[str]]:
    """Chunks of whole abstracts, and titles as queries."""
    with gzip.open(DATA, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    whole = [" ".join(row["abstract"]) if isinstance(row["abstract"], list) else row["abstract"] for row in rows]
    pieces = [text[start : start + CHARACTERS] for text in whole for start in range(0, len(text), CHARACTERS)]
    return pieces[:chunks], [row["title"] for row in rows[-queries:]]


def engines(cache: Path) -> dict[str, Engine]:
    """The peer first, then ours."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(2)
    peer = SentenceTransformer(str(minilm_folder()), device="cpu")
    found: dict[str, Engine] = {
        PEER: lambda texts: peer.encode(list(texts), batch_size=32, normalize_embeddings=True, show_progress_bar=False)
    }
    names = ["torch", *(name for name, backend in BACKENDS.items() if backend.installed)]
    return found | {name: load_encoder("minilm", backend=name, cache=cache) for name in names}


def measure(run: dict[str, Engine], chunks: list[str], queries: list[str], rounds: int) -> dict[str, dict[str, Any]]:
    """Medians over the rounds, every engine once a round, and its vectors against the peer's."""
    made = {name: encode(chunks) for name, encode in run.items()}  # also the warm-up of every shape
    times: dict[str, list[tuple[float, float, float]]] = {name: [] for name in run}
    for _ in range(rounds):
        for name, encode in run.items():
            begun, spent = time.perf_counter(), time.process_time()
            encode(chunks)
            wall, cpu = time.perf_counter() - begun, time.process_time() - spent
            waits = []
            for query in queries:
                begun = time.perf_counter()
                encode([query])
                waits.append(time.perf_counter() - begun)
            times[name].append((len(chunks) / wall, len(chunks) / cpu, 1_000 * statistics.median(waits)))
    found = {}
    for name, seen in times.items():
        per_s, per_cpu_s, wait_ms = (statistics.median(column) for column in zip(*seen, strict=True))
        near = fidelity(lambda _, name=name: made[name], lambda _: made[PEER], chunks)
        found[name] = {
            "chunks_per_s": per_s,
            "chunks_per_cpu_s": per_cpu_s,
            "query_ms": wait_ms,
            "cosine_mean": near.mean,
            "cosine_min": near.least,
            "top10": near.overlap,
        }
    return found


def main() -> None:
    """Print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=1_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    chunks, queries = read(given.chunks, given.queries)
    with tempfile.TemporaryDirectory() as cache:
        found = measure(engines(Path(cache)), chunks, queries, given.rounds)
    peer = found[PEER]
    length = np.mean([len(text) for text in chunks])
    print(f"{machine()}; {len(chunks)} chunks of {length:.0f} characters, {len(queries)} queries, {given.rounds} rounds")
    print(
        f"{'engine':28}{'chunks/s':>10}{'ratio':>7}{'/cpu s':>8}{'ratio':>7}{'query ms':>10}{'ratio':>7}  cosine mean, min; top 10"
    )
    for name, row in found.items():
        row |= {key + "_ratio": row[key] / peer[key] for key in ("chunks_per_s", "chunks_per_cpu_s", "query_ms")}
        print(
            f"{name:28}{row['chunks_per_s']:10.1f}{row['chunks_per_s_ratio']:7.2f}{row['chunks_per_cpu_s']:8.1f}"
            f"{row['chunks_per_cpu_s_ratio']:7.2f}{row['query_ms']:10.2f}{row['query_ms_ratio']:7.2f}"
            f"  {row['cosine_mean']:.5f}, {row['cosine_min']:.5f}; {row['top10']:.4f}"
        )
    print(json.dumps({"bench": "encoders", "machine": machine(), "chunks": len(chunks), "rounds": given.rounds, "engines": found}))


if __name__ == "__main__":
    main()
