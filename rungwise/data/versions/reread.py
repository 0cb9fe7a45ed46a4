"""Reading again only what changed: the lines of a table that were read before are known by their digests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rungwise.core.errors import MissingExtra
from rungwise.data.lines import blocks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_AT_ONCE = 1 << 22
_MARK_BITS = 20
_BOMS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, eq=False)
class LineDigests:
    """The 128-bit digest of each line of a file, (n, 2), in order; the first line's stands for the header of a table.

    `parts` (n,) are the lines that are part of a row of several lines: an odd number of quotes opens it, the next one closes
    it. Their digests are zeros. `whole` is false where the last one is never closed.
    """

    digests: NDArray[np.uint64]
    parts: NDArray[np.bool_]
    whole: bool = True

    @cached_property
    def raw(self) -> bytes:
        """The digests as bytes, 16 for each line."""
        return self.digests.tobytes()


def digest_lines(path: Path, *, quotes: bool) -> LineDigests | None:
    """The digests of a file's lines; None where lines are not what lies between line feeds: UTF-16, old Mac line ends.

    With `quotes`, a cell may go on over several lines, as in CSV. XXH3 of 128 bits: among a billion lines, two that differ
    have the same digest with a probability of 10^-21.
    """
    import numpy as np

    try:
        import xxhash
    except ImportError as error:
        raise MissingExtra("keeping versions of data", "curation") from error
    of = xxhash.xxh3_128_digest
    found: list[bytes] = []
    odd: list[NDArray[np.bool_]] = []
    first = True
    for chunk in _whole_lines(blocks(path)):
        if (first and chunk.startswith(_BOMS)) or (b"\r" in chunk and chunk.count(b"\r") != chunk.count(b"\r\n")):
            return None
        first = False
        lines = chunk.split(b"\n")
        if not lines[-1]:
            lines.pop()
        counted = [line.count(b'"') % 2 == 1 for line in lines] if quotes and b'"' in chunk else None
        odd.append(np.array(counted, np.bool_) if counted is not None else np.zeros(len(lines), np.bool_))
        found += map(of, lines)
    digests = np.frombuffer(b"".join(found), np.uint64).reshape(-1, 2)
    edges = np.concatenate([np.zeros(0, np.bool_), *odd])
    if not edges.any():
        return LineDigests(digests, edges)
    inside = np.cumsum(edges) % 2 == 1
    parts = edges | inside
    return LineDigests(np.where(parts[:, None], np.uint64(0), digests), parts, not inside[-1])


def _whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in chunks that end with a line."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        cut = piece.rfind(b"\n") + 1
        if size >= _AT_ONCE and cut:
            yield b"".join([*held[:-1], piece[:cut]])
            held, size = [piece[cut:]], len(piece) - cut
    if rest := b"".join(held):
        yield rest


def find_digests(digests: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.int64]:
    """(n,): for each digest of 128 bits, (n, 2), the index of a known one that is equal, -1 where there is none.

    Zeros are equal to nothing. Those that stand where they stood before are found at once, and only the others are looked up.
    """
    import numpy as np

    found = np.full(len(digests), -1, np.int64)
    both = min(len(digests), len(known))
    same = (digests[:both] == known[:both]).all(axis=1) & (digests[:both] != 0).any(axis=1)
    found[:both][same] = np.flatnonzero(same)
    rest = np.flatnonzero((found < 0) & (digests != 0).any(axis=1))
    if len(rest) and len(known):
        values, own = np.unique(digests[rest, 0], return_inverse=True)
        marks = np.zeros(1 << _MARK_BITS, np.bool_)  # few of the known ones are looked up: those that share their first bits
        marks[values >> np.uint64(64 - _MARK_BITS)] = True
        likely = np.flatnonzero(marks[known[:, 0] >> np.uint64(64 - _MARK_BITS)])
        at = np.minimum(np.searchsorted(values, known[likely, 0]), len(values) - 1)
        equal = values[at] == known[likely, 0]
        hits = likely[equal]
        first = np.full(len(values), -1, np.int64)
        first[at[equal][::-1]] = hits[::-1]
        match = first[own]
        equal = (match >= 0) & (known[match, 1] == digests[rest, 1])
        found[rest[equal]] = match[equal]
    return found


def write_lines(path: Path, wanted: NDArray[np.bool_], target: Path) -> None:
    """Write the wanted lines of a file, unpacked, to another."""
    import numpy as np

    at = 0
    with target.open("wb") as out:
        for chunk in _whole_lines(blocks(path)):
            lines = chunk.split(b"\n")
            if not lines[-1]:
                lines.pop()
            for number in np.flatnonzero(wanted[at : at + len(lines)]):
                out.write(lines[number])
                out.write(b"\n")
            at += len(lines)
