"""Names, addresses, places and organisations: what the shipped tagger finds, leaks and invents, beside a blank spaCy tagger.

Gold types are read as: PERSON -> NAME, STREET_ADDRESS -> ADDRESS, GPE -> LOCATION, ORGANIZATION -> ORGANIZATION; other gold
types (TITLE, AGE, NRP, dates, numbers) count as no name. `places` and `all joined` take ADDRESS and LOCATION as one type, as
Amazon Bedrock does. Intervals are 95 %, by resampling templates. spaCy is no dependency: `pip install spacy` into an environment
of its own that sees this one, or its lines are skipped. It is trained on the same generated texts.

    python -m benchmarks.pii_names            the shipped tagger
    python -m benchmarks.pii_names --spacy    and spaCy
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rungwise.curate.names.sentences import corpus
from rungwise.curate.names.tagger import TYPES, names_detector

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
GOLD = {"PERSON": "NAME", "STREET_ADDRESS": "ADDRESS", "GPE": "LOCATION", "ORGANIZATION": "ORGANIZATION"}
SPACY_TEXTS, SPACY_SECONDS = 20_000, 300
BATCH = 200

PLACES = {"ADDRESS", "LOCATION"}

Found = tuple[int, int, str]


class Row(NamedTuple):
    """A text, its gold spans and the template that it was made from."""

    text: str
    gold: list[Found]
    template: str


def lines_of(path: Path) -> list[str]:
    """The lines of a gzipped text."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return list(file)


def rows_of(path: str) -> list[Row]:
    """The rows of the set of personal data; empty when it is not beside the checkout."""
    file = DATA / path
    if not file.exists():
        return []
    rows = [json.loads(line) for line in lines_of(file)]
    return [
        Row(row["text"], [(a, b, GOLD[kind]) for a, b, kind in row["spans"] if kind in GOLD], str(row["template_id"]))
        for row in rows
    ]


def is_studied(row: Row) -> bool:
    """Whether errors on this row may be looked at by those who write templates: a third of the template ids, by hash."""
    return int(hashlib.sha256(row.template.encode()).hexdigest()[:8], 16) % 3 == 0


def _counts(
    row: Row, found: Sequence[Found], kinds: Sequence[str], *, exact: bool, joined: bool = False
) -> tuple[int, int, int, int]:
    """Gold spans, gold spans hit, found spans, found spans that hit; `joined` takes ADDRESS and LOCATION as one type."""
    gold = [span for span in row.gold if span[2] in kinds]
    own = [span for span in found if span[2] in kinds]

    def hits(a: Found, others: Sequence[Found]) -> bool:
        return any(
            (a[2] == b[2] or (joined and {a[2], b[2]} == PLACES)) and (a[:2] == b[:2] if exact else a[0] < b[1] and b[0] < a[1])
            for b in others
        )

    return len(gold), sum(hits(span, own) for span in gold), len(own), sum(hits(span, gold) for span in own)


def _scores(counts: Sequence[tuple[int, int, int, int]]) -> tuple[float, float, float]:
    gold, reached, found, right = (sum(column) for column in zip(*counts, strict=True))
    precision, recall = right / max(1, found), reached / max(1, gold)
    return precision, recall, 2 * precision * recall / max(1e-9, precision + recall)


def _interval(rows: Sequence[Row], counts: Sequence[tuple[int, int, int, int]], at: int) -> tuple[float, float]:
    """95 % by drawing templates with replacement, 500 times."""
    by_template: dict[str, list[tuple[int, int, int, int]]] = defaultdict(list)
    for row, count in zip(rows, counts, strict=True):
        by_template[row.template].append(count)
    groups, rng = list(by_template.values()), random.Random(0)
    draws = sorted(_scores([count for _ in groups for count in rng.choice(groups)])[at] for _ in range(500))
    return draws[12], draws[487]


def leak(rows: Sequence[Row], found: Sequence[Sequence[Found]]) -> float:
    """The share of the characters of gold names that no found span of any type covers."""
    total = left = 0
    for row, spans in zip(rows, found, strict=True):
        covered = {at for start, end, _ in spans for at in range(start, end)}
        named = {at for start, end, _ in row.gold for at in range(start, end) if not row.text[at].isspace()}
        total, left = total + len(named), left + len(named - covered)
    return left / max(1, total)


