"""From what people type to a traffic plan: which candidates, in which shares, which of them unseen."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rungwise.core.candidate import Candidate
from rungwise.core.decision import Decision
from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.record import short
from rungwise.core.release import Release, Variant
from rungwise.core.usecase import UseCase
from rungwise.data.nouns import Nouns
from rungwise.data.store import Store
from rungwise.release.evidence import relay_candidate
from rungwise.release.registry import check_weights

NOBODY = "none"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*\Z")
_SHARE = re.compile(r"(?P<number>[0-9.eE+-]+)(?P<percent>%?)\Z")


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What is to be released. Candidates are named by rung or by the first digits of their id, as `WHAT` or `NAME=WHAT`.

    `relays` are endpoints that requests go to as they come, also `ENGINE` or `NAME=ENGINE`. `traffic` gives shares by name; a
    candidate that is not named gets none. `shadow` names candidates or endpoints that answer unseen; `none` takes them away.
    Without candidates and relays the live release's are kept, and without a live release it is the chosen one.
    """

    candidates: tuple[str, ...] = ()
    relays: tuple[str, ...] = ()
    traffic: Mapping[str, float] | None = None
    shadow: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Variants in order, with the candidates that they and the shadows name, by id."""

    variants: tuple[Variant, ...]
    shadow: tuple[str, ...]
    candidates: Mapping[str, Candidate]


def read_traffic(text: str) -> dict[str, float]:
    """Read `a=0.9,b=0.1` or `a=90%,b=10%`. Raises UsageError for anything else."""
    shares: dict[str, float] = {}
    for piece in text.split(","):
        name, _, number = piece.strip().partition("=")
        found = _SHARE.match(number.strip())
        try:
            share = float(found["number"]) if found else None
        except ValueError:
            share = None
        if not name or found is None or share is None:
            raise UsageError(f"cannot read the share '{piece.strip()}'. Write --traffic a=0.9,b=0.1")
        if name in shares:
            raise UsageError(f"'{name}' stands twice in --traffic {text}. Give each variant one share")
        shares[name] = share / 100 if found["percent"] else share
    return shares


def make_plan(store: Store, case: UseCase, wishes: Wishes, *, live: Release | None, known: Sequence[Decision]) -> Plan:
    """The plan that people wish for. `known` are the decisions of the project, the last one first.

    Raises UnknownName for a name that is nobody's, UsageError for shares that do not add up, or when nothing was chosen.
    """
    search = _Search(store, case, known)
    kept: Release | None = None
    if wishes.candidates or wishes.relays:
        found = dict(search.all_of(wishes))
    elif wishes.traffic is None and not wishes.shadow:
        found = search.chosen()
    else:
        found, kept = search.standing(live, wishes.traffic), live
    variants = _in_order(_variants(found, wishes.traffic, kept), live)
    check_weights(variants)
    shadow = [search.one_of_any(what) for what in wishes.shadow if what != NOBODY]
    if kept is not None and not wishes.shadow:
        shadow = [search.by_id(id) for id in kept.shadow]
    everyone = {one.id: one for one in (*found.values(), *shadow)}
    return Plan(variants=variants, shadow=tuple(dict.fromkeys(one.id for one in shadow)), candidates=everyone)


class _Search:
    """Finds candidates by what people call them."""

    def __init__(self, store: Store, case: UseCase, known: Sequence[Decision]) -> None:
        self.nouns, self.case, self.known = Nouns(store), case, known
        last = known[0].rungs if known else ()
        self.rungs = {one.rung: one.candidate for one in last if one.candidate is not None}

    def by_id(self, id: str) -> Candidate:
        return self.nouns.get(Candidate, id)

    def one(self, what: str) -> Candidate:
        """By rung of the last decision, or by the first digits of the id."""
        if what in self.rungs:
            return self.by_id(self.rungs[what])
        try:
            return self.by_id(self.nouns.find("Candidate", what))
        except UnknownName as error:
            place = str(self.nouns.store.directory.parent)
            raise UnknownName("rung or candidate", what, [*self.rungs, *error.known], where=place) from error

    def relay(self, engine: str) -> Candidate:
        """By the name of an endpoint."""
        found = next((one for one in self.case.endpoints if one.name == engine), None)
        if found is None:
            raise UnknownName("endpoint", engine, [one.name for one in self.case.endpoints], where="rungwise.yaml")
        return relay_candidate(found)

    def one_of_any(self, what: str) -> Candidate:
        return self.relay(what) if what not in self.rungs and self._is_engine(what) else self.one(what)

    def all_of(self, wishes: Wishes) -> Iterator[tuple[str, Candidate]]:
        seen: set[str] = set()
        for text, find in (*((one, self.one) for one in wishes.candidates), *((one, self.relay) for one in wishes.relays)):
            name, is_named, what = text.partition("=")
            candidate = find(what if is_named else text)
            name = name if is_named else self._name(text, candidate)
            if name in seen:
                raise UsageError(f"two candidates are called '{name}'. Give one another name: NAME={what or text}")
            if not _NAME.match(name):
                raise UsageError(f"'{name}' cannot name a variant: letters, digits and . _ / - can. Write NAME={what or text}")
            seen.add(name)
            yield name, candidate

    def chosen(self) -> dict[str, Candidate]:
        """The candidate that the last decision chose, under the name of its rung."""
        if not self.known:
            raise UsageError(
                f"nothing was decided in {self._folder} yet. Type: rungwise climb {self._folder}, or name an endpoint: --relay"
            )
        last = self.known[0]
        if last.chosen is None:
            raise UsageError(
                f"the last climb ended in '{last.verdict}': {last.reason}. Nothing was chosen. "
                "Add examples or lower the target and climb again, or name a candidate: --candidate RUNG"
            )
        return {last.chosen_rung or short(last.chosen): self.by_id(last.chosen)}

    def standing(self, live: Release | None, traffic: Mapping[str, float] | None) -> dict[str, Candidate]:
        """The live release's candidates, and those that the shares name beside them."""
        found = {one.name: self.by_id(one.candidate) for one in live.variants} if live is not None else {}
        found |= {name: self.one_of_any(name) for name in traffic or {} if name not in found}
        return found or self.chosen()

    @property
    def _folder(self) -> str:
        return str(self.nouns.store.directory.parent)

    def _is_engine(self, what: str) -> bool:
        return any(one.name == what for one in self.case.endpoints)

    def _name(self, text: str, candidate: Candidate) -> str:
        """The rung that a candidate stood for, else what people typed."""
        if text in self.rungs or self._is_engine(text):
            return text
        stood = (rung.rung for decision in self.known for rung in decision.rungs if rung.candidate == candidate.id)
        return next(stood, short(candidate.id))


