"""The parts of a window's traffic that are estimated on their own, and what is known of each of its requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from rungwise.evaluate.answers import FloatArray, IntArray
from rungwise.evaluate.foretelling import log_odds
from rungwise.watch.judged import Judged
from rungwise.watch.scene import Scene
from rungwise.watch.traffic import Bools, Names

MOST_PARTS = 20
_MOST_NAMED = 6
_MOST_ANSWERS = 50


def answers_of(scene: Scene, judged: Judged) -> Judged:
    """Those that count for the quality: answers whose text is kept; with a coverage in the target, not those declined."""
    traffic = judged.traffic
    counted = ~traffic.failed & (traffic.text != "")
    if scene.case.target is not None and scene.case.target.coverage is not None:
        counted &= ~traffic.abstained
    return judged.only(counted)


def parts_of(judged: Judged) -> Iterator[tuple[dict[str, str], Judged]]:
    """All of it, then each variant and each group where there are several; of many the twenty largest."""
    yield {}, judged
    for name, column in (("variant", judged.traffic.variant), ("group", judged.traffic.group)):
        counts = Counter(one for one in column.tolist() if one is not None)
        if len(counts) > 1:
            for value in sorted(one for one, _ in counts.most_common(MOST_PARTS)):
                yield {name: value}, judged.only(column == value)


def units_of(judged: Judged) -> IntArray:
    """(n,) the unit of each request as a number."""
    return np.asarray(np.unique(judged.traffic.unit.astype(str), return_inverse=True)[1], dtype=np.int64)


def known_of(judged: Judged) -> FloatArray:
    """(n, k) what is known of every request: its confidence, what the user said, and which group and answer it is of."""
    traffic, said = judged.traffic, judged.said
    unknown = np.isnan(traffic.confidence)
    columns = [np.where(unknown, 0.0, log_odds(np.where(unknown, 0.5, traffic.confidence))), unknown, traffic.abstained]
    columns += [~np.isnan(said), np.nan_to_num(said)]
    columns += _named(traffic.group)
    if len(set(traffic.answer.tolist())) <= _MOST_ANSWERS:
        columns += _named(traffic.answer)
    return np.column_stack([np.asarray(one, dtype=np.float64) for one in columns])


def _named(column: Names) -> list[Bools]:
    """(n,) for each of the most frequent values, whether a request has it."""
    counts = Counter(one for one in column.tolist() if one is not None)
    return [np.asarray(column == value, dtype=np.bool_) for value, _ in counts.most_common(_MOST_NAMED)]