def measure(rows: Sequence[Row], found: Sequence[Sequence[Found]]) -> dict[str, Any]:
    """Precision, recall and F1 for each type and for all four, by overlap and exact, and the leak rate."""
    result: dict[str, Any] = {
        "rows": len(rows),
        "templates": len({row.template for row in rows}),
        "leak": round(leak(rows, found), 4),
    }
    sets: dict[str, tuple[str, ...]] = {kind: (kind,) for kind in TYPES} | {
        "places": ("ADDRESS", "LOCATION"),
        "all": TYPES,
        "all joined": TYPES,
    }
    for name, kinds in sets.items():
        for way in ("overlap", "exact"):
            joined = name in ("places", "all joined")
            counts = [
                _counts(row, spans, kinds, exact=way == "exact", joined=joined) for row, spans in zip(rows, found, strict=True)
            ]
            precision, recall, f1 = _scores(counts)
            result[f"{name} {way}"] = {"precision": round(precision, 3), "recall": round(recall, 3), "f1": round(f1, 3)}
            if way == "overlap":
                low, high = _interval(rows, counts, 1)
                result[f"{name} {way}"] |= {"recall_low": round(low, 3), "recall_high": round(high, 3)}
                low, high = _interval(rows, counts, 0)
                result[f"{name} {way}"] |= {"precision_low": round(low, 3), "precision_high": round(high, 3)}
    return result


def show(title: str, result: dict[str, Any]) -> None:
    """A table of one measurement."""
    print(f"\n{title}: {result['rows']} rows of {result['templates']} templates; leak {result['leak']:.2%}")
    for name in (*TYPES, "places", "all", "all joined"):
        loose, exact = result[f"{name} overlap"], result[f"{name} exact"]
        print(
            f"  {name:13} overlap P {loose['precision']:.3f} [{loose['precision_low']:.3f}, {loose['precision_high']:.3f}] "
            f"R {loose['recall']:.3f} [{loose['recall_low']:.3f}, {loose['recall_high']:.3f}] F1 {loose['f1']:.3f}"
            f"   exact P {exact['precision']:.3f} R {exact['recall']:.3f} F1 {exact['f1']:.3f}"
        )


def find(detect: Callable[[Sequence[str]], Any], texts: Sequence[str]) -> list[list[Found]]:
    """What a detector finds, as plain tuples."""
    return [[(span.start, span.end, span.type) for span in spans] for spans in detect(texts)]


def plain_sets() -> dict[str, list[str]]:
    """Texts with few names or in other languages, to count false alarms on."""
    sets = {
        "banking77 en": ("banking77/train.jsonl.gz", "text"),
        "clinc150 en": ("clinc150/train.jsonl.gz", "text"),
        "tatoeba es": ("tatoeba_translation/laser_eng_spa_dev.jsonl.gz", "spa"),
        "tatoeba fr": ("tatoeba_translation/laser_eng_fra_dev.jsonl.gz", "fra"),
        "tatoeba pt": ("tatoeba_translation/laser_eng_por_dev.jsonl.gz", "por"),
        "tatoeba de": ("tatoeba_translation/laser_eng_deu_dev.jsonl.gz", "deu"),
        "xquad en": ("xquad_part/dev.en.jsonl.gz", "context"),
        "xquad es": ("xquad_part/dev.es.jsonl.gz", "context"),
        "xquad de": ("xquad_part/dev.de.jsonl.gz", "context"),
    }
    found = {}
    for name, (path, key) in sets.items():
        if (DATA / path).exists():
            found[name] = list(dict.fromkeys(json.loads(line)[key] for line in lines_of(DATA / path)))[:5000]
    for book in ("en_alice", "en_sherlock", "pt_dom_casmurro"):
        if (path_ := DATA / "gutenberg_en_pt" / f"{book}.txt.gz").exists():
            text = "".join(lines_of(path_))
            found[f"gutenberg {book}"] = [part.replace("\n", " ") for part in text.split("\n\n") if part.strip()][:3000]
    return found


def alarms(detect: Callable[[Sequence[str]], Any]) -> dict[str, dict[str, float]]:
    """Spans for 1,000 words in texts that hold few names; real names among them are counted too."""
    result = {}
    for name, texts in plain_sets().items():
        words = sum(len(text.split()) for text in texts)
        counts: dict[str, int] = defaultdict(int)
        for spans in detect(texts):
            for span in spans:
                counts[span.type] += 1
        result[name] = {"words": words} | {kind: round(1000 * counts[kind] / words, 2) for kind in TYPES}
        print(f"  {name:26} {words:8} words  " + "  ".join(f"{kind} {result[name][kind]:.2f}" for kind in TYPES))
    return result


