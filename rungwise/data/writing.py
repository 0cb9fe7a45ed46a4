"""Records on their way into packs: those that are kept already are pointed at, the others are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rungwise.data.packs import NO_DIGEST, NO_PARENT, Draft, Packs
from rungwise.data.reread import DigestIndex
from rungwise.data.selection import Selection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_AT_ONCE = 16_384
_OPEN = ""


@dataclass(slots=True)
class _Waiting:
    """A record whose place in a pack is not decided yet."""

    id: bytes
    body: bytes
    piece: str
    at: int
    key: int
    line: bytes
    parent: bytes


class PackWriter:
    """Collects the records of a version in order. `known` is what is kept already; `on_pack` hears of each pack once it is on disk."""

    def __init__(
        self, packs: Packs, known: Selection, known_ids: NDArray[np.uint8], on_pack: Callable[[str], None] = lambda _: None
    ) -> None:
        self.packs, self.known, self.on_pack = packs, known, on_pack
        self._index = DigestIndex(first_half(known_ids))
        self._names = list(known.packs)
        self._draft, self._open = Draft(), -1
        self._waiting: list[_Waiting] = []
        # What came since the records were last given their places: selections, and how many records wait between them.
        self._since: list[Selection | int] = []
        self._numbers: list[NDArray[np.int32]] = []
        self._rows: list[NDArray[np.int32]] = []
        self.count = 0

    def add(
        self, id: bytes, body: bytes, *, piece: str, at: int, key: int = 0, line: bytes = NO_DIGEST, parent: bytes = NO_PARENT
    ) -> None:
        """The next record."""
        self._waiting.append(_Waiting(id, body, piece, at, key, line, parent))
        self._since.append(1)
        self.count += 1
        if len(self._waiting) >= _AT_ONCE:
            self._settle()

    def point(self, selection: Selection) -> None:
        """The next records are these, taken from `known`."""
        if len(selection):
            self._since.append(selection)
            self.count += len(selection)

    def finish(self) -> Selection:
        """Write what is left and give all records in order."""
        import numpy as np

        self._settle()
        self._close()
        if not self._numbers:
            return Selection.empty()
        return Selection(tuple(self._names), np.concatenate(self._numbers), np.concatenate(self._rows))

    def _settle(self) -> None:
        """Give every record that waits its place in a pack."""
        numbers, rows = self._places()
        done = 0
        for part in self._since:
            if isinstance(part, Selection):
                self._numbers.append(part.pack)
                self._rows.append(part.row)
            else:
                self._numbers.append(numbers[done : done + part])
                self._rows.append(rows[done : done + part])
                done += part
        self._waiting, self._since = [], []

    def _places(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The pack and the row of each waiting record: where it is kept already, or where it is written now."""
        import numpy as np

        numbers, rows = np.full(len(self._waiting), -1, np.int32), np.zeros(len(self._waiting), np.int32)
        if len(self.known) and self._waiting:
            found = self._index.find(first_half(np.frombuffer(b"".join(one.id for one in self._waiting), np.uint8).reshape(-1, 32)))
            have = found >= 0
            numbers[have], rows[have] = self.known.pack[found[have]], self.known.row[found[have]]
        for place in np.flatnonzero(numbers < 0).tolist():
            numbers[place], rows[place] = self._write(self._waiting[place])
        return numbers, rows

    def _write(self, one: _Waiting) -> tuple[int, int]:
        if self._draft.full:
            self._close()
        if self._open < 0:
            self._open = len(self._names)
            self._names.append(_OPEN)
        self._draft.add(one.id, one.body, piece=one.piece, at=one.at, key=one.key, line=one.line, parent=one.parent)
        return self._open, len(self._draft) - 1

    def _close(self) -> None:
        if len(self._draft):
            self._names[self._open] = pack = self.packs.write(self._draft)
            self._draft, self._open = Draft(), -1
            self.on_pack(pack)


def first_half(ids: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(n, 2): the first 128 bits of each digest, which are enough to tell records apart."""
    import numpy as np

    return np.ascontiguousarray(ids[:, :16]).view(np.uint64)
