"""Sentence encoders on OpenVINO: the fastest here, and told to send nothing home."""

from __future__ import annotations

import os
import sys
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rungwise.core.errors import Corrupt, MissingExtra
from rungwise.engines.encoders.batches import Batch, in_batches
from rungwise.engines.encoders.encode import Vectors
from rungwise.engines.encoders.pytorch import traceable

BATCH_TOKENS = 1_024
"""Padded tokens of one batch. One stream a processor with small batches was fastest (benchmarks/encoders.py)."""

LENGTHS = 16
"""Lengths are rounded up to multiples of this: OpenVINO prepares its code anew for each shape that it has not seen."""


class OpenVinoNetwork:
    """An exported model, compiled for this processor: one stream of work, on one thread, for each processor that may be used."""

    def __init__(self, files: Mapping[str, bytes], *, bf16: bool) -> None:
        ov = _openvino()
        self._ov, self._streams = ov, _processors()
        hints = {
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "NUM_STREAMS": self._streams,
            "INFERENCE_NUM_THREADS": self._streams,
        }
        try:
            core = ov.Core()
            model = core.read_model(model=files["model.xml"], weights=files["model.bin"])
            self._compiled = core.compile_model(model, "CPU", hints)
        except (KeyError, RuntimeError) as error:
            raise Corrupt(f"the exported encoder cannot be loaded ({error})") from error
        self.kind = "openvino bf16" if bf16 else "openvino fp32"
        self._idle: deque[Any] = deque()  # requests that no thread uses
        self._meet_numpy()

    def _meet_numpy(self) -> None:
        """One inference on this thread alone, before others may come.

        The binding fetches numpy's interface at the first array that it sees. When two threads bring the first one together, one
        holds the interpreter and waits for that interface, the other fetches it and waits for the interpreter: for ever.
        """
        import numpy as np

        request = self._compiled.create_infer_request()
        request.infer({0: np.full((1, LENGTHS), 1, np.int64), 1: np.ones((1, LENGTHS), np.int64)})
        np.array(request.get_output_tensor(0).data)
        self._idle.append(request)

    def batches(self, encoded: Sequence[Sequence[int]]) -> list[Batch]:
        """Small batches of few different shapes, one for each processor at least."""
        return in_batches(encoded, limit_tokens=BATCH_TOKENS, multiple=LENGTHS, parts=self._streams)

    def run(self, batches: Sequence[Batch], vectors: Vectors) -> None:
        """See `Network`."""
        if len(batches) == 1:
            self._infer(batches[0], vectors)
            return
        # Not the library's own queue of requests: with its callbacks in Python, it waits for ever when it is let go.
        with ThreadPoolExecutor(min(self._streams, len(batches))) as threads:
            for done in [threads.submit(self._infer, batch, vectors) for batch in batches]:
                done.result()

    def _infer(self, batch: Batch, vectors: Vectors) -> None:
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        try:
            request.infer({0: batch.ids, 1: batch.mask})
            vectors[batch.rows] = request.get_output_tensor(0).data
        finally:
            self._idle.append(request)


def export_openvino(folder: Path) -> dict[str, bytes]:
    """The folder's encoder, pooling included, in OpenVINO's own format and in fp32. No network, no ONNX."""
    import warnings

    ov = _openvino()
    module, example = traceable(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of sizes that it takes for constants; the check of the vectors decides
        import torch

        with torch.no_grad():
            traced = torch.jit.trace(module, example, check_trace=False)
        model = ov.convert_model(traced, example_input=example)
    with tempfile.TemporaryDirectory() as made:
        ov.save_model(model, str(Path(made) / "model.xml"), compress_to_fp16=False)
        return {name: (Path(made) / name).read_bytes() for name in ("model.xml", "model.bin")}


def _openvino() -> Any:
    """The library without its telemetry.

    OpenVINO sends an event to Google Analytics, from a process of its own, when it is imported and when it converts a model,
    unless the package openvino_telemetry cannot be imported: then it uses a stub of its own that does nothing. So that
    package is hidden from it here. Where somebody else in the process has imported OpenVINO before, its doors to the
    telemetry get the same stub.
    """
    known = "openvino" in sys.modules
    hidden = sys.modules.get("openvino_telemetry")
    if not known:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        import openvino
        from openvino.tools.ovc import convert_impl, telemetry_stub, telemetry_utils, utils
    except ImportError as error:
        raise MissingExtra("fast sentence encoders", "local") from error
    finally:
        if not known:
            _restore("openvino_telemetry", hidden)
    for module in (convert_impl, telemetry_utils, utils):
        module.tm = telemetry_stub
    return openvino


def _restore(name: str, module: Any) -> None:
    if module is None:
        del sys.modules[name]
    else:
        sys.modules[name] = module


def _processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
