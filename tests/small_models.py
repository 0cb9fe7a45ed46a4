"""A BERT of two thin layers with random weights and the tokenizer of MiniLM: quick, and of the same shape as the real one."""

from __future__ import annotations

import shutil
from pathlib import Path

from rungwise.engines.bert import CONFIG, TOKENIZER, WEIGHTS
from rungwise.engines.encoders.minilm import minilm_folder


def thin_encoder(folder: Path) -> Path:
    """The files of a thin encoder, in a folder."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    shape = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, initializer_range=0.2)
    BertModel(shape).save_pretrained(folder)
    shutil.copy(minilm_folder() / TOKENIZER, folder / TOKENIZER)
    return folder


def thin_reader(folder: Path) -> dict[str, bytes]:
    """The files of a thin question answering model."""
    import torch
    from transformers import BertConfig, BertForQuestionAnswering

    torch.manual_seed(0)
    shape = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, initializer_range=0.2)
    BertForQuestionAnswering(shape).save_pretrained(folder)
    files = {name: (folder / name).read_bytes() for name in (CONFIG, WEIGHTS)}
    return {**files, TOKENIZER: (minilm_folder() / TOKENIZER).read_bytes()}
