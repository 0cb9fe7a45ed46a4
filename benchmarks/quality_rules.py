"""How fast the quality rules measure texts, against datatrove's filters, and where the decisions differ and why.

The peer is not a dependency. In a throw-away environment: `pip install datatrove spacy nltk` beside numpy and numba, and run
`python -m benchmarks.quality_rules` there from the checkout. Without it, only Rungwise is measured.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from rungwise.curate.quality import RULES, Quality

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
RUNS = 5
PEER_TEXTS = 300
SIZE = 40_000_000  # bytes, by repeating what is there

CAUSES: tuple[tuple[str, str, dict[str, Any], str], ...] = (
    ("too_few_words", "GopherQuality", {"min_doc_words": 50}, "it counts spaCy tokens that are not signs: don't is two"),
    ("too_many_words", "GopherQuality", {"max_doc_words": 100_000}, "the same"),
    ("short_words", "GopherQuality", {"min_avg_word_length": 3}, "its tokens have no commas and full stops on them"),
    ("long_words", "GopherQuality", {"max_avg_word_length": 10}, "the same"),
    ("hash_signs", "GopherQuality", {"max_symbol_word_ratio": 0.1}, "it divides by all tokens, signs too; one rule with ellipses"),
    ("bullet_lines", "GopherQuality", {"max_bullet_lines_ratio": 0.9}, "blank lines are lines to it"),
    ("ellipsis_lines", "GopherQuality", {"max_ellipsis_lines_ratio": 0.3}, "the same"),
    ("few_alphabetic_words", "GopherQuality", {"max_non_alpha_words_ratio": 0.8}, "signs are words without a letter to it"),
    ("few_stop_words", "GopherQuality", {"min_stop_words": 2}, "The and (the are stop words to us, not to it"),
    ("duplicate_paragraphs", "GopherRepetition", {"dup_para_frac": 0.3}, "a line of spaces ends no paragraph to it"),
    ("duplicate_paragraph_characters", "GopherRepetition", {"dup_para_char_frac": 0.2}, "the same"),
    (
        "duplicate_lines",
        "GopherRepetition",
        {"dup_line_frac": 0.3},
        "lines that differ in spaces differ to it; blank ones are lines",
    ),
    ("duplicate_line_characters", "GopherRepetition", {"dup_line_char_frac": 0.2}, "the same"),
    ("top_2_gram", "GopherRepetition", {"top_n_grams": ((2, 0.20),)}, "n-grams of its tokens, signs too"),
    ("top_3_gram", "GopherRepetition", {"top_n_grams": ((3, 0.18),)}, "the same"),
    ("top_4_gram", "GopherRepetition", {"top_n_grams": ((4, 0.16),)}, "the same"),
    ("duplicate_5_grams", "GopherRepetition", {"dup_n_grams": ((5, 0.15),)}, "the same"),
    ("duplicate_10_grams", "GopherRepetition", {"dup_n_grams": ((10, 0.10),)}, "the same"),
    ("lorem_ipsum", "C4Quality", {"filter_lorem_ipsum": True}, "it looks only at lines that it has kept so far"),
    ("curly_brackets", "C4Quality", {"filter_curly_bracket": True}, "the same"),
    (
        "few_sentences",
        "C4Quality",
        {
            "min_num_sentences": 5,
            "filter_no_terminal_punct": True,
            "min_words_per_line": 3,
            "max_word_length": 1000,
            "filter_javascript": True,
            "filter_policy": True,
            "remove_citations": True,
        },
        "it splits sentences with spaCy, cuts [1] off, and every line break ends a line (VT, FF, NEL too)",
    ),
    ("few_terminal_lines", "FineWebQuality", {"line_punct_thr": 0.12}, "spaces after the full stop hide it from it"),
    ("short_lines", "FineWebQuality", {"short_line_thr": 0.67}, "it counts the spaces around a line"),
    ("duplicate_line_text", "FineWebQuality", {"char_duplicates_ratio": 0.01}, "0.1 in the paper, 0.01 in its code"),
    ("line_breaks", "FineWebQuality", {"new_line_ratio": 0.3}, "it divides by all tokens, signs too"),
)
"""Our rule, datatrove's filter with nothing but that rule, and why they differ."""

