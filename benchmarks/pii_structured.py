"""Personal data with a form: what is found, what leaks after masking, false alarms on ordinary text, and MB/s against presidio.

Found: the rows of pii_presidio beside the checkout (templates with hash >= 40; the others were never seen here). Any overlap
with a gold span of the same type is a hit, any span of a measured type without one a false alarm. Both halves of the templates
are reported; the patterns were written by hand with all these rows in sight, so neither half is unseen. Leaks are characters of
gold spans of the measured types that no span of any type covers. Ordinary text: two English novels, wikitext, and the questions
of banking77 and clinc150; its dates are dates, so they are counted apart. Speed: the same rows, and prose in pieces of 2,000
characters of which every second has six items put in; presidio runs its default registry over a blank spaCy, on a sample, in
turns with ours. For the peer: pip install presidio-analyzer. Without it, it is left out.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import gzip
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from rungwise.curate.pii.detect import Structured
from rungwise.curate.pii.span import Span
from rungwise.curate.pii.types import SECRETS

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
TYPES = {
    "CREDIT_CARD": "CREDIT_DEBIT_CARD_NUMBER",
    "EMAIL_ADDRESS": "EMAIL",
    "US_SSN": "US_SOCIAL_SECURITY_NUMBER",
    "IP_ADDRESS": "IP_ADDRESS",
    "DOMAIN_NAME": "URL",
    "IBAN_CODE": "INTERNATIONAL_BANK_ACCOUNT_NUMBER",
    "PHONE_NUMBER": "PHONE",
    "DATE_TIME": "DATE_TIME",
    "US_DRIVER_LICENSE": "DRIVER_ID",
}
BESIDE = {"AGE": "AGE", "ZIP_CODE": "ZIP_CODE"}  # shown, not among the nine; most ZIP codes here have no word beside them
PEER_NAMES = {"URL": "URL"} | TYPES
ORDINARY = {
    "novels": ("gutenberg_en_pt/en_alice.txt.gz", "gutenberg_en_pt/en_sherlock.txt.gz"),
    "wikitext": ("wikitext2_valid/valid.txt.gz",),
    "banking77": ("banking77/train.jsonl.gz",),
    "clinc150": ("clinc150/train.jsonl.gz",),
}
ITEMS = ("jane.doe@example.com", "4111 1111 1111 1111", "GB82WEST12345698765432", "192.168.10.20", "212-555-0187", "125-17-4954")
RUNS, PEER_TEXTS, REPEATS = 5, 150, 5

Find = Callable[[Sequence[str]], list[list[Span]]]


def lines(name: str) -> list[str]:
    """The lines of a gzip file beside the checkout."""
    return gzip.decompress((DATA / name).read_bytes()).decode().splitlines()


def ordinary(names: Sequence[str]) -> list[str]:
    """Paragraphs, or the texts of rows."""
    if ".jsonl" in names[0]:
        return [json.loads(line)["text"] for name in names for line in lines(name)]
    return [text for name in names for text in "\n".join(lines(name)).split("\n\n") if text.strip()]


def presidio() -> Find | None:
    """presidio's default recognisers over a blank spaCy pipeline, or nothing when it is not installed."""
    try:
        import spacy
        import tldextract
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import SpacyNlpEngine
    except ImportError:
        return None
    logging.disable(logging.WARNING)
    # The list of domains that comes with tldextract: otherwise it would be asked for over the network.
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    engine: Any = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": "blank"}])
    engine.nlp = {"en": spacy.blank("en")}
    engine.load = lambda: None
    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(nlp_engine=engine)
    analyzer = AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])

    def find(texts: Sequence[str]) -> list[list[Span]]:
        found = [analyzer.analyze(text, language="en", score_threshold=0.35) for text in texts]
        return [[Span(one.start, one.end, PEER_NAMES.get(one.entity_type, one.entity_type)) for one in some] for some in found]

    return find


def scores(rows: Sequence[dict[str, Any]], found: Sequence[Sequence[Span]], types: dict[str, str]) -> dict[str, Counter[str]]:
    """Hits, misses and false alarms by type."""
    counts = {name: Counter[str](hit=0, miss=0, alarm=0) for name in types.values()}
    for row, spans in zip(rows, found, strict=True):
        gold = [(start, end, types[name]) for start, end, name in row["spans"] if name in types]
        for start, end, name in gold:
            hit = any(one.type == name and one.start < end and start < one.end for one in spans)
            counts[name]["hit" if hit else "miss"] += 1
        for one in spans:
            if one.type in counts and not any(
                one.type == name and one.start < end and start < one.end for start, end, name in gold
            ):
                counts[one.type]["alarm"] += 1
    return counts


def figures(counts: Counter[str]) -> tuple[float, float, float]:
    """Precision, recall, F1."""
    hit = counts["hit"]
    precision = hit / max(1, hit + counts["alarm"])
    recall = hit / max(1, hit + counts["miss"])
    return precision, recall, 2 * precision * recall / max(1e-9, precision + recall)


