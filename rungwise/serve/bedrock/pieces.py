"""An answer in the shape of OpenAI as a row of blocks (thought, text, tool calls), whole or while it comes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rungwise.serve.failure import EngineDown

THOUGHT, TEXT, CALL = "thought", "text", "call"
STOP, STOP_SEQUENCE, LENGTH, TOOLS, FILTER, MALFORMED = "stop", "stop_sequence", "length", "tools", "filter", "malformed"

_FINISHES = {"stop": STOP, "length": LENGTH, "tool_calls": TOOLS, "function_call": TOOLS, "content_filter": FILTER}


@dataclass(frozen=True, slots=True)
class Began:
    """A block begins; calls say their id and name."""

    index: int
    kind: str
    id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Grew:
    """A block grows by some text; a call by a piece of the JSON of its arguments."""

    index: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A block is whole."""

    index: int
    kind: str


Piece = Began | Grew | Ended


class Details(msgspec.Struct, gc=False):
    """Tokens by where they come from."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class Count(msgspec.Struct, gc=False):
    """Tokens of a request as the engine counts them; `prompt_tokens` includes the cached ones."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: Details | None = None

    @property
    def read(self) -> int:
        """Input tokens that came from the engine's cache."""
        return (self.prompt_tokens_details and self.prompt_tokens_details.cached_tokens) or 0

    @property
    def written(self) -> int:
        """Input tokens that the engine put into its cache."""
        return (self.prompt_tokens_details and self.prompt_tokens_details.cache_write_tokens) or 0

    @property
    def fresh(self) -> int:
        """Input tokens that had nothing to do with the cache: this is what Bedrock calls input tokens."""
        return max(0, self.prompt_tokens - self.read - self.written)


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct, gc=False):
    content: str | list[Any] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct, gc=False):
    index: int = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None
    stop_reason: int | str | None = None  # vLLM says which of the stop sequences it was


class _Body(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: Count | None = None


_DECODER = msgspec.json.Decoder(_Body)


@dataclass(slots=True)
class Blocks:
    """Turns bodies of an answer into pieces, and keeps what is known of the answer. Blocks follow one another.

    `finish` is one of the words above, `stopped_by` the stop sequence where the engine tells it. A piece of a call that had
    already ended raises EngineDown: the client has been told that the call was whole.
    """

    finish: str = STOP
    stopped_by: str | None = None
    count: Count | None = None
    id: str | None = None
    model: str | None = None
    arguments: dict[int, list[str]] = field(default_factory=dict)
    _open: Began | None = None
    _next: int = 0
    _calls: dict[int, int] = field(default_factory=dict)  # the engine's number of a call -> our block

    @property
    def next_index(self) -> int:
        """The number of the block that would begin now."""
        return self._next

    def take(self, body: bytes) -> Iterator[Piece]:
        """The pieces of one `chat.completion` or one of its chunks. Raises EngineDown for another shape."""
        try:
            read = _DECODER.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise EngineDown("the engine did not answer in the agreed protocol") from None
        self.id, self.model, self.count = self.id or read.id, self.model or read.model, read.usage or self.count
        for choice in read.choices or ():
            if choice.index == 0:
                yield from self._choice(choice)

    def close(self) -> Iterator[Piece]:
        """The end of the last block; the reason for the end is settled."""
        yield from self._end()
        if self._calls and self.finish == STOP:
            self.finish = TOOLS
        if self.finish == TOOLS and any(_json(pieces) is None for pieces in self.arguments.values()):
            self.finish = MALFORMED

    def _choice(self, choice: _Choice) -> Iterator[Piece]:
        said = choice.delta or choice.message
        if said is not None:
            yield from self._grow(THOUGHT, said.reasoning_content or said.reasoning or "")
            yield from self._grow(TEXT, _words(said.content) or said.refusal or "")
            for place, call in enumerate(said.tool_calls or ()):
                yield from self._call(call, place if call.index is None else call.index)
        if choice.finish_reason is not None:
            self.finish = _FINISHES.get(choice.finish_reason, STOP)
            if self.finish == STOP and isinstance(choice.stop_reason, str):
                self.finish, self.stopped_by = STOP_SEQUENCE, choice.stop_reason

    def _grow(self, kind: str, text: str) -> Iterator[Piece]:
        if not text:
            return
        if self._open is None or self._open.kind != kind:
            yield from self._begin(kind)
        assert self._open is not None
        yield Grew(self._open.index, kind, text)

    def _call(self, call: _Call, number: int) -> Iterator[Piece]:
        function = call.function or _Function()
        index = self._calls.get(number)
        known = self._open is not None and self._open.index == index
        # some engines give every call the number 0: a new id together with a name is a new call
        renewed = known and call.id and function.name and self._open is not None and call.id != self._open.id
        if index is None or renewed:
            yield from self._begin(CALL, call.id or f"call_{self._next}", function.name or "")
            assert self._open is not None
            index = self._calls[number] = self._open.index
            self.arguments[index] = []
        elif not known:
            raise EngineDown("the engine went on with a tool call that had ended")
        if function.arguments:
            self.arguments[index].append(function.arguments)
            yield Grew(index, CALL, function.arguments)

    def _begin(self, kind: str, id: str = "", name: str = "") -> Iterator[Piece]:
        yield from self._end()
        self._open = Began(self._next, kind, id, name)
        self._next += 1
        yield self._open

    def _end(self) -> Iterator[Piece]:
        if self._open is not None:
            yield Ended(self._open.index, self._open.kind)
            self._open = None


@dataclass(slots=True)
class WholeBlock:
    """A block of a whole answer; `input` are the arguments of a call, as text where they are not JSON."""

    kind: str
    text: str = ""
    id: str = ""
    name: str = ""
    input: Any = None


def blocks_of(body: bytes) -> tuple[list[WholeBlock], Blocks]:
    """A whole `chat.completion` as its blocks, and what else is known of it. Raises EngineDown for another shape."""
    blocks = Blocks()
    found: dict[int, WholeBlock] = {}
    for piece in [*blocks.take(body), *blocks.close()]:
        if isinstance(piece, Began):
            found[piece.index] = WholeBlock(piece.kind, id=piece.id, name=piece.name)
        elif isinstance(piece, Grew):
            found[piece.index].text += piece.text
    for block in found.values():
        if block.kind == CALL:
            read = _json([block.text])
            block.input = block.text if read is None else read
    return list(found.values()), blocks


def _json(pieces: list[str]) -> Any:
    """Arguments as plain data; none at all are an empty object, None for what is not JSON."""
    joined = "".join(pieces).strip()
    if not joined:
        return {}
    try:
        read = msgspec.json.decode(joined)
    except (msgspec.DecodeError, RecursionError):
        return None
    return {} if read is None else read


def _words(content: str | list[Any] | None) -> str:
    """The text of a message; some engines send a list of parts."""
    if not isinstance(content, list):
        return content or ""
    return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
