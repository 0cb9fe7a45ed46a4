"""The one door to peft: low-rank adapters put on a model, written as a PEFT folder, read back, and merged."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rungwise.core.errors import Corrupt, MissingExtra
from rungwise.engines.fitted.files import Files

ADAPTER_CONFIG, ADAPTER = "adapter_config.json", "adapter_model.safetensors"

_NOT_OURS = ("peft_type", "auto_mapping", "peft_version", "base_model_name_or_path")
"""What peft wrote into the settings of an adapter and does not want back, and the name of the base, which is at hand here."""


@dataclass(frozen=True, kw_only=True)
class Lora:
    """Low-rank adaptation (Hu et al. 2021, arXiv 2106.09685): rank, scale `alpha` / rank, dropout before it, and where.

    `targets` None means every linear layer of the model but its head (QLoRA, Dettmers et al. 2023, section 4).
    `whole` are modules that are trained in full and saved beside the adapter: a new head.
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: Sequence[str] | None = None
    whole: Sequence[str] = ()


def with_lora(model: Any, lora: Lora, *, task: str) -> Any:
    """The model with a new adapter, drawn from torch's generator; the rest is frozen. `task` is one of peft's ('CAUSAL_LM' ...)."""
    peft = _peft()
    config = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets) if lora.targets else "all-linear",
        modules_to_save=list(lora.whole) or None,
        task_type=task,
    )
    with _quiet():
        return peft.get_peft_model(model, config)


def adapter_files(model: Any, *, base: str) -> Files:
    """adapter_config.json and adapter_model.safetensors of a model that `with_lora` made; `base` names what it stands on."""
    peft = _peft()
    from safetensors.torch import save

    state = peft.get_peft_model_state_dict(model, save_embedding_layers=False)
    config = model.peft_config["default"].to_dict()
    config = {name: sorted(value) if isinstance(value, set) else value for name, value in config.items()}
    config |= {"base_model_name_or_path": base, "inference_mode": True}
    weights = {name: state[name].detach().to("cpu").contiguous() for name in sorted(state)}
    return {
        ADAPTER: save(weights, {"format": "pt"}),
        ADAPTER_CONFIG: (json.dumps(config, indent=1, sort_keys=True, default=str) + "\n").encode(),
    }


def merged(model: Any, files: Mapping[str, bytes]) -> Any:
    """The base model with the adapter of `files` added into its weights. Raises Corrupt when the adapter is another base's."""
    peft = _peft()
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        config = json.loads(files[ADAPTER_CONFIG])
        kind = peft.LoraConfig(**{name: value for name, value in config.items() if name not in _NOT_OURS})
        kind.inference_mode = True
        with _quiet():
            own = peft.get_peft_model(model, kind)
        result = peft.set_peft_model_state_dict(own, dict(load(files[ADAPTER])))
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise Corrupt(f"an adapter does not fit its base: {error}. Fit it again on this base") from error
    if result.unexpected_keys:
        raise Corrupt(f"an adapter does not fit its base: there is no {result.unexpected_keys[0]} in it. Fit it again on this base")
    return own.merge_and_unload().eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warning that peft asks transformers for something under its old name: nobody here can act on it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        yield


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise MissingExtra("low-rank adapters", "train") from error
    return peft