OFF: dict[str, dict[str, Any]] = {
    "GopherQuality": dict.fromkeys(
        (
            "min_doc_words",
            "max_doc_words",
            "min_avg_word_length",
            "max_avg_word_length",
            "max_symbol_word_ratio",
            "max_bullet_lines_ratio",
            "max_ellipsis_lines_ratio",
            "max_non_alpha_words_ratio",
            "min_stop_words",
        )
    ),
    "GopherRepetition": {
        "dup_line_frac": None,
        "dup_para_frac": None,
        "dup_line_char_frac": None,
        "dup_para_char_frac": None,
        "top_n_grams": (),
        "dup_n_grams": (),
    },
    "C4Quality": {
        "remove_citations": False,
        "filter_no_terminal_punct": False,
        "min_num_sentences": -1,
        "min_words_per_line": -1,
        "max_word_length": -1,
        "filter_lorem_ipsum": False,
        "filter_javascript": False,
        "filter_curly_bracket": False,
        "filter_policy": False,
    },
    "FineWebQuality": {"line_punct_thr": -1, "short_line_thr": 2, "char_duplicates_ratio": 2, "new_line_ratio": float("inf")},
}


class Counted:
    """As many rows as there are texts; the rules ask no more of them."""

    splits: Sequence[str] = ()
    labels: Sequence[str] = ()

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)

    def texts(self, rows: Sequence[int]) -> list[str]:
        """The texts of these rows."""
        return [self._texts[row] for row in rows]

    def all_texts(self) -> Any:
        """All of them at once."""
        return iter([self._texts])


