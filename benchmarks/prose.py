"""English prose for benchmarks, from what a Debian machine with Python has and the shared data beside the checkout."""

from __future__ import annotations

import ast
import gzip
import json
import re
import sysconfig
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
SHORTEST, LONGEST = 500, 5_000
_COMMON = frozenset(["the", "of", "and", "to", "in", "a", "is", "that", "for", "it", "be", "with", "as", "are", "this", "not"])
_ROFF = re.compile(r"^[.'].*$|\\f[BIRP]|\\&", re.MULTILINE)
_SEEN_BITS = 28


def texts() -> Iterator[tuple[str, str]]:
    """(kind of source, text) in a fixed order; nothing from a source that is not there."""
    for path in [
        *DATA.glob("gutenberg_en_pt/en_*"),
        *DATA.glob("wikitext2_valid/*.txt.gz"),
        *DATA.glob("tinyshakespeare/*.txt.gz"),
    ]:
        yield path.parent.name, gzip.decompress(path.read_bytes()).decode("utf-8")
    for path in (
        DATA / "scifact" / "corpus.jsonl.gz",
        DATA / "reviews" / "movie_train.jsonl.gz",
        DATA / "dated_speeches" / "speeches.jsonl.gz",
    ):
        for line in gzip.decompress(path.read_bytes()).decode("utf-8").splitlines() if path.exists() else []:
            row = json.loads(line)
            body = row.get("abstract", row.get("text", ""))
            yield path.parent.name, body if isinstance(body, str) else " ".join(body)
    yield from _installed()


def _installed() -> Iterator[tuple[str, str]]:
    """Manuals, package documentation, and docstrings of the Python packages here."""
    for root, kind in (("/usr/share/man/man*", "man pages"), ("/usr/share/doc", "/usr/share/doc")):
        base = Path(root)
        for path in sorted(base.parent.glob(base.name)):
            for file in sorted(path.rglob("*")):
                if file.is_file() and not file.is_symlink() and not file.name.startswith(("copyright", "changelog")):
                    yield kind, _ROFF.sub("", _read(file)) if kind == "man pages" else _read(file)
    for folder in (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")):
        for file in sorted(Path(folder).rglob("*.py")):
            for docstring in _docstrings(file):
                yield "docstrings", docstring


def _read(path: Path) -> str:
    if path.suffix not in {"", ".gz", ".txt", ".md", ".rst"} and not re.fullmatch(r"\.\d\w*", path.suffix):
        return ""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error):
        return ""
    return content.decode("utf-8", "replace")


def _docstrings(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and (text := ast.get_docstring(node)):
            yield text


def pieces(size: int) -> tuple[list[str], dict[str, int]]:
    """Distinct pieces of 500 to 5,000 characters, `size` bytes together or all there are; and the bytes of each kind.

    A piece of which more than a fifth of the 5-word shingles stood in earlier pieces is left out, so no two of them have a
    Jaccard similarity above 0.2 by much. This check uses nothing of Rungwise: CRC-32 of strings, in a bitmap.
    """
    seen = np.zeros(1 << _SEEN_BITS, np.bool_)
    found: list[str] = []
    made_of: dict[str, int] = {}
    total = 0
    for kind, text in texts():
        for piece in _cut(text):
            words = piece.lower().split()
            if sum(word in _COMMON for word in words) < 0.12 * len(words):
                continue
            grams = [zlib.crc32(" ".join(words[i : i + 5]).encode()) >> (32 - _SEEN_BITS) for i in range(len(words) - 4)]
            at = np.unique(np.asarray(grams, np.int64))
            if seen[at].mean() > 0.2:
                continue
            seen[at] = True
            found.append(piece)
            made_of[kind] = made_of.get(kind, 0) + len(piece.encode())
            total += len(piece.encode())
            if total >= size:
                return found, made_of
    return found, made_of


def _cut(text: str) -> Iterator[str]:
    """Whole paragraphs together, up to 500 to 5,000 characters; the wish for a length changes from piece to piece."""
    held: list[str] = []
    length, wish = 0, SHORTEST
    for paragraph in re.split(r"\n\s*\n", text):
        part = paragraph.strip()[:LONGEST]
        if length + len(part) > LONGEST and length >= SHORTEST:
            yield "\n\n".join(held)
            held, length = [], 0
        if part and length + len(part) <= LONGEST:
            held.append(part)
            length += len(part) + 2
        if length >= wish:
            yield "\n\n".join(held)
            held, length = [], 0
            wish = SHORTEST + zlib.crc32(part.encode()) % (LONGEST - 2 * SHORTEST)
    if length >= SHORTEST:
        yield "\n\n".join(held)
