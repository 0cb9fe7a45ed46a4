"""Fitted parts at rest: named files under a part's id, with a manifest of digests that is checked at load."""

from __future__ import annotations

from collections.abc import Mapping

from rungwise.core.errors import Corrupt
from rungwise.data.steps import Steps
from rungwise.data.store import Store


def save(store: Store, id: str, files: Mapping[str, bytes], *, seconds: float = 0.0) -> None:
    """Keep the files of a part; they become visible together, with the manifest, in one transaction."""
    manifest = {name: store.blobs.put(data) for name, data in sorted(files.items())}
    Steps(store).put(id, "artefact", manifest, seconds=seconds)


def has(store: Store, id: str) -> bool:
    """Whether the part was made and its files are all there; one whose file was lost or deleted is made anew."""
    step = Steps(store).get(id)
    return step is not None and all(store.blobs.has(digest) for digest in step.output.values())


def load(store: Store, id: str) -> dict[str, bytes]:
    """The files of a part. Raises Corrupt when it was never made or a byte differs from the manifest."""
    step = Steps(store).get(id)
    if step is None:
        raise Corrupt(f"the part {id[:12]} was never made in {store.directory}. Run the climb again to make it")
    return {name: store.blobs.get(digest) for name, digest in step.output.items()}


def size_bytes(store: Store, id: str) -> int:
    """How many bytes the files of a part take."""
    step = Steps(store).get(id)
    return sum(store.blobs.size_bytes(digest) for digest in step.output.values()) if step else 0
