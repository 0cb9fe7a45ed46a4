"""`ProjectFeedback`: judge answers, see how variants compare, and turn judgements into data."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import UsageError
from rungwise.core.record import to_plain
from rungwise.core.types import Clock
from rungwise.data.spec import FILE, read_serving, read_use_case
from rungwise.data.splits import FROM_TRACE
from rungwise.data.store import Store
from rungwise.watch.masking import masking

if TYPE_CHECKING:
    from rungwise.core.serving import Contest
    from rungwise.core.usecase import UseCase
    from rungwise.data.feedback import Kept
    from rungwise.data.versions.intake import Taken
    from rungwise.project.data import ProjectData
    from rungwise.release.verdict import Verdict
    from rungwise.watch.harvest import Harvest
    from rungwise.watch.intake import TakenIn

ROWS, PAIRS = "feedback.jsonl", "preferences.jsonl"
"""Where rows and pairs are written, unless another file is named."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What became of one judgement: its id, its trace, and whether it was new."""

    id: str
    trace: str
    new: bool


@dataclass(frozen=True, kw_only=True)
class Contested:
    """How the variants of the live release compare by a metric, how its shadows do, and what follows for the traffic."""

    metric: str
    verdict: Verdict

    @property
    def told(self) -> bool:
        """Whether every comparison has come to a verdict."""
        return all(one.standing.verdict != "cannot_tell" for one in (*self.verdict.duels, *self.verdict.shadows))

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        own = self.verdict
        return {
            "release": own.release.id,
            "metric": self.metric,
            "duels": to_plain(own.duels),
            "shadows": to_plain(own.shadows),
            "ruling": to_plain(own.ruling),
        }


@dataclass(frozen=True, kw_only=True)
class Harvested:
    """What was made of the judgements, and where it is. `earlier` rows of the file are of traces that are no longer kept;
    `version` is the version of the data that holds the rows now, None where the project keeps its data in a file."""

    path: Path | None
    made: int
    judged: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    earlier: int = 0
    version: str | None = None


def take_in_rows(data: ProjectData, path: Path) -> Taken:
    """Take a file of rows that were made of judgements into the versions of the data, in place of those from before.

    So it is where the project was moved or copied since, or the file has another name: else each row would count twice.
    """
    from rungwise.core.usecase import Columns
    from rungwise.watch.provenance import linked_traces

    with data.store() as store:
        made = bool(linked_traces(store))  # else the rows from traces are those of another project
    before = [one.location for one in data.version().sources if FROM_TRACE in one.names] if made else []
    own = next((one for one in before if one == str(path.absolute())), None)
    moved = next((one for one in before if PurePath(one).name == path.name), before[0] if before else None)
    columns = Columns(text="text", label="label", key="id", split="split")
    return data.take_in(path, columns=columns, location=own or moved)


