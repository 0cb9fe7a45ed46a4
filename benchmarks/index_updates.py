"""What it costs to keep an index true: nothing changed, 1 % changed, 1 % gone, a killed run that goes on; to open it, and its size.

10,000 documents of 300 to 600 characters (sentences of SciFact abstracts in their order), MiniLM, default settings. Each run is
a process of its own: seconds are those of bringing the index up to date, model included; the whole command beside them has
Python's start and the imports too. The killed run ends by SIGKILL when half of the chunks are encoded. At the end, an index
made anew is asked the same 100 questions as the one that was updated. Processor seconds say more on a machine that is not idle.

Run: python -m benchmarks.index_updates [--documents 10000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.publish import machine

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "scifact"
ROOT = Path(__file__).resolve().parents[1]
SHORTEST, LONGEST = 300, 600
QUESTIONS, FOUND = 100, 10
GOAL = 0.02
"""An unchanged folder takes at most this share of the first run."""


def texts() -> Iterator[str]:
    """Texts of sentences that follow each other in an abstract, none twice."""
    with gzip.open(DATA / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            own = ""
            for sentence in json.loads(line)["abstract"]:
                if len(own) >= SHORTEST or len(own) + len(sentence) > LONGEST:
                    if len(own) >= SHORTEST:
                        yield own
                    own = ""
                own = f"{own} {sentence}".strip()[:LONGEST]
            if len(own) >= SHORTEST:
                yield own


def questions() -> list[str]:
    """Real claims."""
    with gzip.open(DATA / "claims_train.jsonl.gz", "rt", encoding="utf-8") as lines:
        return list(dict.fromkeys(json.loads(line)["claim"] for line in lines))[:QUESTIONS]


def build(folder: str, into: str) -> None:
    """In a process of its own: bring the index up to date, say how far it is, and what became of it."""
    from rungwise.core.progress import Progress
    from rungwise.project.index import Index, Wanted

    def say(progress: Progress) -> None:
        if progress.step == "encode":
            print(json.dumps({"encoded": progress.done, "of": progress.total}), flush=True)

    begun, spent = time.perf_counter(), time.process_time()
    built = Index(into).build(folder, Wanted(encoder="minilm"), say=say)
    took = {"seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - spent}
    counts = {"added": built.added, "changed": built.changed, "deleted": built.deleted, "unchanged": built.unchanged}
    print(json.dumps(took | counts | {"chunks": built.version.chunks}), flush=True)


def ask(into: str) -> None:
    """In a process of its own: open the index, ask it, and say how long each took and what was found."""
    from rungwise.project.index import Index

    index, asked = Index(into), questions()
    took: dict[str, Any] = {}
    steps = {
        "open_s": lambda: index.how(),
        "first_by_words_s": lambda: index.search(asked[0], FOUND, index.how(mode="lexical")),
        "first_s": lambda: index.search(asked[0], FOUND),
    }
    for name, step in steps.items():
        begun = time.perf_counter()
        step()
        took[name] = time.perf_counter() - begun
    waits, hits = [], []
    for question in asked:
        begun = time.perf_counter()
        hits.append([one.document for one in index.search(question, FOUND)])
        waits.append(1_000 * (time.perf_counter() - begun))
    print(json.dumps(took | {"p50_ms": statistics.median(waits), "hits": hits}))


def child(step: str, *arguments: Path) -> subprocess.Popen[str]:
    """A step in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.index_updates", "--step", step, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, encoding="utf-8")


def finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a step said last. Raises CalledProcessError where it failed."""
    said, _ = process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args, said)
    last: dict[str, Any] = json.loads(said.splitlines()[-1])
    return last


def updated(folder: Path, into: Path) -> dict[str, Any]:
    """A whole run: what it said, how long the command took, and how many texts were really encoded."""
    before, begun = kept_vectors(into), time.perf_counter()
    found = finished(child("build", folder, into))
    return found | {"command_s": time.perf_counter() - begun, "new_vectors": kept_vectors(into) - before}


def killed(folder: Path, into: Path) -> dict[str, Any]:
    """A run that is killed when half is encoded, and the run after it."""
    begun = time.perf_counter()
    process = child("build", folder, into)
    assert process.stdout is not None
    for line in process.stdout:
        said = json.loads(line)
        if "encoded" in said and said["encoded"] >= said["of"] / 2:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    lost, kept = time.perf_counter() - begun, kept_vectors(into)
    return updated(folder, into) | {"killed_after_s": lost, "kept_vectors": kept}


def kept_vectors(into: Path) -> int:
    """How many texts have their vector in the cache of the index."""
    path = into / "vectors.db"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return int(connection.execute("select count(*) from vectors").fetchone()[0])


def sizes(into: Path) -> dict[str, float]:
    """Bytes a chunk: of the version that is searched, file by file; of all that lies in the folder, before and after compaction."""
    from rungwise.project.index import Index

    index = Index(into)
    version = index.version()
    found: dict[str, float] = {}
    for segment in version.segments:
        for name, digest in segment.files.items():
            found[name] = found.get(name, 0) + (into / "blobs" / digest[:2] / digest).stat().st_size / version.chunks
    found = dict(sorted(found.items())) | {"the version": sum(found.values()), "the folder": _bytes(into) / version.chunks}
    index.compact()
    return found | {"compacted": _bytes(into) / version.chunks}


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def opened(into: Path, rounds: int) -> dict[str, Any]:
    """Medians of opening and asking, each round a process of its own, and what was found."""
    found = [finished(child("ask", into)) for _ in range(rounds)]
    names = ("open_s", "first_by_words_s", "first_s", "p50_ms")
    return {name: statistics.median(one[name] for one in found) for name in names} | {"hits": found[0]["hits"]}


def runs(folder: Path, scratch: Path, more: list[str], rounds: int) -> dict[str, dict[str, Any]]:
    """Every run in its order; `more` are texts that no document has yet."""
    into, names = scratch / "index", sorted(path.name for path in folder.iterdir())
    made = {"first run": updated(folder, into)}
    again = [updated(folder, into) for _ in range(rounds)]
    made["nothing changed"] = sorted(again, key=lambda one: one["seconds"])[len(again) // 2]
    share = max(1, len(names) // 100)
    for name, text in zip(names[::100], more, strict=False):
        (folder / name).write_text(text, encoding="utf-8")
    made["1 % changed"] = updated(folder, into)
    for name in names[:share]:
        (folder / name).unlink()
    made["1 % gone"] = updated(folder, into)
    made["after a kill"] = killed(folder, scratch / "anew")
    return made


def main(documents: int, rounds: int) -> None:
    """Print the tables and one line of JSON."""
    every = list(texts())
    with tempfile.TemporaryDirectory() as home:
        scratch = Path(home)
        folder = scratch / "documents"
        folder.mkdir()
        for place, text in enumerate(every[:documents]):
            (folder / f"{place:05}.txt").write_text(text, encoding="utf-8")
        updated(_few(folder, scratch / "few"), scratch / "warm")  # exports the model where that was never done
        made = runs(folder, scratch, every[documents:], rounds)
        answers, anew = opened(scratch / "index", rounds), opened(scratch / "anew", 1)
        same = [one == other for one, other in zip(answers.pop("hits"), anew["hits"], strict=True)]
        answers["as_made_anew"] = sum(same) / len(same)
        taken = sizes(scratch / "index")
    first = made["first run"]
    characters = sum(map(len, every[:documents]))
    print(f"{machine()}; {min(documents, len(every)):,} documents, {characters:,} characters, {first['chunks']:,} chunks")
    print(f"{'':18}{'seconds':>9}{'of first':>10}{'cpu s':>8}{'of first':>10}{'command s':>11}{'encoded':>9}")
    for name, own in made.items():
        share, cpu_share = own["seconds"] / first["seconds"], own["cpu_seconds"] / first["cpu_seconds"]
        own |= {"share": share, "cpu_share": cpu_share}
        print(f"{name:18}{own['seconds']:9.2f}{share:10.1%}{own['cpu_seconds']:8.2f}{cpu_share:10.1%}", end="")
        print(f"{own['command_s']:11.2f}{own['new_vectors']:9,}")
    print(f"goal: nothing changed <= {GOAL:.0%} of the first run")
    late = made["after a kill"]
    kept = f"{late['kept_vectors']:,} of {late['chunks']:,} vectors kept"
    print(f"killed after {late['killed_after_s']:.1f} s (start included) with {kept}")
    print(f"\nopen {answers['open_s']:.3f} s, first question by words {answers['first_by_words_s']:.3f} s, ", end="")
    print(f"first by meaning too {answers['first_s']:.3f} s (loads the model), then p50 {answers['p50_ms']:.2f} ms")
    print(f"questions whose {FOUND} hits are, in order, those of an index made anew: {answers['as_made_anew']:.0%}")
    print("\nbytes a chunk: " + ", ".join(f"{name} {value:,.0f}" for name, value in taken.items()))
    about = {"bench": "index_updates", "machine": machine(), "documents": documents, "chunks": first["chunks"], "rounds": rounds}
    print(json.dumps(about | {"runs": made, "open": answers, "bytes_per_chunk": taken, "goal": GOAL}))


def _few(folder: Path, target: Path) -> Path:
    target.mkdir()
    for path in sorted(folder.iterdir())[:10]:
        shutil.copy(path, target)
    return target


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--step", choices=("build", "ask"), help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        {"build": build, "ask": ask}[given.step](*given.rest)
    else:
        main(given.documents, given.rounds)
