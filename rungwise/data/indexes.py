"""Indexes at rest: each version names its segments by their digests, and one pointer says which version is searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.record import digest, to_plain
from rungwise.data.nouns import Nouns
from rungwise.data.store import FILE, Store

HEAD_SETTING, TRAIL_SETTING = "index.head", "index.trail"
"""Which version is searched, and every version that ever was, oldest first, one id a line."""


@dataclass(frozen=True, kw_only=True)
class StoredSegment:
    """A segment of an index: `files` by name and digest; `dead` are the places of documents that are deleted or were replaced.

    `dead_chunks` counts their chunks.
    """

    files: Mapping[str, str]
    documents: int
    chunks: int
    dead: tuple[int, ...] = ()
    dead_chunks: int = 0


@dataclass(frozen=True, kw_only=True)
class IndexVersion:
    """An index as it was at one time: how it is made, from where, and of which segments. It never changes."""

    recipe: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    segments: tuple[StoredSegment, ...] = ()
    documents: int = 0
    chunks: int = 0

    @property
    def id(self) -> str:
        """SHA-256 of the content: the same documents indexed alike in the same steps have the same id."""
        return digest(to_plain(self))


class Indexes:
    """The versions of the index in a store. A version is put whole or not at all: blobs first, then the pointer."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def head(self) -> IndexVersion | None:
        """The version that is searched; None where nothing was indexed yet."""
        id = self.store.setting(HEAD_SETTING)
        return Nouns(self.store).get(IndexVersion, id) if id is not None else None

    def trail(self) -> tuple[str, ...]:
        """The ids of all versions, oldest first."""
        return tuple(filter(None, (self.store.setting(TRAIL_SETTING) or "").split("\n")))

    def find(self, prefix: str) -> IndexVersion:
        """The version whose id begins so. Raises UnknownName when none or several do."""
        found = {id for id in self.trail() if id.startswith(prefix)}
        if len(found) != 1:
            raise UnknownName("version of the index", prefix, [id[:12] for id in self.trail()], where=str(self.store.directory))
        return Nouns(self.store).get(IndexVersion, found.pop())

    def keep(self, files: Mapping[str, bytes], *, documents: int, chunks: int) -> StoredSegment:
        """Keep the files of a segment; nothing refers to them until a version does."""
        digests = {name: self.store.blobs.put(data) for name, data in sorted(files.items())}
        return StoredSegment(files=digests, documents=documents, chunks=chunks)

    def load(self, segment: StoredSegment) -> dict[str, bytes]:
        """The files of a segment. Raises Corrupt when one is missing or a byte of it differs."""
        return {name: self.store.blobs.get(one) for name, one in segment.files.items()}

    def point(self, version: IndexVersion) -> str:
        """Make a version the one that is searched; give its id. Whoever searches at that moment goes on with the one before."""
        id = Nouns(self.store).put(version)
        trail = [one for one in self.trail() if one != id]
        self.store.set_settings({TRAIL_SETTING: "\n".join([*trail, id]), HEAD_SETTING: id})
        return id

    def forget(self, keep: Sequence[str]) -> int:
        """Forget every version but these, and delete the files that no other one needs; give how many bytes that freed."""
        kept = [id for id in self.trail() if id in set(keep)]
        gone = [id for id in self.trail() if id not in set(keep)]
        nouns = Nouns(self.store)
        needed = {one for id in kept for segment in nouns.get(IndexVersion, id).segments for one in segment.files.values()}
        had = {one for id in gone for segment in nouns.get(IndexVersion, id).segments for one in segment.files.values()}
        self.store.set_settings({TRAIL_SETTING: "\n".join(kept)})
        freed = 0
        for one in sorted(had - needed):
            if self.store.blobs.has(one):
                freed += self.store.blobs.size_bytes(one)
                self.store.blobs.delete(one)
        return freed


def is_index(directory: Path) -> bool:
    """Whether a folder holds an index of its own."""
    return (directory / INDEX_FILE).is_file()


def mark(directory: Path) -> None:
    """Say in a folder that it holds an index. Raises UsageError when other things lie in it."""
    if is_index(directory):
        return
    if directory.exists() and any(directory.iterdir()) and not (directory / FILE).exists():
        raise UsageError(f"{directory} holds other files. Choose a new folder for the index: --into FOLDER")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / INDEX_FILE).write_text(_ABOUT, encoding="utf-8")


INDEX_FILE = "INDEX.txt"
_ABOUT = """This folder is a search index. The versions are in rungwise.db, the segments in blobs/.
Search it:  rungwise search FOLDER "words"
Ask it:     rungwise ask FOLDER "a question"
Update it:  rungwise index SOURCE --into FOLDER
"""
