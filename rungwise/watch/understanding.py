"""Comments understood: how they sound and what they are about, in a window and against the window before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rungwise.curate.sentiment.reader import DISLIKED, LIKED, readable
from rungwise.data.store import Store
from rungwise.evaluate.estimation import Share
from rungwise.fit.sentiment import Spoken, spoken
from rungwise.watch.comments import Change, Texts, blamed, change, comments, share
from rungwise.watch.topics import Found, find_topics
from rungwise.watch.traffic import Bools

SENTIMENT, TOPICS = "feedback.sentiment", "feedback.topics"
COMMENT_DAYS = 28
FEWEST = 5
"""With fewer comments that can be read nothing is said of how they sound."""
BLAMED = {"of": "questions judged badly answered"}


@dataclass(frozen=True, kw_only=True)
class Sounds:
    """How comments sound: the shares of users' voices that sound good and bad (None where too few can be read), the change of the
    first against the window before, and which model said so. `unread` comments have no word that can be read, or are in
    another language than English. `traces` are those that sound bad, worst first."""

    good: Share | None
    bad: Share | None
    n: int
    unread: int
    why: str
    model: str = "shipped"
    accuracy: float | None = None
    shipped_accuracy: float | None = None
    change: Change | None = None
    left_out: int = 0
    traces: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        found = {name: getattr(self, name) for name in ("n", "unread", "why", "model", "accuracy", "shipped_accuracy", "left_out")}
        for name, one in (("good", self.good), ("bad", self.bad)):
            found[name] = None if one is None else {"value": one.value, "low": one.low, "high": one.high}
        found["change"] = None if self.change is None else vars(self.change)
        return found | {"traces": list(self.traces)}


@dataclass(frozen=True, kw_only=True)
class Understood:
    """How comments sound, of all and of each variant where there are several; what comments, and questions judged badly
    answered, are about. Each with the part that it is of."""

    sounds: tuple[tuple[dict[str, str], Sounds], ...]
    topics: tuple[tuple[dict[str, str], Found], ...]


def understand(store: Store, until: float, *, days: int = COMMENT_DAYS, topics: bool = True) -> Understood:
    """The comments of the last so many days before `until`, against as many before those."""
    own = comments(store, until, days)
    if not len(own):
        nothing = Sounds(good=None, bad=None, n=0, unread=0, why=f"nobody wrote a comment in {days} days")
        sounds: tuple[tuple[dict[str, str], Sounds], ...] = (({}, nothing),)
        of_comments = Found(why=nothing.why)
    else:
        read = np.array([readable(text) for text in own.texts], np.bool_)
        said = spoken(own.texts, own.thumbs, own.units)
        variants = sorted({str(one) for one in own.variants[own.now] if one is not None})
        parts: list[tuple[dict[str, str], Bools]] = [({}, np.ones(len(own), np.bool_))]
        if len(variants) > 1:
            parts += [({"variant": name}, own.variants == name) for name in variants]
        sounds = tuple((about, _sounds(own, which, read, said)) for about, which in parts)
        of_comments = find_topics(own, said.chances) if topics else Found()
    if not topics:
        return Understood(sounds=sounds, topics=())
    return Understood(sounds=sounds, topics=(({}, of_comments), (BLAMED, find_topics(blamed(store, until, days)))))


def _sounds(own: Texts, which: Bools, read: Bools, said: Spoken) -> Sounds:
    """How the comments of one part sound."""
    here = which & own.now & read
    n, unread = int((which & own.now).sum()), int((which & own.now & ~read).sum())
    more = {"model": said.model, "accuracy": said.accuracy, "shipped_accuracy": said.shipped_accuracy}
    if int(here.sum()) < FEWEST:
        why = f"{int(here.sum()):,} comments that can be read are too few to tell ({unread:,} others cannot be)"
        return Sounds(good=None, bad=None, n=n, unread=unread, why=why, left_out=own.left_out, **more)  # type: ignore[arg-type]
    good, bad = _share(own, here, said.chances > LIKED), _share(own, here, said.chances < DISLIKED)
    earlier = which & ~own.now & read
    moved = change(good, _share(own, earlier, said.chances > LIKED)) if int(earlier.sum()) >= FEWEST else None
    worst = np.flatnonzero(here & (said.chances < DISLIKED))
    worst = worst[np.argsort(said.chances[worst], kind="stable")]
    return Sounds(
        good=good,
        bad=bad,
        n=n,
        unread=unread,
        why=_told(good, bad, moved, unread, said),
        change=moved,
        left_out=own.left_out,
        traces=tuple(dict.fromkeys(own.traces[i] for i in worst)),
        **more,  # type: ignore[arg-type]
    )


def _share(own: Texts, which: Bools, sounds: Bools) -> Share:
    return share(sounds[which], [own.units[i] for i in np.flatnonzero(which)])


def _told(good: Share, bad: Share, moved: Change | None, unread: int, said: Spoken) -> str:
    found = (
        f"{good.value:.1%} [{good.low:.1%}, {good.high:.1%}] of users' voices in {good.n:,} comments of {good.units:,} users "
        f"sound good, {bad.value:.1%} bad"
    )
    if unread:
        found += f"; {unread:,} more were not read"
    if moved is not None:
        found += f"; {moved.value:+.1%} [{moved.low:+.1%}, {moved.high:+.1%}] against the window before"
    if said.accuracy is not None:
        found += f"; the {said.model} model foretells {said.accuracy:.0%} of the thumbs beside them"
    return found


def told_topics(one: Found) -> str:
    """One sentence about the topics: the largest, and those that moved."""
    parts = [f"'{topic.name}' {topic.share.value:.0%}" for topic in one.topics[:3]]
    found = f"{len(one.topics)} topics; the largest are {', '.join(parts)}"
    moved = [topic for topic in one.topics if topic.change is not None and topic.change.p < 0.05]
    if moved:
        found += "; shown to move: " + ", ".join(f"'{topic.name}' {topic.change.value:+.0%}" for topic in moved if topic.change)
    return found
