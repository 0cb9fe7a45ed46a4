"""Gates as other programs read them: JUnit XML for build servers, SARIF 2.1.0 for code scanning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rungwise.core.record import short
from rungwise.core.release import FAILED, PASSED, WAIVED, GateResult
from rungwise.release.gates import GATES

SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
RELEASE = "release"
"""Stands for the candidate where a gate is one of the whole release."""


def junit(results: Sequence[GateResult], *, project: str) -> str:
    """One test suite: a case for each gate of each candidate, with a failure where it stands in the way.

    A waived gate counts as skipped. Follows the schema of Apache Ant's JUnit task.
    """
    from xml.etree.ElementTree import Element, SubElement, indent, tostring

    counts = {state: sum(one.state == state for one in results) for state in (FAILED, WAIVED)}
    totals = {"tests": str(len(results)), "failures": str(counts[FAILED]), "errors": "0", "skipped": str(counts[WAIVED])}
    suites = Element("testsuites", {"name": "rungwise gate", **totals})
    suite = SubElement(suites, "testsuite", {"name": _written(project), **totals, "time": "0"})
    for one in results:
        where = short(one.candidate) or RELEASE
        case = SubElement(suite, "testcase", {"name": one.gate, "classname": f"rungwise.{where}", "time": "0"})
        if one.state == FAILED:
            SubElement(case, "failure", {"message": _written(one.why), "type": "gate"}).text = _written(one.why)
        elif one.state == WAIVED:
            SubElement(case, "skipped", {"message": _written(f"waived: {one.why}")})
        else:
            SubElement(case, "system-out").text = _written(one.why)
    indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(suites, encoding="unicode") + "\n"


def sarif(results: Sequence[GateResult], *, project: str, version: str, despite: str | None = None) -> dict[str, Any]:
    """One run: a rule for each gate, a result for each gate of each candidate, all at rungwise.yaml.

    A waived gate is a failed one with an accepted suppression. Follows SARIF 2.1.0 (OASIS), sections 3.13 to 3.35.
    """
    rules = list(dict.fromkeys(one.gate for one in results))
    driver = {"name": "rungwise", "version": version, "rules": [_rule(gate) for gate in rules]}
    found = [_result(one, rules.index(one.gate), project, despite) for one in results]
    return {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": found}],
    }


def _rule(gate: str) -> dict[str, Any]:
    return {"id": gate, "shortDescription": {"text": GATES.get(gate) or GATES[gate.split()[0]]}}


def _result(one: GateResult, rule: int, project: str, despite: str | None) -> dict[str, Any]:
    where = f"candidate {short(one.candidate)}" if one.candidate else RELEASE
    result: dict[str, Any] = {
        "ruleId": one.gate,
        "ruleIndex": rule,
        "kind": "pass" if one.state == PASSED else "fail",
        "level": "none" if one.state == PASSED else "error",
        "message": {"text": f"{where}: {one.why}"},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": _uri(project)}, "region": {"startLine": 1}}}],
        "partialFingerprints": {"gate/v1": f"{one.gate}:{one.candidate or RELEASE}"},
    }
    if one.state == WAIVED:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": despite or "waived"}]
    return result


def _uri(project: str) -> str:
    """The path of rungwise.yaml as a URI reference, relative where the project was named so."""
    from urllib.parse import quote

    name = quote(f"{project.rstrip('/')}/rungwise.yaml" if project else "rungwise.yaml")
    return f"file://{name}" if name.startswith("/") else name.removeprefix("./")


def _written(text: str) -> str:
    """The text without the characters that XML 1.0 cannot hold."""
    return "".join(
        one if one in "\t\n\r" or " " <= one <= "\ud7ff" or "\ue000" <= one <= "\ufffd" or one > "\uffff" else "?" for one in text
    )
