"""What changed between two versions of the data: rows that came, went or changed, and the words in them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rungwise.data.readers import cell_text
from rungwise.data.versions.records import record_cells
from rungwise.data.versions.selection import Selection
from rungwise.data.versions.version import Version, Versions
from rungwise.data.versions.writing import first_half

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]
    Pairs = tuple[Rows, Rows]

Words = tuple[tuple[str, str], ...]
"""(sign, words) in order; the sign is '=' for what stayed, '-' for what went, '+' for what came."""

MOST_WORDS = 400
"""difflib takes time by the square of the words: where the part that differs is longer, it is shown as replaced."""

_WORD = re.compile(r"\s*\S+|\s+")


@dataclass(frozen=True, eq=False)
class Difference:
    """Two versions compared. `added` are positions in the new one, `removed` in the old one, `changed` and `kept` pairs of both.

    `quarantined` is how many more (or fewer) rows are set aside for each reason, `resplit` how many kept rows changed their split.
    """

    old: Version
    new: Version
    added: Rows
    removed: Rows
    changed: Pairs
    kept: Pairs
    resplit: int
    quarantined: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Changed:
    """One row of a difference: `kind` is changed, added or removed; `words` holds the columns that changed."""

    kind: str
    id: str
    place: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    words: Mapping[str, Words] | None = None


def compare(versions: Versions, old: Version, new: Version) -> Difference:
    """What changed from one version to another. Equal rows are told by their digests, however often they stand there.

    A row changed when its user's id, or else its place in the source, is the same and its content is not.
    """
    import numpy as np

    before, after = versions.selection(old), versions.selection(new)
    same = _same(versions, before, after)
    left, come = _rest(len(before), same[0]), _rest(len(after), same[1])
    changed = _changed(versions, before, left, after, come)
    in_order = np.argsort(same[1], kind="stable")
    kept = (same[0][in_order], same[1][in_order])
    return Difference(
        old=old,
        new=new,
        added=np.setdiff1d(come, changed[1], assume_unique=True),
        removed=np.setdiff1d(left, changed[0], assume_unique=True),
        changed=changed,
        kept=kept,
        resplit=_resplit(versions, old, new, kept),
        quarantined=_reasons(old, new),
    )


def examples(versions: Versions, found: Difference, limit: int) -> list[Changed]:
    """The first rows of a difference: those that changed, then those that came, then those that went."""
    before, after = versions.selection(found.old), versions.selection(found.new)
    old, new = (part[:limit] for part in found.changed)
    added = found.added[: limit - len(new)]
    removed = found.removed[: limit - len(new) - len(added)]
    shown = []
    pairs = zip(_cells(versions, before.take(old)), _cells(versions, after.take(new)), strict=True)
    for (_, _, one), (id, place, two) in pairs:
        words = {
            name: changed_words(_text(one, name), _text(two, name)) for name in {**one, **two} if one.get(name) != two.get(name)
        }
        shown.append(Changed(kind="changed", id=id, place=place, before=one, after=two, words=words))
    shown += [Changed(kind="added", id=id, place=place, after=two) for id, place, two in _cells(versions, after.take(added))]
    return shown + [
        Changed(kind="removed", id=id, place=place, before=one) for id, place, one in _cells(versions, before.take(removed))
    ]


def changed_words(before: str, after: str) -> Words:
    """How one text became another, by words. Joined without the '+' they are the first text, without the '-' the second."""
    a, b = _WORD.findall(before), _WORD.findall(after)
    head = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    room = min(len(a), len(b)) - head
    tail = next((i for i in range(room) if a[-1 - i] != b[-1 - i]), room)
    middle_a, middle_b = a[head : len(a) - tail], b[head : len(b) - tail]
    found: list[tuple[str, str]] = [("=", "".join(a[:head]))]
    if max(len(middle_a), len(middle_b)) > MOST_WORDS:
        found += [("-", "".join(middle_a)), ("+", "".join(middle_b))]
    else:
        for tag, i, j, k, m in difflib.SequenceMatcher(None, middle_a, middle_b, autojunk=False).get_opcodes():
            equal = tag == "equal"
            found += [("=" if equal else "-", "".join(middle_a[i:j])), ("+", "" if equal else "".join(middle_b[k:m]))]
    found.append(("=", "".join(a[len(a) - tail :])))
    return tuple((sign, words) for sign, words in found if words)


def _same(versions: Versions, before: Selection, after: Selection) -> Pairs:
    """Pairs of positions with the same content: first by where they are kept, which needs no reading, then by their digests."""
    import numpy as np

    at = _pairs(*_locations(before, after))
    left, come = _rest(len(before), at[0]), _rest(len(after), at[1])
    if not len(left) or not len(come):
        return at
    ids = np.concatenate([first_half(versions.ids(part)) for part in (before.take(left), after.take(come))])
    numbers = _numbered(ids)
    more = _pairs(numbers[: len(left)], numbers[len(left) :])
    return np.concatenate([at[0], left[more[0]]]), np.concatenate([at[1], come[more[1]]])


def _locations(before: Selection, after: Selection) -> Pairs:
    """A number for where each record is kept: the same pack and row, the same number."""
    import numpy as np

    names = {pack: number for number, pack in enumerate(dict.fromkeys((*before.packs, *after.packs)))}

    def located(part: Selection) -> Rows:
        own = np.array([names[pack] for pack in part.packs] or [0], np.int64)
        return own[part.pack] << 32 | part.row

    return located(before), located(after)


def _numbered(digests: NDArray[np.uint64]) -> Rows:
    """(n,): equal digests of 128 bits, (n, 2), get equal numbers."""
    import numpy as np

    order = np.lexsort((digests[:, 1], digests[:, 0]))
    ranked = digests[order]
    numbers = np.zeros(len(digests), np.int64)
    numbers[order[1:]] = np.cumsum((ranked[1:] != ranked[:-1]).any(axis=1))
    return numbers


def _pairs(before: Rows, after: Rows) -> Pairs:
    """Positions with equal numbers on both sides: the first with the first, the second with the second of each number."""
    import numpy as np

    if np.array_equal(before, after):
        return np.arange(len(before)), np.arange(len(after))
    order, other = np.argsort(before, kind="stable"), np.argsort(after, kind="stable")
    ranked, against = before[order], after[other]
    # Of each number so many pairs as the side with fewer of it has.
    here, there = _nth(ranked), np.searchsorted(against, ranked, "left")
    match = there + here
    hit = (match < len(against)) & (against[np.minimum(match, max(0, len(against) - 1))] == ranked) if len(against) else here < 0
    return order[hit], other[match[hit]]


def _nth(ranked: Rows) -> Rows:
    """(n,): how many equal numbers stand before each, in a sorted list."""
    import numpy as np

    return np.arange(len(ranked)) - np.searchsorted(ranked, ranked, "left")


def _changed(versions: Versions, before: Selection, left: Rows, after: Selection, come: Rows) -> Pairs:
    """Pairs among the rows that are left on both sides: those with the same user's id, then those at the same place."""
    import numpy as np

    if not len(left) or not len(come):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    keys, others = versions.keys(before.take(left)), versions.keys(after.take(come))
    keyed, other_keyed = np.flatnonzero(keys), np.flatnonzero(others)
    a, b = _pairs(keys[keyed].view(np.int64), others[other_keyed].view(np.int64))
    old, new = left[keyed[a]], come[other_keyed[b]]
    # A row with an id of its own is another row than one with another id, wherever it stands.
    loose, free = left[keys == 0], come[others == 0]
    c, d = _pairs(*_place_numbers(versions, before.take(loose), after.take(free)))
    old, new = np.concatenate([old, loose[c]]), np.concatenate([new, free[d]])
    order = np.argsort(new, kind="stable")
    return old[order], new[order]


