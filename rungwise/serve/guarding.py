"""Where guards stand around an answerer: over the messages that come in, whole answers, and streams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, cast

from rungwise.serve.answerer import Answerer
from rungwise.serve.ask import EMBEDDINGS, Ask, Tape, Whole
from rungwise.serve.guards import Placed, check
from rungwise.serve.shapes import encode, read_object

WINDOW, OVERLAP = 240, 80
"""Characters of a stream that are looked at together, and how many of those before are looked at again with the next.

What reaches over a border of windows by at most OVERLAP characters is still seen whole before any of it has left.
"""


def with_guards(answerer: Answerer, guards: Sequence[Placed]) -> Answerer:
    """Wrap an answerer so that nothing reaches it, and nothing leaves it, that a guard refuses."""
    return _Guarded(answerer, guards) if guards else answerer


class _Guarded:
    def __init__(self, answerer: Answerer, guards: Sequence[Placed]) -> None:
        self._answerer = answerer
        self._in = [placed for placed in guards if "input" in placed.rule.where]
        self._out = [placed for placed in guards if "output" in placed.rule.where]

    async def whole(self, ask: Ask, tape: Tape) -> Whole:
        """The answer with its texts looked at; untouched bytes where no guard changed anything."""
        ask = await self._inward(ask, tape)
        answer = await self._answerer.whole(ask, tape)
        if not self._out or ask.operation == EMBEDDINGS:
            return answer
        body = read_object(answer.body)
        changed = False
        for choice in body.get("choices") or ():
            holder, name = (choice["message"], "content") if isinstance(choice.get("message"), dict) else (choice, "text")
            said = holder.get(name)
            if isinstance(said, str) and (kept := await check(self._out, said, "output", tape)) != said:
                holder[name], changed = kept, True
        return Whole(encode(body), answer.status, answer.headers) if changed else answer

    async def stream(self, ask: Ask, tape: Tape) -> AsyncIterator[bytes]:
        """The pieces, held back until the window that they are in was looked at."""
        ask = await self._inward(ask, tape)
        async with aclosing(cast(Any, self._answerer.stream(ask, tape))) as pieces:
            if not self._out:
                async for piece in pieces:
                    yield piece
                return
            window = _Window(self._out, tape)
            async for piece in pieces:
                for kept in await window.feed(piece):
                    yield kept
            for kept in await window.close():
                yield kept

    async def _inward(self, ask: Ask, tape: Tape) -> Ask:
        """The request with each text looked at. What the client sent is not changed: others may still hold it."""
        if not self._in:
            return ask
        changed = {}
        for name in _ASKED:
            value = ask.body.get(name)
            if value is not None and (looked := await self._looked(value, tape)) is not value:
                changed[name] = looked
        return Ask(**{**_fields(ask), "body": {**ask.body, **changed}}) if changed else ask

    async def _looked(self, value: Any, tape: Tape) -> Any:
        if isinstance(value, str):
            return await check(self._in, value, "input", tape)
        if isinstance(value, list):
            looked = [await self._looked(item, tape) for item in value]
            return looked if any(new is not old for new, old in zip(looked, value, strict=True)) else value
        if isinstance(value, dict):
            own = {name: await self._looked(value[name], tape) for name in _SAID if name in value}
            return {**value, **own} if any(new is not value[name] for name, new in own.items()) else value
        return value


_ASKED = ("messages", "prompt", "input")
_SAID = ("content", "text", "tool_calls", "function", "arguments")


def _fields(ask: Ask) -> dict[str, Any]:
    return {name: getattr(ask, name) for name in Ask.__slots__}


class _Window:
    """The text of a stream's first choice, held back until it was looked at; what says more than text keeps its place in it."""

    def __init__(self, guards: Sequence[Placed], tape: Tape) -> None:
        self._guards, self._tape = guards, tape
        self._head: dict[str, Any] = {}
        self._text, self._seen = "", ""

    async def feed(self, piece: bytes) -> list[bytes]:
        """Take in a chunk; give what may leave by now."""
        body = read_object(piece)
        choice = _choice(body)
        self._head = self._head or {name: body[name] for name in ("id", "object", "created", "model") if name in body}
        said, ends = _take(choice), bool(choice.get("finish_reason") or not choice)
        leaving: list[bytes] = []
        if ends:
            self._text += said
        if ends or set(choice.get("delta") or {}) - {"content"}:
            leaving += [*await self._look(keep=0, like=choice), encode(body)]
        if not ends:
            self._text += said
        if len(self._text) >= WINDOW:
            leaving += await self._look(keep=OVERLAP, like=choice)
        return leaving

    async def close(self) -> list[bytes]:
        """Give the rest of a stream that broke off without an ending."""
        return await self._look(keep=0, like={"delta": {}})

    async def _look(self, *, keep: int, like: dict[str, Any]) -> list[bytes]:
        """Look at what is held, with the end of what has left. The last `keep` characters stay: they may begin something."""
        if not self._text:
            return []
        together = self._seen + self._text
        kept = await check(self._guards, together, "output", self._tape)
        if kept != together:
            same = next((n for n, pair in enumerate(zip(kept, self._seen, strict=False)) if pair[0] != pair[1]), len(self._seen))
            self._text = kept[same:]
        leave = self._text[: max(0, len(self._text) - keep)]
        self._text = self._text[len(leave) :]
        self._seen = (self._seen + leave)[-OVERLAP:]
        if not leave:
            return []
        content = {"delta": {"content": leave}} if "delta" in like or not like else {"text": leave}
        return [encode({**self._head, "choices": [{"index": 0, **content, "finish_reason": None}]})]


def _take(choice: dict[str, Any]) -> str:
    """The text of a chunk, taken out of it."""
    holder, name = (choice["delta"], "content") if isinstance(choice.get("delta"), dict) else (choice, "text")
    said = holder.get(name)
    if not isinstance(said, str):
        return ""
    holder[name] = ""
    return said


def _choice(body: dict[str, Any]) -> dict[str, Any]:
    choices = body.get("choices")
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
