"""Sentence encoders on ONNX Runtime, in fp32."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rungwise.core.errors import Corrupt, MissingExtra
from rungwise.engines.encoders.batches import Batch, in_batches
from rungwise.engines.encoders.encode import Vectors
from rungwise.engines.encoders.pytorch import traceable

BATCH_TOKENS = 1_024
OPSET = 17


class OnnxNetwork:
    """An exported model in one session, which any thread may use."""

    kind = "onnxruntime fp32"

    def __init__(self, files: Mapping[str, bytes]) -> None:
        ort = _onnxruntime()
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
        try:
            self._session = ort.InferenceSession(files["model.onnx"], options, providers=["CPUExecutionProvider"])
        except (KeyError, RuntimeError) as error:
            raise Corrupt(f"the exported encoder cannot be loaded ({error})") from error

    def batches(self, encoded: Sequence[Sequence[int]]) -> list[Batch]:
        """Batches padded to their longest text."""
        return in_batches(encoded, limit_tokens=BATCH_TOKENS)

    def run(self, batches: Sequence[Batch], vectors: Vectors) -> None:
        """See `Network`."""
        for batch in batches:
            vectors[batch.rows] = self._session.run(None, {"ids": batch.ids, "mask": batch.mask})[0]


def export_onnx(folder: Path) -> dict[str, bytes]:
    """The folder's encoder, pooling included, as an ONNX file in fp32. Raises MissingExtra without the package onnx."""
    import torch

    _onnxruntime()
    module, example = traceable(folder)
    file = io.BytesIO()
    axes = {0: "texts", 1: "tokens"}
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # tracing warns of sizes that it takes for constants; the check of the vectors decides
            torch.onnx.export(
                module,
                example,
                file,
                dynamo=False,
                opset_version=OPSET,
                input_names=["ids", "mask"],
                output_names=["vectors"],
                dynamic_axes={"ids": axes, "mask": axes, "vectors": {0: "texts"}},
            )
    except ImportError as error:
        raise MissingExtra("exporting an encoder to ONNX", "local") from error
    return {"model.onnx": file.getvalue()}


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra("sentence encoders on ONNX Runtime", "local") from error
    return onnxruntime