def _place_numbers(versions: Versions, before: Selection, after: Selection) -> Pairs:
    import numpy as np

    numbers: dict[str, int] = {}
    found = [[numbers.setdefault(place, len(numbers)) for place in versions.places(part)] for part in (before, after)]
    return np.array(found[0], np.int64), np.array(found[1], np.int64)


def _rest(count: int, taken: Rows) -> Rows:
    import numpy as np

    left = np.ones(count, np.bool_)
    left[taken] = False
    return np.flatnonzero(left)


def _resplit(versions: Versions, old: Version, new: Version, kept: Pairs) -> int:
    """How many kept rows stand in another drawn split; 0 where one of the versions has none."""
    import numpy as np

    before, after = versions.splits(old), versions.splits(new)
    if not before or not after:
        return 0
    return int((np.array(before)[kept[0]] != np.array(after)[kept[1]]).sum())


def _reasons(old: Version, new: Version) -> Mapping[str, int]:
    names = sorted({*old.quarantined, *new.quarantined})
    more = {name: new.quarantined.get(name, 0) - old.quarantined.get(name, 0) for name in names}
    return {name: count for name, count in more.items() if count}


def _cells(versions: Versions, part: Selection) -> list[tuple[str, str, dict[str, Any]]]:
    ids = [id.tobytes().hex() for id in versions.ids(part)]
    return list(zip(ids, versions.places(part), map(record_cells, versions.bodies(part)), strict=True))


def _text(cells: Mapping[str, Any], name: str) -> str:
    value = cells.get(name)
    return value if isinstance(value, str) else cell_text(value) or ""
