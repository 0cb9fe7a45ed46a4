"""Long texts for an encoder that marks words: overlapping windows of tokens, and the words whose first token each one holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import Corrupt, MissingExtra, UsageError
from rungwise.engines.fitted.models import TOKENIZER

_LONE = "\ud800", "\udfff"


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """A text in words as its tokenizer splits it: `spans` (W, 2) are their characters, from and up to, without white space.

    `ids` are all tokens of the text, and `first` (W,) says where among them each word begins.
    """

    ids: list[int]
    spans: NDArray[np.int64]
    first: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class TokenWindow:
    """One window of a text: token ids with special tokens, the `words` (K,) that it holds, and where in `ids` each begins.

    `room` (K,) is how many tokens of the text stand between a word and the nearer end of the window: of two windows the one
    with more room has seen more of what is around the word. An end that is the text's own is no end.
    """

    text: int
    ids: list[int]
    words: NDArray[np.int64]
    places: NDArray[np.int64]
    room: NDArray[np.int64]


class WordTokenizer:
    """The tokenizer of a model's files as one of words. `max_tokens` is the size of a window, special tokens included."""

    def __init__(self, files: Mapping[str, bytes], *, max_tokens: int, overlap: int) -> None:
        """Raises Corrupt without a fast tokenizer, UsageError when windows of this size would not get on, MissingExtra."""
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingExtra("marking words of texts", "local") from error
        try:
            tokenizer = Tokenizer.from_str(files[TOKENIZER].decode())
        except Exception as error:  # boundary: the library raises nothing narrower
            raise Corrupt(f"{TOKENIZER} is missing or cannot be read: {error}. Use a folder with a fast tokenizer") from error
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer, self._whole = tokenizer, tokenizer.pre_tokenizer is None
        shown = tokenizer.encode("a")
        marks = np.array(shown.special_tokens_mask, dtype=bool)
        inside = np.flatnonzero(~marks)
        begin, end = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (len(marks), len(marks))
        self._before, self._after = shown.ids[:begin], shown.ids[end:]
        self.size = max_tokens - len(self._before) - len(self._after)
        self._step = self.size - overlap
        if self._step < 1 or overlap < 0:
            raise UsageError(f"windows of {max_tokens} tokens cannot overlap by {overlap}. Set overlap below {self.size}")

    def words(self, texts: Sequence[str]) -> list[Words]:
        """Each text in words. A tokenizer without a notion of words has one at each token."""
        return [self._of(text) for text in texts]

    def _of(self, text: str) -> Words:
        # Halves of broken surrogate pairs are replaced one for one, so that offsets stay true.
        plain = text if text.isascii() else "".join("\ufffd" if _LONE[0] <= one <= _LONE[1] else one for one in text)
        found = self._tokenizer.encode(plain, add_special_tokens=False)
        offsets = np.array(found.offsets, dtype=np.int64).reshape(-1, 2)
        owners = list(range(len(found.ids))) if self._whole else found.word_ids
        spans: list[list[int]] = []
        first: list[int] = []
        for place, owner in enumerate(owners):
            if place and owner is not None and owner == owners[place - 1]:
                spans[-1][1] = max(spans[-1][1], int(offsets[place, 1]))
            else:
                spans.append([int(offsets[place, 0]), int(offsets[place, 1])])
                first.append(place)
        return Words(list(found.ids), _trimmed(plain, spans), np.array(first, dtype=np.int64))

    def windows(self, words: Sequence[Words]) -> list[TokenWindow]:
        """All windows of all texts, in order; every word stands in at least one. A text without words has none."""
        found = []
        for number, own in enumerate(words):
            count, start = len(own.ids), 0
            while count:
                end = min(count, start + self.size)
                held = np.flatnonzero((own.first >= start) & (own.first < end))
                if len(held):
                    first = own.first[held]
                    left = first - start if start else np.full(len(first), count)
                    right = end - 1 - first if end < count else np.full(len(first), count)
                    ids = [*self._before, *own.ids[start:end], *self._after]
                    found.append(TokenWindow(number, ids, held, first - start + len(self._before), np.minimum(left, right)))
                if end == count:
                    break
                start += self._step
        return found


def _trimmed(text: str, spans: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """The spans without the white space at their ends, which some tokenizers count to a word."""
    kept = []
    for start, end in spans:
        word = text[start:end]
        bare = word.strip()
        start = start + len(word) - len(word.lstrip()) if bare else start
        kept.append((start, start + len(bare) if bare else end))
    return np.array(kept, dtype=np.int64).reshape(-1, 2)
