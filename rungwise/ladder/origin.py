"""What training may begin from: the installed sentence encoder, and the language model that the use case names."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from rungwise.core.candidate import Fitted
from rungwise.core.errors import Corrupt
from rungwise.core.usecase import UseCase
from rungwise.data.spec import beside
from rungwise.engines.fitted.beneath import BASE, minilm_base
from rungwise.engines.fitted.files import Files, folder_digest, read_folder
from rungwise.engines.fitted.models import read_config

ENCODER_LICENCE = "apache-2.0"
"""Of all-MiniLM-L6-v2, as its model card says."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A model that training may begin from: the part that it is, what it is called, its licence, and how large it is.

    `body` counts the weights that every token is multiplied with; `weights` counts those of the embeddings too.
    """

    part: Fitted
    name: str
    licence: str | None
    weights: int
    body: int
    vocabulary: int
    width: int
    layers: int
    folder: Path | None = None

    def files(self) -> Files:
        """The files of the folder, each checked. Raises Corrupt when they are not those that the part was named after."""
        assert self.folder is not None
        files = read_folder(self.folder)
        if folder_digest(files) != self.part.inputs[0]:
            raise Corrupt(f"the model in {self.folder} has changed since this began. Type the same command again")
        return files


def encoder_origin() -> Origin:
    """The sentence encoder that the extra `local` brings along."""
    return Origin(
        part=minilm_base(),
        name="all-MiniLM-L6-v2",
        licence=ENCODER_LICENCE,
        weights=22_713_216,
        body=10_629_120,
        vocabulary=30_522,
        width=384,
        layers=6,
    )


def language_origin(case: UseCase, directory: Path) -> Origin | None:
    """The language model that a use case names as `base`, or None. Raises UsageError or Corrupt when the folder cannot be used."""
    if case.base is None:
        return None
    folder = beside(directory, case.base.path)
    files = read_folder(folder)
    try:
        weights, embeddings = _sizes(files)
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt(f"the weights in {folder} cannot be read ({error}). Copy the whole folder again") from error
    config = read_config(files)
    return Origin(
        part=Fitted(technique=BASE, recipe={"name": folder.name}, inputs=(folder_digest(files),)),
        name=folder.name,
        licence=case.base.licence,
        weights=weights,
        body=weights - embeddings,
        vocabulary=int(config.get("vocab_size", 0)),
        width=int(config.get("hidden_size", config.get("d_model", 0))),
        layers=int(config.get("num_hidden_layers", config.get("num_layers", config.get("encoder_layers", 0)))),
        folder=folder,
    )


def _sizes(files: Files) -> tuple[int, int]:
    """How many weights the files hold, and how many of them are the input embeddings, by the heads of the safetensors files."""
    weights = embeddings = 0
    for name, data in files.items():
        if not name.endswith(".safetensors"):
            continue
        head = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        shapes = {key: one["shape"] for key, one in head.items() if key != "__metadata__"}
        weights += sum(math.prod(shape) for shape in shapes.values())
        embeddings += sum(math.prod(shape) for key, shape in shapes.items() if "embed" in key and len(shape) == 2)
    return weights, embeddings
