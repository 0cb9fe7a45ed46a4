"""A folder of documents becomes searchable, and answers real questions: this package beside the frameworks for retrieval.

1,000 SciFact abstracts as Markdown files (all that the 150 claims asked cite, and others), chunks of at most 1,000 characters
without overlap, the same MiniLM weights. Ours is an index on disk, every file under its digest and synced, for words and
meaning; the others keep vectors in their default store in memory. Each lives in a process of its own that has loaded the model
and indexed a few documents before; the processes take turns, ours before and after each of the others. Ingest is from the
folder to the first question that could be asked. Ours loads the model again within that time, as every run does.
Questions come one at a time, embedding included, the five best chunks, rounds in turn. A hit: one of the five is of a cited
document. Processor seconds stand beside the clock, since they say more on a machine that is not idle.

For the peers: pip install sentence-transformers langchain-huggingface langchain-community llama-index-core
llama-index-embeddings-huggingface haystack-ai sentence-transformers-haystack
Run: python -m benchmarks.ingest [--documents 1000] [--claims 150] [--rounds 3]
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import importlib.util
import json
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmarks.publish import machine
from rungwise.engines.encoders.minilm import minilm_folder

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "scifact"
ROOT = Path(__file__).resolve().parents[1]
CHARACTERS, FOUND, BATCH, WARM = 1_000, 5, 32, 20
"""Of a chunk; chunks a question; chunks that peers encode at once (sentence-transformers' default); documents before the clock."""

SEPARATORS = [". ", " "]
"""Sentences, then words. With empty lines before them, which is the default of LangChain and Haystack, each title
is a chunk by itself: a third more chunks of the same text, and no longer of the same size as those of the others."""

OURS = "ours"
NEEDS = {"LangChain": "langchain_huggingface", "LlamaIndex": "llama_index", "Haystack": "haystack"}
GOALS = {"LangChain": 5.0, "LlamaIndex": 4.0, "Haystack": 3.0}
LATENCY_GOAL = 1 / 3
QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HAYSTACK_TELEMETRY_ENABLED": "False"}


class Engine(Protocol):
    """What is compared: it makes a fresh store of a folder and says how many chunks, and gives the documents of the best chunks."""

    def ingest(self, folder: Path) -> int:
        """Read, cut, encode and keep every document."""
        ...

    def ask(self, question: str) -> list[str]:
        """The file names of the documents of the best chunks, best first."""
        ...


class Ours:
    """The index on disk, searched by words and meaning, which is its default; `mode` dense is for the like with like."""

    def __init__(self, mode: str = "hybrid") -> None:
        self._home, self._mode = Path(tempfile.mkdtemp(prefix="ingest-")), mode

    def ingest(self, folder: Path) -> int:
        """As `rungwise index FOLDER --into DIR`."""
        from rungwise.project.index import Index, Wanted

        shutil.rmtree(self._home, ignore_errors=True)
        self._index = Index(self._home)
        built = self._index.build(folder, Wanted(encoder="minilm", chunking={"size": CHARACTERS}))
        return built.version.chunks

    def ask(self, question: str) -> list[str]:
        """As `rungwise search`."""
        return [one.document for one in self._index.search(question, FOUND, self._index.how(mode=self._mode))]

    def close(self) -> None:
        """Delete the index."""
        shutil.rmtree(self._home, ignore_errors=True)


class LangChain:
    """Text files, the recursive splitter, InMemoryVectorStore."""

    def __init__(self) -> None:
        from langchain_huggingface import HuggingFaceEmbeddings

        self._embed = HuggingFaceEmbeddings(model_name=str(minilm_folder()), encode_kwargs={"batch_size": BATCH})

    def ingest(self, folder: Path) -> int:
        """See `Engine`."""
        from langchain_community.document_loaders import DirectoryLoader, TextLoader
        from langchain_core.vectorstores import InMemoryVectorStore
        from langchain_text_splitters import RecursiveCharacterTextSplitter

        reader = {"encoding": "utf-8"}
        loader = DirectoryLoader(str(folder), glob="*.md", loader_cls=TextLoader, loader_kwargs=reader, show_progress=False)
        splitter = RecursiveCharacterTextSplitter(
            chunk_size=CHARACTERS, chunk_overlap=0, separators=SEPARATORS, keep_separator="end"
        )
        self._store = InMemoryVectorStore(self._embed)
        return len(self._store.add_documents(splitter.split_documents(loader.load())))

    def ask(self, question: str) -> list[str]:
        """See `Engine`."""
        return [Path(one.metadata["source"]).name for one in self._store.similarity_search(question, k=FOUND)]


class LlamaIndex:
    """The simple reader, the sentence splitter counting characters, VectorStoreIndex; nothing but the text is encoded."""

    def __init__(self) -> None:
        from llama_index.embeddings.huggingface import HuggingFaceEmbedding

        self._embed = HuggingFaceEmbedding(model_name=str(minilm_folder()), embed_batch_size=BATCH, device="cpu")

    def ingest(self, folder: Path) -> int:
        """See `Engine`."""
        from llama_index.core import SimpleDirectoryReader, VectorStoreIndex
        from llama_index.core.node_parser import SentenceSplitter

        # its own file names are left out of what is encoded by default; paths are not, so they are not asked for
        reader = SimpleDirectoryReader(str(folder), file_metadata=lambda path: {"file_name": Path(path).name})
        splitter = SentenceSplitter(chunk_size=CHARACTERS, chunk_overlap=0, tokenizer=list)
        nodes = splitter.get_nodes_from_documents(reader.load_data(show_progress=False), show_progress=False)
        self._retriever = VectorStoreIndex(nodes, embed_model=self._embed, show_progress=False).as_retriever(similarity_top_k=FOUND)
        return len(nodes)

    def ask(self, question: str) -> list[str]:
        """See `Engine`."""
        return [one.node.metadata["file_name"] for one in self._retriever.retrieve(question)]


class Haystack:
    """Text files, the recursive splitter, InMemoryDocumentStore, in pipelines as its guides have them."""

    def __init__(self) -> None:
        from haystack_integrations.components.embedders.sentence_transformers import (
            SentenceTransformersDocumentEmbedder,
            SentenceTransformersTextEmbedder,
        )

        model = str(minilm_folder())
        self._documents = SentenceTransformersDocumentEmbedder(model=model, batch_size=BATCH, progress_bar=False)
        self._text = SentenceTransformersTextEmbedder(model=model, progress_bar=False)
        self._documents.warm_up()
        self._text.warm_up()

    def ingest(self, folder: Path) -> int:
        """See `Engine`."""
        from haystack.components.converters import TextFileToDocument
        from haystack.components.preprocessors import RecursiveDocumentSplitter
        from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
        from haystack.document_stores.in_memory import InMemoryDocumentStore

        store = InMemoryDocumentStore()
        found = TextFileToDocument().run(sources=sorted(folder.glob("*.md")))["documents"]
        splitter = RecursiveDocumentSplitter(split_length=CHARACTERS, split_overlap=0, split_unit="char", separators=SEPARATORS)
        splitter.warm_up()
        chunks = splitter.run(documents=found)["documents"]
        store.write_documents(self._documents.run(documents=chunks)["documents"])
        self._retriever = InMemoryEmbeddingRetriever(document_store=store, top_k=FOUND)
        return int(store.count_documents())

    def ask(self, question: str) -> list[str]:
        """See `Engine`."""
        vector = self._text.run(text=question)["embedding"]
        return [Path(one.meta["file_path"]).name for one in self._retriever.run(query_embedding=vector)["documents"]]


MAKERS: dict[str, Callable[[], Engine]] = {
    OURS: Ours,
    "LangChain": LangChain,
    "LlamaIndex": LlamaIndex,
    "Haystack": Haystack,
}


def serve(name: str, folder: Path, warm: Path) -> None:
    """The process of one engine: a command a line comes in, an answer a line goes out."""
    # libraries that print have the other channel
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    engine = MAKERS[name]()
    try:
        engine.ingest(warm)
        engine.ask("what was found")
        print("ready", file=out, flush=True)
        for line in sys.stdin:
            print(json.dumps(answer(engine, folder, json.loads(line))), file=out, flush=True)
    finally:
        if isinstance(engine, Ours):
            engine.close()


def answer(engine: Engine, folder: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Ingest, or a round of questions of which the first few are asked before the clock runs."""
    if wanted["do"] == "ingest":
        begun, spent = time.perf_counter(), time.process_time()
        chunks = engine.ingest(folder)
        return {"chunks": chunks, "seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - spent}
    if isinstance(engine, Ours):
        engine._mode = wanted["mode"]
    for question in wanted["questions"][:WARM]:
        engine.ask(question)
    hits, waits, spent = [], [], time.process_time()
    for question in wanted["questions"]:
        begun = time.perf_counter()
        hits.append(engine.ask(question))
        waits.append(1_000 * (time.perf_counter() - begun))
    return {"hits": hits, "ms": waits, "cpu_ms": 1_000 * (time.process_time() - spent) / len(waits)}


class Running:
    """The process of one engine, from outside."""

    def __init__(self, name: str, folder: Path, warm: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.ingest", "--engine", name, "--folder", str(folder), "--warm", str(warm)]
        environ = os.environ | QUIET
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self._line()

    def __call__(self, **wanted: Any) -> dict[str, Any]:
        """One command and its answer."""
        assert self._process.stdin is not None
        print(json.dumps(wanted), file=self._process.stdin, flush=True)
        found: dict[str, Any] = json.loads(self._line())
        return found

    def close(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process ended with {self._process.wait()}; what it said stands above")
        return line


def read(documents: int, claims: int) -> tuple[list[tuple[str, str]], list[tuple[str, set[str]]]]:
    """Documents as (file name, Markdown), and claims with the file names of the documents that they cite."""
    asked: dict[str, set[str]] = {}
    for row in _rows("claims_train.jsonl.gz"):
        if len(asked) < claims or row["claim"] in asked:
            asked.setdefault(row["claim"], set()).update(f"{id}.md" for id in row["cited_doc_ids"])
    rows = {f"{row['doc_id']}.md": f"# {row['title']}\n\n{' '.join(row['abstract'])}\n" for row in _rows("corpus.jsonl.gz")}
    cited = [name for name in rows if any(name in own for own in asked.values())]
    others = [name for name in rows if name not in set(cited)]
    chosen = [*cited, *others][: max(documents, len(cited))]
    return [(name, rows[name]) for name in sorted(chosen)], list(asked.items())


def _rows(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(DATA / name, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def write(folder: Path, documents: Sequence[tuple[str, str]]) -> Path:
    """The documents as files in a new folder."""
    folder.mkdir()
    for name, text in documents:
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def ingested(running: dict[str, Running]) -> dict[str, dict[str, Any]]:
    """Each engine's ingest: ours first and after each of the others, whose ratio is that to the two of ours around it."""
    peers = [name for name in running if name != OURS]
    ours = [running[OURS](do="ingest")]
    found = {}
    for name in peers:
        found[name] = running[name](do="ingest")
        ours.append(running[OURS](do="ingest"))
    for place, name in enumerate(peers):
        around, own = ours[place : place + 2], found[name]
        own["ratio"] = statistics.fmean(map(_speed, around)) / _speed(own)
        own["document_ratio"] = own["seconds"] * statistics.fmean(1 / one["seconds"] for one in around)
        own["cpu_ratio"] = statistics.fmean(_speed(one, "cpu_seconds") for one in around) / _speed(own, "cpu_seconds")
    every = {key: statistics.median(one[key] for one in ours) for key in ("chunks", "seconds", "cpu_seconds")}
    return {OURS: every | {"runs_s": [one["seconds"] for one in ours]}, **found}


def _speed(one: dict[str, Any], key: str = "seconds") -> float:
    """Chunks a second."""
    return float(one["chunks"] / one[key])


def asked(running: dict[str, Running], claims: Sequence[tuple[str, set[str]]], rounds: int) -> dict[str, dict[str, Any]]:
    """Latency over all rounds, and who found what."""
    questions = [claim for claim, _ in claims]
    modes = {OURS: (OURS, "hybrid"), "ours, meaning only": (OURS, "dense")}
    turns = modes | {name: (name, "") for name in running if name != OURS}
    waits: dict[str, list[list[float]]] = {name: [] for name in turns}
    spent: dict[str, list[float]] = {name: [] for name in turns}
    hits: dict[str, list[bool]] = {}
    for _ in range(rounds):
        for name, (process, mode) in turns.items():
            found = running[process](do="ask", questions=questions, mode=mode)
            waits[name].append(found["ms"])
            spent[name].append(found["cpu_ms"])
            hits[name] = [bool(cited & set(own)) for own, (_, cited) in zip(found["hits"], claims, strict=True)]
    made = {}
    for name, own in hits.items():
        p50 = statistics.median(statistics.median(round) for round in waits[name])
        p95 = statistics.median(statistics.quantiles(round, n=20)[-1] for round in waits[name])
        pairs = list(zip(hits[OURS], own, strict=True))
        made[name] = {
            "p50_ms": p50,
            "p95_ms": p95,
            "cpu_ms": statistics.median(spent[name]),
            "hit_at_5": sum(own) / len(own),
            "only_ours": sum(one and not other for one, other in pairs),
            "only_theirs": sum(other and not one for one, other in pairs),
        }
    return made


def tell(made: dict[str, dict[str, Any]], answers: dict[str, dict[str, Any]], documents: int) -> None:
    """The two tables."""
    print(f"{'ingest':20}{'chunks':>8}{'seconds':>9}{'chunks/s':>10}{'docs/s':>8}", end="")
    print(f"{'ours, times':>13}{'goal':>7}{'by docs/s':>11}{'by chunks/cpu s':>17}")
    for name, own in made.items():
        print(f"{name:20}{own['chunks']:8.0f}{own['seconds']:9.1f}{_speed(own):10.1f}{documents / own['seconds']:8.1f}", end="")
        if name in GOALS:
            goal = f">= {GOALS[name]:.0f}"
            print(f"{own['ratio']:13.2f}{goal:>7}{own['document_ratio']:11.2f}{own['cpu_ratio']:17.2f}", end="")
        print()
    print(f"\n{'questions':20}{'p50 ms':>8}{'p95 ms':>8}{'cpu ms':>8}{'ours / it':>11}{'goal':>9}", end="")
    print(f"{'hit@5':>8}{'only ours':>11}{'only it':>9}")
    for name, own in answers.items():
        print(f"{name:20}{own['p50_ms']:8.2f}{own['p95_ms']:8.2f}{own['cpu_ms']:8.2f}", end="")
        share = answers[OURS]["p50_ms"] / own["p50_ms"]
        print(f"{share:11.2f}{'<= 0.33':>9}" if name in GOALS else " " * 20, end="")
        print(f"{own['hit_at_5']:8.3f}" + (f"{own['only_ours']:11}{own['only_theirs']:9}" if name != OURS else ""))


def main(documents: int, claims: int, rounds: int) -> None:
    """Print the tables and one line of JSON."""
    texts, questions = read(documents, claims)
    names = [name for name in MAKERS if name not in NEEDS or importlib.util.find_spec(NEEDS[name]) is not None]
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        folder = write(Path(scratch) / "documents", texts)
        warm = write(Path(scratch) / "warm", texts[:WARM])
        running = {}
        for name in names:
            running[name] = Running(name, folder, warm)
            stack.callback(running[name].close)
        made = ingested(running)
        answers = asked(running, questions, rounds)
    characters = sum(len(text) for _, text in texts)
    print(f"{machine()}; {len(texts):,} documents, {characters:,} characters; {len(questions)} claims, {rounds} rounds")
    if missing := [name for name in MAKERS if name not in names]:
        print(f"not installed here: {', '.join(missing)}")
    tell(made, answers, len(texts))
    goals = {name: {"ingest": goal, "query_share": LATENCY_GOAL} for name, goal in GOALS.items()}
    about = {"bench": "ingest", "machine": machine(), "documents": len(texts), "characters": characters, "claims": len(questions)}
    print(json.dumps(about | {"rounds": rounds, "ingest": made, "questions": answers, "goals": goals}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=1_000)
    parser.add_argument("--claims", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--warm", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.engine:
        serve(given.engine, given.folder, given.warm)
    else:
        main(given.documents, given.claims, given.rounds)