class ProjectFeedback:
    """The feedback of a project folder."""

    def __init__(self, directory: Path, clock: Clock, state: Path) -> None:
        self.directory, self.clock, self.state = directory, clock, state

    def add(self, judgement: Mapping[str, Any]) -> Judged:
        """Keep one judgement, with the fields of POST /v1/feedback. Raises UsageError for one that makes no sense or names no
        trace that is kept."""
        from rungwise.data.feedback import Judgements
        from rungwise.data.judging import about, judged_trace, named_trace, read_judgement

        with self._store() as store:
            trace, response = named_trace(judgement)
            found = judged_trace(store, trace, response)
            if found is None:
                raise UsageError(
                    f"there is no answer '{trace or response}' in {self.directory}. "
                    f"List them: rungwise traces {self.directory} --json-lines"
                )
            feedback = read_judgement(judgement, trace=found.id, now=self.clock.now())
            (kept,) = Judgements(store).add([(feedback, about(found, feedback))], dated=judgement.get("at") is not None)
        return Judged(id=kept.id, trace=found.id, new=kept.new)

    def take_in(self, source: Path) -> TakenIn:
        """Keep the judgements of a JSONL file, one a line. Lines that cannot be used are named, the others kept all the same.

        The same file again changes nothing where its lines say when (`at`). Raises BadData where there is no file.
        """
        from rungwise.watch.intake import take_judgements

        with self._store() as store:
            return take_judgements(store, source, now=self.clock.now())

    def listed(self, limit: int = 20) -> list[Kept]:
        """The judgements that came last, newest first."""
        from rungwise.data.feedback import Judgements

        with self._store() as store:
            return Judgements(store).newest(limit)

    def contest(self) -> Contested:
        """Compare the variants of the live release by the feedback on their answers. Moves nothing; may be asked at any time.

        Raises UsageError when nothing is released.
        """
        from rungwise.release.verdict import standing

        rules = self._rules()
        with self._store() as store:
            verdict = standing(store, rules)
        if verdict is None:
            raise UsageError(f"nothing is released in {self.directory} yet. Type: rungwise release {self.directory}")
        return Contested(metric=rules.metric, verdict=verdict)

    def to_dataset(
        self, *, output: Path | None = None, approved: bool = False, mask: bool = True, names: bool = False
    ) -> Harvested:
        """Make rows of the judgements: labels, or right answers. Where the data has versions they become a new one.

        Personal data is masked, by `names` people's too. Each row says by its column `from_trace` where it comes from, and
        is never sealed, but for those of answers that were drawn for review by chance (`drawn`): half of these are. With
        `approved`, an answer with a thumb up counts as right.
        """
        from rungwise.data.desk import close
        from rungwise.data.judging import traces_by_id
        from rungwise.data.reviews import Reviews
        from rungwise.data.splits import SALT_SETTING
        from rungwise.watch.files import UNNAMED, earlier_rows, fair_lines, row_line, write_lines
        from rungwise.watch.harvest import harvest_rows
        from rungwise.watch.provenance import linked_traces

        case, path = self._case(), output or self.directory / ROWS
        standing = self._standing(path)
        with self._store() as store:
            close(store)
            judgements = self._judged(store)
            harvest = harvest_rows(
                judgements,
                partial(traces_by_id, store),
                mask=masking(names=names) if mask else list,
                known=self._known(case),
                labels=case.task != "answer",
                approved=approved,
                random=Reviews(store).random_traces(),
            )
            unnamed = Reviews(store).unnamed()
            salt = store.setting(SALT_SETTING) or case.name
            linked = linked_traces(store) - {one.feedback.trace for one in judgements}
        found = [row_line(row, salt=salt, standing=standing) for row in harvest.rows]
        lines = fair_lines(found, standing=standing, unnamed=unnamed)
        if len(lines) < len(found):
            harvest = replace(harvest, left_out={**harvest.left_out, UNNAMED: len(found) - len(lines)})
        earlier = earlier_rows(path if path.exists() else self.directory / ROWS, lines, harvest.gone | linked)
        write_lines(path, [*earlier, *lines])
        version = self._import(path, harvest) if lines or earlier else None
        return _harvested(path, harvest, len(lines), earlier=len(earlier), version=version)

    def pairs(self, *, output: Path | None = None, mask: bool = True, names: bool = False) -> Harvested:
        """Write pairs of a better and a worse answer as JSONL, in the conversational form that preference trainers read."""
        from rungwise.data.judging import traces_by_id
        from rungwise.watch.files import pair_line, write_lines
        from rungwise.watch.harvest import harvest_pairs

        path = output or self.directory / PAIRS
        with self._store() as store:
            judgements = self._judged(store)
            harvest = harvest_pairs(judgements, partial(traces_by_id, store), mask=masking(names=names) if mask else list)
        write_lines(path, [pair_line(pair) for pair in harvest.pairs])
        return _harvested(path, harvest, len(harvest.pairs))

    def _import(self, path: Path, harvest: Harvest) -> str | None:
        """Take the rows into the versions of the data, and say of each record which traces it was made of."""
        from rungwise.project.data import ProjectData
        from rungwise.watch.provenance import link_records

        data = ProjectData(self.directory, self.clock, self.state)
        if not data.exists():
            return None
        taken = take_in_rows(data, path)
        traces = {row.traces[0]: row.traces for row in harvest.rows}
        with self._store() as store:
            link_records(store, taken.version.id, traces)
        return taken.version.id

    def _standing(self, path: Path) -> Mapping[str, Mapping[str, Any]]:
        """The rows that were made of judgements before, by their normalised questions: in the data and in the file."""
        from rungwise.curate.shingles import normalise
        from rungwise.data.splits import FROM_TRACE
        from rungwise.project.data import ProjectData
        from rungwise.watch.files import written_rows

        data = ProjectData(self.directory, self.clock, self.state)
        found = [cells for _, cells in data.rows() if cells.get(FROM_TRACE)] if data.exists() else []
        return {normalise(str(one.get("text") or "")): one for one in (*found, *written_rows(path))}

    def _known(self, case: UseCase) -> Collection[str]:
        """The questions that stand in the data already, those that came from feedback left out."""
        from rungwise.curate.shingles import normalise
        from rungwise.data.importing import read_dataset
        from rungwise.data.spec import beside
        from rungwise.data.splits import FROM_TRACE
        from rungwise.project.data import ProjectData

        data = ProjectData(self.directory, self.clock, self.state)
        if data.exists():
            column = data.version().columns.text or "text"
            return {normalise(str(cells.get(column) or "")) for _, cells in data.rows() if not cells.get(FROM_TRACE)}
        file = beside(self.directory, case.data)
        if not case.data or not file.is_file():
            return ()
        return {normalise(row.text) for row in read_dataset(file, case).dataset.rows if FROM_TRACE not in row.fields}

    def _judged(self, store: Store) -> list[Kept]:
        """All judgements. Raises UsageError where there is none."""
        from rungwise.data.feedback import Judgements

        found = list(Judgements(store).since())
        if not found:
            raise UsageError(
                f"nobody has judged an answer of {self.directory} yet. "
                f"Type: rungwise feedback add {self.directory} --trace ID --thumb up"
            )
        return found

    def _case(self) -> UseCase:
        return read_use_case(self.directory / FILE)

    def _rules(self) -> Contest:
        return read_serving(self.directory / FILE).contest

    @contextlib.contextmanager
    def _store(self) -> Iterator[Store]:
        """The store of a project that exists: no new state is made in a folder that is none."""
        self._case()
        store = Store.open(self.state, clock=self.clock)
        try:
            yield store
        finally:
            store.close()


def _harvested(path: Path, harvest: Harvest, made: int, *, earlier: int = 0, version: str | None = None) -> Harvested:
    return Harvested(
        path=path if path.exists() else None,
        made=made,
        judged=harvest.judged,
        left_out=harvest.left_out,
        earlier=earlier,
        version=version,
    )
