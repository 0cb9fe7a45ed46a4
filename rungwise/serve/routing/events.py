"""Server-sent events as bytes: any split of the same bytes gives the same events."""

from __future__ import annotations

from rungwise.engines.wire import LINE_LIMIT_BYTES, WireError

DONE = b"[DONE]"
_MARK = b"\xef\xbb\xbf"


class Events:
    """The data of events, for relaying them. The same rules as `engines.wire.EventReader`, which is their reference in the tests.

    A character that is cut by a packet stays whole, since an event is only looked at when it is complete. Comments are dropped
    as they come, so that an endless one fills no memory.
    """

    __slots__ = ("_first", "_limit_bytes", "_line", "_line_bytes", "_pending", "_skip_lf")

    def __init__(self, *, limit_bytes: int = LINE_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._pending = b""  # lines of the event that is not complete yet, each ended by LF, but for the last
        self._line: list[bytes] = []  # what came after that without any line end: joined once, or long lines cost their square
        self._line_bytes = 0
        self._skip_lf = False  # the last byte was CR: a LF right after it belongs to the same line end
        self._first = True

    def feed(self, data: bytes) -> list[bytes]:
        """The data of every event that these bytes complete. Raises WireError when one is longer than the limit."""
        if self._skip_lf:
            self._skip_lf = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._skip_lf = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if self._pending:
            if b"\n" not in data and not self._first:
                self._hold(data)
                return []
            data = b"".join([self._pending, *self._line, data])
            self._line.clear()
            self._line_bytes = 0
        if self._first:
            if len(data) < 3 and _MARK.startswith(data):
                self._pending = data
                return []
            self._first, data = False, data.removeprefix(_MARK)
        *blocks, pending = data.split(b"\n\n")
        self._pending = _without_comments(pending) if b":" in pending else pending
        self._check()
        return [event for block in blocks if (event := _data(block)) is not None]

    def close(self) -> list[bytes]:
        """What is left when the bytes have ended: a last event whose blank line never came."""
        block, self._pending = b"".join([self._pending, *self._line]).removesuffix(b"\n"), b""
        self._line.clear()
        event = _data(block)
        return [] if event is None else [event]

    def _hold(self, data: bytes) -> None:
        """A piece of a line that has not ended."""
        if data and self._pending != b":" and not self._pending.endswith(b"\n:"):
            self._line.append(data)
            self._line_bytes += len(data)
            self._check()

    def _check(self) -> None:
        if len(self._pending) + self._line_bytes > self._limit_bytes:
            raise WireError(f"one event is longer than {self._limit_bytes:,} bytes")


def _data(block: bytes) -> bytes | None:
    """The data lines of one event, joined by LF; None when it has none."""
    if block.startswith(b"data: ") and b"\n" not in block:
        return block[6:]
    lines = [line for line in block.split(b"\n") if line.startswith(b"data:") or line == b"data"]
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines) if lines else None


def _without_comments(pending: bytes) -> bytes:
    """The lines of an unfinished event without comments; of a comment that has not ended only its colon is kept."""
    if not pending.startswith(b":") and b"\n:" not in pending:
        return pending
    *lines, last = pending.split(b"\n")
    kept = [line for line in lines if not line.startswith(b":")]
    return b"\n".join([*kept, b":" if last.startswith(b":") else last])
