"""Texts to the token ids that a fitted encoder reads, cut at its room, the cut ones counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rungwise.core.errors import Corrupt, MissingExtra
from rungwise.engines.encoders.encode import encodable
from rungwise.engines.fitted.models import TOKENIZER


class Encoded(NamedTuple):
    """The token ids of each text, special tokens included, and how many texts had more tokens than there was room for."""

    ids: list[list[int]]
    cut: int


class TokenIds:
    """The tokenizer of a model's files; texts end at `max_tokens`, special tokens included, and nothing is padded."""

    def __init__(self, files: Mapping[str, bytes], *, max_tokens: int) -> None:
        """Raises Corrupt when there is no fast tokenizer among the files, MissingExtra without the library."""
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingExtra("running a fitted model", "local") from error
        try:
            tokenizer = Tokenizer.from_str(files[TOKENIZER].decode())
        except Exception as error:  # boundary: the library raises nothing narrower
            raise Corrupt(f"{TOKENIZER} is missing or cannot be read: {error}. Use a folder with a fast tokenizer") from error
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_tokens)
        self._tokenizer, self.max_tokens = tokenizer, max_tokens

    @property
    def size(self) -> int:
        """One more than the highest token id."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def id_of(self, token: str) -> int | None:
        """The id of a token such as [MASK], or None."""
        found = self._tokenizer.token_to_id(token)
        return None if found is None else int(found)

    def __call__(self, texts: Sequence[str]) -> Encoded:
        """Token ids of texts, in order."""
        found = self._tokenizer.encode_batch_fast([encodable(text) for text in texts])
        return Encoded([list(one.ids) for one in found], sum(bool(one.overflowing) for one in found))
