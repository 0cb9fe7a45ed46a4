"""A project in which a climb has decided, written as a climb leaves it, without climbing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rungwise.core.candidate import Candidate
from rungwise.core.decision import CANNOT_TELL, MET, NOT_MET, Decision, GroupVerdict, Opening, RungResult
from rungwise.core.evaluation import Estimate, Evaluation, Latency
from rungwise.core.usecase import Endpoint, Target, UseCase
from rungwise.data.nouns import Nouns
from rungwise.data.spec import FILE, write_use_case
from rungwise.data.store import Store
from rungwise.project.releases import ProjectReleases
from tests.clocks import StillClock

ENGINE = Endpoint(name="local", base_url="http://127.0.0.1:9/v1", model="small")
TARGET = Target(metric="accuracy", value=0.8)
FLOOR, CLASSICAL, HEAD = (Candidate(task="classify", model=model, labels=("a", "b")) for model in ("majority", "linear", "head"))
CASE = UseCase(name="tickets", task="classify", target=TARGET, endpoints=(ENGINE,))
SEALED = Opening(k=1, alpha=0.0304, low=0.85, high=0.95, n=400)


def measured(candidate: Candidate, *, low: float = 0.86, **changes: Any) -> Evaluation:
    """Its evaluation on dev: p95 at most 0.02 s, 0.001 USD per 1,000, 3 MB."""
    estimate = Estimate(mean=low + 0.03, low=low, high=low + 0.06, n=200)
    latency = Latency(p50_s=0.005, p95_s=0.01, p95_high_s=0.02, n=100)
    known: dict[str, Any] = {"estimates": {"accuracy": estimate}, "latency": latency, "usd_per_1k": 0.001, "memory_mb": 3.0}
    return Evaluation(candidate=candidate.id, dataset="d", split="dev", rows=("r",), answers=("a",), **{**known, **changes})


def rung(
    name: str, state: str, candidate: Candidate, *, test: Opening | None = None, groups: tuple[GroupVerdict, ...] = ()
) -> RungResult:
    """How a rung ended."""
    return RungResult(rung=name, state=state, why=f"it is {state}", candidate=candidate.id, test=test, groups=groups)


def decision(case: UseCase = CASE, *, evaluations: tuple[str, ...] = (), groups: tuple[GroupVerdict, ...] = ()) -> Decision:
    """floor is not met, classical is met and chosen, of head one cannot tell."""
    return Decision(
        use_case=case.id,
        dataset="d",
        target=TARGET,
        verdict=MET,
        control="exact",
        reason="classical is the cheapest",
        ladder=("floor", "classical", "head"),
        rungs=(
            rung("floor", NOT_MET, FLOOR),
            rung("classical", MET, CLASSICAL, test=SEALED, groups=groups),
            rung("head", CANNOT_TELL, HEAD, test=replace(SEALED, low=0.75)),
        ),
        alpha_total=0.05,
        alpha_spent_before=0.0,
        alpha_spent=0.0304,
        chosen_rung="classical",
        chosen=CLASSICAL.id,
        evaluations=evaluations,
    )


@dataclass
class Decided:
    """The folder, its clock and its releases."""

    folder: Path
    clock: StillClock

    @property
    def releases(self) -> ProjectReleases:
        return ProjectReleases(self.folder, self.clock, self.folder / "state")

    def say(self, section: str) -> None:
        """Add a section to rungwise.yaml."""
        with (self.folder / FILE).open("a", encoding="utf-8") as file:
            file.write(section + "\n")


def decided(folder: Path, clock: StillClock, case: UseCase = CASE) -> Decided:
    """A project that has decided."""
    folder.mkdir(exist_ok=True)
    write_use_case(folder / FILE, case)
    store = Store.open(folder / "state", clock=clock)
    nouns = Nouns(store)
    for candidate in (FLOOR, CLASSICAL, HEAD):
        nouns.put(candidate)
    ids = tuple(nouns.put(measured(candidate)) for candidate in (FLOOR, CLASSICAL, HEAD))
    nouns.put(case)
    store.set_setting("decision", nouns.put(decision(case, evaluations=ids)))
    store.close()
    return Decided(folder, clock)
