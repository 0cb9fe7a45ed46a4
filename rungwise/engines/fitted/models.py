"""The one door to transformers: a model and its tokenizer from checked files, and back to files that plain transformers loads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rungwise.core.errors import Corrupt, MissingExtra
from rungwise.engines.fitted.files import Files

CONFIG, WEIGHTS, TOKENIZER, TOKENIZER_CONFIG = "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"
GENERATION, TEMPLATE = "generation_config.json", "chat_template.jinja"
INDEX = "model.safetensors.index.json"

CAUSAL, SEQ2SEQ, ENCODER, CLASSIFIER, TAGGER, MASKED = (
    "AutoModelForCausalLM",
    "AutoModelForSeq2SeqLM",
    "AutoModel",
    "AutoModelForSequenceClassification",
    "AutoModelForTokenClassification",
    "AutoModelForMaskedLM",
)


MARKS = ("bos_token", "eos_token", "pad_token", "unk_token", "cls_token", "sep_token", "mask_token")


def load_model(files: Mapping[str, bytes], kind: str, *, dtype: str = "float32", device: str = "cpu", **changes: Any) -> Any:
    """The model of checked files, in evaluation mode; nothing is read from disk or fetched.

    `kind` is the transformers class (`CAUSAL` ...); `changes` replace settings of config.json, so that an encoder gets a
    new head (`num_labels=...`), whose weights are drawn by the caller's torch generator. Attention is SDPA.
    Raises Corrupt when the weights are not those of the settings, MissingExtra without transformers.
    """
    torch, transformers = _libraries()
    config = read_config(files)
    try:
        config.pop("_name_or_path", None)  # libraries look names up on the network
        made = transformers.AutoConfig.for_model(config.pop("model_type"), **{**config, **changes})
        model = getattr(transformers, kind).from_config(made, attn_implementation="sdpa")
        missing = _fill(model, _weights(files))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise Corrupt(f"the weights of a model are not those of its {CONFIG}: {error}. Fit it again") from error
    if missing and not changes and kind != ENCODER:
        raise Corrupt(f"{WEIGHTS} lacks {missing[0]} and {len(missing) - 1} more weights. Fit it again")
    return model.to(device=device, dtype=getattr(torch, dtype)).eval()


def new_model(config: Mapping[str, Any], kind: str) -> Any:
    """A model with the settings of `config` and weights drawn from torch's generator (see `fit.finetune.seeded`)."""
    _, transformers = _libraries()
    given = dict(config)
    made = transformers.AutoConfig.for_model(given.pop("model_type"), **given)
    return getattr(transformers, kind).from_config(made, attn_implementation="sdpa")


def load_tokenizer(files: Mapping[str, bytes]) -> Any:
    """The fast tokenizer of checked files, with its chat template. Raises Corrupt when there is none."""
    _, transformers = _libraries()
    from tokenizers import Tokenizer

    try:
        fast = Tokenizer.from_str(files[TOKENIZER].decode())
        settings = json.loads(files.get(TOKENIZER_CONFIG, b"{}"))
    except Exception as error:  # boundary: the library raises nothing narrower
        raise Corrupt(f"{TOKENIZER} is missing or cannot be read: {error}. Use a folder with a fast tokenizer") from error
    keep = {name: _word(settings[name]) for name in MARKS if settings.get(name) is not None}
    template = files[TEMPLATE].decode() if TEMPLATE in files else settings.get("chat_template")
    return transformers.PreTrainedTokenizerFast(tokenizer_object=fast, chat_template=template, **keep)


def _word(token: Any) -> str:
    """A mark of a tokenizer, which many folders write as an object with its `content`."""
    return str(token["content"]) if isinstance(token, Mapping) else str(token)


def model_files(model: Any, like: Mapping[str, bytes]) -> Files:
    """config.json, generation_config.json and model.safetensors of a model, with the tokenizer files of `like`.

    Equal weights give equal bytes. The folder of these files loads with `from_pretrained` as it is.
    """
    from safetensors.torch import save

    state = {name: tensor.detach().to("cpu").contiguous() for name, tensor in sorted(model.state_dict().items())}
    tied = _tied(model, state)
    config = model.config.to_dict()
    config["architectures"] = [type(model).__name__]
    config.pop("_name_or_path", None)
    files = {
        name: data
        for name, data in like.items()
        if name in (TOKENIZER, TOKENIZER_CONFIG, TEMPLATE, "special_tokens_map.json", "vocab.txt")
    }
    files[CONFIG] = (json.dumps(config, indent=1, sort_keys=True, default=str) + "\n").encode()
    generation = getattr(model, "generation_config", None)
    if generation is not None:
        files[GENERATION] = (json.dumps(generation.to_diff_dict(), indent=1, sort_keys=True) + "\n").encode()
    files[WEIGHTS] = save({name: tensor for name, tensor in state.items() if name not in tied}, {"format": "pt"})
    return files


def read_config(files: Mapping[str, bytes]) -> dict[str, Any]:
    """The settings of a model. Raises Corrupt when they cannot be read."""
    try:
        return dict(json.loads(files[CONFIG]))
    except (KeyError, ValueError, TypeError) as error:
        raise Corrupt(f"{CONFIG} is missing or cannot be read: {error}. Use the folder of a Hugging Face model") from error


def _weights(files: Mapping[str, bytes]) -> dict[str, Any]:
    """All tensors of model.safetensors, or of the shards that its index names."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        if WEIGHTS in files:
            return dict(load(files[WEIGHTS]))
        shards = sorted(set(json.loads(files[INDEX])["weight_map"].values()))
        return {name: tensor for shard in shards for name, tensor in load(files[shard]).items()}
    except (KeyError, ValueError, SafetensorError) as error:
        raise Corrupt(f"{WEIGHTS} is missing or cannot be read: {error}. Use a folder with safetensors weights") from error


def _fill(model: Any, weights: Mapping[str, Any]) -> list[str]:
    """Put weights into a model by name, whatever prefix its base has; the names that are left as they were drawn."""
    prefix = f"{model.base_model_prefix}."
    own = model.state_dict()
    found = {}
    for name, tensor in weights.items():
        for place in (name, prefix + name, name.removeprefix(prefix)):
            if place in own:
                found[place] = tensor
                break
    model.load_state_dict(found, strict=False)
    model.tie_weights()
    tied = _tied(model, own)
    return [name for name in own if name not in found and name not in tied]


def _tied(model: Any, state: Mapping[str, Any]) -> set[str]:
    """Names of weights that are another's under a second name, which a file holds once."""
    seen: dict[tuple[int, tuple[int, ...]], str] = {}
    second = set()
    live = dict(model.named_parameters(remove_duplicate=False))
    for name in sorted(state, key=lambda one: ("lm_head" in one or "decoder.embed" in one or "encoder.embed" in one, one)):
        if name not in live:
            continue
        key = (live[name].data_ptr(), tuple(live[name].shape))
        if key in seen:
            second.add(name)
        else:
            seen[key] = name
    return second


def _libraries() -> tuple[Any, Any]:
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtra("running a fitted model", "local") from error
    return torch, transformers
