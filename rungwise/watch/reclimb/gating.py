"""The gates of a release, asked for the candidate of a re-climb."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

from rungwise.core.candidate import Candidate
from rungwise.core.release import GateResult
from rungwise.data.nouns import Nouns
from rungwise.data.spec import FILE, read_gates, read_serving, read_use_case
from rungwise.data.store import Store
from rungwise.release.evidence import decisions, evidence_for
from rungwise.release.gates import Rules, check


def gates_of(store: Store, directory: Path, candidate: str, *, approved_by: str | None, now: float) -> tuple[GateResult, ...]:
    """What every gate of rungwise.yaml says of a candidate; `now` is seconds since 1970."""
    path = directory / FILE
    rules = Rules(
        gates=read_gates(path),
        case=read_use_case(path),
        guards=tuple(one.guard for one in read_serving(path).guards),
        known_guards=tuple(entry.name for entry in entry_points(group="rungwise.guards")),
    )
    evidence = evidence_for(store, Nouns(store).get(Candidate, candidate), decisions(store))
    return check(rules, [evidence], approved_by=approved_by, now=now)
