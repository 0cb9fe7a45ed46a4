"""Gates: what each candidate of a release must show before users meet it. Pure: evidence in, results out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rungwise.core.decision import MET, STATES, RungResult
from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.release import FAILED, PASSED, WAIVED, GateResult
from rungwise.core.serving import Gates
from rungwise.core.usecase import Groups, Target, UseCase
from rungwise.ladder.groups import groups_ruling
from rungwise.ladder.limits import forbidden
from rungwise.release.evidence import Evidence, endpoint_of

DAY_S = 86_400.0

GATES = {
    "verdict": "The climb's verdict on the candidate, by the sealed test.",
    "target": "The sealed bound reaches the target that rungwise.yaml names now.",
    "parts": "The fitted parts that it answers with are there, whole.",
    "allowed": "The engine may be asked at all: offline, licences.",
    "p95": "The upper bound of the p95 latency is within the limit.",
    "price": "The price per 1,000 answers is within the limit.",
    "memory": "The memory that it takes is within the limit.",
    "least": "The lower bound of a metric's dev interval reaches a floor.",
    "groups": "No group is shown to be below its floor.",
    "age": "The decision is young enough.",
    "guards": "Every guard that the project names is there.",
    "approval": "Somebody put their name to the release.",
}
"""Every gate by its name, with what it asks. `least` stands once for each metric, as `least NAME`."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the gates of a release are: those of rungwise.yaml, its use case, the guards it names and those there are."""

    gates: Gates
    case: UseCase
    guards: Sequence[str] = ()
    known_guards: Sequence[str] = ()


def check(
    rules: Rules, live: Sequence[Evidence], *, unseen: Sequence[Evidence] = (), approved_by: str | None = None, now: float
) -> tuple[GateResult, ...]:
    """Every gate for every candidate, then those of the release itself, whose `candidate` is empty.

    Shadows and variants without a share are `unseen`: of them only is asked whether they can and may answer.
    `now` is seconds since 1970. Raises UnknownName for a verdict that no climb gives.
    """
    for verdict in rules.gates.verdicts:
        if verdict not in STATES:
            raise UnknownName("verdict", verdict, STATES, where="rungwise.yaml, under 'gates'")
    results = [one for evidence in live for one in _of_candidate(rules, evidence, now)]
    results += [one for evidence in unseen for one in _of_unseen(rules, evidence)]
    if rules.guards:
        missing = sorted(set(rules.guards) - set(rules.known_guards))
        why = f"there is no guard {', '.join(missing)}" if missing else f"{len(set(rules.guards))} guards are there"
        results.append(_result("guards", "", not missing, why))
    if rules.gates.approval:
        results.append(_result("approval", "", approved_by is not None, _approval(approved_by)))
    return tuple(results)


def waive(results: Sequence[GateResult], *, approved_by: str | None, despite: str | None) -> tuple[GateResult, ...]:
    """The results with failed gates waived, for a reason and under a name. Raises UsageError for one without the other."""
    if despite is None:
        return tuple(results)
    if approved_by is None or not despite.strip():
        raise UsageError("a gate is waived by somebody for a reason: --despite 'REASON' --approve NAME")
    return tuple(dataclasses.replace(one, state=WAIVED) if one.state == FAILED else one for one in results)


def failed(results: Sequence[GateResult]) -> tuple[GateResult, ...]:
    """The gates that stand in the way."""
    return tuple(one for one in results if one.state == FAILED)


def _of_candidate(rules: Rules, evidence: Evidence, now: float) -> Iterator[GateResult]:
    gates, case, id = rules.gates, rules.case, evidence.candidate.id
    yield from _of_unseen(rules, evidence)
    yield _verdict(gates, evidence)
    if evidence.decision is None:
        return
    if case.target is not None and gates.verdicts == (MET,):
        yield _target(case.target, evidence)
    yield from _limits(gates, case, evidence)
    for metric, floor in gates.least.items():
        yield _least(metric, floor, evidence)
    if gates.groups and case.groups is not None:
        yield _groups(case.groups, evidence)
    if gates.evidence_days is not None and evidence.decided_at is not None:
        days = (now - evidence.decided_at) / DAY_S
        yield _result("age", id, days <= gates.evidence_days, f"decided {days:.1f} days ago, at most {gates.evidence_days:g}")


def _of_unseen(rules: Rules, evidence: Evidence) -> Iterator[GateResult]:
    yield _allowed(rules.case, evidence)
    if evidence.candidate.parts:
        gone = ", ".join(evidence.missing)
        why = f"{gone} is gone or was erased: climb again" if gone else f"{len(evidence.candidate.parts)} are there"
        yield _result("parts", evidence.candidate.id, not gone, why)


