"""Secrets in text: keys whose form says who gave them, private keys, URLs with a password, strings that look drawn at random."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from rungwise.curate.pii.span import Proof, Span
from rungwise.curate.pii.table import table

ENTROPY_BITS = 4.2
"""Shannon entropy in bits per character from which a token of 24 to 200 characters with capitals, small letters and digits
counts as drawn at random. The usual 4.5 of secret scanners cannot be reached by tokens under 23 characters and misses half of
the random ones of 32; at 4.2 it is one in twenty, and the ordinary texts of benchmarks/pii_structured.py give none."""

_KEY_REACH, _KEY_LENGTH = 64, 4096  # characters before a cue in which a key may begin, and the longest one looked for
_RANDOM = re.compile(r"(?<![A-Za-z0-9_+/=.\-])[A-Za-z0-9_+/\-]{24,200}={0,2}(?![A-Za-z0-9_+/=\-])")
_BLOCK_LENGTH = 16_384  # characters between the lines of a private key
_BEGIN = re.compile(r"-----BEGIN ([A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?)-----")
_OPEN_BLOCK = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:\s*[A-Za-z0-9+/=]{16,}){0,400}")
_LONG = re.compile(r"[A-Za-z0-9_\-]{16}")  # keys have such a part
_LOGIN = re.compile(r"[a-zA-Z][a-zA-Z0-9+.\-]*://[^/\s:@]{0,128}:(?P<password>[^/\s@]{1,256})@")
_PARAMETER = re.compile(
    r"[?&#;](?:access_?token|auth_?token|token|api_?key|key|secret|client_secret|password|passwd|pwd|sig|signature)=[A-Za-z0-9_%+/.~-]{12,}",
    re.IGNORECASE,
)


def entropy(text: str) -> float:
    """Shannon entropy of its characters, in bits per character."""
    size = len(text)
    return -sum(count / size * math.log2(count / size) for count in Counter(text).values())


def keys(text: str, start: int, end: int) -> Iterator[Span]:
    """Keys in or around the characters from `start` to `end` whose form says who gave them."""
    left = max(0, start - _KEY_REACH, text.rfind(" ", 0, start) + 1, text.rfind("\n", 0, start) + 1)
    around = text[left : end + _KEY_LENGTH].encode("ascii", "replace").decode()  # character by character, which RE2 counts faster
    for kind, form in table().keys:
        for found in form.finditer(around, 0, len(around)):
            first, last = found.span(1)
            if left + first >= end:
                break
            if left + last > start:
                yield Span(left + first, left + last, kind, Proof.CHECKSUM)


def random_strings(text: str, start: int, end: int) -> Iterator[Span]:
    """Tokens that look drawn at random."""
    for found in _RANDOM.finditer(text, start, min(len(text), end + 2)):  # the cue is the token, but for closing signs
        token = found.group()
        kinds = any(map(str.isupper, token)), any(map(str.islower, token)), sum(map(str.isdigit, token)) >= 2
        if all(kinds) and entropy(token) >= ENTROPY_BITS and not _is_path(token):
            yield Span(found.start(), found.end(), "SECRET", Proof.PATTERN)


def _is_path(token: str) -> bool:
    """Whether it is words joined by strokes: a short one with slashes, or one whose parts seldom mix letters and digits."""
    if "/" in token and len(token) < 40:
        return True
    parts = [part for part in re.split(r"[/_\-+]", token) if part]
    mixed = sum(len(part) for part in parts if not part.isalpha() and not part.isdigit())
    return len(parts) > 1 and mixed < len(token) * 0.6


def private_keys(text: str, start: int) -> Iterator[Span]:
    """The private key block that begins here, to its end line; without one, as far as its lines go."""
    begin = _BEGIN.match(text, start)
    if begin is None:
        return
    close = f"-----END {begin[1]}-----"
    last = text.find(close, begin.end() + 1, begin.end() + _BLOCK_LENGTH + len(close))
    block = _OPEN_BLOCK.match(text, start)
    if last >= 0:
        yield Span(start, last + len(close), "SECRET", Proof.CHECKSUM)
    elif block is not None:
        yield Span(start, block.end(), "SECRET", Proof.CHECKSUM)


def opens(url: str) -> bool:
    """Whether a URL lets somebody in: by a password, a key, or a parameter that is one."""
    return (
        _LOGIN.match(url) is not None
        or _PARAMETER.search(url) is not None
        or (_LONG.search(url) is not None and any(form.search(url.encode("ascii", "replace").decode()) for _, form in table().keys))
    )
