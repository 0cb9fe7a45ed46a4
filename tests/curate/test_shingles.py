"""Near-duplicate pairs against a count by hand."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.curate.shingles import near_pairs, normalise


def grams(text: str) -> set[str]:
    padded = f" {text} ".ljust(5)
    return {padded[i : i + 5] for i in range(len(padded) - 4)}


def by_hand(texts: list[str], left: list[int], right: list[int], threshold: float) -> list[tuple[int, int, float]]:
    sets = [grams(text) for text in texts]
    ratios = [(i, j, len(sets[i] & sets[j]) / len(sets[i] | sets[j])) for i in left for j in right]
    return sorted(ratio for ratio in ratios if ratio[2] >= threshold)


def variants(count: int, words: int, rng: random.Random) -> list[str]:
    """Texts, half of which are an earlier one with another end."""
    vocabulary = ["".join(rng.choices("abcdefgh", k=rng.randint(4, 14))) for _ in range(300)]
    texts: list[str] = []
    for _ in range(count):
        drawn = rng.choice(texts).split() if texts and rng.random() < 0.5 else rng.choices(vocabulary, k=words)
        for _ in range(rng.randint(0, 2)):
            drawn[-1] = rng.choice(vocabulary) if rng.random() < 0.3 else drawn[-1] + rng.choice("abc")
        texts.append(" ".join(drawn))
    return list(dict.fromkeys(texts))


@pytest.mark.parametrize("words", [3, 10, 60])
@pytest.mark.parametrize("threshold", [0.6, 0.8, 0.9])
def test_finds_exactly_the_pairs_that_a_count_of_all_pairs_finds(words: int, threshold: float) -> None:
    texts = variants(300, words, random.Random(words))
    left = [i for i in range(len(texts)) if i % 3 == 0]
    right = [i for i in range(len(texts)) if i % 3]
    expected = by_hand(texts, left, right, threshold)
    assert len(expected) > 0
    assert near_pairs(texts, left, right, threshold=threshold) == expected
    once = near_pairs(texts, left, right, threshold=threshold, once=True)
    assert set(once) <= set(expected)
    assert {i for i, _, _ in once} == {i for i, _, _ in expected}


@given(texts=st.lists(st.text(alphabet="ab ü", min_size=1, max_size=12), min_size=2, max_size=12, unique=True))
def test_agrees_with_the_count_on_short_texts(texts: list[str]) -> None:
    left, right = list(range(0, len(texts), 2)), list(range(1, len(texts), 2))
    assert near_pairs(texts, left, right, threshold=0.5) == by_hand(texts, left, right, 0.5)


def test_sampled_long_texts_still_find_their_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rungwise.curate.shingles._LONG_SHINGLES", 20_000)  # so that one shingle in 8 is kept
    rng = random.Random(5)
    fresh = [" ".join("".join(rng.choices("abcdefgh", k=5)) for _ in range(200)) for _ in range(60)]
    copies = [text[:-6] + "zzzzz" for text in fresh[:30]]  # one word of 200 changed: Jaccard about 0.98
    found = near_pairs(fresh + copies, range(60), range(60, 90), threshold=0.9)
    assert [(i, j) for i, j, _ in found] == [(i, 60 + i) for i in range(30)]


def test_texts_of_another_kind_are_never_compared() -> None:
    texts = ["where is my parcel now", "where is my parcel now ", "where is my parcel  now"]
    assert [(i, j) for i, j, _ in near_pairs(texts, [0], [1, 2], threshold=0.5)] == [(0, 1), (0, 2)]
    assert [(i, j) for i, j, _ in near_pairs(texts, [0], [1, 2], threshold=0.5, kinds=[7, 3, 7])] == [(0, 2)]


def test_normalising_forgets_case_signs_and_unicode_variants_but_keeps_a_text_of_signs() -> None:
    assert normalise("  Where's my CARD?! ") == normalise("where s my card") == "where s my card"
    assert normalise("ﬁne Ｃafé") == "fine café"
    assert normalise("😀 😀") == "😀 😀"
    assert normalise("") == ""
