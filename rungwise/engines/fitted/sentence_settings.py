"""What the files of a sentence encoder say besides its network: how many tokens it reads, and how it makes one vector of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rungwise.core.errors import Corrupt
from rungwise.engines.encoders.folder import MAX_TOKENS
from rungwise.engines.fitted.models import read_config

POOLING, SENTENCES = "1_Pooling/config.json", "sentence_bert_config.json"
SENTENCE_FILES = (POOLING, SENTENCES, "modules.json", "config_sentence_transformers.json")
"""What sentence-transformers reads beside the model."""


def most_tokens(files: Mapping[str, bytes]) -> int:
    """How many tokens of a text are read: what the files say, else 256, and never more than the model has positions."""
    said = _settings(files, SENTENCES).get("max_seq_length")
    positions = read_config(files).get("max_position_embeddings")
    return min(said if isinstance(said, int) and said > 2 else MAX_TOKENS, positions if isinstance(positions, int) else MAX_TOKENS)


def takes_first_token(files: Mapping[str, bytes]) -> bool:
    """Whether a text's vector is the state of its first token instead of the mean of all."""
    return bool(_settings(files, POOLING).get("pooling_mode_cls_token"))


def _settings(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    try:
        return dict(json.loads(files.get(name, b"{}")))
    except (ValueError, TypeError) as error:
        raise Corrupt(f"{name} cannot be read ({error}). Use the folder of a Hugging Face encoder") from error
