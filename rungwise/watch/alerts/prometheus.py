"""Alerting rules for Prometheus, over what a server shows at /metrics."""

from __future__ import annotations

import json
from dataclasses import dataclass

from rungwise.core.watching import CRITICAL, WARNING, Watching
from rungwise.watch.alerts.rules import rules_of


@dataclass(frozen=True, kw_only=True)
class _Rule:
    """One rule; in `expr` the word DEPLOYMENT stands for the matcher of the project."""

    name: str
    expr: str
    wait: str
    severity: str
    summary: str
    next: str
    rule: str = ""


_SERVER = (
    _Rule(
        name="RungwiseErrors",
        expr='sum(rate(rungwise_requests_total{DEPLOYMENT,status=~"5.."}[10m]))'
        " / sum(rate(rungwise_requests_total{DEPLOYMENT}[10m])) > 0.05",
        wait="10m",
        severity=CRITICAL,
        summary="More than 5 % of the requests to PROJECT fail.",
        next="rungwise traces DIR --where 'failed=true and at>=1h'",
    ),
    _Rule(
        name="RungwiseSlow",
        expr="histogram_quantile(0.99, sum by (le) (rate(rungwise_request_seconds_bucket{DEPLOYMENT}[10m]))) > 10",
        wait="15m",
        severity=WARNING,
        summary="One request to PROJECT in a hundred takes more than 10 seconds.",
        next="rungwise traces DIR --where 'seconds>10 and at>=1h'",
    ),
    _Rule(
        name="RungwiseEngineResting",
        expr="max by (engine) (rungwise_engine_resting{DEPLOYMENT}) > 0",
        wait="10m",
        severity=WARNING,
        summary="An engine of PROJECT fails and is kept at rest.",
        next="rungwise traces DIR --where 'failed=true and at>=1h'",
    ),
    _Rule(
        name="RungwiseUntracedAnswers",
        expr="increase(rungwise_untraced_answers_total{DEPLOYMENT}[1h]) > 0",
        wait="0m",
        severity=CRITICAL,
        summary="Answers of PROJECT could not be written down. Is the disk full?",
        next="rungwise doctor DIR",
    ),
    _Rule(
        name="RungwiseWorkersRestart",
        expr='sum(increase(rungwise_worker_starts_total{reason!="first"}[1h])) > 3',
        wait="0m",
        severity=WARNING,
        summary="Worker processes ended and were started again.",
        next="rungwise doctor DIR",
    ),
    _Rule(
        name="RungwiseNotWatched",
        expr="time() - rungwise_looked_until_seconds{DEPLOYMENT} > 2 * 86400",
        wait="1h",
        severity=WARNING,
        summary="For two days nothing was read of what PROJECT answers.",
        next="rungwise watch DIR",
    ),
)


def alerting_rules(project: str, watching: Watching) -> str:
    """A file of alerting rules for a project: for its server, and for each rule of its own. YAML, the same each time.

    JSON texts are YAML texts (YAML 1.2, section 10.2), so nothing in a name can end one.
    """
    matcher = f"deployment={json.dumps(project)}"
    own = [
        _Rule(
            name=f"RungwiseAlert_{_word(rule.name)}",
            expr=f"max by (deployment, rule) (rungwise_alerts_open{{DEPLOYMENT,rule={json.dumps(rule.name)}}}) > 0",
            wait="0m",
            severity=rule.severity,
            summary=f"PROJECT: the rule {rule.name} ({rule.metric}, {rule.when}) holds.",
            next="rungwise alerts DIR",
            rule=rule.name,
        )
        for rule in rules_of(watching)
    ]
    lines = ["groups:", f"  - name: {json.dumps(f'rungwise {project}')}", "    rules:"]
    for rule in (*_SERVER, *own):
        summary = rule.summary.replace("PROJECT", project)
        lines += [
            f"      - alert: {rule.name}",
            f"        expr: {json.dumps(rule.expr.replace('DEPLOYMENT', matcher))}",
            f"        for: {rule.wait}",
            "        labels:",
            f"          severity: {rule.severity}",
            f"          project: {json.dumps(_literal(project))}",
            *([f"          rule: {json.dumps(_literal(rule.rule))}"] if rule.rule else ()),
            "        annotations:",
            f"          summary: {json.dumps(_literal(summary))}",
            f"          next: {json.dumps(rule.next)}",
        ]
    return "\n".join(lines) + "\n"


def _word(name: str) -> str:
    """A name as part of an alert's."""
    return "".join(sign if sign.isascii() and sign.isalnum() else "_" for sign in name)


def _literal(text: str) -> str:
    """A text that Prometheus does not take for a template."""
    return text.replace("{{", "{ {")
