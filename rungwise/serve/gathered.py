"""A streamed answer put together again: the chunks of a chat completion as the one JSON that it would have been."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FOLDED_BYTES = 64_000
"""Chunks are kept as they came until they are so many bytes: most answers are put together once, at their end, or never."""
_ONCE = frozenset({"role", "id", "type", "name"})
"""Texts that a later chunk says again; other texts are continued."""
_CHOICE = frozenset({"index", "delta", "text"})


class Gathered:
    """Takes the chunks of one answer, as JSON, in their order. What is no JSON object is left out."""

    __slots__ = ("_choices", "_given", "_head", "_new", "_new_bytes")

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self._new: list[bytes] = []
        self._new_bytes = 0
        self._given: bytes | None = None

    def feed(self, chunk: bytes) -> None:
        """Take the next chunk."""
        self._new.append(chunk)
        self._new_bytes += len(chunk)
        if self._new_bytes >= _FOLDED_BYTES:
            self._fold()

    def take_whole(self, body: bytes) -> None:
        """Take an answer that is whole already."""
        self._given = body

    def whole(self) -> bytes | None:
        """The answer so far as one JSON object; of a stream that was cut off, what came; None when nothing has."""
        import msgspec

        if self._given is not None:
            return self._given
        self._fold()
        if not self._head and not self._choices:
            return None
        choices = [self._choices[index] for index in sorted(self._choices)]
        return msgspec.json.encode({**self._head, "choices": choices})

    def _fold(self) -> None:
        import msgspec

        for piece in self._new:
            try:
                chunk = msgspec.json.decode(piece)
            except msgspec.DecodeError:
                continue
            if isinstance(chunk, dict):
                self._take(chunk)
        self._new, self._new_bytes = [], 0

    def _take(self, chunk: dict[str, Any]) -> None:
        choices = chunk.pop("choices", None)
        for name, value in chunk.items():
            if value is not None or name not in self._head:
                self._head[name] = value
        kind = self._head.get("object")
        if isinstance(kind, str):
            self._head["object"] = kind.removesuffix(".chunk")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self._add(choice)

    def _add(self, choice: dict[str, Any]) -> None:
        index = choice.get("index")
        index = index if isinstance(index, int) else 0
        own = self._choices.setdefault(index, {"index": index})
        delta, text = choice.get("delta"), choice.get("text")
        if isinstance(delta, dict):
            _merge(own.setdefault("message", {}), delta)
        if isinstance(text, str):
            own["text"] = own.get("text", "") + text
        for name, value in choice.items():
            if name in _CHOICE:
                continue
            if name == "logprobs" and isinstance(value, dict) and isinstance(own.get(name), dict):
                _merge(own[name], value)
            elif value is not None or name not in own:
                own[name] = value


def _merge(whole: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Continue an object with what a chunk adds: texts go on, lists get longer, entries with an index are continued."""
    for name, value in more.items():
        before = whole.get(name)
        if value is None:
            whole.setdefault(name, None)
        elif isinstance(value, str) and isinstance(before, str) and name not in _ONCE:
            whole[name] = before + value
        elif isinstance(value, dict) and isinstance(before, dict):
            _merge(before, value)
        elif isinstance(value, list):
            whole[name] = before if isinstance(before, list) else []
            for item in value:
                _append(whole[name], item)
        elif before is None or value != "":
            whole[name] = value


def _append(items: list[Any], item: Any) -> None:
    index = item.get("index") if isinstance(item, dict) else None
    if not isinstance(index, int):
        items.append(item)
        return
    same = next((one for one in items if isinstance(one, dict) and one.get("index") == index), None)
    if same is None:
        same = {}
        items.append(same)
    _merge(same, item)
