"""Small language models with random weights, as files: Llama-like, GPT-2-like, and encoder-decoders as of T5, Marian and MBart."""

from __future__ import annotations

from typing import Any

from rungwise.engines.fitted.files import Files
from rungwise.engines.fitted.models import CAUSAL, SEQ2SEQ, TOKENIZER, TOKENIZER_CONFIG, model_files, new_model

VOCABULARY = 300
PLACES = 96

SHAPES: dict[str, dict[str, Any]] = {
    "llama": {
        "model_type": "llama",
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": PLACES,
        "initializer_range": 0.3,
        "eos_token_id": 0,
        "bos_token_id": 1,
        "pad_token_id": 2,
    },
    "gpt2": {
        "model_type": "gpt2",
        "n_embd": 48,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": PLACES,
        "initializer_range": 0.3,
        "eos_token_id": 0,
        "bos_token_id": 1,
        "pad_token_id": 2,
    },
    "t5": {
        "model_type": "t5",
        "d_model": 48,
        "d_kv": 12,
        "d_ff": 96,
        "num_layers": 2,
        "num_heads": 4,
        "initializer_factor": 3.0,
        "eos_token_id": 0,
        "pad_token_id": 2,
        "decoder_start_token_id": 2,
    },
    "marian": {
        "model_type": "marian",
        "d_model": 48,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 96,
        "decoder_ffn_dim": 96,
        "max_position_embeddings": PLACES,
        "init_std": 1.0,
        "eos_token_id": 0,
        "pad_token_id": VOCABULARY - 1,
        "decoder_start_token_id": VOCABULARY - 1,
        "forced_eos_token_id": None,
    },
    "mbart": {
        "model_type": "mbart",
        "d_model": 48,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 96,
        "decoder_ffn_dim": 96,
        "max_position_embeddings": PLACES,
        "activation_function": "relu",
        "init_std": 0.4,
        "scale_embedding": False,
        "normalize_before": True,
        "normalize_embedding": True,
        "bos_token_id": None,
        "eos_token_id": 0,
        "pad_token_id": 2,
        "decoder_start_token_id": 0,
        "forced_eos_token_id": None,
    },
}
CAUSALS, ENCODING = ("llama", "gpt2"), ("t5", "marian", "mbart")


def byte_tokenizer(vocabulary: int = VOCABULARY) -> Files:
    """A byte-level tokenizer: three marks, the 256 bytes, and merges of the commonest pairs of some words."""
    from tokenizers import Tokenizer
    from tokenizers.decoders import ByteLevel as ByteLevelDecoder
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.trainers import BpeTrainer

    made = Tokenizer(BPE())
    made.pre_tokenizer, made.decoder = ByteLevel(add_prefix_space=False), ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<|end|>", "<|begin|>", "<|pad|>"],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(
        ["where is my parcel and when does the courier come to the door of the house with the card"] * 3, trainer
    )
    settings = b'{"eos_token": "<|end|>", "bos_token": "<|begin|>", "pad_token": "<|pad|>"}'
    return {TOKENIZER: made.to_str().encode(), TOKENIZER_CONFIG: settings}


def language_model(shape: str, *, seed: int = 0, **changes: Any) -> Files:
    """The files of a small model with random weights that differ enough for its answers to be clear."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = {**SHAPES[shape], "vocab_size": VOCABULARY, **changes}
        return model_files(new_model(config, SEQ2SEQ if shape in ENCODING else CAUSAL), byte_tokenizer())
