"""Label problems: rows whose label is likely wrong, rows like no others, and copies that contradict each other.

Pure functions on what they are given: probabilities of rows by models that have not
seen them (`fit/crossfit.py`), vectors, texts. Sealed rows are never judged: to remove
those that a model disagrees with would flatter every candidate. Of the rest only
training rows are set aside; dev rows are suggestions for people, since a dev set that
was cleaned by models no longer says how a model fares on the data as it comes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rungwise.core.dataset import SEALED, TRAIN
from rungwise.curate.shingles import normalise
from rungwise.curate.step import Finding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]
    Codes = NDArray[np.int64]

LIKELY_WRONG, OUTLIER, CONFLICT = "labels:likely_wrong", "labels:outlier", "labels:conflict"

RIGHT_BELOW = 0.5
"""A label is likely wrong when its chance to be right is below this: wrong is likelier than right."""

LEAST_ROWS = 10
"""Labels with fewer rows are not judged: models that see eight of them know too little to contradict anybody."""

MOST_OF_A_LABEL = 0.5
"""At most this share of a label's rows is called wrong, the least likely first: beyond it the label itself is in question."""

ROUNDS = 30
PRIOR_ROWS, PRIOR_RIGHT = 10.0, 0.9
"""What is believed of each label before any row is seen, worth 10 rows: 9 in 10 are right. With a tenth or three times
as many rows the F1 of what is found on banking77, one in ten flipped, changes by less than 0.01."""

NEIGHBOURS = 10
FAR = 3.5
"""Modified z-score from which a value is an outlier. Source: Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers."""

_MOST_COMPARED = 20_000
_ROWS_AT_ONCE = 1_024


@dataclass(frozen=True)
class LabelProblems:
    """Findings by what may be done about them: `quarantined` training rows, `suggested` dev rows for people to look at."""

    quarantined: tuple[Finding, ...]
    suggested: tuple[Finding, ...]

    @classmethod
    def sorted_out(cls, found: Sequence[Finding], splits: Sequence[str], numbers: Sequence[int]) -> LabelProblems:
        """Findings about the rows at hand (counted from 0), parted by split and renumbered: row i is `numbers[i]` of the version.

        A row with several findings keeps the first of conflict, likely wrong, outlier. Raises ValueError for a sealed row.
        """
        if SEALED in splits:
            raise ValueError("sealed rows are never judged by their labels")
        order = (CONFLICT, LIKELY_WRONG, OUTLIER)
        first: dict[int, Finding] = {}
        for one in sorted(found, key=lambda one: order.index(one.reason)):
            first.setdefault(one.row, one)
        parts: dict[bool, list[Finding]] = {True: [], False: []}
        for row, one in sorted(first.items()):
            parts[splits[row] == TRAIN].append(Finding(numbers[row], one.reason, one.evidence))
        return cls(tuple(parts[True]), tuple(parts[False]))


def confident_joint(probabilities: Floats, given: Codes) -> NDArray[np.int64]:
    """How many rows with label j (column) seem to be of label i (row), counted where a model is confident: (labels, labels).

    A row counts for label i when its probability of i is at least the mean that rows
    given i have for i; of several such labels the likeliest. Source: Northcutt, Jiang
    and Chuang 2021, Confident Learning, JAIR 70, section 3.1. `probabilities` is
    (n, labels), out of fold; `given` (n,) the columns of the given labels.
    """
    import numpy as np

    count = probabilities.shape[1]
    own = probabilities[np.arange(len(given)), given]
    sums = np.bincount(given, weights=own, minlength=count)
    # A label that no row carries has no threshold; nothing counts for it.
    thresholds = np.divide(sums, np.bincount(given, minlength=count), out=np.full(count, np.inf), where=sums > 0)
    confident = probabilities >= thresholds - 1e-6
    seems = np.where(confident, probabilities, -1.0).argmax(axis=1)
    joint = np.zeros((count, count), dtype=np.int64)
    some = confident.any(axis=1)
    np.add.at(joint, (seems[some], given[some]), 1)
    return joint


def true_labels(probabilities: Floats, given: Codes, *, rounds: int = ROUNDS) -> Doubles:
    """The chance of each label to be the true one, the given label taken into account: (n, labels), rows add up to 1.

    Labels are taken to be given through a channel, P(given j | true i), which starts
    from the confident joint and is fitted by expectation maximisation (Dawid and Skene
    1979, Applied Statistics 28, with the models' probabilities in place of each row's
    prior). So a mistake that many make (two labels that people confuse) needs less
    evidence than one of its kind, and of labels mixed up at random only rows that a
    model is sure about are contradicted: margins find the former, self-confidence the
    latter, this both (`benchmarks/label_problems.py`). Arguments as for `confident_joint`.
    """
    import numpy as np

    count = probabilities.shape[1]
    prior = np.full((count, count), PRIOR_ROWS * (1 - PRIOR_RIGHT) / max(1, count - 1))
    np.fill_diagonal(prior, PRIOR_ROWS * PRIOR_RIGHT)
    rows_of = [np.flatnonzero(given == label) for label in range(count)]
    counts = confident_joint(probabilities, given).astype(np.float64)
    seen = probabilities.astype(np.float64)
    true = seen
    for _ in range(rounds):
        channel = counts + prior
        channel /= channel.sum(axis=1, keepdims=True)
        true = seen * channel[:, given].T
        true /= np.maximum(true.sum(axis=1, keepdims=True), 1e-300)
        counts = np.stack([true[rows].sum(axis=0) for rows in rows_of], axis=1)
    return true


