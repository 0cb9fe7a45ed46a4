"""Gathers a report's view from the store and the terrain of a climb."""

from __future__ import annotations

from collections import Counter
from contextlib import closing

from rungwise.core.candidate import Candidate
from rungwise.core.decision import Decision, Spend
from rungwise.core.usecase import UseCase
from rungwise.core.watching import Watching
from rungwise.data.nouns import Nouns
from rungwise.data.store import Store
from rungwise.data.traces.door import archive_of
from rungwise.data.traces.query import Query
from rungwise.data.versions.licences import read_licence
from rungwise.data.versions.version import Version, Versions
from rungwise.ladder.evidence import dev_evaluations
from rungwise.ladder.expedition import Terrain
from rungwise.ladder.forecast import forecast
from rungwise.watch.value.account import Account, account
from rungwise.web.view import DataNotes, ForecastNotes, ReportView, VersionNotes


def report_view(
    store: Store,
    terrain: Terrain,
    decision: Decision,
    *,
    spent: Spend,
    project: str,
    version: str,
    at: float,
    watching: Watching | None = None,
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
        data=data_notes(store, terrain),
        forecast=_forecast_notes(terrain),
        spent=spent,
        money=_money(store, terrain.case, watching, at) if watching is not None else None,
    )


def _money(store: Store, case: UseCase, watching: Watching, at: float) -> Account | None:
    """What answering costs and brings; None where nothing was answered yet."""
    with closing(archive_of(store).search(Query(), limit=1)) as traces:
        return account(store, case, watching, at) if next(traces, None) is not None else None


def data_notes(store: Store, terrain: Terrain) -> DataNotes:
    """The data in short."""
    imported, leaks = terrain.imported, terrain.leaks
    return DataNotes(
        source=imported.dataset.source,
        rows=imported.report.splits,
        labels=len(imported.report.labels),
        quarantined=Counter(one.reason for one in imported.quarantine),
        leaks={name: count for name, count in (("exact", leaks.exact), ("near", leaks.near), ("group", leaks.grouped)) if count},
        notes=terrain.warnings,
        version=version_notes(Versions(store).get(imported.version)) if imported.version is not None else None,
    )


def version_notes(version: Version) -> VersionNotes:
    """What the report says of a version; its data card says the rest."""
    sources = ((note.location, read_licence(note.licence)) for note in version.sources)
    return VersionNotes(
        id=version.id,
        kind=version.kind,
        kept=version.rows,
        quarantined=version.quarantined,
        sources=tuple((place, f"licence {licence.name}" if licence.known else "licence not known") for place, licence in sources),
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
