"""Records on their way into packs: those that are kept already are pointed at, the others are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rungwise.data.versions.packs import PACK_BYTES, PACK_ROWS, Packed, Packs
from rungwise.data.versions.reread import find_digests
from rungwise.data.versions.selection import Selection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_AT_ONCE = 16_384
_OPEN = ""


class PackWriter:
    """Collects the records of a version in order. `known` is what is kept already; `on_pack` hears of each pack that is on disk."""

    def __init__(
        self, packs: Packs, known: Selection, known_ids: NDArray[np.uint8], on_pack: Callable[[str], None] = lambda _: None
    ) -> None:
        self.packs, self.known, self.on_pack = packs, known, on_pack
        self._known_halves = first_half(known_ids)
        self._names = list(known.packs)
        self._draft: list[Packed] = []
        self._draft_bytes, self._open = 0, -1
        self._waiting: list[Packed] = []
        # The selections that came since records were last given their places, each with how many records wait before it.
        self._pointed: list[tuple[int, Selection]] = []
        self._numbers: list[NDArray[np.int32]] = []
        self._rows: list[NDArray[np.int32]] = []
        self.count = 0

    def add(self, record: Packed) -> None:
        """The next record."""
        self._waiting.append(record)
        self.count += 1
        if len(self._waiting) >= _AT_ONCE:
            self._settle()

    def point(self, selection: Selection) -> None:
        """The next records are these, taken from `known`."""
        if len(selection):
            self._pointed.append((len(self._waiting), selection))
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
        for before, selection in self._pointed:
            self._numbers += [numbers[done:before], selection.pack]
            self._rows += [rows[done:before], selection.row]
            done = before
        self._numbers.append(numbers[done:])
        self._rows.append(rows[done:])
        self._waiting, self._pointed = [], []

    def _places(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The pack and the row of each waiting record: where it is kept already, or where it is written now."""
        import numpy as np

        numbers, rows = np.full(len(self._waiting), -1, np.int32), np.zeros(len(self._waiting), np.int32)
        if len(self.known) and self._waiting:
            ids = np.frombuffer(b"".join(one.id for one in self._waiting), np.uint8).reshape(-1, 32)
            found = find_digests(first_half(ids), self._known_halves)
            have = found >= 0
            numbers[have], rows[have] = self.known.pack[found[have]], self.known.row[found[have]]
        new = np.flatnonzero(numbers < 0)
        placed = [self._write(self._waiting[place]) for place in new.tolist()]
        numbers[new], rows[new] = [pack for pack, _ in placed], [row for _, row in placed]
        return numbers, rows

    def _write(self, record: Packed) -> tuple[int, int]:
        if len(self._draft) >= PACK_ROWS or self._draft_bytes >= PACK_BYTES:
            self._close()
        if not self._draft:
            self._open = len(self._names)
            self._names.append(_OPEN)
        self._draft.append(record)
        self._draft_bytes += len(record.body)
        return self._open, len(self._draft) - 1

    def _close(self) -> None:
        if self._draft:
            self._names[self._open] = pack = self.packs.write(self._draft)
            self._draft, self._draft_bytes = [], 0
            self.on_pack(pack)


def first_half(ids: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(n, 2): the first 128 bits of each digest, which are enough to tell records apart."""
    import numpy as np

    return np.ascontiguousarray(ids[:, :16]).view(np.uint64)
