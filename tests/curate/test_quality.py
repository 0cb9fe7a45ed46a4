"""The quality rules measure what a plain reading of their definitions measures, and calibrate as they say."""

from __future__ import annotations

import gzip
import json
import pickle
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rungwise.core.errors import UnknownName, UsageError
from rungwise.curate.quality import CLOSING, LEAST_LINES, LEAST_WORDS, RULES, TERMINAL, Quality, calibrated
from rungwise.curate.step import Finding, Look, Step

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
C4_DROPS = re.compile(
    "javascript|terms of use|privacy policy|cookie policy|uses cookies|use of cookies|use cookies", re.IGNORECASE | re.ASCII
)

GOOD = (
    "The town council met on Tuesday to talk about the old bridge. It was built in 1912 and has carried traffic ever since.\n"
    "Engineers who looked at it last spring found rust in two of the four pillars. They said that it should be closed to lorries.\n"
    "Some shop owners were worried about their trade. Others asked how long the repairs would take and what they would cost.\n"
    "The mayor promised a report before the summer. A vote is planned for the first week of June.\n"
    "Until then a speed limit of thirty applies on both sides."
)


class Few:
    """Rows without texts: all that `decide` of the quality rules needs is how many there are."""

    splits: Sequence[str] = ()
    labels: Sequence[str] = ()

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def texts(self, rows: Sequence[int]) -> list[str]:
        raise AssertionError("the quality rules decide from what was looked at")

    def all_texts(self) -> Iterator[Sequence[str]]:
        raise AssertionError("the quality rules decide from what was looked at")


