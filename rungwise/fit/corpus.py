"""Texts as one stream of tokens, the last part of it held out, cut into blocks that a language model learns from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import BadData, CannotFit, MissingExtra
from rungwise.core.record import canonical_json
from rungwise.data.lines import blocks, require_file
from rungwise.engines.fitted.models import TOKENIZER, load_tokenizer
from rungwise.fit.tokenizer import check_texts

Tokens = NDArray[np.int32]
Starts = NDArray[np.int64]
"""Where in a stream the blocks of a batch begin, (B,)."""

HELD_OUT = 0.1  # the share of nanoGPT's data/shakespeare_char/prepare.py

_NEWLINE = b"\n"


@dataclass(frozen=True, eq=False)
class Corpus:
    """Two streams of tokens: what is learned from, and the tail that is held out, which stands for `held_characters`.

    `digest` names the texts and how they were cut. `unknown` counts held-out tokens that the vocabulary does not have.
    """

    train: Tokens
    held: Tokens
    held_characters: int
    digest: str
    unknown: int = 0

    @property
    def tokens_per_character(self) -> float:
        """What a loss in nats per token is multiplied with to be one per character."""
        return len(self.held) / max(1, self.held_characters)


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, which may be packed with gzip. Raises BadData where it breaks: which line, which byte."""
    require_file(path)
    data = b"".join(blocks(path))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(_NEWLINE, 0, error.start) + 1
        raise BadData(
            f"byte 0x{data[error.start]:02x} (number {error.start + 1} of the file) is not UTF-8.",
            where=f"{path}:{line}",
            hint="Save it as UTF-8",
        ) from error


def cut_tail(texts: Sequence[str], share: float = HELD_OUT) -> tuple[list[str], list[str]]:
    """The texts before and after the last `share` of all characters; the one that lies across is cut there."""
    total = sum(map(len, texts))
    border = int(total * (1 - share))
    before: list[str] = []
    after: list[str] = []
    place = 0
    for text in texts:
        inside = min(max(border - place, 0), len(text))
        before += [text[:inside]] if inside else []
        after += [text[inside:]] if inside < len(text) else []
        place += len(text)
    return before, after


def corpus(texts: Sequence[str], tokenizer: Mapping[str, bytes], *, context: int, held_out: float = HELD_OUT) -> Corpus:
    """Texts through a tokenizer's files: every text is followed by the end token, but the one across the border is not.

    Raises CannotFit when there is no text, or one of the two parts is shorter than a block of `context` tokens and the one
    after, BadData where a text is not text.
    """
    check_texts(texts)
    given = [text for text in texts if text]
    if not given:
        raise CannotFit("there is no text to learn from. Add texts")
    before, after = cut_tail(given, held_out)
    torn = len(before) + len(after) > len(given)
    encode = _Encoder(tokenizer)
    train, held = encode(before, open_end=torn), encode(after)
    for tokens, part in ((train, "train"), (held, "held-out")):
        if len(tokens) <= context:
            raise CannotFit(
                f"the {part} part has {len(tokens):,} tokens and a block needs {context + 1:,}. "
                "Add text, or ask for a shorter context"
            )
    about = {
        "texts": hashlib.sha256("\0".join(given).encode()).hexdigest(),
        "tokenizer": hashlib.sha256(tokenizer[TOKENIZER]).hexdigest(),
        "held_out": held_out,
    }
    digest = hashlib.sha256(canonical_json(about).encode()).hexdigest()
    return Corpus(train, held, sum(map(len, after)), digest, int((held == encode.unknown).sum()))


class Blocks:
    """Draws the blocks of a stream: pass after pass over all of them in random order, however the steps are parted.

    Each pass is shifted by a random phase: every token is seen equally often, and never twice in the same place of a block.
    """

    def __init__(self, length: int, context: int) -> None:
        self._length, self._context = length, context
        self._left = np.zeros(0, np.int64)

    def take(self, batch: int, rng: np.random.Generator, *, steps: int) -> list[Starts]:
        """Where the blocks of the next `steps` batches begin, each (batch,), and `context` + 1 tokens long."""
        return [self._next(batch, rng) for _ in range(steps)]

    def _next(self, batch: int, rng: np.random.Generator) -> Starts:
        while len(self._left) < batch:
            phase = int(rng.integers(0, min(self._context, self._length - self._context)))
            count = (self._length - 1 - phase) // self._context
            self._left = np.concatenate([self._left, rng.permutation(count) * self._context + phase])
        found, self._left = self._left[:batch], self._left[batch:]
        return found


def cut_blocks(stream: Tokens, starts: Starts, context: int) -> NDArray[np.int64]:
    """The blocks that begin there, (B, context + 1): the last token of each is only foretold."""
    found: NDArray[np.int64] = stream[starts[:, None] + np.arange(context + 1)].astype(np.int64)
    return found


class _Encoder:
    """Texts to one stream. Marks that a text happens to spell are read as its characters, never as marks."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        own = load_tokenizer(files)
        self._fast = _tokenizer(files)
        self._fast.encode_special_tokens = True
        self._end = own.eos_token_id
        self.unknown = -1 if own.unk_token_id is None else int(own.unk_token_id)

    def __call__(self, texts: Sequence[str], *, open_end: bool = False) -> Tokens:
        parts: list[Tokens] = []
        for number, found in enumerate(self._fast.encode_batch_fast(list(texts), add_special_tokens=False), start=1):
            closed = self._end is not None and not (open_end and number == len(texts))
            parts.append(np.array([*found.ids, *([self._end] if closed else [])], dtype=np.int32))
        return np.concatenate(parts) if parts else np.zeros(0, np.int32)


def _tokenizer(files: Mapping[str, bytes]) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtra("reading texts as tokens", "local") from error
    return Tokenizer.from_str(files[TOKENIZER].decode())
