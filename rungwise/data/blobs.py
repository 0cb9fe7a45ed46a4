"""Bytes kept under their own digest."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from rungwise.core.errors import Corrupt, StoreError


def write_durably(path: Path, data: bytes) -> None:
    """Write a file so that after a crash it is either whole or absent: temporary name, fsync, rename, fsync the directory."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        new = [folder for folder in path.parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        for folder in (path.parent, *(made.parent for made in new)):  # a new folder is an entry of the one above it
            _sync_directory(folder)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise StoreError(
            f"cannot write {path}: {error.strerror}. Free some space or fix the permissions, then run the same command again"
        ) from error


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Blobs:
    """A folder of content-addressed files, two hex digits deep."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, digest: str) -> Path:
        """Where the bytes with this digest lie, or would lie."""
        return self.directory / digest[:2] / digest

    def has(self, digest: str) -> bool:
        """Whether bytes with this digest are kept."""
        return self.path(digest).exists()

    def put(self, data: bytes) -> str:
        """Keep bytes durably and give their SHA-256."""
        digest = hashlib.sha256(data).hexdigest()
        if not self.has(digest):
            write_durably(self.path(digest), data)
        return digest

    def delete(self, digest: str) -> None:
        """Delete bytes; nothing happens where they are gone already."""
        path = self.path(digest)
        if path.exists():
            path.unlink()
            _sync_directory(path.parent)

    def size_bytes(self, digest: str) -> int:
        """How many bytes are kept under this digest. Raises Corrupt when they are missing."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError as error:
            raise self._missing(digest) from error

    def get(self, digest: str) -> bytes:
        """The bytes with this digest. Raises Corrupt when they are missing or do not match it."""
        try:
            data = self.path(digest).read_bytes()
        except FileNotFoundError as error:
            raise self._missing(digest) from error
        except OSError as error:
            raise StoreError(f"cannot read {self.path(digest)}: {error.strerror}. Check the disk and its permissions") from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise Corrupt(
                f"{self.path(digest)} does not match its digest: the disk or another program changed it. "
                f"Delete it (rm {self.path(digest)}) and run the climb again, which makes it anew"
            )
        return data

    def _missing(self, digest: str) -> Corrupt:
        return Corrupt(f"{self.path(digest)} is missing. Run the climb again, which makes it anew")