def lines_of(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def paragraphs_of(text: str) -> list[str]:
    """Runs of lines with no blank line between them."""
    found: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line.strip():
            found[-1].append(line)
        else:
            found.append([])
    return ["\n".join(lines).strip() for lines in found if lines]


def duplicates(pieces: Sequence[str]) -> tuple[int, int]:
    """How many pieces stood before, and their characters; two are the same when line by line their words are."""
    seen: set[Any] = set()
    again = characters = 0
    for piece in pieces:
        words = tuple(tuple(line.split()) for line in piece.split("\n"))
        if words in seen:
            again, characters = again + 1, characters + len(piece)
        seen.add(words)
    return again, characters


def top(words: Sequence[str], n: int) -> int:
    """Characters in all places of the commonest n-gram, joined by spaces."""
    counted = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    if not counted:
        return 0
    gram, count = counted.most_common(1)[0]
    return count * len(" ".join(gram))


def repeated(words: Sequence[str], n: int) -> int:
    """Characters of n-grams met before, from left to right without overlap."""
    seen: set[tuple[str, ...]] = set()
    total = i = 0
    while i < len(words) - n + 1:
        gram = tuple(words[i : i + n])
        if gram in seen:
            total, i = total + len("".join(gram)), i + n
        else:
            seen.add(gram)
            i += 1
    return total


def sentences(text: str) -> int:
    """Sentences in the lines that C4 keeps."""
    total = 0
    for line in lines_of(text):
        words = line.split()
        kept = line.endswith((".", "?", "!", '"', "'")) and not line.endswith("...")
        kept = kept and len(words) >= 3 and max(map(len, words)) <= 1000 and not C4_DROPS.search(line)
        ends = sum(word.rstrip(CLOSING).endswith(tuple(TERMINAL)) for word in words)
        total += max(1, ends) if kept else 0
    return total


def reference(text: str) -> dict[str, float]:
    """What each rule measures, read plainly."""
    words, lines, paragraphs, n = text.split(), lines_of(text), paragraphs_of(text), len(text)
    if not words:
        return dict.fromkeys((rule.feature for rule in RULES), 0.0) | {"lines": 0.0}
    bare = {re.sub(r"^[!-/:-@\[-`{-~\x00-\x1f\x7f]+|[!-/:-@\[-`{-~\x00-\x1f\x7f]+$", "", word) for word in words}
    line_again, line_characters = duplicates(lines)
    paragraph_again, paragraph_characters = duplicates(paragraphs)
    found = {
        "words": len(words),
        "lines": len(lines),
        "word_length": sum(map(len, words)) / len(words),
        "hash_signs": text.count("#") / len(words),
        "ellipses": (text.count("...") + text.count("…")) / len(words),
        "bullet_lines": sum(line.startswith(("•", "-")) for line in lines) / len(lines),
        "ellipsis_lines": sum(line.endswith(("...", "…")) for line in lines) / len(lines),
        "alphabetic_words": sum(any(sign.isalpha() for sign in word) for word in words) / len(words),
        "stop_words": len({word for word in STOP_WORDS if any(word == own.lower() and own.isascii() for own in bare)}),
        "duplicate_lines": line_again / len(lines),
        "duplicate_line_characters": line_characters / n,
        "duplicate_paragraphs": paragraph_again / len(paragraphs),
        "duplicate_paragraph_characters": paragraph_characters / n,
        "lorem_ipsum": float(bool(re.search("lorem ipsum", text, re.IGNORECASE | re.ASCII))),
        "curly_brackets": float("{" in text),
        "sentences": sentences(text),
        "terminal_lines": sum(line.endswith(tuple(TERMINAL)) for line in lines) / len(lines),
        "short_lines": sum(len(line) <= 30 for line in lines) / len(lines),
        "duplicate_line_text": line_characters / len(text.replace("\n", "")),
        "line_breaks": text.count("\n") / len(words),
    }
    found |= {f"top_{k}_gram": top(words, k) / n for k in (2, 3, 4)}
    found |= {f"duplicate_{k}_grams": repeated(words, k) / n for k in range(5, 11)}
    return {name: float(value) for name, value in found.items()}


def reference_reason(found: dict[str, float]) -> str | None:
    """The first published rule that fails."""
    for rule in RULES:
        value, limit = np.float32(found[rule.feature]), np.float32(rule.threshold)
        if (value < limit) if rule.side == "least" else (value > limit):
            return f"quality:{rule.code}"
    return None


def measured(texts: Sequence[str]) -> list[dict[str, float]]:
    from rungwise.curate.kernels.quality import FEATURES

    return [dict(zip(FEATURES, map(float, row), strict=True)) for row in Quality().look(texts)["features"]]


def assert_equal_to_reference(texts: Sequence[str]) -> None:
    expected = [reference(text) for text in texts]
    for text, own, plain in zip(texts, measured(texts), expected, strict=True):
        assert own == {name: float(np.float32(value)) for name, value in plain.items()}, text
    quality = Quality(thresholds="published")
    reasons = {finding.row: finding.reason for finding in quality.decide([quality.look(texts)], Few(len(texts)))}
    assert [reasons.get(row) for row in range(len(texts))] == [reference_reason(plain) for plain in expected]


WORDS = [
    "the",
    "The,",
    "(to",
    "of",
    "and",
    "a",
    "cat",
    "cat.",
    "é",
    "naïve",
    "数据。",
    "...",
    "…",
    "#",
    "-",
    "•",
    "{",
    "12",
    "“Yes.”",
    "ends",
]
WORDS += [
    "lorem",
    "Lorem ipsum",
    "JavaScript",
    "xjavascript!",
    "Terms of Use",
    "privacy policy",
    "use cookies",
    "use of",
    "cookies",
    "uses",
]
GAPS = [" ", " ", " ", "\n", "\n\n", "\n \n", "\t", "\r\n", "\u00a0", "\u2003", "\x85", "\x1c", "  "]
TEXTS = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(GAPS)), max_size=60).map(
    lambda pairs: "".join(map("".join, pairs))
)


@settings(max_examples=400, deadline=None)
@given(st.lists(TEXTS, max_size=4))
@example(["", " ", "\n\n", "a", "a b", "....", "......", ". ..", '"', "the\u0130", "\u212aookies use \u212aookies"])
def test_features_and_decisions_equal_the_plain_reference_on_made_up_texts(texts: list[str]) -> None:
    assert_equal_to_reference(texts)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(), max_size=200))
@example("\ud800 \udfff.")
@example("\U0003ffff \U00020000 \U0010ffff")
@example("a\x00b\x00 \x00")
def test_features_equal_the_plain_reference_on_any_characters(text: str) -> None:
    assert_equal_to_reference([text])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=20, max_size=200))
def test_repeated_ngrams_equal_the_plain_reference_when_nearly_all_repeat(words: list[str]) -> None:
    assert_equal_to_reference([" ".join(words)])