def _variants(found: Mapping[str, Candidate], traffic: Mapping[str, float] | None, live: Release | None) -> tuple[Variant, ...]:
    if traffic is None and live is not None:
        return live.variants
    if traffic is None and len(found) > 1:
        even = ",".join(f"{name}={share}" for name, share in zip(found, _even(len(found)), strict=True))
        raise UsageError(f"{len(found)} candidates share the traffic: say how, for instance --traffic {even}")
    shares = traffic if traffic is not None else dict.fromkeys(found, 1.0)
    for name in shares:
        if name not in found:
            raise UnknownName("variant", name, found, where="--traffic")
    return tuple(Variant(name=name, candidate=one.id, weight=shares.get(name, 0.0)) for name, one in found.items())


def _even(n: int) -> list[float]:
    """Shares of two digits that add up to 1."""
    share = round(1 / n, 2)
    return [round(1 - share * (n - 1), 2), *[share] * (n - 1)]


def _in_order(variants: tuple[Variant, ...], live: Release | None) -> tuple[Variant, ...]:
    """As in the live release where the names are the same: who meets whom goes by the place."""
    names = [one.name for one in live.variants] if live is not None else []
    return (
        tuple(sorted(variants, key=lambda one: names.index(one.name))) if {one.name for one in variants} == set(names) else variants
    )
