"""Sealed rows that are not as unseen as they should be: the same row, nearly the same row, or the same group in another split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rungwise.core.dataset import SEALED, Dataset, Example
from rungwise.core.errors import LeaksFound
from rungwise.core.record import short
from rungwise.curate.shingles import near_pairs, normalise

NEAR = 0.9
"""Jaccard similarity of character 5-grams from which two texts are nearly the same.

Measured (benchmarks/leaks.py) as the share of sealed rows that have such a neighbour when the public sets clinc150,
banking77 and sms_spam are split by hash: 3.5, 2.2 and 2.5 % at 0.8, which takes in ordinary short questions on one
subject ("has my card application been approved / processed yet"); 0.2, 0.3 and 0.6 % at 0.9, which leaves one added word or a typo.
"""

ALLOWED_SHARE = 0.01
"""More leaked sealed rows than this stop a climb (docs/explanation/how-the-climb-decides.md)."""

_SHOWN = 20

EXACT, NEAR_COPY, GROUP = "the same text as", "nearly the same text as", "in the same group as"


@dataclass(frozen=True, slots=True)
class Leak:
    """A sealed row and the open row that gives it away, both by name only: sealed text is never shown."""

    sealed: str
    other: str
    split: str
    kind: str
    similarity: float = 1.0


@dataclass(frozen=True, kw_only=True)
class LeakReport:
    """How many sealed rows also stand elsewhere, as exact or near copies or by their group; `leaked` counts each row once.

    `groups` counts the groups that stand in more than one split, sealed or not.
    """

    sealed: int
    exact: int
    near: int
    grouped: int
    leaked: int
    groups: int
    examples: tuple[Leak, ...] = ()

    @property
    def share(self) -> float:
        """The share of the sealed rows that leaked, in [0, 1]."""
        return self.leaked / self.sealed if self.sealed else 0.0

    def __str__(self) -> str:
        if not self.leaked:
            return f"none of {self.sealed:,} sealed rows stands in another split"
        kinds = [(self.exact, "exact copies"), (self.near, "near copies"), (self.grouped, "with a group that is split")]
        detail = ", ".join(f"{count:,} {name}" for count, name in kinds if count)
        return f"{self.leaked:,} of {self.sealed:,} sealed rows ({self.share:.1%}) also stand in another split: {detail}"

    def check(self) -> None:
        """Raise LeaksFound when more than 1 % of the sealed rows leaked."""
        if self.share <= ALLOWED_SHARE:
            return
        shown = "; ".join(f"{leak.sealed} is {leak.kind} {leak.split} row {leak.other}" for leak in self.examples[:3])
        raise LeaksFound(
            f"{self}. A test on them would flatter every candidate (for example {shown}). "
            "Remove them from one of the two splits, name a group column (--group) that keeps them together, or add --allow-leaks"
        )


def find_leaks(dataset: Dataset, *, names: Sequence[str] | None = None, threshold: float = NEAR) -> LeakReport:
    """Compare the sealed rows with all others.

    Two rows are the same when text and passage are equal but for case, punctuation and spacing; nearly the same when their
    passages are equal and the 5-grams of their texts have a Jaccard similarity of at least `threshold`. `names` (such as
    'tickets.csv:17') name the rows in the examples; else the user's own key does, else the row's id.
    """
    called = names if names is not None else [row.key or short(row.id) for row in dataset.rows]
    sealed = [i for i, split in enumerate(dataset.splits) if split == SEALED]
    others = [i for i, split in enumerate(dataset.splits) if split != SEALED]
    contents = [(normalise(row.text), normalise(row.passage or "")) for row in dataset.rows]
    exact = _exact(contents, sealed, others)
    near = _near(contents, [i for i in sealed if i not in exact], others, threshold)
    grouped = _grouped(dataset.rows, sealed, others)
    examples = [Leak(called[i], called[j], dataset.splits[j], EXACT) for i, j in exact.items()]
    examples += [Leak(called[i], called[j], dataset.splits[j], NEAR_COPY, round(value, 3)) for i, (j, value) in near.items()]
    examples += [Leak(called[i], called[j], dataset.splits[j], GROUP) for i, j in grouped.items()]
    return LeakReport(
        sealed=len(sealed),
        exact=len(exact),
        near=len(near),
        grouped=len(grouped),
        leaked=len(exact.keys() | near.keys() | grouped.keys()),
        groups=_split_groups(dataset),
        examples=tuple(examples[:_SHOWN]),
    )


def _exact(contents: Sequence[tuple[str, str]], sealed: Sequence[int], others: Sequence[int]) -> dict[int, int]:
    """Sealed rows whose content stands elsewhere, and where first."""
    first: dict[tuple[str, str], int] = {}
    for j in others:
        first.setdefault(contents[j], j)
    return {i: first[contents[i]] for i in sealed if contents[i] in first}


def _near(
    contents: Sequence[tuple[str, str]], sealed: Sequence[int], others: Sequence[int], threshold: float
) -> dict[int, tuple[int, float]]:
    """Sealed rows with a near copy elsewhere: the most similar one that was found, and its similarity."""
    numbers: dict[tuple[str, str], int] = {}
    left, right = _by_content(contents, sealed, numbers), _by_content(contents, others, numbers)
    passages: dict[str, int] = {}
    kinds = [passages.setdefault(passage, len(passages)) for _, passage in numbers]
    texts = [text for text, _ in numbers]
    best: dict[int, tuple[int, float]] = {}
    for a, b, value in near_pairs(texts, list(left), list(right), threshold=threshold, kinds=kinds, once=True):
        for i in left[a]:
            if value > best.get(i, (0, 0.0))[1]:
                best[i] = (right[b][0], value)
    return dict(sorted(best.items()))


def _by_content(
    contents: Sequence[tuple[str, str]], rows: Sequence[int], numbers: dict[tuple[str, str], int]
) -> Mapping[int, list[int]]:
    """Rows by the number of their content; new contents are numbered on."""
    found: dict[int, list[int]] = defaultdict(list)
    for i in rows:
        found[numbers.setdefault(contents[i], len(numbers))].append(i)
    return found


def _grouped(rows: Sequence[Example], sealed: Sequence[int], others: Sequence[int]) -> dict[int, int]:
    """Sealed rows whose group stands elsewhere, and where first."""
    first: dict[str, int] = {}
    for j in others:
        group = rows[j].group
        if group is not None:
            first.setdefault(group, j)
    return {i: first[group] for i in sealed if (group := rows[i].group) is not None and group in first}


def _split_groups(dataset: Dataset) -> int:
    splits: dict[str, set[str]] = defaultdict(set)
    for row, split in zip(dataset.rows, dataset.splits, strict=True):
        if row.group is not None:
            splits[row.group].add(split)
    return sum(len(own) > 1 for own in splits.values())
