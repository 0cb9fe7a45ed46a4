"""Exported encoders at rest: files under the digest of what they were made from, with a manifest that is checked at load."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rungwise.core.errors import Corrupt
from rungwise.core.record import canonical_json, digest
from rungwise.data.blobs import write_durably
from rungwise.engines.encoders.folder import digest_of
from rungwise.engines.encoders.processor import processor_name

CODE_VERSION = "1"  # raise it when the same model would now be exported or checked differently
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Export:
    """The files of an exported model and how faithful it was. `refused` says why it is not to be used; then there are no files."""

    files: Mapping[str, bytes]
    fidelity: str
    refused: str | None = None


def export_folder(cache: Path, folder: Path, *made: str) -> Path:
    """Where the export of a model folder lies. `made` is the backend, its version and the number format.

    The processor is part of the name: what was found faithful on one kind is checked anew on another that shares the cache.
    """
    return cache / digest([CODE_VERSION, digest_of(folder), processor_name(), *made])[:32]


def keep_export(cache: Path, folder: Path, *made: str, export: Export) -> None:
    """Write an export durably; it is visible only when it is whole. Raises StoreError when the disk does not take it."""
    place = export_folder(cache, folder, *made)
    for name, data in export.files.items():
        write_durably(place / name, data)
    manifest = {
        "made": list(made),
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in export.files.items()},
        "fidelity": export.fidelity,
        "refused": export.refused,
    }
    write_durably(place / MANIFEST, canonical_json(manifest).encode())  # last: without it the export is not there


def read_export(cache: Path, folder: Path, *made: str) -> Export | None:
    """The export of a model folder, or None where none was made. Raises Corrupt when a byte is not as it was written."""
    place = export_folder(cache, folder, *made)
    if not (place / MANIFEST).is_file():
        return None
    try:
        manifest = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
        files = {name: (place / name).read_bytes() for name in manifest["files"]}
        wrong = [name for name, data in files.items() if hashlib.sha256(data).hexdigest() != manifest["files"][name]]
        export = Export(files, manifest["fidelity"], manifest["refused"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Corrupt(f"the exported encoder in {place} cannot be read ({error}).") from error
    if wrong:
        raise Corrupt(f"{place / wrong[0]} does not match its digest: the disk or another program changed it.")
    return export
