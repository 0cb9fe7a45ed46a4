"""How the variants of the live release stand by what was judged so far, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass

from rungwise.core.release import Release
from rungwise.core.serving import Contest
from rungwise.data.feedback import Judgements
from rungwise.data.store import Store
from rungwise.release.contest import KEEP, Duel, Ruling, alike, decide, hold_contest
from rungwise.release.registry import Moved, Releases
from rungwise.release.shadows import shadow_duels

AUTOMATIC = "automatic"
"""Who moved the pointer when nobody did."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Each challenger and each shadow against the champion, and what the traffic should be."""

    release: Release
    duels: tuple[Duel, ...]
    shadows: tuple[Duel, ...]
    ruling: Ruling


def standing(store: Store, rules: Contest, *, shadows: bool = True) -> Verdict | None:
    """The verdict now; it may be asked for at any time and as often as one likes. None where nothing is released.

    Looking at `shadows` reads every trace that they wrote.
    """
    releases = Releases(store)
    live = releases.live()
    if live is None:
        return None
    ids = dict.fromkeys(move.release for move in releases.history())
    own = alike(live, map(releases.get, ids))
    duels = hold_contest(Judgements(store), own, rules)
    unseen = shadow_duels(store, own, level=rules.level) if shadows else ()
    return Verdict(release=live, duels=duels, shadows=unseen, ruling=decide(duels, live))


def follow(store: Store, rules: Contest) -> Moved | None:
    """Give a shown winner all traffic, and take it from a shown loser. None where the verdict changes nothing.

    A release that went live meanwhile stays as it is: the next look is at that one. Once a person has moved the traffic after
    it moved by itself, it is theirs to move.
    """
    verdict = standing(store, rules, shadows=False)  # they have no traffic that could move
    if verdict is None or verdict.ruling.action == KEEP:
        return None
    releases = Releases(store)
    last, *before = releases.history()
    alike_ids = {one.id for one in alike(verdict.release, map(releases.get, {move.release for move in before}))}
    if last.by != AUTOMATIC and any(move.by == AUTOMATIC and move.release in alike_ids for move in before):
        return None
    return releases.reweigh(verdict.ruling.weights, by=AUTOMATIC, why=verdict.ruling.why, instead_of=verdict.release.id)
