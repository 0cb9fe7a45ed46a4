"""The vault: what placeholders and surrogates stand for, sealed under a key from the environment."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rungwise.core.errors import Corrupt, MissingExtra, UsageError
from rungwise.curate.pii.surrogates import LEAST_KEY_BYTES

_SCHEMA = "CREATE TABLE IF NOT EXISTS sealed (token TEXT PRIMARY KEY, box BLOB NOT NULL) WITHOUT ROWID"
_MARK = "\0vault 1"  # the row by which a wrong key is known
_EVERY = 1000  # values between two commits
_WORD_START = re.compile(r"(?<!\w)(?=\S)|(?=\[)")


def key_from(environment: str) -> bytes:
    """The key in an environment variable, as bytes. Raises UsageError when it is not set or too short to be one."""
    value = os.environ.get(environment, "").encode()
    if len(value) < LEAST_KEY_BYTES:
        state = "is not set" if not value else f"holds {len(value)} bytes, which can be guessed"
        raise UsageError(f"the key in ${environment} {state}. Type: export {environment}=$(openssl rand -hex 32), and keep it")
    return value


class Vault:
    """A file of sealed values: AES-256-GCM, a fresh nonce per value, the token bound to it as associated data.

    Tokens stand in clear, since the texts hold them anyway. Values are written with `keep` and committed every thousand and
    on closing; the same value under the same token is written once. A file is made when there is none. Raises UsageError
    for another key than the file was made with, MissingExtra without the package cryptography, Corrupt for a file that is no vault.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError as error:
            raise MissingExtra("a vault", "curation") from error
        self._box = AESGCM(hmac.digest(key, b"vault", hashlib.sha256))
        self._path, self._pending = path, 0
        new = not path.exists()
        if new:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        try:
            self._connection = sqlite3.connect(path)
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise Corrupt(f"{path} is not a vault: {error}. Name another file") from error
        if self._sealed(_MARK) is None:
            self.keep(_MARK, "", "")
            self.commit()
        self.value(_MARK)

    def keep(self, token: str, type: str, value: str) -> None:
        """Seal what a token stands for. Raises Corrupt when it stands for something else already."""
        known = self._sealed(token)
        if known is not None:
            if self._open(token, known) != (type, value):
                raise Corrupt(f"{token} would stand for two values in {self._path}. Was it made with another key?")
            return
        nonce = os.urandom(12)
        plain = json.dumps([type, value]).encode()  # ASCII, so that lone surrogates keep
        row = (_text(token), nonce + self._box.encrypt(nonce, plain, _text(token).encode()))
        self._connection.execute("INSERT INTO sealed VALUES (?, ?)", row)
        self._pending += 1
        if self._pending >= _EVERY:
            self.commit()

    def value(self, token: str) -> str | None:
        """What a token stands for; None where it stands for nothing."""
        sealed = self._sealed(token)
        return None if sealed is None else self._open(token, sealed)[1]

    def restored(self, text: str) -> str:
        """The text with every placeholder and surrogate in it brought back, the longest first at each place.

        Exact for placeholders. A surrogate is also brought back where the text holds the same characters by chance.
        """
        lengths = [row[0] for row in self._connection.execute("SELECT DISTINCT length(token) AS n FROM sealed ORDER BY n DESC")]
        pieces, place = [], 0
        for start in (found.start() for found in _WORD_START.finditer(text)):
            if start < place:
                continue
            for length in lengths:
                end = start + length
                if end <= len(text) and _ends_here(text, end) and (value := self.value(text[start:end])) is not None:
                    pieces += [text[place:start], value]
                    place = end
                    break
        return "".join(pieces) + text[place:]

    def commit(self) -> None:
        """Make everything kept so far durable."""
        self._connection.commit()
        self._pending = 0

    def _sealed(self, token: str) -> bytes | None:
        row: Any = self._connection.execute("SELECT box FROM sealed WHERE token = ?", (_text(token),)).fetchone()
        return None if row is None else bytes(row[0])

    def _open(self, token: str, sealed: bytes) -> tuple[str, str]:
        from cryptography.exceptions import InvalidTag

        try:
            type, value = json.loads(self._box.decrypt(sealed[:12], sealed[12:], _text(token).encode()))
        except InvalidTag as error:
            raise UsageError(f"{self._path} does not open with this key. Use the key it was made with") from error
        return type, value

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Commit what was kept, also after an error: values whose tokens were already written must not be lost."""
        self.commit()
        self._connection.close()


def _ends_here(text: str, end: int) -> bool:
    """Whether no word goes on over this place."""
    return not (text[end - 1].isalnum() and text[end : end + 1].isalnum())


def _text(token: str) -> str:
    """A token as SQLite can hold it: lone surrogates written as escapes."""
    return token.encode("utf-8", "backslashreplace").decode()
