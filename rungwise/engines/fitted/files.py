"""A model as named files: read from a folder or written to one, each byte held against the manifest, pickle refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from rungwise.core.errors import Corrupt, UsageError
from rungwise.core.record import canonical_json

Files = dict[str, bytes]

MANIFEST = "manifest.json"
"""SHA-256 of every other file of the folder, by its name."""

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz", ".msgpack", ".h5")
"""Endings of weight files that can hold programs, or that nothing here reads."""

WEIGHTS = ".safetensors"


def with_manifest(files: Mapping[str, bytes]) -> Files:
    """The files and a manifest of their digests. Equal files give equal bytes."""
    rest = {name: data for name, data in files.items() if name != MANIFEST}
    listed = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(rest.items())}
    return {**rest, MANIFEST: canonical_json(listed).encode()}


def check_manifest(files: Mapping[str, bytes], *, where: str) -> None:
    """Raise Corrupt when a file is missing, is not listed, or is not the one that the manifest names."""
    try:
        listed = dict(json.loads(files[MANIFEST]))
    except (KeyError, ValueError, TypeError) as error:
        raise Corrupt(f"{where}: {MANIFEST} is missing or cannot be read. Fit it again, or copy the whole folder again") from error
    if unknown := sorted(set(files) - set(listed) - {MANIFEST}):
        raise Corrupt(f"{where}: {unknown[0]} is not in {MANIFEST}. Take it out of the folder")
    for name, digest in listed.items():
        if name not in files:
            raise Corrupt(f"{where}: {name} is missing. Fit it again, or copy the whole folder again")
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise Corrupt(f"{where}: {name} is not as it was fitted (its SHA-256 differs). Fit it again, or copy it again")


def read_folder(folder: Path) -> Files:
    """The files of a model folder, by their paths in it; those of a folder with a manifest are held against it.

    Raises UsageError when there is no such folder or its weights are pickled, Corrupt when a byte differs.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no model folder {folder}. Name a folder with config.json and model.safetensors")
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path.relative_to(folder)))
    weighty = [path for path in paths if path.suffix == WEIGHTS]
    pickled = [path for path in paths if path.suffix.lower() in PICKLES]
    if pickled and not weighty:
        raise UsageError(
            f"{pickled[0]} is a pickle, which can run programs when it is read: it is refused. Save the model as safetensors"
        )
    names = {path: str(PurePosixPath(path.relative_to(folder))) for path in paths if path not in pickled}
    files = {name: path.read_bytes() for path, name in names.items()}
    if MANIFEST in files and pickled:
        raise Corrupt(f"{pickled[0]} is not in {MANIFEST}. Take it out of the folder")
    if MANIFEST in files:
        check_manifest(files, where=str(folder))
    return files


def folder_digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 over names and bytes: what a model is called when it is the base of another."""
    listed = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items()) if name != MANIFEST}
    return hashlib.sha256(canonical_json(listed).encode()).hexdigest()


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
