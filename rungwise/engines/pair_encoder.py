"""Pairs of a question and a passage, read together by a BERT: what a reranker and a reader of answers stand on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import Corrupt, MissingExtra, UsageError
from rungwise.engines.bert import TOKENIZER, bert_of
from rungwise.engines.encoders.processor import has_bf16

if TYPE_CHECKING:
    from tokenizers import Encoding
    from torch import Tensor

Pair = tuple[str, str]
"""A question (or query) and a passage."""

QUESTION_TOKENS = 96  # of a question beyond this, the rest is cut: the passage is to keep the larger part of the room
BATCH_TOKENS = 8_192  # padded tokens of one batch, as for sentences
_SPECIAL = 3  # [CLS] question [SEP] passage [SEP]
_LONE_SURROGATE = re.compile("[\\ud800-\\udfff]")


@dataclass(frozen=True, slots=True)
class PairTokens:
    """One pair as tokens: `[CLS] question [SEP] passage [SEP]`, T of them.

    The passage's tokens are `ids[start:-1]`; `spans` (T - 1 - start, 2) are their characters in the passage, from and up to.
    `cut` says how many tokens of the question and of the passage had no room.
    """

    ids: NDArray[np.int64]
    start: int
    spans: NDArray[np.int64]
    cut: tuple[int, int]


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Pairs of like length as arrays (B, T), zero where a pair has no token.

    `rows` (B,) says which pairs these are. `mask` is 1 for tokens, `kinds` 1 for the passage and its end. `passage` marks the
    tokens of the passage itself, `spans` (B, T, 2) their characters in it. `cut` (B, 2) counts the tokens left out of each text.
    """

    rows: NDArray[np.int64]
    ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    kinds: NDArray[np.int64]
    passage: NDArray[np.bool_]
    spans: NDArray[np.int64]
    cut: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """What the encoder makes of a batch: `hidden` (B, T, D) float32 beside the tokens."""

    tokens: TokenBatch
    hidden: NDArray[np.float32]


class PairTokenizer:
    """Pairs to tokens with the tokenizer of a BERT. The question stays whole up to a cap; the passage is cut at its end."""

    def __init__(self, tokenizer_json: bytes, *, max_tokens: int = 384, question_tokens: int = QUESTION_TOKENS) -> None:
        """`max_tokens` bounds the whole pair. Raises MissingExtra, Corrupt for other bytes, UsageError without room."""
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingExtra("reading questions and passages together", "local") from error
        if max_tokens < question_tokens + _SPECIAL + 1:
            raise UsageError(f"{max_tokens} tokens leave no room for a passage. Set at least {question_tokens + _SPECIAL + 1}")
        try:
            tokenizer = Tokenizer.from_buffer(tokenizer_json)
        except (ValueError, TypeError) as error:
            raise Corrupt(f"{TOKENIZER} of a model cannot be read ({error}). Fit or install the model again") from error
        tokenizer.no_padding()
        tokenizer.no_truncation()
        begin, end = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
        if begin is None or end is None:
            raise Corrupt(f"{TOKENIZER} of a model has no [CLS] and [SEP]. Use the tokenizer of a BERT model")
        self._tokenizer, self._begin, self._end = tokenizer, begin, end
        self.max_tokens, self.question_tokens = max_tokens, question_tokens

    def tokens(self, pairs: Sequence[Pair]) -> list[PairTokens]:
        """Each pair as tokens, in order. A text that stands in many pairs is tokenised once."""
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))
        found = self._tokenizer.encode_batch([_encodable(text) for text in texts], add_special_tokens=False)
        encodings = dict(zip(texts, found, strict=True))
        return [self._joined(encodings[question], encodings[passage]) for question, passage in pairs]

    def _joined(self, question: Encoding, passage: Encoding) -> PairTokens:
        asked = question.ids[: self.question_tokens]
        room = self.max_tokens - _SPECIAL - len(asked)
        read = passage.ids[:room]
        return PairTokens(
            ids=np.array([self._begin, *asked, self._end, *read, self._end], dtype=np.int64),
            start=len(asked) + 2,
            spans=np.array(passage.offsets[:room], dtype=np.int64).reshape(-1, 2),
            cut=(len(question.ids) - len(asked), len(passage.ids) - len(read)),
        )


