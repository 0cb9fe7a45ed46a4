"""Who a model name stands for: the live release, one of its variants, or a plain engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rungwise.core.candidate import Candidate
from rungwise.core.errors import UnknownName
from rungwise.core.usecase import Endpoint
from rungwise.release.assign import variant_of
from rungwise.serve.answerer import Answerer
from rungwise.serve.ask import Ask, Tape
from rungwise.serve.failure import NotThere
from rungwise.serve.live import Live

RELEASE = "release"


@dataclass(frozen=True, slots=True)
class Target:
    """Who answers. `name` tells answers apart in the cache: the candidate's id, or the engine's name. `engine` is asked for it."""

    name: str
    answerer: Answerer
    engine: Endpoint | None = None
    variant: str | None = None
    candidate: Candidate | None = None


class Names:
    """The model names of one project. Making it raises UnknownName for an alias of a name that stands for nobody."""

    def __init__(
        self,
        project: str,
        endpoints: Sequence[Endpoint],
        relays: Mapping[str, Answerer],
        aliases: Mapping[str, str],
        encoders: Mapping[str, Answerer],
    ) -> None:
        self.project, self._aliases = project, aliases
        self._engines = {name: Target(f"encoder {name}", encoder) for name, encoder in encoders.items()}
        for endpoint in endpoints:
            target = Target(f"engine {endpoint.name}", relays[endpoint.name], endpoint)
            for name in (endpoint.model, f"{endpoint.name}/{endpoint.model}", endpoint.name):
                self._engines[name] = target
        for alias, name in aliases.items():
            if name.partition(":")[0] not in (project, RELEASE) and name not in self._engines:
                known = [project, RELEASE, *self._engines]
                raise UnknownName("model", name, known, where=f"rungwise.yaml, under 'serve', under 'aliases' for '{alias}'")

    def listed(self, live: Live) -> list[str]:
        """Every name that can be asked for, the release first."""
        variants = [f"{self.project}:{name}" for name in live.answerers] if len(live.answerers) > 1 else []
        released = [self.project, *variants] if live.release is not None else []
        return list(dict.fromkeys([*released, *self._aliases, *self._engines]))

    def find(self, ask: Ask, live: Live, tape: Tape) -> Target:
        """Who answers this request; the tape is told. Raises NotThere for a name that stands for nobody."""
        name = self._aliases.get(ask.model, ask.model)
        head, _, variant = name.partition(":")
        if head in (self.project, RELEASE) and name not in self._engines:
            return self._released(variant, ask, live, tape)
        target = self._engines.get(name)
        if target is None:
            known = ", ".join(self.listed(live)[:10]) or "none yet: run rungwise release"
            raise NotThere(f"there is no model '{ask.model}'. Known: {known}", param="model")
        return target

    def _released(self, variant: str, ask: Ask, live: Live, tape: Tape) -> Target:
        if live.release is None:
            raise NotThere(f"nothing of '{self.project}' is released yet. Run: rungwise release {self.project}", param="model")
        if not variant:
            chosen = variant_of(live.release, ask.conversation or ask.user or ask.caller.user or tape.id)
        else:
            found = [one for one in live.release.variants if one.name == variant]
            if not found:
                known = ", ".join(one.name for one in live.release.variants)
                raise NotThere(f"the live release has no variant '{variant}'. Its variants: {known}", param="model")
            chosen = found[0]
            tape.asked = f"{self.project}:{variant}"  # also where an alias named it: who chose is no part of a comparison
        tape.release, tape.variant, tape.candidate = live.id, chosen.name, chosen.candidate
        candidate = live.candidates[chosen.candidate]
        engine = self._engines.get(candidate.model.partition("/")[0])
        return Target(
            chosen.candidate,
            live.answerers[chosen.name],
            engine=engine.engine if engine is not None else None,
            variant=chosen.name,
            candidate=candidate,
        )
