"""Real sentences with the documents that they stand in, from four public collections, a part of each held out."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
ARTICLES = ROOT / "examples" / "support" / "articles"
SCIFACT_DOCUMENTS = 900
FEWEST_WORDS, MOST_WORDS = 6, 40

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"“])")
_OPEN_END = re.compile(r"\b(?:[A-Z]|Dr|Mr|Mrs|St|No|vs|approx|e\.g|i\.e|etc|ca|cf|al|a\.m|p\.m|U\.S|Jr|Sr|Inc|Ltd)\.$")


class Source(NamedTuple):
    """A document cut into sentences; `unit` is what is held out whole (an article, not one of its paragraphs)."""

    family: str
    id: str
    unit: str
    sentences: tuple[str, ...]

    @property
    def text(self) -> str:
        """The document, its sentences with one blank between."""
        return " ".join(self.sentences)


def is_held_out(source: Source) -> bool:
    """Whether errors on this source may not be looked at while checks are written: half of the units, by hash."""
    return int(hashlib.sha256(f"{source.family}/{source.unit}".encode()).hexdigest()[:8], 16) % 2 == 1


def sentences_of(text: str) -> list[str]:
    """A paragraph cut at full stops; an abbreviation or an initial does not end a sentence."""
    whole: list[str] = []
    for piece in _SENTENCE_END.split(text.strip()):
        if whole and _OPEN_END.search(whole[-1]):
            whole[-1] += " " + piece
        else:
            whole.append(piece)
    return whole


def is_plain(sentence: str) -> bool:
    """Whether it is a whole sentence of usual length with a capital first and a full stop last."""
    words = len(sentence.split())
    balanced = sentence.count("(") == sentence.count(")") and sentence.count('"') % 2 == 0
    return FEWEST_WORDS <= words <= MOST_WORDS and sentence.endswith(".") and sentence[0].isupper() and balanced


def sources() -> list[Source]:
    """All documents with at least two sentences, in a fixed order; collections that are not beside the checkout are left out."""
    found = [*_scifact(), *_squad(), *_wikitext(), *_support()]
    return [one for one in found if len(one.sentences) >= 2]


def _lines(name: str) -> list[str]:
    path = DATA / name
    if not path.exists():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return list(file)


def _scifact() -> Iterator[Source]:
    for line in _lines("scifact/corpus.jsonl.gz")[:SCIFACT_DOCUMENTS]:
        row = json.loads(line)
        yield Source("scifact", row["doc_id"], row["doc_id"], tuple(row["abstract"]))


def _squad() -> Iterator[Source]:
    seen = set()
    for line in _lines("squad2_part/dev.jsonl.gz"):
        row = json.loads(line)
        if row["context"] not in seen:
            seen.add(row["context"])
            yield Source("squad2", f"{row['title']}/{len(seen)}", row["title"], tuple(sentences_of(row["context"])))


def _wikitext() -> Iterator[Source]:
    """Paragraphs without unknown words, with blanks and hyphens as people write them; the unit is the article."""
    article = ""
    for number, line in enumerate(_lines("wikitext2_valid/valid.txt.gz")):
        text = line.strip()
        if re.fullmatch(r"= [^=].*[^=] =", text):
            article = text.strip("= ")
        elif text and not text.startswith("=") and "<unk>" not in text:
            yield Source("wikitext", str(number), article, tuple(sentences_of(_joined(text))))


def _joined(text: str) -> str:
    text = re.sub(r" @([,.-])@ ", r"\1", text)
    text = re.sub(r" ([,.;:?!%)\]])", r"\1", re.sub(r"([(\[$£€]) ", r"\1", text))
    text = re.sub(r'" ([^"]*) "', r'"\1"', text)
    return re.sub(r" ('s|'t|n't|'re|'ve|'ll|')(?= |$|[,.])", r"\1", text)


def _support() -> Iterator[Source]:
    for path in sorted(ARTICLES.glob("*.md")):
        paragraphs = [
            line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith(("#", "-", "|"))
        ]
        yield Source("support", path.stem, path.stem, tuple(one for line in paragraphs for one in sentences_of(line)))
