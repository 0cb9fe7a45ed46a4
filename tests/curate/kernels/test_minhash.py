"""MinHash sketches against sets in plain Python."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import numpy as np
import pytest

from rungwise.curate.folding import folds, packed
from rungwise.curate.kernels import minhash
from rungwise.curate.shingles import normalise, shingle


def sets_of(texts: list[str], kind: int) -> list[set[int]]:
    """The distinct shingles of texts, as the kernel hashes them."""
    part = packed(texts)
    kinds = np.full(len(texts), kind, np.uint8)
    values, bounds = minhash.sets(part.data, part.offsets, part.folded, folds().kernel, kinds)
    return [set(values[begin:end].tolist()) for begin, end in pairwise(bounds)]


def words(text: str) -> set[tuple[str, ...]]:
    """Word 5-grams in plain Python."""
    own = normalise(text).split()
    return {tuple(own[i : i + 5]) for i in range(len(own) - 4)}


def jaccard(a: set, b: set) -> float:  # type: ignore[type-arg]
    return len(a & b) / max(1, len(a | b))


def prose(rng: Random, count: int) -> str:
    """Words of a small vocabulary, so that shingles repeat and overlap."""
    return " ".join(rng.choices(["alpha", "BETA", "gamma,", "délta", "a", "extraordinarily", "internationalisation"], k=count))


def test_sets_of_words_have_the_sizes_and_overlaps_of_plain_sets() -> None:
    rng = Random(1)
    texts = [prose(rng, rng.randrange(56, 400)) for _ in range(30)]
    own, plain = sets_of(texts, minhash.WORDS), [words(text) for text in texts]
    assert [len(part) for part in own] == [len(part) for part in plain]
    for i in range(30):
        for j in range(30):
            assert len(own[i] & own[j]) == len(plain[i] & plain[j])


def test_sets_of_characters_are_those_of_the_leak_report() -> None:
    texts = ["Where is my card?", "where is my cat", "ab", "éé straße", "中文 字", "x" * 300]
    theirs = shingle([normalise(text) for text in texts])
    own = sets_of(texts, minhash.CHARACTERS)
    rows = [set(theirs.ids[begin:end].tolist()) for begin, end in zip(theirs.starts, theirs.starts[1:], strict=False)]
    assert [len(part) for part in own] == [len(part) for part in rows]
    for i in range(len(texts)):
        for j in range(len(texts)):
            assert len(own[i] & own[j]) == len(rows[i] & rows[j])


@pytest.mark.parametrize("shared", [0, 60, 160, 300])
def test_bins_agree_as_often_as_the_sets_are_alike(shared: int) -> None:
    # 200 pairs x 120 bins: the standard deviation of the mean is at most sqrt(0.25 / 24000) = 0.0033 were all independent
    rng, agreed, pairs = np.random.default_rng(shared), 0.0, 200
    bins = np.empty((2, minhash.BINS), np.uint64)
    for _ in range(pairs):
        common = rng.integers(0, 1 << 63, shared, np.uint64)
        for side in range(2):
            minhash._sketch(np.concatenate([common, rng.integers(0, 1 << 63, 300 - shared, np.uint64)]), 300, bins[side])
        agreed += float((bins[0] == bins[1]).mean())
    assert agreed / pairs == pytest.approx(shared / (600 - shared), abs=0.015)


def test_a_sketch_of_one_shingle_fills_every_bin() -> None:
    bins = np.empty(minhash.BINS, np.uint64)
    minhash._sketch(np.array([7], np.uint64), 1, bins)
    assert (bins < np.uint64(2 * minhash.BINS) << np.uint64(32)).all()


def test_arrays_keep_their_widths() -> None:
    part = packed(["one two three", "four " * 60])
    content, kinds, bands, marks, sizes = minhash.look(part.data, part.offsets, part.folded, folds().kernel)
    assert [array.dtype.str for array in (content, kinds, bands, marks, sizes)] == ["<u8", "|u1", "<u4", "<u8", "<u4"]
    assert kinds.tolist() == [minhash.CHARACTERS, minhash.CHARACTERS | minhash.WORDS]  # 60 words: compared in both ways
    assert len(bands) == len(marks) == len(sizes) == 3


def test_the_content_of_texts_is_equal_exactly_when_their_normal_forms_are() -> None:
    rng = Random(2)
    texts = ["".join(rng.choices("aA b.é", k=rng.randrange(0, 12))) for _ in range(3000)]
    part = packed(texts)
    content = minhash.look(part.data, part.offsets, part.folded, folds().kernel)[0]
    by_content: dict[tuple[int, ...], set[str]] = {}
    for text, own in zip(texts, content.tolist(), strict=True):
        by_content.setdefault(tuple(own), set()).add(normalise(text))
    assert all(len(forms) == 1 for forms in by_content.values())
    assert len(by_content) == len({normalise(text) for text in texts})