def leak(rows: Sequence[dict[str, Any]], found: Sequence[Sequence[Span]]) -> float:
    """The share of characters of gold spans of the nine types that no span covers."""
    left = total = 0
    for row, spans in zip(rows, found, strict=True):
        covered = {place for one in spans for place in range(one.start, one.end)}
        for start, end, name in row["spans"]:
            if name in TYPES:
                total += end - start
                left += sum(place not in covered for place in range(start, end))
    return left / total


def quality(rows: Sequence[dict[str, Any]], tools: dict[str, Find]) -> dict[str, Any]:
    """The table by type and half, for every tool."""
    halves = {
        "even": [row for row in rows if row["template_id"] % 2 == 0],
        "odd": [row for row in rows if row["template_id"] % 2],
        "all": list(rows),
    }
    results: dict[str, Any] = {}
    for tool, find in tools.items():
        for half, some in halves.items():
            found = find([row["text"] for row in some])
            counts = scores(some, found, TYPES | BESIDE)
            together = sum((counts[name] for name in TYPES.values()), Counter[str]())
            precision, recall, f1 = figures(together)
            results[f"{tool}, {half}"] = {
                "p": round(precision, 4),
                "r": round(recall, 4),
                "f1": round(f1, 4),
                "leak": round(leak(some, found), 4),
            }
            print(f"{tool:10} {half:5} P {precision:.3f}  R {recall:.3f}  F1 {f1:.3f}  characters left {leak(some, found):.2%}")
        for name, count in counts.items():
            precision, recall, f1 = figures(count)
            print(f"    {name:36} P {precision:.3f}  R {recall:.3f}  F1 {f1:.3f}  gold {count['hit'] + count['miss']}")
    return results


def false_alarms(find: Find) -> dict[str, Any]:
    """Spans per MB of ordinary text: dates, secrets, and everything else."""
    results = {}
    for name, files in ORDINARY.items():
        texts = ordinary(files)
        megabytes = sum(len(text.encode()) for text in texts) / 1e6
        counts = Counter(one.type for spans in find(texts) for one in spans)
        secrets = sum(counts[one] for one in SECRETS)
        others = counts.total() - counts["DATE_TIME"] - secrets
        results[name] = {"mb": round(megabytes, 2), "dates": counts["DATE_TIME"], "secrets": secrets, "others": others}
        rest = {kind: count for kind, count in counts.items() if kind != "DATE_TIME"}
        dates = counts["DATE_TIME"] / megabytes
        print(f"{name:10} {megabytes:5.2f} MB  dates {dates:7.1f}/MB  others {others / megabytes:5.1f}/MB  {rest}")
    return results


def prose_with_items() -> list[str]:
    """Pieces of 2,000 characters of the novels, every second with six items put in at random places."""
    rng, whole = Random(0), "\n\n".join(ordinary(ORDINARY["novels"]))
    pieces = [whole[place : place + 2000] for place in range(0, len(whole), 2000)]
    for place in range(0, len(pieces), 2):
        for item in ITEMS:
            at = rng.choice([spot for spot, char in enumerate(pieces[place]) if char == " "])
            pieces[place] = f"{pieces[place][:at]} {item} {pieces[place][at + 1 :]}"
    return pieces


def speed(texts: Sequence[str], tools: dict[str, Find]) -> dict[str, float]:
    """Median MB/s of each tool, in turns; the peer sees a sample."""
    sizes = {"ours": list(texts) * REPEATS, "presidio": Random(1).sample(list(texts), min(len(texts), PEER_TEXTS))}
    seconds: dict[str, list[float]] = {tool: [] for tool in tools}
    for run in range(RUNS + 1):
        for tool, find in tools.items():
            begin = time.perf_counter()
            find(sizes[tool])
            if run:
                seconds[tool].append(time.perf_counter() - begin)
    return {tool: sum(len(text.encode()) for text in sizes[tool]) / 1e6 / median(seconds[tool]) for tool in tools}


def main() -> None:
    """Quality, false alarms, speed."""
    if not (DATA / "pii_presidio").is_dir():
        print("pii_presidio: not beside the checkout")
        return
    rows = [json.loads(line) for line in lines("pii_presidio/dev.jsonl.gz")]
    tools: dict[str, Find] = {"ours": Structured()}
    peer = presidio()
    if peer is None:
        print("presidio is left out: pip install presidio-analyzer")
    else:
        tools["presidio"] = peer
    results: dict[str, Any] = {
        "benchmark": "pii_structured",
        "quality": quality(rows, tools),
        "ordinary": false_alarms(tools["ours"]),
    }
    for name, texts in (("short rows", [row["text"] for row in rows]), ("prose with items", prose_with_items())):
        rates = speed(texts, tools)
        ratio = rates["ours"] / rates["presidio"] if "presidio" in rates else 0.0
        results[name] = {tool: round(rate, 3) for tool, rate in rates.items()} | {"ratio": round(ratio, 1)}
        print(f"{name:17} " + "  ".join(f"{tool} {rate:.2f} MB/s" for tool, rate in rates.items()) + f"  ratio {ratio:.0f}")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
