"""Gathers a report's view from the store and the terrain of a climb."""

from __future__ import annotations

from collections import Counter

from rungwise.core.candidate import Candidate
from rungwise.core.decision import Decision, Spend
from rungwise.data.nouns import Nouns
from rungwise.data.store import Store
from rungwise.ladder.evidence import dev_evaluations
from rungwise.ladder.expedition import Terrain
from rungwise.ladder.forecast import forecast
from rungwise.web.view import DataNotes, ForecastNotes, ReportView


def report_view(
    store: Store, terrain: Terrain, decision: Decision, *, spent: Spend, project: str, version: str, at: float
) -> ReportView:
    """Everything the report shows. Of the sealed rows it holds counts, and what the decision says."""
    nouns = Nouns(store)
    ids = [result.candidate for result in decision.rungs if result.candidate is not None]
    return ReportView(
        use_case=terrain.case,
        decision=decision,
        project=project,
        version=version,
        generated_at=at,
        evaluations=dev_evaluations(store, decision),
        examples={row.id: row for row in terrain.splits.dev},
        candidates={id: nouns.get(Candidate, id) for id in ids},
        data=data_notes(terrain),
        forecast=_forecast_notes(terrain),
        spent=spent,
    )


def data_notes(terrain: Terrain) -> DataNotes:
    """The data card."""
    imported, leaks = terrain.imported, terrain.leaks
    return DataNotes(
        source=imported.dataset.source,
        rows=imported.report.splits,
        labels=len(imported.report.labels),
        quarantined=Counter(one.reason for one in imported.quarantine),
        leaks={name: count for name, count in (("exact", leaks.exact), ("near", leaks.near), ("group", leaks.grouped)) if count},
        notes=terrain.warnings,
    )


def _forecast_notes(terrain: Terrain) -> ForecastNotes:
    foreseen = forecast(terrain, opened=0)
    best = foreseen.chances[0].rows_needed if foreseen.chances else None
    expected = Spend(
        seconds=sum(rung.seconds for rung in foreseen.rungs),
        usd=sum(rung.usd for rung in foreseen.rungs),
        calls=sum(rung.calls for rung in foreseen.rungs),
    )
    power = {chance.truth: chance.power for chance in foreseen.chances}
    return ForecastNotes(sealed_rows=foreseen.sealed, power=power, rows_needed=best, expected=expected)
