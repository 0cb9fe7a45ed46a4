"""Keeps an API key out of everything that is shown or stored, also when a server sends it back."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, quote_plus

from rungwise.core.content import Token, ToolCall
from rungwise.core.errors import UsageError

SHOWN = "[key]"
# Placeholders for servers that need no key ('EMPTY', 'none') are no secrets; replacing them would damage answers.
SHORTEST_SECRET = 8


def read_key(key_env: str | None, environ: Mapping[str, str], *, endpoint: str) -> str | None:
    """The key from the environment, at the moment of the call. Raises UsageError when it is not there or cannot be a header."""
    if key_env is None:
        return None
    key = environ.get(key_env, "").strip()
    if not key:
        raise UsageError(f"endpoint '{endpoint}' needs its key in the environment variable {key_env}. Run: export {key_env}=...")
    if not (key.isascii() and key.isprintable()):
        raise UsageError(f"the key in {key_env} for endpoint '{endpoint}' holds characters that no key has. Set it again")
    return key


def redact(text: str, key: str | None) -> str:
    """The text with every mention of the key replaced, percent-encoded ones too."""
    for form in _forms(key):
        if form in text:
            text = text.replace(form, SHOWN)
    return text


def redact_calls(calls: tuple[ToolCall, ...], key: str | None) -> tuple[ToolCall, ...]:
    """Tool calls without the key."""
    if not _forms(key):
        return calls
    return tuple(ToolCall(call.id, redact(call.name, key), redact(call.arguments, key)) for call in calls)


def redact_tokens(tokens: tuple[Token, ...], key: str | None) -> tuple[Token, ...]:
    """The tokens, or none at all where they spell the key: no single token gives it away, all together do."""
    spelled = "".join(token.text for token in tokens)
    likely = any(form in text for form in _forms(key) for token in tokens for text, _ in token.likely)
    return () if likely or any(form in spelled for form in _forms(key)) else tokens


class StreamRedactor:
    """Redacts a text that comes in pieces: holds back the end for as long as it may be the beginning of the key."""

    def __init__(self, key: str | None) -> None:
        self._key, self._held = key, ""

    def feed(self, piece: str) -> str:
        """What may be shown by now."""
        forms = _forms(self._key)
        if not forms:
            return piece
        text = redact(self._held + piece, self._key)
        longest = max(map(len, forms)) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(form.startswith(text[-length:]) for form in forms):
                self._held = text[-length:]
                return text[:-length]
        self._held = ""
        return text

    def close(self) -> str:
        """What was held back; it did not become the key."""
        held, self._held = self._held, ""
        return held


def _forms(key: str | None) -> tuple[str, ...]:
    if key is None or len(key) < SHORTEST_SECRET:
        return ()
    return tuple(dict.fromkeys((key, quote(key, safe=""), quote_plus(key))))
