"""The course of a re-climb: gather, forecast, climb, gate, shadow, contest, settle. Each step is kept when it is done.

A call goes as far as it can and says what it waits for. After a kill the same call goes on: a step either is kept, or is done
again from what the step before it gave, and nothing that it did before is done twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rungwise.core.candidate import Candidate
from rungwise.core.decision import Decision
from rungwise.core.reading import DAY_S
from rungwise.core.record import from_plain, short, to_plain
from rungwise.core.release import GateResult
from rungwise.core.types import Clock
from rungwise.core.usecase import UseCase
from rungwise.core.watching import Watching
from rungwise.data.audit import Audit
from rungwise.data.nouns import Nouns
from rungwise.data.reclimbs import NOTHING, PROMOTED, STOPPED, Reclimb, Reclimbs
from rungwise.data.spec import FILE, read_serving, read_use_case, read_watching
from rungwise.data.store import Store
from rungwise.engines.loop import run_in_background
from rungwise.evaluate.contests import LOSER, WINNER
from rungwise.ladder.forgetting import FORGETS, remembers
from rungwise.ladder.rung import Incumbent
from rungwise.release.evidence import decision_of
from rungwise.watch.reclimb.choice import CHEAPER, NOBODY, choose
from rungwise.watch.reclimb.gating import gates_of
from rungwise.watch.reclimb.hands import Hands
from rungwise.watch.reclimb.pointer import BASE, CONTEST, FOREIGN, SHADOW, WON, New, Place, Pointer
from rungwise.watch.reclimb.reviewed import reviewed_pairs
from rungwise.watch.reclimb.trial import (
    ENOUGH,
    FAILS,
    FAILS_EARLY,
    Trial,
    contest_metric,
    counted,
    hold_trial,
    shadow_report,
)

STEPS = ("gather", "forecast", "climb", "gate", "shadow", "contest", "settle")
APPROVAL = "approve."
CLIMB, PROMOTE = "climb", "promote"
GATED = {CLIMB: CLIMB, SHADOW: SHADOW, CONTEST: CONTEST, PROMOTE: "settle"}
"""The steps at which a person may be asked, by the name that rungwise.yaml uses."""

Output = Mapping[str, Any]


class Waits(Exception):
    """A step cannot be done yet."""


class Over(Exception):
    """The re-climb comes to an end without a promotion. Where somebody else moved the pointer, it is left where it is."""

    def __init__(self, why: str, *, state: str = NOTHING) -> None:
        self.state = state
        super().__init__(why)


@dataclass(frozen=True, kw_only=True)
class Course:
    """One re-climb that runs. `crash` is told of each step before it is kept; tests die there."""

    store: Store
    directory: Path
    clock: Clock
    hands: Hands
    reclimb: Reclimb
    crash: Callable[[str], None] = lambda step: None

    def advance(self) -> tuple[Reclimb, str]:
        """The re-climb after as many steps as could be done, and what it waits for; '' once it is settled."""
        for step in STEPS:
            found = self._now()
            if step in found.steps:
                continue
            course = Course(**{**vars(self), "reclimb": found})
            try:
                course._ask_first(step)
                output = getattr(course, f"_{step}")()
            except Waits as waits:
                return self._now(), str(waits)
            except Over as over:
                return course._end(str(over), over.state), ""
            self.crash(step)
            Reclimbs(self.store).done(found.id, step, output, state=PROMOTED if step == "settle" else None)
        return self._now(), ""

    def stop(self, why: str) -> Reclimb:
        """End it, whatever it waits for; the live release is as it was before it began, unless somebody moved it."""
        return self._end(why, STOPPED)

    def approve(self, step: str, by: str) -> None:
        """Note that somebody lets a step begin."""
        output = Reclimbs(self.store).done(self.reclimb.id, APPROVAL + step, {"by": by})
        if output["by"] == by:
            Audit(self.store).add(by, "reclimb.approve", self.reclimb.id, {"step": step})

    def _now(self) -> Reclimb:
        found = Reclimbs(self.store).get(self.reclimb.id)
        assert found is not None
        return found

    def _end(self, why: str, state: str) -> Reclimb:
        place = self._place()
        if place.kind != FOREIGN:
            self._pointer.take_back(why, instead_of=place.release.id)
        self.crash("end")
        Reclimbs(self.store).done(self.reclimb.id, "settle", {"outcome": state, "why": why}, state=state)
        return self._now()

    # What is known

    @property
    def _watching(self) -> Watching:
        return read_watching(self.directory / FILE)

    @property
    def _case(self) -> UseCase:
        return read_use_case(self.directory / FILE)

    @property
    def _live(self) -> Incumbent:
        return from_plain(Incumbent, self.reclimb.about["live"])

    @property
    def _pointer(self) -> Pointer:
        about = self.reclimb.about
        return Pointer(
            self.store, reclimb=self.reclimb.id, base=about["release"], variant=about["variant"], live=self._live.candidate.id
        )

    @property
    def _decision(self) -> Decision:
        return Nouns(self.store).get(Decision, self.reclimb.steps["climb"]["decision"])

    def _place(self) -> Place:
        return self._pointer.place(self.reclimb.steps.get("climb", {}).get("candidate"))

    def _approved(self, step: str) -> str | None:
        """Who let a step begin, or None."""
        found: str | None = self.reclimb.steps.get(APPROVAL + step, {}).get("by")
        return found

    def _ask_first(self, step: str) -> None:
        """Wait where a person has to say yes."""
        for name in self._watching.reclimb.approve:
            if GATED[name] == step and self._approved(name) is None:
                raise Waits(f"approval of {name}. Type: rungwise reclimb {self.directory} --approve {name} --by NAME")

    def _new(self) -> New:
        """The candidate that may take over, with what its gates said."""
        climbed, gated = self.reclimb.steps["climb"], self.reclimb.steps["gate"]
        names = [name for name in (PROMOTE, CONTEST, SHADOW, CLIMB) if self._approved(name) is not None]
        return New(
            candidate=climbed["candidate"],
            rung=climbed["rung"],
            decision=self._decision,
            case=self._case,
            gates=tuple(from_plain(GateResult, one) for one in gated["gates"]),
            why=climbed["why"],
            approved_by=self._approved(names[0]) if names else None,
        )

    def _place_or_over(self) -> Place:
        place = self._place()
        if place.kind == FOREIGN:
            who = f" by {place.move.by}" if place.move.by else ""
            why = f"release {short(place.release.id)} went live meanwhile{who} ({place.move.verb}): it stays as it is"
            raise Over(why, state=STOPPED)
        return place

    # The steps: each gives what is kept of it

    def _gather(self) -> Output:
        least, because = self._watching.reclimb.least_rows, self.reclimb.about["because"]
        wanted = 0 if because.get("goes_on") else least
        found = self.hands.count()
        if found.new >= wanted:
            found = self.hands.gather()  # fewer may be left than were counted: some give sealed rows away
        if found.new < wanted:
            told = "let people judge answers, or stop it and go on without them: --because 'REASON'"
            raise Waits(f"{found.new} of {least} new rows: {told}")
        return to_plain(found)  # type: ignore[no-any-return]

    def _forecast(self) -> Output:
        return self.hands.forecast(self._live, self._version)

    def _climb(self) -> Output:
        gathered, live = self.reclimb.steps["gather"], self._live
        because = {**self.reclimb.about["because"], "rows": gathered["rows"], "release": self.reclimb.about["release"]}
        decision = self.hands.climb(live, self._version, because, self._approved(CLIMB))
        won = Nouns(self.store).get(Candidate, decision.chosen) if decision.chosen is not None else None
        choice = choose(decision, live, self._case, chosen=won)
        output = {"decision": decision.id, "verdict": decision.verdict, **to_plain(choice)}
        if choice.candidate is None:
            return output
        memory = self._memory(decision, choice.candidate)
        return {**output, "forgetting": memory}

    def _memory(self, decision: Decision, candidate: str) -> Output:
        """What the old sealed rows say of the new candidate: one word."""
        old = decision_of(self.store, self._pointer.base, self._live.candidate.id)
        if old is None:
            return {"verdict": "cannot tell", "rows": 0, "margin": self._watching.reclimb.margin}
        pairs = [(self._live.candidate, old), (Nouns(self.store).get(Candidate, candidate), decision)]
        margin = self._watching.reclimb.margin
        found = remembers(self.store, self.directory, pairs, case=self._case, margin=margin, clock=self.clock)
        return to_plain(run_in_background(found))  # type: ignore[no-any-return]

    def _gate(self) -> Output:
        climbed = self.reclimb.steps["climb"]
        if climbed["action"] == NOBODY:
            raise Over(climbed["why"])
        names = (self._approved(name) for name in (SHADOW, CONTEST, PROMOTE, CLIMB))
        by = next((name for name in names if name is not None), None)
        gates = gates_of(self.store, self.directory, climbed["candidate"], approved_by=by, now=self.clock.now())
        failed = [one for one in gates if one.state == "failed"]
        if [one.gate for one in failed] == ["approval"]:
            raise Waits(f"approval of {SHADOW}. Type: rungwise reclimb {self.directory} --approve {SHADOW} --by NAME")
        if failed:
            raise Over("; ".join(f"the gate '{one.gate}' stands in the way: {one.why}" for one in failed))
        return {"gates": to_plain(gates)}

    def _shadow(self) -> Output:
        wanted, new, place = self._watching.reclimb.shadow_requests, self._new(), self._place_or_over()
        if not wanted:
            return {"answers": 0, "skipped": True}
        if place.kind == BASE:
            live = self._pointer.beside(new, share=0.0, instead_of=place.release.id)
        elif place.kind == SHADOW:
            live = place.release
        else:
            return {"answers": 0, "skipped": True}
        report = shadow_report(self.store, [live.id], new.candidate)
        output = {**to_plain(report), "release": live.id}
        enough = report.answers >= wanted
        if report.fails(FAILS if enough else FAILS_EARLY):
            raise Over(f"the new candidate fails more often than the live one: {counted(output)}")
        if not enough:
            raise Waits(f"{report.answers} of {wanted} shadow answers")
        return output

    def _contest(self) -> Output:
        settings, new, place = self._watching.reclimb, self._new(), self._place_or_over()
        if place.kind in (BASE, SHADOW):
            self._pointer.beside(new, share=settings.contest_share, instead_of=place.release.id)
            place = self._place_or_over()
        if place.kind == WON:
            return {"verdict": WINNER, "why": "it answers all traffic already"}
        weight = next(one.weight for one in place.release.variants if one.candidate == new.candidate)
        began = self._pointer.began(CONTEST, new.candidate)
        trial = self._trial(place, new, began)
        shown = {**trial.plain(), "release": place.release.id, "began": began}
        if weight == 1.0:  # the server followed the verdict itself
            return {**shown, "verdict": WINNER}
        if trial.verdict == LOSER or weight == 0.0:
            raise Over(f"the new candidate is worse on live traffic: {trial.why}")
        if trial.verdict in (WINNER, ENOUGH):
            return shown
        days = (self.clock.now() - began) / DAY_S
        if days >= settings.contest_days:
            raise Over(f"{settings.contest_days:g} days on live traffic did not show it: {trial.why}")
        raise Waits(f"the contest cannot tell yet, after {days:.1f} of {settings.contest_days:g} days: {trial.why}")

    def _trial(self, place: Place, new: New, began: float) -> Trial:
        """How the two stand: by what was judged of each, and by reviewed questions where answers are labels."""
        settings, rules, base = self._watching, read_serving(self.directory / FILE).contest, self._pointer.base
        releases = self._pointer.contest(place.release)
        metric = contest_metric(self.store, releases, rules)
        if metric is not None:
            metric = Reclimbs(self.store).done(self.reclimb.id, "contest.metric", {"metric": metric})["metric"]
        old, pairs = decision_of(self.store, base, self._live.candidate.id), None
        if settings.review.per_day > 0 and new.case.task == "classify" and not new.case.multi_label and old is not None:
            sides = ((self._live.candidate, old), (Nouns(self.store).get(Candidate, new.candidate), new.decision))
            pairs = reviewed_pairs(self.store, self.directory, *sides, case=new.case, since=self._climbed_at, clock=self.clock)
        cheaper = self.reclimb.steps["climb"]["action"] == CHEAPER
        return hold_trial(
            self.store, releases, rules, metric=metric, pairs=pairs, margin=settings.reclimb.margin if cheaper else None
        )

    def _settle(self) -> Output:
        new, place = self._new(), self._place_or_over()
        memory = self.reclimb.steps["climb"]["forgetting"]
        if memory["verdict"] == FORGETS and self._approved(PROMOTE) is None:
            told = "the new candidate forgets: it is worse on the sealed rows that the live one was chosen by"
            raise Waits(
                f"approval of {PROMOTE}, since {told}. Type: rungwise reclimb {self.directory} --approve {PROMOTE} --by NAME"
            )
        live = place.release
        if place.kind != WON:
            live = self._pointer.promote(new, instead_of=place.release.id)
        return {"outcome": PROMOTED, "why": new.why, "release": live.id, "candidate": new.candidate}

    @property
    def _version(self) -> str | None:
        found: str | None = self.reclimb.steps["gather"]["version"]
        return found

    @property
    def _climbed_at(self) -> float:
        """When the data of the climb was complete: what was asked later is new to it."""
        return Reclimbs(self.store).at(self.reclimb.id, "gather")