def real_texts() -> list[str]:
    """Some documents, dialogues, code and messages in five languages."""
    found = []
    for name, field, most in (
        ("scifact/corpus", "abstract", 300),
        ("xquad_part/dev.zh", "context", 100),
        ("xquad_part/dev.de", "context", 100),
        ("reviews/movie_train", "text", 60),
        ("code_python/mbpp_train", "code", 200),
        ("hate_offensive/dev", "text", 300),
        ("faquad_pt/train", "context", 100),
    ):
        with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            found += [str(json.loads(line)[field]) for line, _ in zip(file, range(most), strict=False)]
    with gzip.open(DATA / "gutenberg_en_pt" / "en_alice.txt.gz", "rt", encoding="utf-8") as file:
        book = file.read()
    return [*found, book, *book.split("CHAPTER")]


@pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets are not beside this checkout (../shared/data)")
def test_features_and_decisions_equal_the_plain_reference_on_real_texts() -> None:
    assert_equal_to_reference(real_texts())


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets are not beside this checkout (../shared/data)")
@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("banking77/train", "text"),
        ("clinc150/train", "text"),
        ("scifact/corpus", "abstract"),
        ("squad2_part/dev", "context"),
        ("reviews/movie_train", "text"),
        ("toldbr_pt/dev", "text"),
        ("gsm8k/train", "answer"),
        ("dated_speeches/speeches", "text"),
        ("halueval_general/dev", "chatgpt_response"),
        ("xquad_part/dev.zh", "context"),
    ],
)
def test_every_row_of_a_real_set_is_measured_and_decided_as_by_the_plain_reference(name: str, field: str) -> None:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        values = [json.loads(line)[field] for line in file]
    assert_equal_to_reference([" ".join(value) if isinstance(value, list) else value for value in values])


def look_at(quality: Quality, *batches: Sequence[str]) -> list[Look]:
    return [quality.look(batch) for batch in batches]


def reasons(findings: Sequence[Finding]) -> list[str]:
    return [finding.reason for finding in findings]


def decide(texts: Sequence[str], quality: Quality) -> list[Finding]:
    return quality.decide([quality.look(texts)], Few(len(texts)))


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("empty", " \n"),
        ("too_few_words", "The report is due to be done."),
        ("short_words", "a b c the be to of and " * 20),
        ("long_words", "Donaudampfschifffahrt " * 60),
        ("hash_signs", GOOD.replace(". ", ". # # # ")),
        ("ellipses", GOOD.replace(" of ", " ... ").replace(" the ", " ... ").replace(" to ", " … ")),
        ("bullet_lines", "\n".join("- " + sentence for sentence in re.split(r"(?<=\.)\s", GOOD))),
        ("ellipsis_lines", GOOD.replace(".\n", "...\n")),
        ("few_alphabetic_words", GOOD.replace(" a ", " 1 22 333 4444 ").replace(" the ", " 1 22 333 4444 ")),
        ("few_stop_words", re.sub(r"\b(the|be|to|of|and|that|have|with)\b", "der", GOOD, flags=re.IGNORECASE)),
        ("duplicate_lines", "\n".join([*GOOD.split("\n"), *GOOD.split("\n")[:3]])),
        ("lorem_ipsum", GOOD + " Lorem ipsum."),
        ("curly_brackets", GOOD + " {x}."),
        ("few_sentences", GOOD.replace(".", ",") + "."),
        ("line_breaks", re.sub(r"(?<=\.)\n", "\n" * 12, GOOD)),
    ],
)
def test_a_text_that_breaks_a_published_rule_is_set_aside_for_it(code: str, text: str) -> None:
    published = Quality(thresholds="published")
    assert reasons(decide([GOOD, text], published)) == [f"quality:{code}"]
    assert decide([GOOD, text], published)[0].row == 1


def test_the_evidence_is_what_was_measured_against_the_threshold() -> None:
    (finding,) = decide(["The report is due."], Quality(thresholds="published"))
    assert finding.evidence == "4 words, at least 50"
    (finding,) = decide([GOOD + " {x}."], Quality(thresholds="published"))
    assert finding.evidence == "has a curly bracket"


