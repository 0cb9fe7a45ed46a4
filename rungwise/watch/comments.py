"""What users wrote of the answers of a window and of the window before, and which questions were judged bad."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from rungwise.core.feedback import Feedback
from rungwise.core.reading import DAY_S
from rungwise.core.trace import Trace
from rungwise.curate.sentiment.reader import cleaned
from rungwise.data.feedback import Judgements, Kept
from rungwise.data.judging import traces_by_id
from rungwise.data.said import said
from rungwise.data.store import Store
from rungwise.evaluate.estimation import Share, weighted_share
from rungwise.watch.traffic import Bools, Floats, Names

AT_MOST = 3_000
"""Texts that are looked at in two windows together: the newest, where there are more."""


@dataclass(frozen=True, eq=False)
class Texts:
    """n texts, oldest first: what was written, on which trace, by whom (the user, else the conversation, else the trace), the
    variant that had answered, the last thumb of the same person (None without one), and whether it is of the window itself,
    not of the one before. `left_out` older ones were not looked at."""

    texts: tuple[str, ...]
    traces: tuple[str, ...]
    units: tuple[str, ...]
    variants: Names
    thumbs: tuple[bool | None, ...]
    now: Bools
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.texts)

    def only(self, which: Bools) -> Texts:
        """Those of them."""
        places = np.flatnonzero(which)
        texts, traces, units, thumbs = (tuple(own[i] for i in places) for own in (self.texts, self.traces, self.units, self.thumbs))
        return Texts(texts, traces, units, self.variants[places], thumbs, self.now[places], self.left_out)  # type: ignore[arg-type]


def comments(store: Store, until: float, days: int) -> Texts:
    """The comments of users in the last so many days before `until`, and in as many before those. Of several that a person wrote
    on one answer all count, of the same one written again the last; an empty one is none."""
    since = until - 2 * days * DAY_S
    found: dict[tuple[str, str | None, str], Kept] = {}
    for one in Judgements(store).commented(since, until):
        text = cleaned(one.feedback.comment or "")
        if text:
            found[one.feedback.trace, one.feedback.by, text] = one
    return _texts(store, [(text, one) for (_, _, text), one in found.items()], until - days * DAY_S)


def blamed(store: Store, until: float, days: int) -> Texts:
    """The questions whose answers were judged bad in the last so many days before `until`, and in as many before those; each once,
    where its trace is still kept and says what was asked."""
    last = {one.feedback.trace: one for one in Judgements(store).blamed(until - 2 * days * DAY_S, until)}
    chosen = _newest(list(last.values()))
    traces = traces_by_id(store, [one.feedback.trace for one in chosen])
    asked = [(cleaned(said(traces[one.feedback.trace]).question), one) for one in chosen if one.feedback.trace in traces]
    return _columns([pair for pair in asked if pair[0]], traces, until - days * DAY_S, len(last) - len(chosen))


def _newest(kept: Sequence[Kept]) -> list[Kept]:
    return sorted(kept, key=lambda one: (one.feedback.at, one.n))[-AT_MOST:]


def _texts(store: Store, pairs: Sequence[tuple[str, Kept]], begin: float) -> Texts:
    """Columns of these texts; the traces say whose they are, as far as they are kept."""
    chosen = sorted(pairs, key=lambda pair: (pair[1].feedback.at, pair[1].n))[-AT_MOST:]
    traces = traces_by_id(store, {one.feedback.trace for _, one in chosen})
    return _columns(chosen, traces, begin, len(pairs) - len(chosen))


def _columns(pairs: Sequence[tuple[str, Kept]], traces: dict[str, Trace], begin: float, left_out: int) -> Texts:
    variants = np.empty(len(pairs), dtype=object)
    variants[:] = [one.about.variant for _, one in pairs]
    return Texts(
        texts=tuple(text for text, _ in pairs),
        traces=tuple(one.feedback.trace for _, one in pairs),
        units=tuple(_whose(one, traces.get(one.feedback.trace)) for _, one in pairs),
        variants=variants,
        thumbs=tuple(_thumb(one.feedback) for _, one in pairs),
        now=np.array([one.feedback.at >= begin for _, one in pairs], np.bool_),
        left_out=left_out,
    )


def _whose(one: Kept, trace: Trace | None) -> str:
    return one.feedback.by or (trace.user if trace else None) or one.about.unit or one.feedback.trace


def _thumb(feedback: Feedback) -> bool | None:
    if feedback.thumb is None and feedback.score is not None:
        return None if feedback.score == 0.5 else feedback.score > 0.5
    return feedback.thumb


def voices(units: Sequence[str]) -> Floats:
    """(n,) the weight of each text: every user has one voice, shared by all that they wrote."""
    counts = Counter(units)
    return np.array([1 / counts[unit] for unit in units], np.float64)


def share(which: Iterable[bool], units: Sequence[str]) -> Share:
    """The share of users' voices that this is true of, with its interval by users. Raises ValueError where there is none."""
    _, numbers = np.unique(np.array(units, dtype=object).astype(str), return_inverse=True)
    return weighted_share(np.array(list(which), np.float64), voices(units), numbers)


@dataclass(frozen=True)
class Change:
    """How much larger a share is than before, with its interval, and how surprising that is where nothing changed."""

    value: float
    low: float
    high: float
    p: float


def change(now: Share, before: Share) -> Change:
    """The difference of two shares: the interval of Newcombe 1998 (Statistics in Medicine 17, method 10) from those of the shares,
    and the score test with the sizes that they are worth. Users who speak in both windows make it careful."""
    gain = now.value - before.value
    low = gain - float(np.hypot(now.value - now.low, before.high - before.value))
    high = gain + float(np.hypot(now.high - now.value, before.value - before.low))
    pooled = (now.value * now.size + before.value * before.size) / (now.size + before.size)
    error = float(np.sqrt(max(pooled * (1 - pooled), 0.0) * (1 / now.size + 1 / before.size)))
    p = 1.0 if error <= 1e-12 else float(2 * ndtr(-abs(gain) / error))
    return Change(gain, max(-1.0, low), min(1.0, high), min(1.0, p))
