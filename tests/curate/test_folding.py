"""The table of folded characters gives what `normalise` gives."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.core.errors import MissingExtra
from rungwise.curate.folding import FOLDED, compiled, folds, packed, packs
from rungwise.curate.kernels import words
from rungwise.curate.shingles import normalise

TRICKY = "aZ09 _-.,\t\n\0\x1f\x85\u00a0éÉßİıſﬁ™½²…µΣςσ\u0301\u0345각ᄀ\u1161\u11a8अ्中文カﾞｶ｡ไทยﷺ😀𝔄𠀀\ud800\udfff\u200d\u2028Ⅷ㍿"
TEXTS = st.text(alphabet=st.one_of(st.sampled_from(TRICKY), st.characters(codec=None)), max_size=60)


def folded(text: str) -> str:
    """A text as the kernel folds it."""
    part = packed([text])
    scratch = words.room(part.offsets)
    size, _ = words.read(part.data, part.offsets[0], part.offsets[1], part.folded[0], folds().kernel, scratch)
    return scratch[0].view(np.uint8)[:size].tobytes().decode("utf-8", "surrogatepass")


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_a_text_is_folded_as_normalise_does(text: str) -> None:
    plain = normalise(text)
    assert folded(text) == (f" {plain} " if plain else " ")


def test_every_character_of_the_table_folds_as_normalise_does_between_letters() -> None:
    texts = [f"Ab{chr(code)}cD" for code in range(FOLDED)]
    part = packed(texts)
    scratch = words.room(part.offsets)
    wrong = 0
    for i, text in enumerate(texts):
        size, _ = words.read(part.data, part.offsets[i], part.offsets[i + 1], part.folded[i], folds().kernel, scratch)
        wrong += scratch[0].view(np.uint8)[1 : size - 1].tobytes() != normalise(text).encode("utf-8", "surrogatepass")
    assert wrong == 0
    assert part.folded.mean() < 0.01  # few characters need Python


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Where is  my card?", ["where", "is", "my", "card"]),
        ("", []),
        ("abc中文 de", ["abc", "中", "文", "de"]),
        ("ไทย", ["ไ", "ท", "ย"]),
        ("a" * 15 + " " + "b" * 16 + " " + "c" * 50, ["a" * 15, "b" * 16, "c" * 50]),
    ],
)
def test_words_hash_alike_wherever_they_stand(text: str, expected: list[str]) -> None:
    hashes = words_of(text)
    assert len(hashes) == len(expected)
    for own, word in zip(hashes, expected, strict=True):
        assert words_of(f"x {word}")[1:] == [own]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(alphabet="abcé", min_size=1, max_size=40), unique=True, min_size=2, max_size=20))
def test_different_words_have_different_hashes(own: list[str]) -> None:
    distinct = {normalise(word) for word in own}
    assert len({words_of(word)[0] for word in own}) == len(distinct)


def words_of(text: str) -> list[int]:
    """The hashes of a text's words."""
    part = packed([text])
    scratch = words.room(part.offsets)
    _, count = words.read(part.data, part.offsets[0], part.offsets[1], part.folded[0], folds().kernel, scratch)
    return scratch[2][:count].tolist()


def test_packs_hold_every_text_once_and_end_after_a_long_one() -> None:
    sizes = [10, 900_000, 10, 300_000, 300_000, 1]
    assert [np.diff(part.offsets).tolist() for part in packs(["x" * size for size in sizes])] == [sizes[:2], sizes[2:5], sizes[5:]]
    assert [len(part.folded) for part in packs([])] == [0]


def test_without_numba_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "rungwise.curate.kernels.words")
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(MissingExtra, match=r"rungwise\[curation\]"):
        compiled("words")
