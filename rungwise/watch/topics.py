"""What texts are about: groups of texts that share their words, each with a name, examples and its course."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import MissingExtra
from rungwise.curate.sentiment.reader import DISLIKED, LIKED
from rungwise.evaluate.estimation import Share
from rungwise.watch.comments import Change, Texts, change, share, voices
from rungwise.watch.drift.columns import holm
from rungwise.watch.masking import masking
from rungwise.watch.traffic import Bools, Floats

FEWEST = 30
"""With fewer texts in the window nothing is said of what they are about."""
FEWEST_USERS = 10
MOST_TOPICS = 12
SMALLEST = 8
"""There are at most as many topics as give each so many texts."""
PARTED = 0.05
"""A cut whose silhouette is lower is none: the texts do not fall into groups."""
SHARED_BY = 3
"""Only words that so many users wrote count, so that nobody's name or number becomes the name of a topic."""
EXAMPLES = 3
LISTED = 200
SHOWN_CHARACTERS = 160
_PLACEHOLDER = re.compile(r"\[[A-Z_]+\]")
_WORD = r"(?u)\b[^\W\d_][^\W\d_]{2,}\b"
_DIMENSIONS = 40
_JUDGED_AT_ONCE = 1_500  # texts whose silhouette is looked at: it takes all their distances


@dataclass(frozen=True, kw_only=True)
class Topic:
    """Texts that share their words. `share` counts users' voices in the window, `change` against the window before (None where that
    has too few texts), its `p` adjusted for all topics (Holm). `good` and `bad` are the shares that sound so, None where nobody
    judged how they sound. `examples` are the most typical (trace, text or '' where it cannot be masked), `traces` all of the
    window, newest first, at most `LISTED`."""

    words: tuple[str, ...]
    n: int
    users: int
    share: Share
    before: Share | None = None
    change: Change | None = None
    good: float | None = None
    bad: float | None = None
    examples: tuple[tuple[str, str], ...] = ()
    traces: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """Its most telling words."""
        return ", ".join(self.words)

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        found: dict[str, Any] = {"name": self.name, "n": self.n, "users": self.users, "good": self.good, "bad": self.bad}
        found |= {"share": self.share.value, "low": self.share.low, "high": self.share.high}
        found["before"] = None if self.before is None else self.before.value
        found["change"] = None if self.change is None else vars(self.change)
        found["examples"] = [{"trace": trace, "text": text} for trace, text in self.examples]
        return found | {"traces": list(self.traces)}


@dataclass(frozen=True, kw_only=True)
class Found:
    """The topics, largest first; `why` there is none. `other` is the share of texts without a word that several users wrote."""

    topics: tuple[Topic, ...] = ()
    why: str = ""
    other: float = 0.0
    silhouette: float | None = None


def find_topics(own: Texts, chances: Floats | None = None) -> Found:
    """What these texts are about. `chances` (n,) says how likely each sounds good.

    TF-IDF of words and pairs, 40 directions of the truncated SVD, k-means with as many groups as give the best silhouette
    (Rousseeuw 1987); both windows are grouped together, without it being known which text is of which. The same texts
    give the same topics.
    """
    n, users = int(own.now.sum()), len({unit for unit, now in zip(own.units, own.now, strict=True) if now})
    if n < FEWEST or users < FEWEST_USERS:
        return Found(
            why=f"{n:,} texts of {users:,} users are too few to see topics: {FEWEST} texts of {FEWEST_USERS} users are needed"
        )
    masked = _masked(own.texts)
    rows, words = _weighed(masked or own.texts, own.units)
    told = np.asarray(rows.getnnz(axis=1) > 0) if rows is not None else np.zeros(len(own), np.bool_)
    if rows is None or len({unit for unit, has in zip(own.units, told, strict=True) if has}) < FEWEST_USERS:
        return Found(why=f"the {n:,} texts share too few words to see topics", other=1.0)
    groups, silhouette = _grouped(_directions(rows[told]), voices([own.units[i] for i in np.flatnonzero(told)]))
    if groups is None:
        return Found(why=f"the {n:,} texts do not fall into groups", silhouette=silhouette)
    of_text = np.full(len(own), -1)
    of_text[told] = groups
    found = [_topic(own, of_text == number, rows, words, chances, masked) for number in range(int(groups.max()) + 1)]
    topics = _adjusted([one for one in found if one is not None])
    topics.sort(key=lambda one: (-one.share.value, one.name))
    return Found(topics=tuple(topics), other=float(((of_text < 0) & own.now).sum() / n), silhouette=silhouette)


def _masked(texts: Sequence[str]) -> list[str] | None:
    """The texts with personal data masked; None where what finds it is not installed."""
    try:
        return list(masking()(texts))
    except MissingExtra:
        return None


