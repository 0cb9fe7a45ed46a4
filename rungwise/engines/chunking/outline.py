"""The headings that lead to each place of a document."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from rungwise.engines.chunking.blocks import HEADING, Block

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outline:
    """The i-th heading of a document stands at `starts[i]` to `ends[i]`; `paths[i]` are the names from the title down to it."""

    starts: tuple[int, ...]
    ends: tuple[int, ...]
    paths: tuple[Path, ...]

    def path(self, text: str, start: int, end: int) -> tuple[Path, int]:
        """The headings that a chunk stands under, and how many of the last of them are its own beginning.

        Those with which it begins, one under the other, are among them; those further down in it are not.
        """
        at = bisect_right(self.starts, start) - 1
        own = 0
        if at >= 0 and self.starts[at] == start and self.ends[at] <= end:
            own = 1
            while at + 1 < len(self.starts) and self._goes_on(text, at, end):
                at += 1
                own += 1
        return (self.paths[at], min(own, len(self.paths[at]))) if at >= 0 else ((), 0)

    def _goes_on(self, text: str, at: int, end: int) -> bool:
        """Whether the next heading is one under this one, directly below it and still in the chunk."""
        deeper = len(self.paths[at + 1]) > len(self.paths[at])
        return deeper and self.ends[at + 1] <= end and not text[self.ends[at] : self.starts[at + 1]].strip()


def outline(found: Iterable[Block]) -> Outline:
    """The outline of a document's blocks."""
    starts, ends, paths = [], [], []
    open_: list[tuple[int, str]] = []
    for block in found:
        if block.kind == HEADING:
            open_ = [one for one in open_ if one[0] < block.level]
            open_.append((block.level, block.name))
            starts.append(block.start)
            ends.append(block.end)
            paths.append(tuple(name for _, name in open_))
    return Outline(tuple(starts), tuple(ends), tuple(paths))
