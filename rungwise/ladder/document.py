"""The one JSON document that `rungwise climb --json` prints."""

from __future__ import annotations

from typing import Any

from rungwise.core.decision import Decision, RungResult, Spend
from rungwise.core.record import to_plain


def decision_document(decision: Decision, *, use_case: str, project: str, spent: Spend, report: str | None) -> dict[str, Any]:
    """The verdict, the ladder and the money, in the form that other programs rely on. `spent` is what this run took."""
    chosen = {"rung": decision.chosen_rung, "candidate": decision.chosen} if decision.chosen else None
    target = decision.target
    return {
        "use_case": use_case,
        "project": project,
        "decision": decision.id,
        "dataset": decision.dataset,
        "version": decision.version,
        "verdict": decision.verdict,
        "reason": decision.reason,
        "control": decision.control,
        "target": {"metric": target.metric, "value": target.value, "coverage": target.coverage},
        "chosen": chosen,
        "alpha": {"total": decision.alpha_total, "spent_before": decision.alpha_spent_before, "spent": decision.alpha_spent},
        "rungs": [_rung(result) for result in decision.rungs],
        "more_examples": decision.more_examples,
        "spent": to_plain(spent),
        "development": to_plain(decision.development),
        "saved": to_plain(decision.saved),
        "report": report,
    }


def _rung(result: RungResult) -> dict[str, Any]:
    dev, test = result.dev, result.test
    return {
        "rung": result.rung,
        "candidate": result.candidate,
        "state": result.state,
        "dev": to_plain({"mean": dev.mean, "low": dev.low, "high": dev.high, "n": dev.n}) if dev else None,
        "test": to_plain({"low": test.low, "high": test.high, "n": test.n, "alpha": test.alpha}) if test else None,
        "p95_s": result.p95_s,
        "usd_per_1k": result.usd_per_1k,
        "fit_s": result.fit_s,
        "calls": result.calls,
        "total_usd": result.total_usd,
        "groups": to_plain(result.groups),
        "why": result.why,
    }