def _weighed(texts: Sequence[str], units: Sequence[str]) -> tuple[Any, NDArray[np.object_]]:
    """TF-IDF (n, words) of the words and pairs that `SHARED_BY` users wrote, and these; None where there is none."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer, TfidfTransformer

    plain = [_PLACEHOLDER.sub(" ", text) for text in texts]
    counter = CountVectorizer(token_pattern=_WORD, ngram_range=(1, 2), stop_words=sorted(ENGLISH_STOP_WORDS), max_features=20_000)
    try:
        counts = counter.fit_transform(plain)
    except ValueError:  # only stop words
        return None, np.array([], dtype=object)
    _, numbers = np.unique(np.array(units, dtype=object).astype(str), return_inverse=True)
    pairs = counts.tocoo()
    seen = np.unique(np.stack([pairs.col, numbers[pairs.row]]), axis=1)[0]
    kept = np.bincount(seen, minlength=counts.shape[1]) >= SHARED_BY
    if not kept.any():
        return None, np.array([], dtype=object)
    rows = TfidfTransformer(sublinear_tf=True).fit_transform(counts[:, kept])
    return rows.tocsr(), np.asarray(counter.get_feature_names_out(), dtype=object)[kept]


def _directions(rows: Any) -> Floats:
    """(n, dimensions) unit rows."""
    from sklearn.decomposition import TruncatedSVD

    size = min(_DIMENSIONS, rows.shape[1] - 1, rows.shape[0] - 1)
    dense = TruncatedSVD(size, random_state=0).fit_transform(rows) if size >= 2 else rows.toarray()
    norms = np.linalg.norm(dense, axis=1, keepdims=True)
    return np.asarray(dense / np.maximum(norms, 1e-12), np.float64)


def _grouped(points: Floats, weights: Floats) -> tuple[NDArray[np.int64] | None, float | None]:
    """(n,) the group of each point, from 0 on; None where no cut parts them, with the best silhouette."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits

    distinct = len(np.unique(points.round(6), axis=0))
    best: tuple[float, NDArray[np.int64]] | None = None
    looked = np.random.default_rng(0).permutation(len(points))[:_JUDGED_AT_ONCE]
    with threadpool_limits(1):  # the same groups whatever the number of cores, and no threads that wait for one another
        for k in range(2, min(MOST_TOPICS, len(points) // SMALLEST, distinct - 1) + 1):
            groups = KMeans(k, n_init=3, random_state=0).fit(points, sample_weight=weights).labels_
            if 2 <= len(np.unique(groups[looked])) < len(looked):
                score = float(silhouette_score(points[looked], groups[looked]))
                if best is None or score > best[0]:
                    best = score, groups.astype(np.int64)
    if best is None or best[0] < PARTED:
        return None, best[0] if best else None
    return best[1], best[0]


def _topic(
    own: Texts, inside: Bools, rows: Any, words: NDArray[np.object_], chances: Floats | None, masked: Sequence[str] | None
) -> Topic | None:
    """A group as a topic; None where nothing of it is in the window."""
    here = np.flatnonzero(inside & own.now)
    if not here.size:
        return None
    within = np.asarray(rows[inside].mean(axis=0)).ravel()
    outside = np.asarray(rows[~inside].mean(axis=0)).ravel() if (~inside).any() else np.zeros_like(within)
    now = share(inside[own.now], _of(own.units, own.now))
    earlier = ~own.now
    before = share(inside[earlier], _of(own.units, earlier)) if earlier.sum() >= FEWEST else None
    typical = here[np.argsort(-np.asarray(rows[here] @ within), kind="stable")]
    users = [own.units[i] for i in here]
    good = bad = None
    if chances is not None:
        weights = voices(users)
        good, bad = (float(np.average(side, weights=weights)) for side in (chances[here] > LIKED, chances[here] < DISLIKED))
    return Topic(
        words=_telling(within - outside, words),
        n=len(here),
        users=len(set(users)),
        share=now,
        before=before,
        change=None if before is None else change(now, before),
        good=good,
        bad=bad,
        examples=_examples(own, typical, masked),
        traces=tuple(dict.fromkeys(own.traces[i] for i in here[::-1]))[:LISTED],
    )


def _of(units: Sequence[str], which: Bools) -> list[str]:
    return [units[i] for i in np.flatnonzero(which).tolist()]


def _telling(weights: Floats, words: NDArray[np.object_], *, wanted: int = 4) -> tuple[str, ...]:
    """The words that tell a group from the others most, none within another."""
    found: list[str] = []
    for place in np.argsort(-weights, kind="stable"):
        word = str(words[place])
        if weights[place] <= 0 or len(found) == wanted:
            break
        if not any(set(word.split()) & set(other.split()) for other in found):
            found.append(word)
    return tuple(found) or ("anything else",)


def _examples(own: Texts, places: NDArray[np.int64], masked: Sequence[str] | None) -> tuple[tuple[str, str], ...]:
    """The most typical texts, one a user."""
    found: dict[str, tuple[str, str]] = {}
    for place in places.tolist():
        text = masked[place][:SHOWN_CHARACTERS] if masked is not None else ""
        found.setdefault(own.units[place], (own.traces[place], text))
        if len(found) == EXAMPLES:
            break
    return tuple(found.values())


def _adjusted(topics: Sequence[Topic]) -> list[Topic]:
    """With p-values for so many topics."""
    from dataclasses import replace

    told = [one for one in topics if one.change is not None]
    adjusted = iter(holm([one.change.p for one in told if one.change is not None]))
    return [one if one.change is None else replace(one, change=replace(one.change, p=next(adjusted))) for one in topics]
