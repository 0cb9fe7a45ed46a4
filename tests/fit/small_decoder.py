"""A small Llama with random weights and a tokenizer of whole words, as the files of a model folder."""

from __future__ import annotations

import json
from typing import Any

from rungwise.engines.fitted.files import Files
from rungwise.engines.fitted.models import CAUSAL, TEMPLATE, TOKENIZER, TOKENIZER_CONFIG, model_files, new_model
from rungwise.fit.finetune import seeded

WORDS = [f"w{place}" for place in range(40)] + ["yes", "no", "please", "thanks", "order", "parcel", "refund"]
PLAIN = (
    "{% for message in messages %}{{ message['content'] }}{{ eos_token if message['role'] == 'assistant' else ' ' }}{% endfor %}"
)
"""A template that adds nothing but a space and the end of text: prompt and completion as other trainers take them."""


def small_decoder(*, layers: int = 2, seed: int = 0, **changes: Any) -> Files:
    vocabulary = {word: place for place, word in enumerate(["<pad>", "<eos>", "<unk>", *WORDS])}
    specials = [
        {"id": place, "content": word, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        for word, place in vocabulary.items()
        if word.startswith("<")
    ]
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": specials,
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    }
    config = {
        "model_type": "llama",
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": None,
        "tie_word_embeddings": False,
    }
    names = {"eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    with seeded(seed):
        model = new_model(config | changes, CAUSAL)
    like = {TOKENIZER: json.dumps(tokenizer).encode(), TOKENIZER_CONFIG: json.dumps(names).encode(), TEMPLATE: PLAIN.encode()}
    return model_files(model, like)
