"""Small pieces side by side become chunks of at most a size."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from rungwise.engines.chunking.chunk import Span


def packed(pieces: Iterable[Span], size: int, overlap: int = 0) -> Iterator[Span]:
    """Neighbours together as long as they fit in `size`, the space between them counted.

    A chunk begins with the last pieces of the one before, as far as they are at most `overlap` long. Pieces ascend, and
    none is longer than `size`; so do the chunks, none of which holds another.
    """
    held: deque[Span] = deque()
    for piece in pieces:
        if held and piece[1] - held[0][0] > size:
            last = held[-1][1]
            yield held[0][0], last
            while held and (last - held[0][0] > overlap or piece[1] - held[0][0] > size):
                held.popleft()
        held.append(piece)
    if held:
        yield held[0][0], held[-1][1]
