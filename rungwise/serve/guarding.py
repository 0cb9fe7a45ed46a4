"""Where guards stand around an answerer: over the messages that come in, whole answers, and streams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from rungwise.serve.answerer import Answerer
from rungwise.serve.ask import EMBEDDINGS, Ask, Tape, Whole
from rungwise.serve.failure import BadRequest
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
        for choice in _choices(body):
            for said in _said(choice):
                text = said.holder.get(said.name) or ""
                if (kept := await check(self._out, text, "output", tape)) != text:
                    said.holder[said.name], changed = kept, True
                    choice.pop("logprobs", None)  # they say the text again, token by token
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
        plain = _plain_texts(ask.body)
        if plain is not None:  # the usual request: it is walked once, and rebuilt only where a guard changed a text
            mark = len(tape.spans)
            for text in plain:
                if await check(self._in, text, "input", tape) is not text:
                    del tape.spans[mark:]
                    break
            else:
                return ask
        changed = {}
        for name in _ASKED:
            value = ask.body.get(name)
            try:
                if value is not None and (looked := await self._looked(value, tape)) is not value:
                    changed[name] = looked
            except RecursionError:
                raise BadRequest(f"{name} is nested too deeply", param=name) from None
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


_ASKED = ("messages", "prompt", "input", "suffix")
_OTHERS, _PLAIN = frozenset(_ASKED) - {"messages"}, frozenset({"role", "content", "name"})
_SPOKEN = ("content", "text", "refusal", "reasoning_content", "reasoning")
_SAID = (*_SPOKEN, "tool_calls", "function_call", "function", "arguments", "custom", "input")


def _plain_texts(body: dict[str, Any]) -> list[str] | None:
    """The texts of a request that has messages with a text each and nothing else that says something; None for any other."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not body.keys().isdisjoint(_OTHERS):
        return None
    texts = []
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(content, str) or not message.keys() <= _PLAIN:
            return None
        texts.append(content)
    return texts


def _fields(ask: Ask) -> dict[str, Any]:
    return {name: getattr(ask, name) for name in Ask.__slots__}


@dataclass(frozen=True, slots=True)
class _Said:
    """A text of a choice: who holds it under which name, and the choice that says another text in the same place."""

    place: tuple[str, int]
    holder: dict[str, Any]
    name: str
    saying: Callable[[str], dict[str, Any]]


def _choices(body: dict[str, Any]) -> list[dict[str, Any]]:
    choices = body.get("choices")
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def _said(choice: dict[str, Any]) -> Iterator[_Said]:
    """Every text of a choice: what is said, thought and refused, and the arguments of the tools that are called."""
    outer = next((name for name in ("message", "delta") if isinstance(choice.get(name), dict)), None)
    holder = choice if outer is None else choice[outer]
    for name, value in list(holder.items()):
        if isinstance(value, str) and name in _SPOKEN:
            yield _Said((name, 0), holder, name, partial(_spoken, name, outer))
    calls = holder.get("tool_calls")
    for place, call in enumerate(calls if isinstance(calls, list) else ()):
        if not isinstance(call, dict):
            continue
        index = call["index"] if isinstance(call.get("index"), int) else place
        for kind, name in (("function", "arguments"), ("custom", "input")):
            if isinstance(call.get(kind), dict) and isinstance(call[kind].get(name) or "", str):
                yield _Said((kind, index), call[kind], name, partial(_called, index, kind, name))
    called = holder.get("function_call")
    if isinstance(called, dict) and isinstance(called.get("arguments"), str):
        yield _Said(("function_call", 0), called, "arguments", lambda text: {"delta": {"function_call": {"arguments": text}}})


def _says_more(choice: dict[str, Any]) -> bool:
    """Whether a choice whose texts were taken out still says something: a role, the name of a tool."""
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return False
    calls = delta.get("tool_calls")
    if any(isinstance(call, dict) and (call.get("id") or call.get("type")) for call in (calls if isinstance(calls, list) else ())):
        return True
    return any(value is not None for name, value in delta.items() if name not in _SPOKEN and name != "tool_calls")


def _spoken(name: str, outer: str | None, text: str) -> dict[str, Any]:
    return {name: text} if outer is None else {outer: {name: text}}


def _called(index: int, kind: str, name: str, text: str) -> dict[str, Any]:
    return {"delta": {"tool_calls": [{"index": index, kind: {name: text}}]}}


class _Held:
    """One text of a stream: what is held back, and the end of what has left."""

    def __init__(self, guards: Sequence[Placed], tape: Tape) -> None:
        self._guards, self._tape = guards, tape
        self.text, self._seen = "", ""

    async def look(self, *, keep: int) -> str:
        """What may leave: all that is held was looked at. The last `keep` characters stay: they may begin something."""
        if not self.text:
            return ""
        together = self._seen + self.text
        kept = await check(self._guards, together, "output", self._tape)
        if kept != together:
            same = next((n for n, pair in enumerate(zip(kept, self._seen, strict=False)) if pair[0] != pair[1]), len(self._seen))
            self.text = kept[same:]
        leave = self.text[: max(0, len(self.text) - keep)]
        self.text = self.text[len(leave) :]
        self._seen = (self._seen + leave)[-OVERLAP:]
        return leave


class _Window:
    """The texts of a stream, each held back until it was looked at; what a chunk says beside them leaves at once."""

    def __init__(self, guards: Sequence[Placed], tape: Tape) -> None:
        self._guards, self._tape = guards, tape
        self._head: dict[str, Any] = {}
        self._held: dict[int, dict[tuple[str, int], tuple[_Held, Callable[[str], dict[str, Any]]]]] = {}

    async def feed(self, piece: bytes) -> list[bytes]:
        """Take in a chunk; give what may leave by now."""
        body = read_object(piece)
        self._head = self._head or {name: body[name] for name in ("id", "object", "created", "model") if name in body}
        choices = _choices(body)
        leaving: list[bytes] = []
        more = not choices or bool(body.get("usage"))
        for choice in choices:
            more |= await self._take(choice, leaving)
        return [*leaving, encode(body)] if more else leaving

    async def close(self) -> list[bytes]:
        """Give the rest of a stream that broke off without an ending."""
        leaving: list[bytes] = []
        for index in self._held:
            await self._leave(index, leaving, keep=0)
        return leaving

    async def _take(self, choice: dict[str, Any], leaving: list[bytes]) -> bool:
        """Take the texts out of a choice; whether it says more than them."""
        index = choice["index"] if isinstance(choice.get("index"), int) else 0
        held = self._held.setdefault(index, {})
        if choice.get("logprobs") is not None:
            choice["logprobs"] = None  # they say the text, token by token
        for said in _said(choice):
            if said.place not in held:  # what another place said before is over, and comes before this
                await self._leave(index, leaving, keep=0)
                held[said.place] = _Held(self._guards, self._tape), said.saying
            held[said.place][0].text += said.holder.get(said.name) or ""
            said.holder[said.name] = ""
        if choice.get("finish_reason"):
            await self._leave(index, leaving, keep=0)
            return True
        await self._leave(index, leaving, keep=OVERLAP, least=WINDOW)
        return _says_more(choice)

    async def _leave(self, index: int, leaving: list[bytes], *, keep: int, least: int = 0) -> None:
        for one, saying in self._held[index].values():
            if len(one.text) >= least and (text := await one.look(keep=keep)):
                choice = {"index": index, **saying(text), "finish_reason": None}
                leaving.append(encode({**self._head, "choices": [choice]}))
