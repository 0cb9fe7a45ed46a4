"""Which records a version holds, in order: positions in packs, kept as runs."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import Corrupt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Selection:
    """n records: the i-th is row `row[i]` of pack `packs[pack[i]]`. Eight bytes a record."""

    packs: tuple[str, ...]
    pack: NDArray[np.int32]
    row: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.pack)

    @classmethod
    def empty(cls) -> Selection:
        """No record."""
        import numpy as np

        return cls((), np.zeros(0, np.int32), np.zeros(0, np.int32))

    @classmethod
    def of_pack(cls, pack: str, count: int) -> Selection:
        """All records of a pack."""
        import numpy as np

        return cls((pack,), np.zeros(count, np.int32), np.arange(count, dtype=np.int32))

    def take(self, positions: NDArray[Any]) -> Selection:
        """The records at these positions (indices or a mask), in that order."""
        return Selection(self.packs, self.pack[positions], self.row[positions])

    def slices(self) -> Iterator[tuple[str, NDArray[np.int64]]]:
        """Each pack that is used with the positions of its records in this selection."""
        import numpy as np

        order = np.argsort(self.pack, kind="stable")
        bounds = np.searchsorted(self.pack[order], np.arange(len(self.packs) + 1))
        for number, pack in enumerate(self.packs):
            positions = order[bounds[number] : bounds[number + 1]]
            if len(positions):
                yield pack, positions


def joined(parts: Sequence[Selection]) -> Selection:
    """One selection after the other; packs that are not used are left out."""
    import numpy as np

    names: dict[str, int] = {}
    packs = []
    for part in parts:
        used = np.unique(part.pack)
        numbers = np.zeros(len(part.packs) + 1, np.int32)
        for own in used:
            numbers[own] = names.setdefault(part.packs[own], len(names))
        packs.append(numbers[part.pack])
    if not packs:
        return Selection.empty()
    return Selection(tuple(names), np.concatenate(packs), np.concatenate([part.row for part in parts]))


def to_bytes(selection: Selection) -> bytes:
    """The selection as compressed runs: a version that differs little from another takes little room."""
    import json

    import numpy as np
    from safetensors.numpy import save

    breaks = (np.diff(selection.pack) != 0) | (np.diff(selection.row) != 1)
    starts = np.concatenate([[0], np.flatnonzero(breaks) + 1]) if len(selection) else np.zeros(0, np.int64)
    first = selection.row[starts]
    tensors = {
        "pack": selection.pack[starts],
        "start": np.diff(first, prepend=np.int32(0)).astype(np.int32),
        "count": np.diff(starts, append=len(selection)).astype(np.int32),
    }
    return zlib.compress(save(tensors, metadata={"packs": json.dumps(selection.packs)}), 6)


def from_bytes(data: bytes) -> Selection:
    """Read what `to_bytes` gave. Raises Corrupt for anything else."""
    import json

    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        plain = zlib.decompress(data)
        tensors = load(plain)
        size = int.from_bytes(plain[:8], "little")
        packs = json.loads(json.loads(plain[8 : 8 + size])["__metadata__"]["packs"])
    except (zlib.error, SafetensorError, KeyError, ValueError) as error:
        raise Corrupt(f"a list of records cannot be read ({error}). Put back a copy of the state directory") from error
    count = tensors["count"].astype(np.int64)
    ends = np.cumsum(count)
    within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - count, count)
    rows = np.repeat(np.cumsum(tensors["start"], dtype=np.int64), count) + within
    return Selection(tuple(packs), np.repeat(tensors["pack"], count).astype(np.int32), rows.astype(np.int32))


def absent_from(these: Selection, those: Selection) -> NDArray[np.bool_]:
    """(n,): which of `these` records do not stand in `those`, told by pack and row."""
    import numpy as np

    absent = np.ones(len(these), np.bool_)
    held = dict(those.slices())
    for pack, positions in these.slices():
        if pack in held:
            rows = those.row[held[pack]]
            marks = np.zeros(int(max(rows.max(), these.row[positions].max())) + 1, np.bool_)
            marks[rows] = True
            absent[positions] = ~marks[these.row[positions]]
    return absent
