"""Keys one by one: of a terminal as they are pressed, of a pipe as they come."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Protocol, TextIO

ENTER, ESCAPE, BACKSPACE, TAB, END = "\n", "\x1b", "\x7f", "\t", ""
"""Keys that are no sign; END: nothing comes any more."""
_AFTER_ESCAPE_S = 0.02
_END_OF_INPUT = "\x04"


class Keyboard(Protocol):
    """Where keys come from. `echoes`: what is typed must be written by whoever reads it."""

    echoes: bool

    def key(self) -> str:
        """The next key: a sign, or one of the keys above."""
        ...


class Piped:
    """Keys out of a text stream, one for each character; a line break only ends what is typed as text."""

    echoes = False

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def key(self) -> str:
        return self._stream.read(1).replace("\r", ENTER)


class Terminal:
    """Keys of a terminal, as they are pressed. Keys that send several signs, such as arrows, count as none."""

    echoes = True

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def key(self) -> str:
        while True:
            found = self._sign()
            if found == ESCAPE and self._more():
                self._swallow()
                continue
            return {"\r": ENTER, "\b": BACKSPACE, _END_OF_INPUT: END}.get(found, found)

    def _sign(self) -> str:
        while True:
            data = os.read(self._descriptor, 1)
            if not data:
                return END
            if sign := self._decoder.decode(data):
                return sign

    def _more(self) -> bool:
        import select

        return bool(select.select([self._descriptor], [], [], _AFTER_ESCAPE_S)[0])

    def _swallow(self) -> None:
        """Read the rest of a key's signs: '[' or 'O', figures, and a last sign (ECMA-48, section 5.4)."""
        if self._sign() in "[O":
            while not "@" <= (self._sign() or "@") <= "~":
                pass


class Clicked:
    """Keys of a terminal where the system has no termios."""

    echoes = True

    def key(self) -> str:
        import click

        found = click.getchar()
        return {"\r": ENTER, "\b": BACKSPACE, _END_OF_INPUT: END}.get(found, found if len(found) == 1 else self.key())


@contextmanager
def keyboard() -> Iterator[Keyboard]:
    """The keys of standard input. A terminal gives them without waiting for Enter while the block lasts."""
    if not sys.stdin.isatty():
        with nullcontext(Piped(sys.stdin)) as piped:
            yield piped
        return
    try:
        import termios
        import tty
    except ImportError:
        yield Clicked()
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor, termios.TCSADRAIN)  # keys that were pressed already count
        yield Terminal(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def typed(keys: Keyboard, write: Callable[[str], None], complete: Callable[[str], Sequence[str]] | None = None) -> str | None:
    """A line that is typed; None where Escape was pressed or nothing comes any more. Tab takes the first of what `complete` gives,
    which is shown beside what is typed."""
    text = ""
    while True:
        key = keys.key()
        if key in (ESCAPE, END):
            return None
        if key == ENTER:
            write("\n" if keys.echoes else "")
            return text
        if key == BACKSPACE:
            text = text[:-1]
        elif key == TAB:
            text = next(iter(complete(text)), text) if complete is not None else text
        elif key.isprintable():
            text += key
        if keys.echoes:
            beside = f"   ({', '.join(complete(text)[:5])})" if complete is not None and text else ""
            write(f"\r\x1b[K> {text}{beside}")