def token_batches(tokens: Sequence[PairTokens], *, batch_tokens: int = BATCH_TOKENS) -> Iterator[TokenBatch]:
    """Batches of like length, shortest first, of at most `batch_tokens` padded tokens each (a longer pair has its own)."""
    lengths = np.array([len(pair.ids) for pair in tokens], dtype=np.int64)
    order = np.argsort(lengths, kind="stable")
    start = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or (end - start + 1) * lengths[order[end]] > batch_tokens:
            rows = order[start:end]
            yield padded([tokens[row] for row in rows], rows)
            start = end


def padded(tokens: Sequence[PairTokens], rows: NDArray[np.int64] | None = None) -> TokenBatch:
    """Pairs as one batch, in the order given; `rows` numbers them (0, 1, 2, ... when it is not given)."""
    count, longest = len(tokens), max((len(pair.ids) for pair in tokens), default=0)
    ids, mask, kinds = (np.zeros((count, longest), dtype=np.int64) for _ in range(3))
    passage, spans = np.zeros((count, longest), dtype=np.bool_), np.zeros((count, longest, 2), dtype=np.int64)
    for row, pair in enumerate(tokens):
        length = len(pair.ids)
        ids[row, :length], mask[row, :length], kinds[row, pair.start : length] = pair.ids, 1, 1
        passage[row, pair.start : length - 1], spans[row, pair.start : length - 1] = True, pair.spans
    cut = np.array([pair.cut for pair in tokens], dtype=np.int64).reshape(-1, 2)
    return TokenBatch(np.arange(count) if rows is None else rows, ids, mask, kinds, passage, spans, cut)


class PairEncoder:
    """A BERT over (question, passage) pairs, in bf16 where the processor multiplies it natively, else in fp32."""

    def __init__(self, files: Mapping[str, bytes], *, max_tokens: int = 384, bf16: bool | None = None) -> None:
        """`files` are config.json, model.safetensors and tokenizer.json.

        Raises MissingExtra without torch, Corrupt when the files are not those of a plain BERT, UsageError when
        the model has fewer positions than `max_tokens`.
        """
        try:
            import torch
        except ImportError as error:
            raise MissingExtra("reading questions and passages together", "local") from error
        self._torch = torch
        self.bf16 = has_bf16() if bf16 is None else bf16
        self._forward, self.weights, self.config = bert_of(files, torch.bfloat16 if self.bf16 else torch.float32)
        places = int(self.config.get("max_position_embeddings", 512))
        if max_tokens > places:
            raise UsageError(f"the model reads at most {places} tokens, not {max_tokens}. Set max_tokens={places} or less")
        if TOKENIZER not in files:
            raise Corrupt(f"the files of a BERT model lack {TOKENIZER}. Fit or install the model again")
        self.tokenizer = PairTokenizer(files[TOKENIZER], max_tokens=max_tokens)

    def encode(self, pairs: Sequence[Pair]) -> Iterator[EncodedBatch]:
        """The pairs in batches of like length, shortest first; `batch.tokens.rows` says which pairs a batch holds."""
        for batch in token_batches(self.tokenizer.tokens(pairs)):
            yield EncodedBatch(batch, self.states(batch).float().numpy())

    def states(self, batch: TokenBatch) -> Tensor:
        """The hidden states (B, T, D) of one batch, in the encoder's own precision."""
        torch = self._torch
        with torch.inference_mode():
            # Rows of equal length need no mask, and without one the faster attention is used.
            mask = None if bool(batch.mask.all()) else torch.from_numpy(batch.mask)
            return self._forward(torch.from_numpy(batch.ids), mask, torch.from_numpy(batch.kinds))


def _encodable(text: str) -> str:
    """The text with halves of broken surrogate pairs replaced one for one, so that offsets stay true."""
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)