def documents() -> list[str]:
    """Speeches, reviews, abstracts, encyclopedia pages, prompts and books by the page, in a fixed mixed order."""
    found: list[str] = []
    for name, field in (
        ("dated_speeches/speeches", "text"),
        ("reviews/movie_train", "text"),
        ("scifact/corpus", "abstract"),
        ("squad2_part/dev", "context"),
        ("jailbreak_prompts/dev", "prompt"),
        ("halueval_general/dev", "chatgpt_response"),
    ):
        with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            values = dict.fromkeys(json.dumps(json.loads(line)[field]) for line in file)
        texts = [json.loads(value) for value in values]
        found += [" ".join(text) if isinstance(text, list) else text for text in texts]
    for path in sorted((DATA / "gutenberg_en_pt").glob("en_*.txt.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            book = file.read()
        found += [book[at : at + 3000] for at in range(0, len(book), 3000)]
    return [found[(i * 7919) % len(found)] for i in range(len(found))]


def megabytes(texts: Sequence[str]) -> float:
    """Their size in UTF-8."""
    return sum(len(text.encode()) for text in texts) / 1e6


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """How long it takes, in processor time unless another clock is given: what one core does is then the same on a busy machine."""
    begin = clock()
    work()
    return clock() - begin


def on_two_cores(texts: Sequence[str]) -> None:
    """Look at two halves at a time; the compiled loop holds no lock."""
    half = len(texts) // 2
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(Quality().look, (texts[:half], texts[half:])))


def speed(texts: Sequence[str]) -> dict[str, float]:
    """MB/s on one core (processor time) and on two (by the clock), medians, interleaved."""
    Quality().look(texts[:10])  # compiles
    times = [(seconds(lambda: Quality().look(texts)), seconds(lambda: on_two_cores(texts), time.perf_counter)) for _ in range(RUNS)]
    size = megabytes(texts)
    one, two = (round(size / median(column), 1) for column in zip(*times, strict=True))
    print(f"{'rungwise, all rules, one core':44} {one:9.1f} MB/s   ({len(texts):,} texts, {size:.0f} MB)")
    print(f"{'rungwise, all rules, two cores':44} {two:9.1f} MB/s")
    return {"one_core": one, "two_cores": two}


def against_datatrove(texts: Sequence[str], filters: Any, document: Any) -> dict[str, float]:
    """MB/s of datatrove's four filters and of ours on the same texts, interleaved; each filter sees every text."""
    names = list(OFF)
    peers = {name: getattr(filters, f"{name}Filter")() for name in names}

    def run(name: str) -> None:
        for text in texts:
            peers[name].filter(document(text=text, id=""))

    for name in names:
        peers[name].filter(document(text=texts[0], id=""))  # loads the tokenizer
    times: dict[str, list[float]] = {name: [] for name in [*names, "rungwise"]}
    for _ in range(3):
        for name in names:
            times[name].append(seconds(lambda name=name: run(name)))  # type: ignore[misc]
        times["rungwise"].append(seconds(lambda: Quality().look(texts)))
    size = megabytes(texts)
    result = {name: round(size / median(own), 2) for name, own in times.items()}
    for name in names:
        print(f"{'datatrove ' + name + 'Filter':44} {result[name]:9.2f} MB/s   ({len(texts)} texts, {size:.1f} MB)")
    together = size / sum(median(times[name]) for name in names)
    result["ratio"] = round(result["rungwise"] / together, 1)
    print(
        f"{'datatrove, the four one after the other':44} {together:9.2f} MB/s   rungwise on the same texts: {result['ratio']:.0f} x"
    )
    return result


@contextmanager
def words_as_ours() -> Iterator[None]:
    """Have datatrove's filters split words at white space."""
    with ExitStack() as stack:
        for name in ("gopher_quality", "gopher_repetition", "fineweb_quality"):
            module = f"datatrove.pipeline.filters.{name}_filter"
            stack.enter_context(patch(f"{module}.split_into_words", lambda text, language: text.split()))
        yield


def differences(texts: Sequence[str], filters: Any, document: Any) -> list[dict[str, Any]]:
    """Rule by rule, which texts fail here and there, all thresholds as published by each.

    `left`: the decisions that still differ when datatrove gets lines without spaces at their ends and splits words as we do.
    """
    looks = [Quality().look(texts)]
    stripped = ["\n".join(line.strip() for line in text.split("\n")) for text in texts]
    found = []
    print(f"\n{'rule, as published':32} {'both':>5} {'ours':>5} {'its':>5} {'left':>5}  why the decisions differ")
    for code, name, settings, cause in CAUSES:
        wanted = (code, "ellipses") if code == "hash_signs" else (code,)
        ours = set()
        for one in wanted:
            step = Quality(thresholds="published", without=tuple(rule.code for rule in RULES if rule.code != one))
            ours |= {finding.row for finding in step.decide(looks, Counted(texts))}
        peer = getattr(filters, f"{name}Filter")(**OFF[name] | settings)
        its = {row for row, text in enumerate(texts) if peer.filter(document(text=text, id="")) is not True}
        with words_as_ours():
            alike = {row for row, text in enumerate(stripped) if peer.filter(document(text=text, id="")) is not True}
        counts = {"both": len(ours & its), "ours": len(ours - its), "its": len(its - ours), "left": len(ours ^ alike)}
        found.append({"rule": code} | counts | {"cause": cause})
        print(f"{code:32} " + " ".join(f"{n:5}" for n in counts.values()) + f"  {cause}")
    return found


def rejections(texts: Sequence[str]) -> dict[str, int]:
    """How many texts each way of setting thresholds sets aside."""
    looks = [Quality().look(texts)]
    kinds = ("published", "calibrated")
    shown = {kind: len(Quality(thresholds=kind).decide(looks, Counted(texts))) for kind in kinds}  # type: ignore[arg-type]
    print("\nset aside of these texts: " + ", ".join(f"{kind} {n} ({n / len(texts):.1%})" for kind, n in shown.items()))
    return shown


def main() -> None:
    """Speed, then the peer, then the differences."""
    if not DATA.is_dir():
        print("the shared data is not beside the checkout")
        return
    own = documents()
    results: dict[str, Any] = {"benchmark": "quality_rules"}
    results |= {"mb_per_s": speed(own * max(1, round(SIZE / 1e6 / megabytes(own))))}
    few = own[:PEER_TEXTS]
    try:
        from datatrove.data import Document
        from datatrove.pipeline import filters
    except ImportError:
        print("datatrove is not installed here: not compared (see the docstring)")
    else:
        results |= {"datatrove": against_datatrove(few, filters, Document), "differences": differences(few, filters, Document)}
    results |= {"set_aside": rejections(own)}
    print(json.dumps(results))


if __name__ == "__main__":
    main()
