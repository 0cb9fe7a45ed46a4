"""The pointer to the live release in a re-climb: where it stands, and the releases that it moves to."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from rungwise.core.decision import Decision
from rungwise.core.errors import UsageError
from rungwise.core.record import short
from rungwise.core.release import GateResult, Release, Variant
from rungwise.core.usecase import UseCase
from rungwise.data.nouns import Nouns
from rungwise.data.store import Store
from rungwise.release.contest import alike
from rungwise.release.registry import Move, Releases, salt_for
from rungwise.release.verdict import AUTOMATIC

BASE, SHADOW, CONTEST, WON, FOREIGN = "base", "shadow", "contest", "won", "foreign"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the pointer stands: at the release that the re-climb began with (base), at one that it made itself (shadow, contest,
    won), or somewhere else, since somebody moved it (foreign). `move` is the last one."""

    kind: str
    release: Release
    move: Move


class Pointer:
    """Moves the pointer on behalf of a re-climb, to whole releases only. A move that was made is not made again."""

    def __init__(self, store: Store, *, reclimb: str, base: str, variant: str, live: str) -> None:
        self.store, self.base_id, self.variant, self.live = store, base, variant, live
        self.name = f"re-climb {short(reclimb)}"
        self.releases = Releases(store)

    @property
    def base(self) -> Release:
        """The release that the re-climb began with."""
        return self.releases.get(self.base_id)

    def place(self, candidate: str | None) -> Place:
        """Where the pointer stands now; `candidate` is the new one, None before it is known."""
        moves = self.releases.history()
        last, live = moves[0], self.releases.get(moves[0].release)
        own = [move for move in moves if move.by == self.name]
        return Place(kind=self._kind(last, live, own, candidate), release=live, move=last)

    def _kind(self, last: Move, live: Release, own: Sequence[Move], candidate: str | None) -> str:
        if live.id == self.base_id:
            return BASE if last.by == self.name or not own else FOREIGN
        # Where `serve.contest.automatic` is set, the server itself follows the verdict on a contest.
        followed = last.by == AUTOMATIC and any(one.id == move.release for move in own for one in alike(live, self._past(own)))
        if (last.by != self.name and not followed) or candidate is None:
            return FOREIGN
        weights = {one.candidate: one.weight for one in live.variants}
        if candidate not in weights:
            return SHADOW if candidate in live.shadow else FOREIGN
        return WON if weights == {candidate: 1.0} else CONTEST

    def _past(self, own: Sequence[Move]) -> list[Release]:
        return [self.releases.get(move.release) for move in own]

    def contest(self, live: Release) -> tuple[Release, ...]:
        """The live contest and the releases that differ from it in the weights only."""
        return alike(live, map(self.releases.get, dict.fromkeys(move.release for move in self.releases.history())))

    def began(self, kind: str, candidate: str) -> float:
        """When this re-climb first moved the pointer to a release of a kind, in seconds since 1970."""
        for move in reversed(self.releases.history()):
            if move.by == self.name:
                release = self.releases.get(move.release)
                named = any(one.candidate == candidate for one in release.variants)
                if named == (kind == CONTEST) and (named or candidate in release.shadow):
                    return move.at
        raise UsageError(f"{self.name} has not come to its {kind} yet. Type: rungwise reclimb {self.store.directory.parent}")

    def beside(self, new: New, *, share: float, instead_of: str) -> Release:
        """Let the new candidate answer beside the live one: with a share of the traffic, or as a shadow where that is 0."""
        base, now = self.base, self.store.clock.now()
        variants: tuple[Variant, ...] = (Variant(name=self.variant, candidate=self.live, weight=1.0 - share),)
        shadow = tuple(dict.fromkeys((*base.shadow, new.candidate))) if not share else base.shadow
        if share:
            variants = (*variants, Variant(name=new.name_beside(self.variant), candidate=new.candidate, weight=share))
        salt = base.salt if not share else salt_for(variants, base, now)
        return self._put(new, variants, shadow, (*base.gates, *new.gates), salt, instead_of)

    def promote(self, new: New, *, instead_of: str) -> Release:
        """Give the new candidate all traffic. What went before it in this re-climb is taken back first, so that
        `rungwise rollback` leads to the release that it began with."""
        if instead_of != self.base_id:
            self.releases.rollback(to=self.base_id, by=self.name, why="the contest is over", instead_of=instead_of)
        variants = (Variant(name=new.name_beside(self.variant), candidate=new.candidate, weight=1.0),)
        salt = salt_for(variants, self.base, self.store.clock.now())
        return self._put(new, variants, self.base.shadow, new.gates, salt, self.base_id)

    def take_back(self, why: str, *, instead_of: str) -> None:
        """Let the release that the re-climb began with answer alone again."""
        if instead_of != self.base_id:
            self.releases.rollback(to=self.base_id, by=self.name, why=why, instead_of=instead_of)

    def _put(
        self,
        new: New,
        variants: tuple[Variant, ...],
        shadow: tuple[str, ...],
        gates: tuple[GateResult, ...],
        salt: str,
        instead_of: str,
    ) -> Release:
        Nouns(self.store).put(new.case)  # it may have been edited since the climb
        release = Release(
            use_case=new.case.id,
            variants=variants,
            # The decision that made the live candidate comes first: that one says what it answers with.
            evidence=tuple(dict.fromkeys((*self.base.evidence, new.decision.id))),
            shadow=tuple(id for id in shadow if id not in {one.candidate for one in variants}),
            gates=gates,
            salt=salt,
            at=self.store.clock.now(),
            approved_by=new.approved_by,
        )
        if len(variants) == 1 and variants[0].candidate == new.candidate:
            release = dataclasses.replace(release, evidence=(new.decision.id,))
        return self.releases.put(release, by=self.name, why=new.why, instead_of=instead_of).live


@dataclass(frozen=True, kw_only=True)
class New:
    """The candidate that may take over: by which decision and rung, what its gates said, and who put their name to it."""

    candidate: str
    rung: str
    decision: Decision
    case: UseCase
    gates: tuple[GateResult, ...]
    why: str
    approved_by: str | None = None

    def name_beside(self, other: str) -> str:
        """What its variant is called: its rung, with digits of its id where the live one is called so."""
        name = self.rung.replace(":", "-")
        return name if name != other else f"{name}-{self.candidate[:6]}"