@settings(max_examples=50, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=12), st.data())
def test_decisions_do_not_depend_on_how_rows_are_cut_into_batches(texts: list[str], data: st.DataObject) -> None:
    quality = Quality(most_rejected=0.1)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(texts)), max_size=4)))
    batches = [texts[a:b] for a, b in zip([0, *cuts], [*cuts, len(texts)], strict=True)]
    assert quality.decide(look_at(quality, *batches), Few(len(texts))) == decide(texts, quality)


def test_a_rule_that_fits_the_rows_keeps_its_published_threshold() -> None:
    texts = [GOOD] * 99 + [GOOD + " {x}."]  # 1 %, fewer than the 5 % that show that a rule does not fit
    assert reasons(decide(texts, Quality())) == ["quality:curly_brackets"]


def test_a_rule_that_would_reject_one_kind_of_text_altogether_lets_it_pass() -> None:
    code = [GOOD + f" {{x{i}}}." for i in range(50)] + [GOOD] * 50
    assert decide(code, Quality()) == []
    assert reasons(decide(code, Quality(thresholds="published"))) == ["quality:curly_brackets"] * 50


def test_a_calibrated_rule_still_sets_outliers_aside() -> None:
    long = [GOOD.replace("bridge", "b" + "r" * (900 + i % 20)) for i in range(100)]  # about 13 characters a word
    wild = GOOD.replace("bridge", "b" + "r" * 90_000)
    assert reasons(decide([*long, wild], Quality())) == ["quality:long_words"]
    assert "published: 10" in decide([*long, wild], Quality())[0].evidence


def test_questions_of_a_few_words_pass_when_calibrated() -> None:
    assert decide(["Where is my card?", "my card never came!!", "{refund}", "#help"] * 50 + [""], Quality()) == [
        Finding(200, "quality:empty", "0 words, at least 1")
    ]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60), st.sampled_from(RULES), st.floats(0, 0.5))
def test_a_calibrated_threshold_is_never_stricter_and_rejects_no_more_than_allowed(
    values: list[float], rule: Any, most_rejected: float
) -> None:
    column = np.array(values, np.float32)
    limit = calibrated(rule, column, most_rejected)
    assert limit >= rule.threshold if rule.side == "most" else limit <= rule.threshold
    fails = column > np.float32(limit) if rule.side == "most" else column < np.float32(limit)
    assert fails.mean() <= most_rejected


def test_counts_tell_what_each_rule_would_do_as_published_and_in_force() -> None:
    quality = Quality()
    looks = look_at(quality, [GOOD] * 3, ["Where is my card?"] * 7)
    counts = {count.rule.code: count for count in quality.counts(looks)}
    assert list(counts) == [rule.code for rule in RULES]
    few = counts["too_few_words"]
    assert (few.rows, few.exempt, few.published_fails, few.fails, few.in_force) == (10, 0, 7, 0, 4)
    assert counts["few_stop_words"].exempt == 7
    assert counts["few_stop_words"].published_fails == 7


def test_a_limit_of_ones_own_stands_as_given_and_a_rule_can_be_left_out() -> None:
    texts = ["Where is my card?"] * 10
    assert reasons(decide(texts, Quality(limits=(("too_few_words", 5),)))) == ["quality:too_few_words"] * 10
    assert decide(["", *texts], Quality(without=("empty",))) == []


def test_a_code_that_is_no_rule_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'few_stop_words'"):
        Quality(without=("few_stopwords",))
    with pytest.raises(UnknownName, match="Did you mean 'published'"):
        Quality(thresholds="publish")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="between 0 and 1"):
        Quality(most_rejected=5)


def test_of_an_endless_text_only_the_beginning_is_measured() -> None:
    endless = "word " * 400_001
    assert measured([endless]) == measured([endless[:2_000_000]]) != measured([endless[:1_999_000]])


def test_no_rows_give_no_findings() -> None:
    assert decide([], Quality()) == []
    assert Quality().decide([], Few(0)) == []


def test_the_step_can_be_sent_to_another_process_and_has_unique_codes() -> None:
    step: Step = pickle.loads(pickle.dumps(Quality(limits=(("empty", 2),))))  # noqa: S301 - our own bytes
    assert step == Quality(limits=(("empty", 2),))
    assert len({rule.code for rule in RULES}) == len(RULES)
    assert all(rule.source for rule in RULES)
    assert (LEAST_WORDS, LEAST_LINES) == (50, 5)
