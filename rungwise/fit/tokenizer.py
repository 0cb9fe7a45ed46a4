"""A tokenizer of one's own, learned from one's texts: byte-level pairs, which write any text, or one token per character."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rungwise.core.errors import BadData, CannotFit, MissingExtra
from rungwise.engines.fitted.files import Files
from rungwise.engines.fitted.models import TOKENIZER, TOKENIZER_CONFIG

BYTES = 256
END, PAD, UNKNOWN = "<|end|>", "<|pad|>", "<|unknown|>"
"""What ends a text, what fills a batch up, and what stands for a character that the training never showed."""

_EVERY = r"[\s\S]"  # each character on its own, a newline too


def train_tokenizer(
    texts: Sequence[str],
    *,
    vocabulary: int = 8_192,
    special: Sequence[str] = (END, PAD),
    characters: bool = False,
    ended: bool = False,
) -> Files:
    """tokenizer.json and tokenizer_config.json, which `PreTrainedTokenizerFast` loads; equal texts give equal bytes.

    Byte-level byte-pair encoding (Sennrich et al. 2016; over bytes: Radford et al. 2019, section 2.2) of at most
    `vocabulary` tokens: the 256 bytes, `special` and merges, so that every text comes back as it was. With `characters`
    one token for each character of the texts, whatever `vocabulary` says; any other is `UNKNOWN`. The first of `special`
    ends a text and the second pads; with `ended` the tokenizer itself puts the end behind every text, as an encoder-decoder
    expects. Raises CannotFit without text or with a vocabulary that has no room for the bytes,
    BadData where a text holds half a surrogate pair, MissingExtra without the library.
    """
    check_texts(texts)
    if not any(texts):
        raise CannotFit("a tokenizer needs text, and there is none. Add texts")
    if not characters and vocabulary < BYTES + len(special):
        raise CannotFit(
            f"a vocabulary of {vocabulary} has no room for the {BYTES} bytes and {len(special)} marks. Ask for more tokens"
        )
    tokenizer = _characters(texts, special) if characters else _byte_pairs(texts, vocabulary, special)
    if ended:
        end = special[0]
        tokenizer.post_processor = _library().processors.TemplateProcessing(
            single=f"$A {end}", pair=f"$A {end} $B {end}", special_tokens=[(end, tokenizer.token_to_id(end))]
        )
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        **dict(zip(("eos_token", "pad_token"), special, strict=False)),
        **({"unk_token": UNKNOWN} if characters or UNKNOWN in special else {}),
        **({"bos_token": special[0]} if ended else {}),  # never written before a text; ctranslate2 wants a name
    }
    return {
        TOKENIZER: tokenizer.to_str().encode(),
        TOKENIZER_CONFIG: (json.dumps(settings, indent=1, sort_keys=True) + "\n").encode(),
    }


def check_texts(texts: Sequence[str]) -> None:
    """Raise BadData at the first text with half a surrogate pair, which no file can hold: which text, and where in it."""
    for number, text in enumerate(texts, start=1):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise BadData(
                f"character {error.start + 1} is half a surrogate pair, which is not text.",
                where=f"text {number}",
                hint="Read the file again in its own encoding",
            ) from error


def _byte_pairs(texts: Sequence[str], vocabulary: int, special: Sequence[str]) -> Any:
    library = _library()
    pieces = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pieces, library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(special), initial_alphabet=sorted(pieces.alphabet()), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer, length=len(texts))
    return tokenizer


def _characters(texts: Sequence[str], special: Sequence[str]) -> Any:
    library = _library()
    met: Counter[str] = Counter()
    for text in texts:
        met.update(text)
    tokens = [*dict.fromkeys([*special, UNKNOWN]), *sorted(met)]
    tokenizer = library.Tokenizer(library.models.WordLevel({token: id for id, token in enumerate(tokens)}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = library.pre_tokenizers.Split(library.Regex(_EVERY), "isolated")
    tokenizer.decoder = library.decoders.Fuse()
    tokenizer.add_special_tokens(list(dict.fromkeys([*special, UNKNOWN])))
    return tokenizer


def _library() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise MissingExtra("training a tokenizer", "local") from error
    return tokenizers
