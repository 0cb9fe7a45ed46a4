"""Where a training stands, at rest: weights, optimiser, random state and curve. A kill -9 leaves the last one whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rungwise.core.errors import Corrupt
from rungwise.core.record import canonical_json
from rungwise.data.blobs import write_durably

SUFFIX = ".checkpoint"
KEPT = 2  # should the newest be damaged, the one before it still is there


@dataclass(frozen=True)
class Snapshot:
    """A training after `step` optimiser steps: named tensors, and plain JSON data beside them."""

    step: int
    tensors: Mapping[str, Any]
    plain: Mapping[str, Any] = field(default_factory=dict)


class Checkpoints:
    """The checkpoints of one training in a folder of its own, named by `key`: the digest of everything that shapes the training.

    One is due every `every_s` seconds. A file begins with the SHA-256 of its rest. Raises StoreError when the disk is full:
    the checkpoint before stays whole, and the same command goes on from it.
    """

    def __init__(self, folder: Path, *, key: str, every_s: float = 30.0, clock: Callable[[], float]) -> None:
        self.folder, self.key, self.every_s, self._clock = folder, key, every_s, clock
        self._last = clock()

    def due(self) -> bool:
        """Whether the interval has passed since the last one, or since the beginning."""
        return self._clock() - self._last >= self.every_s

    def save(self, snapshot: Snapshot) -> Path:
        """Write one durably, then take away all but the newest two."""
        from safetensors.torch import save

        tensors = {name: tensor.detach().to("cpu").contiguous() for name, tensor in snapshot.tensors.items()}
        about = {"key": self.key, "step": str(snapshot.step), "plain": canonical_json(dict(snapshot.plain))}
        body = save(tensors, about)
        path = self.folder / f"{snapshot.step:010d}{SUFFIX}"
        write_durably(path, hashlib.sha256(body).hexdigest().encode() + body)
        for old in self._files()[:-KEPT]:
            old.unlink(missing_ok=True)
        self._last = self._clock()
        return path

    def load(self) -> Snapshot | None:
        """The newest whole checkpoint of this very training, or None. A damaged one is passed over, another training's too."""
        for path in reversed(self._files()):
            with suppress(Corrupt):
                found = read_checkpoint(path)
                if found[0] == self.key:
                    return found[1]
        return None

    def clear(self) -> None:
        """Take them all away: what they led to is kept."""
        for path in self._files():
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{SUFFIX}")) if self.folder.is_dir() else []


def read_checkpoint(path: Path) -> tuple[str, Snapshot]:
    """Whose checkpoint it is, and what is in it. Raises Corrupt when a byte differs from its digest."""
    from safetensors.torch import load

    whole = path.read_bytes()
    digest, body = whole[:64], whole[64:]
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise Corrupt(f"{path} is not as it was written. Delete it: the checkpoint before it will be used")
    size = int.from_bytes(body[:8], "little")
    about = json.loads(body[8 : 8 + size])["__metadata__"]
    return about["key"], Snapshot(int(about["step"]), load(body), json.loads(about["plain"]))
