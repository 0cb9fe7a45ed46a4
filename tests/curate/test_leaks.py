"""Leaks between the sealed rows and the others."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from rungwise.core.dataset import DEV, SEALED, TRAIN, Dataset, Example
from rungwise.core.errors import LeaksFound
from rungwise.curate.leaks import EXACT, GROUP, NEAR_COPY, Leak, find_leaks

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"

LONG = "please tell me when the parcel that i ordered last monday will arrive at my house"


def dataset(*rows: tuple[Example, str]) -> Dataset:
    return Dataset(rows=tuple(row for row, _ in rows), splits=tuple(split for _, split in rows))


def row(text: str, key: str, *, passage: str | None = None, group: str | None = None) -> Example:
    return Example(text=text, references=("x",), key=key, passage=passage, group=group)


def test_counts_each_kind_of_leak_and_names_rows_without_their_text() -> None:
    report = find_leaks(
        dataset(
            (row("Where is my card?", "t1"), TRAIN),
            (row(LONG, "d1"), DEV),
            (row("something else", "t2", group="anna"), TRAIN),
            (row("where is MY card", "s1"), SEALED),
            (row(LONG + " now", "s2"), SEALED),
            (row("quite new", "s3", group="anna"), SEALED),
            (row("never seen", "s4", group="ben"), SEALED),
        )
    )
    assert (report.sealed, report.exact, report.near, report.grouped, report.leaked, report.groups) == (4, 1, 1, 1, 3, 1)
    assert report.share == 0.75
    # 79 of 83 + 0 5-grams are shared: " now" adds 4 and " house " loses its closing space
    similarity = report.examples[1].similarity
    assert 0.9 <= similarity < 1
    assert report.examples == (
        Leak("s1", "t1", TRAIN, EXACT),
        Leak("s2", "d1", DEV, NEAR_COPY, similarity),
        Leak("s3", "t2", TRAIN, GROUP),
    )
    assert str(report).startswith("3 of 4 sealed rows (75.0%) also stand in another split: 1 exact copies")


def test_a_row_that_leaks_in_two_ways_counts_once() -> None:
    report = find_leaks(dataset((row("a b c", "t", group="g"), TRAIN), (row("A, b, c", "s", group="g"), SEALED)))
    assert (report.exact, report.grouped, report.leaked) == (1, 1, 1)


def test_the_same_question_about_another_passage_is_no_leak() -> None:
    rows = [
        (row("When was it built?", "t1", passage="The tower was built in 1889."), TRAIN),
        (row("When was it built?", "s1", passage="The bridge was built in 1937."), SEALED),
        (row(LONG, "t2", passage="one"), TRAIN),
        (row(LONG + " now", "s2", passage="two"), SEALED),
        (row("How tall is the tower?", "s3", passage="The tower was built in 1889."), SEALED),
    ]
    assert find_leaks(dataset(*rows)).leaked == 0


def test_copies_among_train_and_dev_or_within_the_sealed_rows_are_no_leak() -> None:
    rows = [(row("same", "1"), TRAIN), (row("same", "2"), DEV), (row("other", "3"), SEALED), (row("other", "4"), SEALED)]
    assert find_leaks(dataset(*rows)).leaked == 0


def test_at_most_twenty_examples_are_named_and_places_win_over_keys() -> None:
    rows = [(row(f"text {i}", f"k{i}"), split) for i in range(30) for split in (TRAIN, SEALED)]
    report = find_leaks(dataset(*rows), names=[f"a.csv:{n}" for n in range(2, 62)])
    assert report.leaked == 30
    assert len(report.examples) == 20
    assert (report.examples[0].other, report.examples[0].sealed) == ("a.csv:2", "a.csv:3")


def test_more_than_one_percent_is_refused() -> None:
    fresh = [(row(f"wholly own text number {i} {i * 7919}", f"s{i}"), SEALED) for i in range(99)]
    at_limit = find_leaks(dataset((row("twice", "t"), TRAIN), (row("twice", "s"), SEALED), *fresh))
    assert at_limit.share == 0.01
    at_limit.check()
    over = find_leaks(dataset((row("twice", "t"), TRAIN), (row("twice", "s"), SEALED), *fresh[:50]))
    with pytest.raises(LeaksFound, match="--allow-leaks"):
        over.check()


def test_no_sealed_rows_means_no_leaks() -> None:
    assert find_leaks(dataset((row("a", "1"), TRAIN))).share == 0.0


def test_real_intents_hold_known_copies() -> None:
    if not (DATA / "clinc150").is_dir():
        pytest.skip("clinc150 is not beside the checkout")
    rows = []
    for name, split in (("train", TRAIN), ("validation", SEALED)):
        with gzip.open(DATA / "clinc150" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            rows += [(Example(text=json.loads(line)["text"]), split) for line in lines]
    report = find_leaks(dataset(*rows))
    texts = [{" ".join(example.text.split()) for example, own in rows if own == split} for split in (TRAIN, SEALED)]
    assert report.exact >= len(texts[0] & texts[1])  # the same text to the letter is the least that must be found
    assert (report.exact, report.near) == (16, 5)
    assert report.share < 0.01
