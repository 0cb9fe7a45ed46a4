"""The files of a folder, and what of them is never opened."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from rungwise.core.record import digest
from rungwise.data.readers import Quarantined


def fingerprint(path: Path, *settings: str | int | None) -> str:
    """SHA-256 in hex of a file's bytes, and of the settings that its rows depend on where there are any."""
    with path.open("rb") as file:
        own = hashlib.file_digest(file, "sha256").hexdigest()
    return digest([own, *settings]) if any(setting is not None for setting in settings) else own


def printable(name: str) -> str:
    """A name as text: bytes of a file name that are no UTF-8 as \\\\x.."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def files_of(folder: Path, *, inside: Path | None = None) -> Iterator[tuple[str, Path] | Quarantined]:
    """The files under a folder with their names in it, / between folders, sorted by name; hidden ones aside.

    Links to files are followed where they stay in the folder (or `inside` another one). Links to folders are never
    followed, so that none can lead in a circle; they, what leads out, and what is no file are Quarantined in their place.
    """
    root = os.path.realpath(inside or folder)
    found: list[tuple[str, Path | Quarantined]] = []
    waiting = [("", folder)]
    while waiting:
        prefix, here = waiting.pop()
        try:
            with os.scandir(here) as listing:
                entries = [entry for entry in listing if not entry.name.startswith(".")]
        except OSError as error:
            name = printable(prefix.rstrip("/")) or "."
            found.append((prefix, _refused(name, "malformed:unreadable", f"the folder cannot be read: {error.strerror}.")))
            continue
        for entry in entries:
            name, path = prefix + entry.name, here / entry.name
            if entry.is_dir(follow_symlinks=False):
                waiting.append((name + "/", path))
            else:
                found.append((name, _problem(entry, printable(name), root) or path))
    for name, one in sorted(found, key=lambda pair: pair[0]):
        yield one if isinstance(one, Quarantined) else (name, one)


def _problem(entry: os.DirEntry[str], name: str, root: str) -> Quarantined | None:
    """Why a file is not opened, if it is not."""
    if name != entry.path and printable(entry.name) != entry.name:
        return _refused(name, "refused:name", "the name of the file is not UTF-8. Rename it")
    if entry.is_symlink():
        target = os.path.realpath(entry.path)
        if not os.path.exists(target):
            return _refused(name, "refused:link", "a link that leads nowhere, or in a circle.")
        if os.path.commonpath([root, target]) != root:
            return _refused(name, "refused:link", "a link that leads out of the folder. Copy the file into it")
        if os.path.isdir(target):
            round_trip = os.path.commonpath([target, os.path.dirname(os.path.abspath(entry.path))]) == target
            why = (
                "a link to a folder that it stands in."
                if round_trip
                else "a link to a folder, whose files are read where they are."
            )
            return _refused(name, "refused:link", why)
    try:
        regular = stat.S_ISREG(entry.stat().st_mode)
    except OSError as error:
        return _refused(name, "malformed:unreadable", f"it cannot be read: {error.strerror}.")
    return None if regular else _refused(name, "refused:special", "not a file but a pipe, socket or device.")


def _refused(place: str, code: str, reason: str) -> Quarantined:
    return Quarantined(place, reason, code)