def _result(gate: str, candidate: str, passes: bool, why: str) -> GateResult:
    return GateResult(gate=gate, candidate=candidate, state=PASSED if passes else FAILED, why=why)


def _allowed(case: UseCase, evidence: Evidence) -> GateResult:
    why = forbidden(case, endpoint_of(evidence.candidate, case))
    return _result("allowed", evidence.candidate.id, why is None, why or "nothing in the use case forbids it")


def _verdict(gates: Gates, evidence: Evidence) -> GateResult:
    id, rung, decision = evidence.candidate.id, evidence.rung, evidence.decision
    if rung is None or decision is None:
        return _result("verdict", id, False, f"no climb ever tested it; {' or '.join(gates.verdicts)} is wanted")
    why = f"{rung.state} at {decision.target} as rung {rung.rung}: {_shown(rung)}"
    return _result("verdict", id, rung.state in gates.verdicts, why)


def _shown(rung: RungResult) -> str:
    """The sealed bounds where it was opened, else why it was not."""
    test = rung.test
    if test is None:
        return rung.why
    return f"sealed bounds {test.low:.4f} to {test.high:.4f} (n={test.n}, opening {test.k} at level {test.alpha:.4f})"


def _target(target: Target, evidence: Evidence) -> GateResult:
    """The climb may have aimed lower than rungwise.yaml does by now; one bound serves every target of the same metric."""
    id, decision, rung = evidence.candidate.id, evidence.decision, evidence.rung
    assert decision is not None
    assert rung is not None
    if decision.target == target:
        return _result("target", id, True, f"the climb aimed at {target}")
    same = (decision.target.metric, decision.target.coverage) == (target.metric, target.coverage)
    if same and rung.test is not None and rung.test.low >= target.value:
        return _result("target", id, True, f"the sealed bound of {rung.test.low:.4f} reaches {target} too")
    return _result("target", id, False, f"the climb aimed at {decision.target}, and rungwise.yaml names {target} now: climb again")


def _limits(gates: Gates, case: UseCase, evidence: Evidence) -> Iterator[GateResult]:
    """The limits of the use case and those of the gates: the lower one holds. What was not measured does not pass."""
    measured = evidence.evaluation
    latency = measured.latency if measured is not None else None
    found = (
        ("p95", case.limits.p95_s, gates.p95_s, latency.p95_high_s if latency is not None else None, "s"),
        ("price", case.limits.usd_per_1k, gates.usd_per_1k, measured.usd_per_1k if measured is not None else None, "USD per 1,000"),
        ("memory", case.limits.memory_mb, gates.memory_mb, measured.memory_mb if measured is not None else None, "MB"),
    )
    for gate, own, also, value, unit in found:
        limit = min((one for one in (own, also) if one is not None), default=None)
        if limit is None:
            continue
        what = "not measured" if value is None else f"{'at most ' if gate == 'p95' else ''}{value:.4g} {unit}"
        yield _result(gate, evidence.candidate.id, value is not None and value <= limit, f"{what}, limit {limit:g} {unit}")


def _groups(groups: Groups, evidence: Evidence) -> GateResult:
    id, verdicts = evidence.candidate.id, evidence.rung.groups if evidence.rung is not None else ()
    if not verdicts:
        return _result("groups", id, False, f"its answers were not judged by {groups.field}: climb again")
    why = groups_ruling(groups, verdicts)
    return _result("groups", id, why is None, why or f"no {groups.field} is shown to be below {groups.floor:g}")


def _least(metric: str, floor: float, evidence: Evidence) -> GateResult:
    measured = evidence.evaluation.estimates if evidence.evaluation is not None else {}
    estimate = measured.get(metric)
    if estimate is None:
        why = (
            f"{metric} was not measured on dev, which has {', '.join(sorted(measured)) or 'nothing'}; at least {floor:g} is wanted"
        )
        return _result(f"least {metric}", evidence.candidate.id, False, why)
    why = f"dev {estimate.mean:.4f} [{estimate.low:.4f}, {estimate.high:.4f}] (n={estimate.n}), at least {floor:g}"
    return _result(f"least {metric}", evidence.candidate.id, estimate.low >= floor, why)


def _approval(approved_by: str | None) -> str:
    return f"approved by {approved_by}" if approved_by is not None else "nobody did yet. Add --approve NAME"
