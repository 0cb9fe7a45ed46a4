"""The verbs of a project that a re-climb needs: gather the rows that production brought, forecast, climb."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import UsageError
from rungwise.core.types import Clock
from rungwise.data.spec import FILE, beside, read_use_case
from rungwise.data.splits import FROM_TRACE
from rungwise.data.versions.dataset import is_version
from rungwise.data.versions.version import HEAD, PREFIX
from rungwise.project.data import ProjectData
from rungwise.project.feedback import ROWS, ProjectFeedback, take_in_rows
from rungwise.project.opening import opened
from rungwise.watch.reclimb.hands import Gathered

if TYPE_CHECKING:
    from rungwise.core.decision import Decision
    from rungwise.ladder.rung import Incumbent

NOBODY_SAID = Gathered(new=0)
WEIGHTIEST = ("reviewer", "business", "user", "judge")
"""Whose word counts first where several judged one answer, as in `watch/harvest.py`."""


class ProjectHands:
    """What a re-climb lets the project do. `until` cuts off rungs of its climbs, `report` writes their pages."""

    def __init__(self, directory: Path, clock: Clock, state: Path, *, until: str | None = None, report: bool = True) -> None:
        self.directory, self.clock, self.state, self.until, self.report = directory, clock, state, until, report

    def gather(self) -> Gathered:
        """Make a new version of the data from what people said of answers; nothing where nobody said anything of use.

        Data that is a file is taken into versions first, and rungwise.yaml names those from then on.
        """
        if not self.count().new:
            return dataclasses.replace(NOBODY_SAID, version=self._head())
        moved = self._into_versions()
        feedback = ProjectFeedback(self.directory, self.clock, self.state)
        harvested = feedback.to_dataset()
        leaked = self._without_leaks()
        version = ProjectData(self.directory, self.clock, self.state).version()
        with opened(self.directory, self.state, self.clock) as store:
            before = _known_traces(store)
        traces, sealed = self._rows_of(version.id, before)
        return Gathered(
            new=len(traces),
            rows=self._by_source(traces),
            sealed=sealed,
            version=version.id,
            moved=moved,
            leaked=leaked,
            left_out=harvested.left_out,
        )

    def count(self, *, close: bool = True) -> Gathered:
        """What `gather` would bring at most. Nothing is written but, with `close`, what reviewers agreed on as feedback."""
        from rungwise.data import desk
        from rungwise.data.feedback import Judgements
        from rungwise.data.judging import traces_by_id
        from rungwise.watch.harvest import harvest_rows

        case = read_use_case(self.directory / FILE)
        feedback = ProjectFeedback(self.directory, self.clock, self.state)
        with opened(self.directory, self.state, self.clock) as store:
            if close:
                desk.close(store)
            found = list(Judgements(store).since())
            if not found:
                return NOBODY_SAID
            known = _known_traces(store)
            harvest = harvest_rows(
                found, partial(traces_by_id, store), mask=list, known=feedback._known(case), labels=case.task != "answer"
            )
        traces = [row.traces[0] for row in harvest.rows if row.traces[0] not in known]
        return Gathered(new=len(traces), rows=self._by_source(traces), left_out=harvest.left_out)

    def forecast(self, live: Incumbent, version: str | None) -> Mapping[str, Any]:
        """What the climb will cost, and whether its sealed rows can show the target."""
        from rungwise.ladder.expedition import Wishes
        from rungwise.project import Project

        wishes = Wishes(live=live, version=version, until=self.until)
        return Project(self.directory, clock=self.clock).forecast(wishes=wishes).plain()

    def climb(self, live: Incumbent, version: str | None, because: Mapping[str, Any], approved_by: str | None) -> Decision:
        """Climb with the live candidate among the rungs; one that was killed goes on."""
        from rungwise.ladder.expedition import Wishes
        from rungwise.project import Project

        self._check_parts(live)
        wishes = Wishes(live=live, version=version, because=because, approved_by=approved_by, until=self.until)
        project = Project(self.directory, clock=self.clock)
        return project.climb(wishes=wishes, report=self.report, say=lambda _: None).decision

    def _check_parts(self, live: Incumbent) -> None:
        """Raise UsageError where a part of the live candidate is gone: made again it would be of other rows, and another part."""
        from rungwise.data import artefacts

        with opened(self.directory, self.state, self.clock) as store:
            gone = [part.technique for part in live.candidate.parts if not artefacts.has(store, part.id)]
        if gone:
            raise UsageError(
                f"{', '.join(gone)} of the live candidate is gone or was erased, so that nothing can be held against it. "
                f"Stop it, then climb and release: rungwise reclimb {self.directory} --stop, rungwise climb {self.directory}"
            )

    def _head(self) -> str | None:
        """The version that the project climbs on; None where its data is a file."""
        named = read_use_case(self.directory / FILE).data
        if not is_version(named):
            return None
        return ProjectData(self.directory, self.clock, self.state).version(named.removeprefix(PREFIX) or HEAD).id

    def _into_versions(self) -> str | None:
        """Take the file that the project climbs on into versions; its name, None where that was so already."""
        from rungwise.project import Project

        case = read_use_case(self.directory / FILE)
        if is_version(case.data):
            return None
        source = beside(self.directory, case.data)
        if not case.data or not source.is_file():
            raise UsageError(f"there is no data file {source}. Check data: in rungwise.yaml")
        ProjectData(self.directory, self.clock, self.state).take_in(source, columns=case.columns)
        Project(self.directory, clock=self.clock).configure(data=f"{PREFIX}{HEAD}")
        return case.data

    def _without_leaks(self) -> int:
        """Take out rows from traces that give a sealed row away, or would be sealed beside their own likeness; how many."""
        from rungwise.watch.files import write_lines
        from rungwise.watch.reclimb.leaking import leaking_traces

        case, path = read_use_case(self.directory / FILE), self.directory / ROWS
        with opened(self.directory, self.state, self.clock) as store:
            leaking = leaking_traces(store, case)
        if not leaking:
            return 0
        kept = [line for line in _lines(path) if line[FROM_TRACE] not in leaking]
        write_lines(path, kept)
        # The rows that stay are the same records, which know the traces that they were made of.
        take_in_rows(ProjectData(self.directory, self.clock, self.state), path)
        return len(leaking)

    def _rows_of(self, version: str, before: Collection[str]) -> tuple[list[str], int]:
        """The traces of the rows of a version that were not there before, and how many of those rows stay sealed."""
        from rungwise.core.dataset import SEALED
        from rungwise.data.versions.dataset import read_version

        case = read_use_case(self.directory / FILE)
        with opened(self.directory, self.state, self.clock) as store:
            dataset = read_version(store, case, version=version).dataset
        splits = {
            str(row.fields[FROM_TRACE]): split
            for row, split in zip(dataset.rows, dataset.splits, strict=True)
            if row.fields.get(FROM_TRACE)
        }
        new = {trace: split for trace, split in splits.items() if trace not in before}
        return sorted(new), sum(split == SEALED for split in new.values())

    def _by_source(self, traces: Collection[str]) -> Mapping[str, int]:
        """How many rows come from whose word, the weightiest of each trace."""
        from rungwise.data.feedback import Judgements

        sources: dict[str, str] = {}
        with opened(self.directory, self.state, self.clock) as store:
            for one in Judgements(store).of(list(traces)):
                own, known = one.feedback.source, sources.get(one.feedback.trace)
                sources[one.feedback.trace] = own if known is None else min(own, known, key=WEIGHTIEST.index)
        return dict(sorted(Counter(sources.values()).items()))


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def _known_traces(store: Any) -> frozenset[str]:
    """The traces of the rows that the last decision was made on."""
    from rungwise.core.decision import Decision
    from rungwise.data.nouns import Nouns
    from rungwise.data.versions.version import Versions

    id = store.setting("decision")
    version = Nouns(store).get(Decision, id).version if id is not None else None
    if version is None:
        return frozenset()
    versions = Versions(store)
    return frozenset(str(cells[FROM_TRACE]) for _, cells in versions.rows(versions.get(version)) if cells.get(FROM_TRACE))
