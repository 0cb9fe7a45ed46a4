"""Documents are read by a process of their own, which is ended when it takes too long."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import weakref
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rungwise.core.errors import MissingExtra
from rungwise.data.lines import CELL_CAP, Damaged
from rungwise.data.sources import Extracted

_NEEDS = {"html": ("selectolax", "reading HTML"), "pdf": ("pypdfium2", "reading PDF")}


class Extractor:
    """Asks one process for one document after another; a process that died or was ended is followed by a new one."""

    def __init__(self, seconds: float, memory_bytes: int) -> None:
        self.seconds, self.memory_bytes = seconds, memory_bytes
        self._process: subprocess.Popen[bytes] | None = None

    def __reduce__(self) -> tuple[type[Extractor], tuple[float, int]]:
        return Extractor, (self.seconds, self.memory_bytes)  # a source can be sent to a worker; its process cannot

    def text(self, path: Path, kind: str, encoding: str | None = None, *, cap: int = CELL_CAP) -> Extracted:
        """The text, title and pages of an HTML or PDF file. Raises Damaged with its reason, MissingExtra without the reader."""
        package, feature = _NEEDS[kind]
        if find_spec(package) is None:
            raise MissingExtra(feature, "curation")
        request = json.dumps({"path": str(path), "kind": kind, "encoding": encoding, "cap": cap}).encode() + b"\n"
        answer = self._ask(request)
        if "code" in answer:
            raise Damaged(answer["code"], answer["reason"], where=str(path))
        return Extracted(answer["text"], answer["title"], tuple(answer["pages"]))

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            _end(self._process)
            self._process = None

    def _ask(self, request: bytes) -> dict[str, Any]:
        process = self._running()
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self.seconds, end)
        timer.start()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(request)
                process.stdin.flush()
            line = process.stdout.readline()
        finally:
            timer.cancel()
        if line.endswith(b"\n"):
            answer: dict[str, Any] = json.loads(line)
            return answer
        self.close()
        if late.is_set():
            return {"code": "refused:time", "reason": f"reading it takes more than {self.seconds:g} s."}
        return {"code": "malformed:crash", "reason": "its reader crashed, or took more memory than the limit."}

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            package = str(Path(__file__).resolve().parents[3])
            paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
            command = [sys.executable, "-P", "-m", "rungwise.data.sources.extraction", str(self.memory_bytes)]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment)
            weakref.finalize(self, _end, self._process)
        return self._process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
