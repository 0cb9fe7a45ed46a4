"""Each gate lets through what was shown, and says with figures why it does not."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from typing import Any

import pytest
from decided_projects import CASE, CLASSICAL, ENGINE, FLOOR, HEAD, SEALED, decision, measured

from rungwise.core.candidate import Fitted
from rungwise.core.decision import GroupVerdict
from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.release import FAILED, PASSED, WAIVED, GateResult
from rungwise.core.serving import Gates
from rungwise.core.usecase import Groups, Limits, Target, UseCase
from rungwise.release.evidence import Evidence, relay_candidate
from rungwise.release.gates import DAY_S, Rules, check, failed, waive
from rungwise.release.output import junit, sarif

NOW = 1_700_000_000.0
GROUPED = replace(CASE, groups=Groups(field="channel", floor=0.7))


def evidence(candidate: Any = CLASSICAL, **changes: Any) -> Evidence:
    made = decision(groups=changes.pop("groups", ()))
    rung = next(one for one in made.rungs if one.candidate == candidate.id)
    known: dict[str, Any] = {"decision": made, "decided_at": NOW - 2 * DAY_S, "rung": rung, "evaluation": measured(candidate)}
    return Evidence(candidate=candidate, **{**known, **changes})


def states(case: UseCase = CASE, gates: Gates | None = None, of: Evidence | None = None, **more: Any) -> dict[str, str]:
    rules = Rules(
        gates=gates or Gates(), case=case, **{name: more.pop(name) for name in ("guards", "known_guards") if name in more}
    )
    return {one.gate: one.state for one in check(rules, [of or evidence()], now=NOW, **more)}


def test_the_chosen_candidate_passes_the_default_gates() -> None:
    assert states() == {"allowed": PASSED, "verdict": PASSED, "target": PASSED}


@pytest.mark.parametrize("candidate", [FLOOR, HEAD])
def test_only_what_was_shown_to_meet_the_target_passes_the_verdict(candidate: Any) -> None:
    assert states(of=evidence(candidate))["verdict"] == FAILED


def test_a_project_may_accept_other_verdicts() -> None:
    assert states(gates=Gates(verdicts=("met", "cannot_tell")), of=evidence(HEAD))["verdict"] == PASSED
    with pytest.raises(UnknownName, match=r"'mett'.*gates"):
        states(gates=Gates(verdicts=("mett",)))


def test_the_verdict_gives_the_sealed_bounds_and_their_level() -> None:
    (why,) = [one.why for one in check(Rules(gates=Gates(), case=CASE), [evidence()], now=NOW) if one.gate == "verdict"]
    assert "0.8500 to 0.9500 (n=400, opening 1 at level 0.0304)" in why


def test_an_engine_that_no_climb_tested_fails_for_want_of_evidence() -> None:
    assert states(of=Evidence(candidate=relay_candidate(ENGINE))) == {"allowed": PASSED, "verdict": FAILED}


def test_a_target_that_was_raised_since_needs_a_bound_that_reaches_it() -> None:
    for value, state in ((0.8, PASSED), (0.84, PASSED), (SEALED.low, PASSED), (0.86, FAILED)):
        assert states(replace(CASE, target=Target(metric="accuracy", value=value)))["target"] == state
    assert states(replace(CASE, target=Target(metric="macro_f1", value=0.5)))["target"] == FAILED


@pytest.mark.parametrize(
    ("gate", "limits", "gates"),
    [
        ("p95", Limits(p95_s=0.02), Gates(p95_s=0.019)),
        ("price", Limits(usd_per_1k=0.001), Gates(usd_per_1k=0.0009)),
        ("memory", Limits(memory_mb=3.0), Gates(memory_mb=2.9)),
    ],
)
def test_the_lower_of_two_limits_holds(gate: str, limits: Limits, gates: Gates) -> None:
    assert gate not in states()
    assert states(replace(CASE, limits=limits))[gate] == PASSED
    assert states(gates=gates)[gate] == FAILED
    assert states(replace(CASE, limits=limits), gates)[gate] == FAILED


def test_latency_counts_by_its_upper_bound_and_unmeasured_does_not_pass() -> None:
    gates = Gates(p95_s=0.015)  # the p95 is 0.010, its upper bound 0.020
    assert states(gates=gates)["p95"] == FAILED
    assert states(gates=gates, of=evidence(evaluation=measured(CLASSICAL, latency=None)))["p95"] == FAILED


def test_a_metric_passes_by_the_lower_bound_of_its_dev_interval() -> None:
    assert states(gates=Gates(least={"accuracy": 0.86}))["least accuracy"] == PASSED
    assert states(gates=Gates(least={"accuracy": 0.87}))["least accuracy"] == FAILED  # the mean is 0.89
    assert states(gates=Gates(least={"macro_f1": 0.1}))["least macro_f1"] == FAILED


def test_no_group_may_be_shown_to_be_below_its_floor() -> None:
    def groups(verdict: str) -> Evidence:
        return evidence(
            groups=(GroupVerdict(group="mail", verdict="shown_good", n=90), GroupVerdict(group="web", verdict=verdict, n=90))
        )

    assert states(GROUPED, of=groups("cannot_tell"))["groups"] == PASSED
    assert states(GROUPED, of=groups("shown_bad"))["groups"] == FAILED
    assert states(GROUPED)["groups"] == FAILED  # nobody looked
    assert "groups" not in states(GROUPED, Gates(groups=False))
    strict = replace(CASE, groups=Groups(field="channel", floor=0.7, require="shown_good"))
    assert states(strict, of=groups("cannot_tell"))["groups"] == FAILED


def test_old_evidence_fails() -> None:
    assert states(gates=Gates(evidence_days=2.0))["age"] == PASSED
    assert states(gates=Gates(evidence_days=1.9))["age"] == FAILED


def test_an_offline_project_relays_to_nobody_elsewhere_not_even_unseen() -> None:
    far = replace(ENGINE, base_url="https://api.example.com/v1")
    case = replace(CASE, limits=Limits(offline=True), endpoints=(far,))
    relay = Evidence(candidate=relay_candidate(far))
    assert states(case, of=relay)["allowed"] == FAILED
    shadowed = check(Rules(gates=Gates(), case=case), [evidence()], unseen=[relay], now=NOW)
    assert [one.gate for one in failed(shadowed)] == ["allowed"]


def test_whoever_users_do_not_meet_needs_no_evidence() -> None:
    results = check(Rules(gates=Gates(), case=CASE), [evidence()], unseen=[evidence(HEAD)], now=NOW)
    assert [(one.gate, one.candidate) for one in results if one.candidate != CLASSICAL.id] == [("allowed", HEAD.id)]
    assert not failed(results)


def test_a_candidate_whose_parts_were_erased_cannot_answer_not_even_unseen() -> None:
    fitted = CLASSICAL.but(head=Fitted(technique="linear"))
    known = evidence(candidate=CLASSICAL)
    assert states(of=replace(known, candidate=fitted))["parts"] == PASSED
    gone = replace(known, candidate=fitted, missing=("linear",))
    assert states(of=gone)["parts"] == FAILED
    assert [one.gate for one in failed(check(Rules(gates=Gates(), case=CASE), [known], unseen=[gone], now=NOW))] == ["parts"]


def test_a_guard_that_is_not_there_stands_in_the_way() -> None:
    assert states(guards=("phrases",), known_guards=("phrases",))["guards"] == PASSED
    assert states(guards=("phrasess",), known_guards=("phrases",))["guards"] == FAILED


def test_a_release_that_wants_approval_wants_a_name() -> None:
    gates = Gates(approval=True)
    assert states(gates=gates)["approval"] == FAILED
    assert states(gates=gates, approved_by="ann")["approval"] == PASSED


def test_gates_are_waived_only_by_somebody_for_a_reason() -> None:
    results = check(Rules(gates=Gates(), case=CASE), [evidence(FLOOR)], now=NOW)
    waived = waive(results, approved_by="ann", despite="the others are worse")
    assert [one.state for one in waived] == [PASSED, WAIVED, PASSED]
    assert not failed(waived)
    assert waive(results, approved_by="ann", despite=None) == results
    for name, reason in ((None, "why not"), ("ann", " ")):
        with pytest.raises(UsageError, match="--approve"):
            waive(results, approved_by=name, despite=reason)


RESULTS = (
    GateResult(gate="verdict", candidate=CLASSICAL.id, state=PASSED, why="met"),
    GateResult(gate="least accuracy", candidate=CLASSICAL.id, state=FAILED, why="0.8 < 0.9 & \x00 <odd>"),
    GateResult(gate="approval", candidate="", state=WAIVED, why="nobody did yet"),
)


def test_build_servers_read_failures_from_junit() -> None:
    suite = ElementTree.fromstring(junit(RESULTS, project="a & b")).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    assert [[child.tag for child in case] for case in suite] == [["system-out"], ["failure"], ["skipped"]]
    assert [case.get("classname") for case in suite] == [f"rungwise.{CLASSICAL.id[:12]}"] * 2 + ["rungwise.release"]


def test_code_scanning_reads_failures_from_sarif() -> None:
    (run,) = json.loads(json.dumps(sarif(RESULTS, project="./my project", version="1", despite="we must")))["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert (
        [rules[one["ruleIndex"]] for one in run["results"]]
        == [one["ruleId"] for one in run["results"]]
        == [one.gate for one in RESULTS]
    )
    assert [(one["kind"], one["level"]) for one in run["results"]] == [("pass", "none"), ("fail", "error"), ("fail", "error")]
    assert run["results"][2]["suppressions"] == [{"kind": "external", "status": "accepted", "justification": "we must"}]
    place = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": "my%20project/rungwise.yaml"}
