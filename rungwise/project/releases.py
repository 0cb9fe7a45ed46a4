"""`ProjectReleases`: release what was decided, go back, and check the gates without releasing."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rungwise.core.release import GateResult, Release
from rungwise.core.types import Clock
from rungwise.data.spec import FILE, read_gates, read_serving, read_use_case
from rungwise.data.store import Store
from rungwise.project.opening import opened
from rungwise.release.gates import Rules
from rungwise.release.plan import Plan, Wishes
from rungwise.release.registry import Move, Moved, Releases

if TYPE_CHECKING:
    from rungwise.core.usecase import UseCase


@dataclass(frozen=True, kw_only=True)
class Gated:
    """What would be released, and what its gates say. `passed`: none of them stands in the way."""

    plan: Plan
    gates: tuple[GateResult, ...]
    evidence: tuple[str, ...]
    passed: bool


@dataclass(frozen=True, kw_only=True)
class Released(Gated):
    """What became of it: the pointer after the release, or None where a gate stood in the way and nothing changed."""

    moved: Moved | None


class ProjectReleases:
    """The releases of a project folder."""

    def __init__(self, directory: Path, clock: Clock, state: Path) -> None:
        self.directory, self.clock, self.state = directory, clock, state

    def gate(self, wishes: Wishes | None = None, *, approved_by: str | None = None, despite: str | None = None) -> Gated:
        """Check the gates for what would be released; changes nothing. Raises what `release` does."""
        with self._store() as store:
            return self._gated(store, read_use_case(self.directory / FILE), wishes or Wishes(), approved_by, despite)

    def release(self, wishes: Wishes | None = None, *, approved_by: str | None = None, despite: str | None = None) -> Released:
        """Make a release of what is wished for, by default the chosen candidate, and make it live if every gate lets it.

        `despite` is the reason why failed gates are waived, by `approved_by`. Raises UsageError or UnknownName for
        candidates, names or shares that make no sense, and when nothing was decided.
        """
        from rungwise.data.nouns import Nouns
        from rungwise.release.registry import salt_for

        case = read_use_case(self.directory / FILE)
        with self._store() as store:
            releases = Releases(store)
            live = releases.live()
            gated = self._gated(store, case, wishes or Wishes(), approved_by, despite)
            if not gated.passed:
                return Released(**vars(gated), moved=None)
            now = self.clock.now()
            nouns = Nouns(store)
            nouns.put(case)  # it may have been edited since the climb
            for candidate in gated.plan.candidates.values():
                nouns.put(candidate)  # a relay is new; the others are kept already
            release = Release(
                use_case=case.id,
                variants=gated.plan.variants,
                evidence=gated.evidence,
                shadow=gated.plan.shadow,
                gates=gated.gates,
                salt=salt_for(gated.plan.variants, live, now),
                at=now,
                approved_by=approved_by,
                note=despite,
            )
            moved = releases.put(release, by=approved_by, why=despite, instead_of=live.id if live is not None else None)
        return Released(**vars(gated), moved=moved)

    def rollback(self, to: str | None = None, *, by: str | None = None, why: str | None = None) -> Moved:
        """Make live what was live before, or a release by the first digits of its id. No gate is asked.

        Raises UsageError when there is nothing before, UnknownName for an id that no release has.
        """
        with self._store() as store:
            return Releases(store).rollback(to=to, by=by, why=why)

    def live(self) -> Release | None:
        """The live release, or None before the first."""
        with self._store() as store:
            return Releases(store).live()

    def history(self) -> list[tuple[Move, Release]]:
        """Every move of the pointer with the release that it went to, newest first."""
        with self._store() as store:
            releases = Releases(store)
            return [(move, releases.get(move.release)) for move in releases.history()]

    def _gated(self, store: Store, case: UseCase, wishes: Wishes, approved_by: str | None, despite: str | None) -> Gated:
        from rungwise.release.evidence import decisions, evidence_for
        from rungwise.release.gates import check, failed, waive
        from rungwise.release.plan import make_plan

        known = decisions(store)
        plan = make_plan(store, case, wishes, live=Releases(store).live(), known=known)
        found = {id: evidence_for(store, candidate, known) for id, candidate in plan.candidates.items()}
        met = dict.fromkeys(one.candidate for one in plan.variants if one.weight > 0)  # two variants of one candidate: once
        unseen = dict.fromkeys(id for id in found if id not in met)
        results = check(
            self._rules(case),
            [found[id] for id in met],
            unseen=[found[id] for id in unseen],
            approved_by=approved_by,
            now=self.clock.now(),
        )
        results = waive(results, approved_by=approved_by, despite=despite)
        evidence = tuple(dict.fromkeys(one.decision.id for one in found.values() if one.decision is not None))
        return Gated(plan=plan, gates=results, evidence=evidence, passed=not failed(results))

    def _rules(self, case: UseCase) -> Rules:
        from importlib.metadata import entry_points

        serving = read_serving(self.directory / FILE)
        return Rules(
            gates=read_gates(self.directory / FILE),
            case=case,
            guards=tuple(one.guard for one in serving.guards),
            known_guards=tuple(entry.name for entry in entry_points(group="rungwise.guards")),
        )

    def _store(self) -> AbstractContextManager[Store]:
        return opened(self.directory, self.state, self.clock)
