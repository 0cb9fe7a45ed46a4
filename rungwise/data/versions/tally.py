"""One pass over the rows of a version: how long they are, which labels, splits and groups they have, which texts come again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rungwise.core.progress import Progress
from rungwise.data.versions.curation import split_of
from rungwise.data.versions.dataset import split_column
from rungwise.data.versions.looking import cut_batches
from rungwise.data.versions.records import texts_of
from rungwise.data.versions.version import Version, Versions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_VALUES = 20_000
"""Of a column with more different values only so many are counted one by one: these are free texts, not labels."""


@dataclass(frozen=True, kw_only=True)
class Values:
    """How often each value of a column occurs; `missing` rows have none. `more` says that further values were not counted."""

    column: str
    counts: Counter[str] = field(default_factory=Counter)
    missing: int = 0
    more: bool = False


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What the pass found. `characters` and `words` have an entry (int64) for each row.

    `repeated` rows have a text that stood before. `splits` is None for rows that no climb can use; `drawn` says that a climb
    would draw them so.
    """

    characters: NDArray[np.int64]
    words: NDArray[np.int64]
    repeated: int
    labels: Values | None = None
    groups: Values | None = None
    splits: Mapping[str, int] | None = None
    drawn: bool = False


def tally_rows(
    versions: Versions, version: Version, *, group: str | None = None, say: Callable[[Progress], None] = lambda _: None
) -> Tally:
    """Read every row of a version once, in batches. `group` is a column whose values are counted."""
    import numpy as np

    pass_ = _Pass(versions, version, group)
    done = 0
    for batch in pass_.batches():
        pass_.count(batch)
        done += batch.rows
        say(Progress(rung="rows", step="read", done=done, total=version.rows))
    texts = np.concatenate(pass_.hashes) if pass_.hashes else np.zeros(0, np.int64)
    return Tally(
        characters=_joined(pass_.characters),
        words=_joined(pass_.words),
        repeated=len(texts) - len(np.unique(texts)),
        labels=pass_.labels.values() if pass_.labels else None,
        groups=pass_.groups.values() if pass_.groups else None,
        splits=dict(pass_.splits) or None,
        drawn=pass_.drawing,
    )


@dataclass(frozen=True, slots=True)
class _Batch:
    """The cells of some rows by role; an empty cell is ''."""

    rows: int
    first: int
    text: Sequence[str]
    cells: Mapping[str, Sequence[str]]


class _Count:
    """Counts the values of a column without holding more than MOST_VALUES of them."""

    def __init__(self, column: str) -> None:
        self.column, self.counts, self.missing, self.more = column, Counter[str](), 0, False

    def add(self, cells: Sequence[str]) -> None:
        """Count some cells."""
        own = Counter(cells)
        self.missing += own.pop("", 0)
        if len(self.counts) >= MOST_VALUES:
            new = own.keys() - self.counts.keys()
            self.more = self.more or bool(new)
            for value in new:
                del own[value]
        self.counts.update(own)

    def values(self) -> Values:
        return Values(column=self.column, counts=self.counts, missing=self.missing, more=self.more)


class _Pass:
    """The counters of one pass."""

    def __init__(self, versions: Versions, version: Version, group: str | None) -> None:
        self.versions, self.version = versions, version
        self.group = group or version.columns.group
        self.characters: list[NDArray[np.int64]] = []
        self.words: list[NDArray[np.int64]] = []
        self.hashes: list[NDArray[np.int64]] = []
        self.splits: Counter[str] = Counter()
        self.labels = _Count(version.columns.label) if version.columns.label else None
        self.groups = _Count(self.group) if self.group else None
        self.selection = versions.selection(version)
        self.splits_of_rows = split_of(versions.store, versions, version, self.selection)
        self.drawing = bool(self.splits_of_rows) and not version.splits and split_column(version) is None
        self.columns = {"text": version.columns.text, "label": version.columns.label, "counted": self.group}

    def batches(self) -> Iterator[_Batch]:
        """The rows in batches of bounded size, in order."""
        for positions in cut_batches(self.versions, self.selection):
            bodies = self.versions.bodies(self.selection.take(positions))
            cells = {role: texts_of(bodies, column) for role, column in self.columns.items() if column}
            yield _Batch(len(bodies), int(positions[0]), cells.get("text") or [""] * len(bodies), cells)

    def count(self, batch: _Batch) -> None:
        """Add a batch to every counter."""
        import numpy as np

        self.characters.append(np.fromiter(map(len, batch.text), np.int64, batch.rows))
        self.words.append(np.fromiter((len(text.split()) for text in batch.text), np.int64, batch.rows))
        self.hashes.append(np.fromiter(map(hash, batch.text), np.int64, batch.rows))
        if self.labels is not None:
            self.labels.add(batch.cells["label"])
        if self.groups is not None:
            self.groups.add(batch.cells["counted"])
        self.splits.update(self.splits_of_rows[batch.first : batch.first + batch.rows])


def _joined(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    import numpy as np

    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
