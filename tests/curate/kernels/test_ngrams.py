"""Winnowing: what is remembered, and that no shared run is missed."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.curate.folding import folds, packed
from rungwise.curate.kernels import ngrams

VOCABULARY = [f"w{i}" for i in range(1000)]


def remembered(texts: list[str]) -> list[set[int]]:
    part = packed(texts)
    grams, counts = ngrams.look(part.data, part.offsets, part.folded, folds().kernel)
    bounds = np.append(0, np.cumsum(counts.astype(int)))
    return [set(grams[begin:end].tolist()) for begin, end in pairwise(bounds)]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 60), st.integers(0, 60), st.integers(13, 20))
def test_texts_that_share_thirteen_words_remember_a_common_gram(seed: int, before: int, after: int, shared: int) -> None:
    rng = Random(seed)
    run = rng.choices(VOCABULARY, k=shared)
    first = [*rng.choices(VOCABULARY, k=before), *run, *rng.choices(VOCABULARY, k=after)]
    second = [*rng.choices(VOCABULARY, k=after), *run, *rng.choices(VOCABULARY, k=before)]
    own, other = remembered([" ".join(first), ", ".join(second).upper()])
    assert own & other


def test_twelve_words_are_too_few_to_be_remembered() -> None:
    assert remembered([" ".join(VOCABULARY[:12]), " ".join(VOCABULARY[:13])])[0] == set()
    assert len(remembered([" ".join(VOCABULARY[:13])])[0]) == 1


def test_about_two_grams_in_seven_are_remembered() -> None:
    own = remembered([" ".join(Random(0).choices(VOCABULARY, k=20_000))])[0]
    assert 0.27 < len(own) / 20_000 < 0.30  # 2 / (6 + 1)


def test_runs_are_those_of_thirteen_words() -> None:
    part = packed([" ".join(VOCABULARY[:20]), "short", " ".join(VOCABULARY[5:18])])
    values, bounds = ngrams.runs_of(part.data, part.offsets, part.folded, folds().kernel)
    assert bounds.tolist() == [0, 8, 8, 9]
    assert values[8] == values[5]
