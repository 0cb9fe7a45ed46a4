"""Which library computes an encoder here: the fastest that is installed, fits the model, and was found to be faithful."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rungwise.core.errors import Corrupt, MissingExtra, StoreError, UnknownName
from rungwise.engines.bert import is_plain_bert
from rungwise.engines.encoders.exports import Export, keep_export, read_export
from rungwise.engines.encoders.fidelity import check_texts, fidelity
from rungwise.engines.encoders.folder import check_weights
from rungwise.engines.encoders.network import Network
from rungwise.engines.encoders.onnx_runtime import OnnxNetwork, export_onnx
from rungwise.engines.encoders.open_vino import OpenVinoNetwork, export_openvino
from rungwise.engines.encoders.processor import has_bf16
from rungwise.engines.encoders.pytorch import TransformerEncoder
from rungwise.engines.encoders.sentence import SentenceEncoder

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A library that runs exported models. `needs` are the packages that it imports, `precision` the number format here."""

    name: str
    needs: tuple[str, ...]
    precision: Callable[[], str]
    export: Callable[[Path], dict[str, bytes]]
    load: Callable[[Mapping[str, bytes]], Network]

    @property
    def installed(self) -> bool:
        """Whether its packages are there; nothing is imported."""
        return all(importlib.util.find_spec(name) is not None for name in self.needs)

    @property
    def version(self) -> str:
        """The version of the library."""
        return importlib.metadata.version(self.needs[0])


BACKENDS = {
    "openvino": Backend(
        name="openvino",
        needs=("openvino",),
        precision=lambda: "bf16" if has_bf16() else "fp32",
        export=export_openvino,
        load=lambda files: OpenVinoNetwork(files, bf16=has_bf16()),
    ),
    "onnxruntime": Backend(
        name="onnxruntime",
        needs=("onnxruntime", "onnx"),
        precision=lambda: "fp32",
        export=export_onnx,
        load=OnnxNetwork,
    ),
}


def user_cache() -> Path:
    """Where exported encoders are kept unless told otherwise: $XDG_CACHE_HOME/rungwise/encoders, else under ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "rungwise" / "encoders"


def fastest() -> str:
    """The backend that is taken when none is asked for.

    Chunks of 1,000 characters a second: OpenVINO bf16 > torch bf16 > ONNX Runtime fp32 on a processor that
    multiplies bf16; OpenVINO fp32 > ONNX Runtime fp32 > torch fp32 on others (benchmarks/encoders.py).
    """
    if BACKENDS["openvino"].installed:
        return "openvino"
    return "onnxruntime" if BACKENDS["onnxruntime"].installed and not has_bf16() else "torch"


def sentence_encoder(
    folder: Path, *, sha256: str | None = None, backend: str | None = None, cache: Path | None = None
) -> SentenceEncoder:
    """The encoder of a folder on the fastest backend, or on the one named (`openvino`, `onnxruntime`, `torch`).

    The model is exported at the first use and kept in `cache`. It is trusted only where its vectors agree with torch in
    fp32 on this kind of processor; else, and for models that are no plain BERT, torch computes them, and the log says why.
    Raises Corrupt, MissingExtra, UnknownName.
    """
    check_weights(folder, sha256)
    name = backend or fastest()
    if name != "torch" and name not in BACKENDS:
        raise UnknownName("encoder backend", name, [*BACKENDS, "torch"])
    if name == "torch":
        return TransformerEncoder(folder)
    if not BACKENDS[name].installed:
        raise MissingExtra(f"the encoder backend {name}", "local")
    if not is_plain_bert(folder):
        _log.info("the encoder in %s is no plain BERT: it is computed by torch", folder)
        return TransformerEncoder(folder)
    return _trusted(folder, BACKENDS[name], user_cache() if cache is None else cache) or TransformerEncoder(folder)


def _trusted(folder: Path, backend: Backend, cache: Path) -> SentenceEncoder | None:
    """The encoder on a fast backend, or None, with the reason in the log, where it is not to be trusted."""
    try:
        export = read_export(cache, folder, backend.name, backend.version, backend.precision())
    except Corrupt as error:
        _log.warning("%s It is made again", error)
        export = None
    if export is not None:
        if export.refused is None:
            return SentenceEncoder(folder, backend.load(export.files))
        _log.warning("%s was not faithful here (%s): torch is used", backend.name, export.refused)
        return None
    try:
        files = backend.export(folder)
        encoder = SentenceEncoder(folder, backend.load(files))
    except (MissingExtra, RuntimeError, ValueError, Corrupt) as error:
        _log.warning("%s cannot compute the encoder in %s (%s): torch is used", backend.name, folder, error)
        return None
    found = fidelity(encoder, TransformerEncoder(folder, bf16=False), check_texts())
    encoder.cut = 0  # of the user's texts, not of these
    _log.info("%s against torch in fp32: %s", backend.name, found)
    export = Export(files if found.holds else {}, str(found), refused=None if found.holds else str(found))
    try:
        keep_export(cache, folder, backend.name, backend.version, backend.precision(), export=export)
    except StoreError as error:
        _log.warning("the exported encoder is not kept: %s", error)
    if not found.holds:
        _log.warning("%s is not faithful here (%s): torch is used", backend.name, found)
        return None
    return encoder
