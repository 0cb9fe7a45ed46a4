"""Texts on disk in plain form, for steps that ask for them in any order."""

from __future__ import annotations

import os
import tempfile
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path


class Spool:
    """Texts in a file without a name, which is gone when the process ends however it ends. Eight bytes of memory a text."""

    def __init__(self, directory: Path, batches: Iterable[Sequence[str]]) -> None:
        self._file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - it lives as long as the spool
        self._offsets = array("q", [0])
        for texts in batches:
            for text in texts:
                self._offsets.append(self._offsets[-1] + self._file.write(text.encode("utf-8", "surrogatepass")))
        self._file.flush()

    def texts(self, rows: Sequence[int]) -> list[str]:
        """The texts of these rows, in the order asked for."""
        handle, offsets = self._file.fileno(), self._offsets
        found = (os.pread(handle, offsets[row + 1] - offsets[row], offsets[row]) for row in rows)
        return [body.decode("utf-8", "surrogatepass") for body in found]

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