def words_a_second(detect: Callable[[Sequence[str]], Any], texts: Sequence[str], *, turns: int = 5) -> float:
    """White-space words a second on one core, median of so many turns."""
    detect(texts[:50])
    words, rates = sum(len(text.split()) for text in texts), []
    for _ in range(turns):
        begin = time.perf_counter()
        detect(texts)
        rates.append(words / (time.perf_counter() - begin))
    return statistics.median(rates)


def spacy_detector() -> Callable[[Sequence[str]], list[list[Found]]]:
    """A blank English spaCy tagger trained on the same kind of generated texts, for at most five minutes."""
    import spacy
    from spacy.training import Example
    from spacy.util import minibatch

    nlp = spacy.blank("en")
    ner = nlp.add_pipe("ner")
    for kind in TYPES:
        ner.add_label(kind)
    spacy.util.fix_random_seed(0)
    examples = []
    for text in corpus(20, SPACY_TEXTS):
        doc = nlp.make_doc(text.text)
        spans = [doc.char_span(*span[:2], label=span[2], alignment_mode="expand") for span in text.spans]
        doc.ents = spacy.util.filter_spans([span for span in spans if span is not None])
        examples.append(Example(nlp.make_doc(text.text), doc))
    optimizer, begin = nlp.initialize(lambda: examples[:1000]), time.perf_counter()
    for batch in minibatch(examples, 64):
        nlp.update(batch, sgd=optimizer, drop=0.1)
        if time.perf_counter() - begin > SPACY_SECONDS:
            break
    print(f"spaCy {spacy.__version__}: trained {time.perf_counter() - begin:.0f} s")
    return lambda texts: [[(e.start_char, e.end_char, e.label_) for e in doc.ents] for doc in nlp.pipe(texts, batch_size=BATCH)]


def parts_of(rows: Sequence[Row]) -> Iterable[tuple[str, list[Row]]]:
    """The whole set, the third whose errors were studied, and the two thirds that nobody looked at."""
    yield "all", list(rows)
    yield "studied third", [row for row in rows if is_studied(row)]
    yield "unseen two thirds", [row for row in rows if not is_studied(row)]


def main() -> None:
    """Measure, print and give one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spacy", action="store_true")
    parser.add_argument("--part", default="", help="only this part of the set: all, studied third, unseen two thirds")
    given, detect = parser.parse_args(), names_detector()
    rows = rows_of("pii_presidio/dev.jsonl.gz")
    result: dict[str, Any] = {"benchmark": "pii_names"}
    for name, part in parts_of(rows):
        if part and given.part in ("", name):
            result[name] = measure(part, find(detect, [row.text for row in part]))
            show(f"shipped tagger, {name}", result[name])
    if not rows:
        print("pii_presidio: not beside the checkout")
    print("\nspans for 1,000 words where there are few names")
    result["alarms"] = alarms(detect)
    speed_texts = [text for texts in plain_sets().values() for text in texts[:300]] or [text.text for text in corpus(1, 3000)]
    result["words_a_second"] = round(words_a_second(detect, speed_texts))
    print(f"\n{result['words_a_second']:,} words a second on one core")
    if given.spacy and rows:
        _beside_spacy(rows, speed_texts, result)
    print(json.dumps(result))


def _beside_spacy(rows: Sequence[Row], speed_texts: Sequence[str], result: dict[str, Any]) -> None:
    try:
        peer = spacy_detector()
    except ModuleNotFoundError:
        print(
            "spaCy is not installed: skipped (a blank spaCy tagger trained on 1,115 texts of the set, templates held out: F1 0.503)"
        )
        return
    for name, part in parts_of(rows):
        result[f"spacy {name}"] = measure(part, peer([row.text for row in part]))
        show(f"blank spaCy, same generated texts, {name}", result[f"spacy {name}"])
    result["spacy_words_a_second"] = round(words_a_second(peer, speed_texts, turns=3))
    ratio = result["words_a_second"] / result["spacy_words_a_second"]
    print(f"spaCy: {result['spacy_words_a_second']:,} words a second; ours is {ratio:.1f} times that")


if __name__ == "__main__":
    main()
