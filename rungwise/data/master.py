"""The master key: what the secret of every API key is derived from. It is never in the database."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from rungwise.core.errors import StoreError, UsageError

FILE = "master.key"
VARIABLE = "RUNGWISE_MASTER_KEY"
PREFIX = "rw-"
_BYTES = 32


class MasterKey:
    """Derives keys from their ids. The database holds only digests of them, so a copy of it opens nothing."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return "MasterKey(...)"  # never the secret, also not in a traceback with locals

    @classmethod
    def open(
        cls, state: Path, environ: Mapping[str, str] = os.environ, *, chance: Callable[[int], bytes] = os.urandom
    ) -> MasterKey:
        """The master key from the environment, else from its file in the state directory, which is made on first use.

        Raises UsageError for a variable that is too short to be a secret, StoreError for a file that others can read.
        """
        told = environ.get(VARIABLE, "").strip()
        if told:
            if len(told) < _BYTES:
                raise UsageError(
                    f"{VARIABLE} has {len(told)} characters, at least {_BYTES} make a secret. Run: openssl rand -hex 32"
                )
            return cls(hashlib.sha256(told.encode("utf-8", "surrogateescape")).digest())
        path = state / FILE
        try:
            if not path.exists():
                _make(path, chance(_BYTES))
            return cls(_read(path))
        except OSError as error:
            raise StoreError(
                f"cannot read or make the master key {path}: {error.strerror}. Mend its permissions, or set {VARIABLE}"
            ) from error

    def key_of(self, id: str) -> str:
        """The API key of an id: the bearer token, and the secret access key of signatures."""
        drawn = hmac.new(self._secret, b"rungwise api key\0" + id.encode(), hashlib.sha256).digest()
        return f"{PREFIX}{id}-{base64.urlsafe_b64encode(drawn).rstrip(b'=').decode()}"


def _make(path: Path, secret: bytes) -> None:
    """Write the file whole or not at all; of two processes that make it at once, the first one's stands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secret[:4].hex()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secret.hex().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path) -> bytes:
    if path.stat().st_mode & 0o077:
        raise StoreError(f"the master key {path} can be read by others. Type: chmod 600 {path}")
    try:
        secret = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError as error:
        raise StoreError(
            f"the master key {path} is damaged. Put back a copy of it; without one, keys go on as bearer tokens but sign nothing"
        ) from error
    if len(secret) != _BYTES:
        raise StoreError(f"the master key {path} has {len(secret)} bytes instead of {_BYTES}. Put back a copy of it")
    return secret
