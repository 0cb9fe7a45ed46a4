"""Tokens to text while they come: never half a character, never a piece of a stop text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

UNKNOWN = "\ufffd"
MOST_HELD = 3
"""A character of UTF-8 has at most four bytes, so that three signs of an unfinished one can still become another."""


class Detokeniser:
    """The `text` of one answer so far, token by token; `stopped` once a stop text has come, which is not given.

    Only a window of the last tokens is decoded again, since spaces depend on the token before.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str] = ()) -> None:
        self._decode, self._stop = decode, tuple(stop)
        self._ids: list[int] = []
        self._start, self._given = 0, 0  # the window's first token, and how many of its characters were given
        self._held = ""  # text that may be the beginning of a stop text
        self.text, self.stopped = "", False

    def add(self, token: int) -> str:
        """What the token adds to the text; often nothing, when a character or a stop text may not be whole yet."""
        self._ids.append(token)
        window = self._decode(self._ids[self._start :])
        whole = len(window) - min(MOST_HELD, len(window) - len(window.rstrip(UNKNOWN)))
        fresh = window[self._given : whole]
        self._given = max(self._given, whole)
        if fresh and whole == len(window):
            self._start = len(self._ids) - 1
            self._given = len(self._decode(self._ids[self._start :]))
        return self._released(fresh)

    def end(self) -> str:
        """What was held back and no token follows."""
        window = self._decode(self._ids[self._start :])
        rest = self._released(window[self._given :]) + self._held
        self.text += self._held
        self._given, self._held = len(window), ""
        return rest

    def _released(self, fresh: str) -> str:
        if self.stopped:
            return ""
        text = self._held + fresh
        places = [place for place in (text.find(one) for one in self._stop) if place >= 0]
        self.stopped = bool(places)
        size = min(places) if places else len(text) - max((_overlap(text, one) for one in self._stop), default=0)
        self._held = "" if places else text[size:]
        self.text += text[:size]
        return text[:size]


def _overlap(text: str, stop: str) -> int:
    """How many of the last characters of `text` are the first ones of `stop`."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)