def likely_wrong(probabilities: Floats, given: Codes, labels: Sequence[str], *, right_below: float = RIGHT_BELOW) -> list[Finding]:
    """Rows whose given label has less than `right_below` chance to be the true one, ascending.

    The evidence names the given label, the likeliest one and its probability. Labels
    with under 10 rows are left alone, and of no label more than half the rows are named.
    """
    import numpy as np

    if not len(given):
        return []
    true = true_labels(probabilities, given)
    right = true[np.arange(len(given)), given]
    found: list[Finding] = []
    for label in range(len(labels)):
        rows = np.flatnonzero(given == label)
        if len(rows) < LEAST_ROWS:
            continue
        wrong = rows[right[rows] < right_below]
        wrong = wrong[np.argsort(right[wrong], kind="stable")][: int(MOST_OF_A_LABEL * len(rows))]
        found += [_contradicted(int(row), true[row], labels, label) for row in wrong]
    return sorted(found, key=lambda one: one.row)


def _contradicted(row: int, true: Doubles, labels: Sequence[str], given: int) -> Finding:
    others = true.copy()
    others[given] = -1.0
    best = int(others.argmax())
    return Finding(row, LIKELY_WRONG, f"given '{labels[given]}', suggested '{labels[best]}' (probability {true[best]:.2f})")


def outliers(vectors: Floats, given: Codes, labels: Sequence[str]) -> list[Finding]:
    """Rows that lie unusually far from all other rows, and also for a row of their label, ascending.

    Distance is 1 - the mean cosine to the 10 nearest other rows (Kuan and Mueller 2022,
    arXiv 2207.03061); unusual is a modified z-score above 3.5, among all rows and among
    those of the label, so that a label for everything else is not an outlier as such.
    `vectors` (n, d) of unit length. Labels with under 10 rows are compared with all rows only.
    """
    import numpy as np

    if len(vectors) <= 2 * NEIGHBOURS:
        return []
    distance = _distances(vectors)
    far = _modified_z(distance)
    for label in range(len(labels)):
        rows = np.flatnonzero(given == label)
        if len(rows) >= LEAST_ROWS:
            far[rows] = np.minimum(far[rows], _modified_z(distance[rows]))
    usual = float(np.median(distance))
    return [
        Finding(
            int(row), OUTLIER, f"mean distance {distance[row]:.2f} to its {NEIGHBOURS} nearest rows, where {usual:.2f} is usual"
        )
        for row in np.flatnonzero(far > FAR)
    ]


def _distances(vectors: Floats) -> Doubles:
    """1 - mean cosine of each row to its nearest others, (n,); beyond 20,000 rows every second (third, ...) is compared with."""
    import numpy as np

    n = len(vectors)
    step = -(-n // _MOST_COMPARED)
    compared = vectors[::step]
    last = len(compared) - NEIGHBOURS
    found = np.empty(n)
    for start in range(0, n, _ROWS_AT_ONCE):
        rows = np.arange(start, min(n, start + _ROWS_AT_ONCE))
        cosines = vectors[rows] @ compared.T
        itself = np.flatnonzero(rows % step == 0)
        cosines[itself, rows[itself] // step] = -np.inf
        found[rows] = 1.0 - np.partition(cosines, last, axis=1)[:, last:].mean(axis=1)
    return found


def _modified_z(values: Doubles) -> Any:
    """0.6745 (x - median) / median absolute deviation; where that is 0, nothing stands out."""
    import numpy as np

    off = values - np.median(values)
    spread = float(np.median(np.abs(off)))
    return 0.6745 * off / spread if spread > 0 else np.zeros_like(off)


def conflicts(texts: Sequence[str], references: Sequence[Sequence[str]]) -> list[Finding]:
    """Rows whose text stands elsewhere with other labels, ascending; equal texts differ in case, signs and spacing at most.

    Where more than half of the copies agree they are kept and the others named; else all are. With a
    passage, give text and passage in one string.
    """
    copies: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(texts):
        copies[normalise(text)].append(row)
    found: list[Finding] = []
    for rows in copies.values():
        counts = Counter(tuple(sorted(references[row])) for row in rows)
        if len(counts) < 2:
            continue
        most, votes = counts.most_common(1)[0]
        kept = most if 2 * votes > len(rows) else None
        said = ", ".join(f"{'|'.join(names)} ({count})" for names, count in sorted(counts.items()))
        evidence = f"{len(rows)} copies of this text are labelled {said}"
        found += [Finding(row, CONFLICT, evidence) for row in rows if tuple(sorted(references[row])) != kept]
    return sorted(found, key=lambda one: one.row)
