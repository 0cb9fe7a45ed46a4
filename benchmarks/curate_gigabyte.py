"""How fast a gigabyte is curated end to end, and how much memory it takes; prints a table and a JSON line.

The gigabyte is made from the prose of `benchmarks/prose.py`: documents of sentences drawn from it, of which 30 % come again
(exactly, with 1 % or 3 % of their words changed), one in twenty is Portuguese, one in twenty holds an e-mail address and a phone
number, and one in fifty is a list that repeats itself. Both commands run as a user would; memory is that of all processes.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.prose import DATA, pieces

SIZE_BYTES = 10**9
STEPS = "quality,language,dedup,pii,leaks"
_RUN = "from rungwise.cli import main; main()"


def documents(size: int) -> Iterator[str]:
    """Documents of 500 to 5,000 characters, `size` bytes together."""
    import gzip

    rng = Random(0)
    split = re.compile(r"(?<=[.!?])\s+")
    english = [one for text in pieces(40_000_000)[0] for one in split.split(text) if 20 <= len(one) <= 400]
    novel = DATA / "gutenberg_en_pt" / "pt_dom_casmurro.txt.gz"
    portuguese = [one for one in split.split(gzip.decompress(novel.read_bytes()).decode()) if 20 <= len(one) <= 400]
    words = sorted({word for sentence in english[:20_000] for word in sentence.split()})
    made, recent = 0, [""] * 2_000
    for count in itertools.count():
        if made >= size:
            return
        draw = rng.random()
        if draw < 0.30 and all(recent):
            text = edited(rng.choice(recent), rng.choice((0.0, 0.01, 0.03)), words, rng)
        elif draw < 0.35:
            text = " ".join(rng.choices(portuguese, k=rng.randint(8, 40)))
        elif draw < 0.37:
            text = "\n".join([f"- {rng.choice(words)}"] * rng.randint(40, 200))
        else:
            text = "\n".join(" ".join(rng.choices(english, k=rng.randint(3, 9))) for _ in range(rng.randint(2, 6)))
        if draw > 0.95:
            text += (
                f" Write to {rng.choice(words).strip('.,').lower()}{made}@example.org or call +1 415 555 {rng.randint(1000, 9999)}."
            )
        recent[count % len(recent)] = text
        made += len(text.encode("utf-8"))
        yield text


def edited(text: str, share: float, words: list[str], rng: Random) -> str:
    """The text with a share of its words replaced."""
    own = text.split(" ")
    for _ in range(round(share * len(own))):
        own[rng.randrange(len(own))] = rng.choice(words)
    return " ".join(own)


class Command:
    """A command that is run and watched: its seconds, and the resident memory of all its processes four times a second."""

    def __init__(self, *arguments: str) -> None:
        started = time.perf_counter()
        self.samples_bytes: list[int] = []
        with subprocess.Popen([sys.executable, "-c", _RUN, *arguments], stdout=subprocess.PIPE, text=True) as child:
            while child.poll() is None:
                self.samples_bytes.append(resident_bytes(child.pid))
                time.sleep(0.25)
            assert child.stdout is not None
            self.document: dict[str, Any] = json.loads(child.stdout.read())
        self.seconds = time.perf_counter() - started

    @property
    def peak_mb(self) -> float:
        """The most at any time."""
        return max(self.samples_bytes) / 2**20

    def mean_mb(self, low: float, high: float) -> float:
        """The mean between two shares of the time."""
        part = self.samples_bytes[int(low * len(self.samples_bytes)) : int(high * len(self.samples_bytes))]
        return sum(part) / max(1, len(part)) / 2**20


def resident_bytes(root: int) -> int:
    """Resident memory of a process and all below it; pages shared between them count once (proportional set size)."""
    below, total = {root}, 0
    for stat in sorted(Path("/proc").glob("[0-9]*/stat"), key=lambda path: int(path.parent.name)):
        with suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) in below:
                below.add(int(stat.parent.name))
    for pid in below:
        with suppress(OSError):
            found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
            total += int(found[1]) * 1024 if found else 0
    return total


def main(size: int = SIZE_BYTES) -> None:
    """Import, then curate, as a user would; the figures of each and of both."""
    with tempfile.TemporaryDirectory() as folder:
        source, project = Path(folder) / "documents.jsonl", str(Path(folder) / "project")
        count = written = 0
        with source.open("w", encoding="utf-8") as file:
            for count, text in enumerate(documents(size), start=1):
                file.write(json.dumps({"id": f"d{count}", "text": text}, ensure_ascii=False) + "\n")
                written += len(text.encode("utf-8"))
        imported = Command("data", "import", str(source), "--into", project, "--json")
        curated = Command("data", "curate", project, "--steps", STEPS, "--json")
    mb, done = written / 1e6, curated.document
    print(f"{count:,} documents, {mb:,.0f} MB of text; kept {done['kept']:,}, set aside {done['quarantined']}")
    print(f"{'':<8} {'seconds':>9} {'MB/s':>8} {'peak MB':>9} {'mean MB, second quarter':>25} {'last quarter':>13}")
    for name, one in (("import", imported), ("curate", curated)):
        early, late = one.mean_mb(0.25, 0.5), one.mean_mb(0.75, 1.0)
        print(f"{name:<8} {one.seconds:>9.1f} {mb / one.seconds:>8.1f} {one.peak_mb:>9,.0f} {early:>25,.0f} {late:>13,.0f}")
    both = imported.seconds + curated.seconds
    print(f"{'both':<8} {both:>9.1f} {mb / both:>8.1f}")
    print("goals: curation at least 15 MB/s on 2 cores, at most 1,536 MB and flat")
    figures = {"import_s": imported.seconds, "curate_s": curated.seconds, "mb": mb, "peak_mb": curated.peak_mb}
    print(json.dumps({"benchmark": "curate_gigabyte", **figures}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SIZE_BYTES)
