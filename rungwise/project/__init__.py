"""`Project`: one method per verb. Notebooks, programs and the command line all come through here."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rungwise.core.content import Request, Response, Turn
from rungwise.core.decision import Decision, Spend
from rungwise.core.errors import UsageError
from rungwise.core.progress import Progress
from rungwise.core.types import Clock, collect
from rungwise.core.usecase import Target, UseCase
from rungwise.data.spec import FILE, beside, checked, read_use_case, read_watching, write_use_case
from rungwise.data.versions.dataset import is_version
from rungwise.project.doors import STATE, Doors

if TYPE_CHECKING:
    from rungwise.data.store import Store
    from rungwise.inference.batch_file import Counts
    from rungwise.ladder.comparison import Contest
    from rungwise.ladder.diagnosis import Finding
    from rungwise.ladder.expedition import Expedition, Terrain, Wishes
    from rungwise.ladder.forecast import ForecastDocument
    from rungwise.ladder.label_next import LabelNext
    from rungwise.ladder.replay import Replay
    from rungwise.ladder.serving import Serving

T = TypeVar("T")

REPORT = "report.html"

Say = Callable[[Progress], None]


@dataclass(frozen=True)
class Climbed:
    """What a climb gives back: the decision, what this run spent, where the report is.

    `columns` say which column played which role and why, `warnings` what was odd about the data.
    """

    decision: Decision
    spent: Spend
    report: Path | None
    columns: tuple[str, ...]
    warnings: tuple[str, ...]
    document: Mapping[str, Any]

    def _repr_html_(self) -> str:
        from rungwise.web.notebook import decision_html

        return decision_html(self.decision)


@dataclass(frozen=True)
class Asked:
    """One answer with who gave it."""

    answer: str
    confidence: float | None
    candidate: str
    seconds: float
    response: Response


class Project(Doors):
    """A folder with rungwise.yaml and a state directory. Methods are synchronous and may be called in a notebook."""

    def __init__(self, directory: str | Path = ".", *, clock: Clock | None = None) -> None:
        super().__init__(Path(directory), clock)
        self._answering: Serving | None = None

    @classmethod
    def create(
        cls,
        directory: str | Path,
        *,
        task: str = "classify",
        source: str | Path | None = None,
        clock: Clock | None = None,
        **more: Any,
    ) -> Project:
        """Make a project for a task, with the data (a file, or version:HEAD) that it climbs on; `more` are further fields.

        Raises UsageError when the folder already holds a project.
        """
        import os

        folder = Path(directory)
        if (folder / FILE).exists():
            raise UsageError(f"{folder} already is a project. Edit {folder / FILE}, or choose another folder")
        if isinstance(source, str) and is_version(source):
            data = source
        else:
            data = os.path.relpath(Path(source).resolve(), folder.resolve()) if source is not None else ""
        case = checked(UseCase(name=folder.resolve().name, task=task, data=data, **more), where=str(folder))
        write_use_case(folder / FILE, case)
        return cls(folder, clock=clock)

    @property
    def case(self) -> UseCase:
        """The use case as rungwise.yaml says it now."""
        return read_use_case(self.directory / FILE)

    def configure(self, **changes: Any) -> UseCase:
        """Change fields of the use case in rungwise.yaml."""
        before = self.case
        case = checked(dataclasses.replace(before, **changes), where=str(self.directory / FILE))
        if case != before:  # else the file keeps its comments
            write_use_case(self.directory / FILE, case)
        return case

    def climb(
        self,
        target: str | None = None,
        *,
        wishes: Wishes | None = None,
        say: Say | None = None,
        wait: bool = True,
        report: bool = True,
        on_wait: Callable[[str], None] = lambda _: None,
    ) -> Climbed:
        """Find the cheapest technique that is shown to meet the target, and write the report.

        A climb that was killed goes on where it was. Raises UsageError for data or
        targets that cannot be used, ProjectBusy with `wait=False` when another climb runs.
        """
        from rungwise.data.lock import project_lock
        from rungwise.ladder.document import decision_document
        from rungwise.web.notebook import notebook_progress

        started = self.clock.tick()
        self._aim(target)
        with project_lock(self.directory / STATE, wait=wait, on_wait=on_wait), self._store() as store:
            expedition = self._expedition(store, wishes, say or notebook_progress())
            decision = run(expedition.climb())
            spent = expedition.spent(self.clock.tick() - started)
            store.set_setting("decision", decision.id)
            path = self._write_report(store, expedition.terrain, decision, spent) if report else None
        document = decision_document(
            decision,
            use_case=expedition.terrain.case.name,
            project=str(self.directory),
            spent=spent,
            report=str(path) if path else None,
        )
        self._answering = None
        terrain = expedition.terrain
        return Climbed(decision, spent, path, terrain.imported.roles.reasons, terrain.warnings, document)

    def forecast(self, target: str | None = None, *, wishes: Wishes | None = None) -> ForecastDocument:
        """What the data can show and what each rung will cost; spends nothing."""
        from rungwise.data.ledger import Ledger
        from rungwise.ladder.forecast import forecast

        self._aim(target)
        with self._store() as store:
            terrain = self._survey(store, wishes)
            return forecast(terrain, opened=Ledger(store).count(terrain.splits.sealed.input_ids))

    def ask(self, text: str, *, passage: str | None = None, turns: Sequence[Turn] = ()) -> Asked:
        """Ask the chosen candidate one question; `turns` are what was said before, oldest first.

        A question that leans on them is put into words that stand alone before documents are searched for it.
        """
        serving = self._chosen()

        async def answer() -> Response:
            async with serving as responder:
                asked = dataclasses.replace(Request.of(text, passage=passage), turns=tuple(turns))
                return await collect(responder(asked))

        started = self.clock.tick()
        response = run(answer())
        return Asked(response.text, response.confidence, serving.candidate.id, self.clock.tick() - started, response)

    def ask_file(self, source: Path, target: Path, *, say: Callable[[int], None] = lambda _: None) -> Counts:
        """Ask the chosen candidate every row of a JSONL file; a run that was killed goes on where it was."""
        from rungwise.inference.batch_file import answer_file

        serving, columns = self._chosen(), self._columns()

        async def answer() -> Counts:
            async with serving as responder:
                return await answer_file(
                    responder,
                    source,
                    target,
                    candidate=serving.candidate.id,
                    text_field=columns.get("text") or "text",
                    passage_field=columns.get("passage"),
                    clock=self.clock,
                    say=say,
                )

        return run(answer())

    def compare(self, first: str, second: str) -> Contest:
        """Test two candidates (rung names or ids) of the last climb against each other on the dev rows."""
        from rungwise.ladder.comparison import compare_candidates

        with self._store() as store:
            decision = self.decision(store)
            return compare_candidates(store, decision, first, second, case=_case_of(store, decision))

    def label_next(self, n: int = 50, *, pool: str | Path | None = None, output: str | Path | None = None) -> LabelNext:
        """The rows to label next, written to a file to fill in, with the gain that they are expected to bring."""
        from rungwise.ladder.label_next import Wanted, label_next

        columns = self._columns()
        wanted = Wanted(
            n=n, pool=Path(pool) if pool else None, output=Path(output) if output else self.directory / "label-next.csv"
        )
        with self._store() as store:
            decision = self.decision(store)
            case = _case_of(store, decision)
            return run(label_next(store, case, self.directory, decision, columns=columns, wanted=wanted, clock=self.clock))

    def replay(self) -> Replay:
        """Recompute the last decision from the stored scores."""
        from rungwise.ladder.replay import replay

        with self._store() as store:
            decision = self.decision(store)
            return run(replay(self._expedition(store, _wishes_of(decision), None, decision=decision), decision))

    def report(self, output: str | Path | None = None) -> Path:
        """Write the last decision as one HTML file."""
        with self._store() as store:
            decision = self.decision(store)
            terrain = self._survey(store, _wishes_of(decision), decision)
            return self._write_report(store, terrain, decision, Spend(), Path(output) if output else None)

    def lineage(self, id: str, *, rows: bool = False) -> Mapping[str, Any]:
        """What a candidate, evaluation or decision was made of, or what a row reached; `id` may be shortened.

        With `rows`, the training and dev rows that it was made of are named too. A folder that only holds data will do.
        """
        from rungwise.ladder.tracing import rows_of, trace_lineage

        with self.data.store() if self.data.exists() else self._store() as store:
            found = dict(trace_lineage(store, id))
            return {**found, "training_rows": rows_of(store, id)} if rows else found

    def doctor(self) -> list[Finding]:
        """What works here, what is missing, and what to type."""
        from rungwise.ladder.diagnosis import Finding, diagnose

        if not (self.directory / FILE).exists():
            return diagnose(self.directory, None)
        try:
            case = self.case
        except UsageError as error:
            return [*diagnose(self.directory, None)[:-1], Finding(what="project", state="problem", detail=str(error))]
        return diagnose(self.directory, case, version=self._version_of(case))

    def _version_of(self, case: UseCase) -> str | None:
        """The version of the data that a use case leads to; None for a file, or where it is not there."""
        from rungwise.data.versions.version import HEAD, PREFIX

        if not is_version(case.data) or not self.data.exists():
            return None
        with contextlib.suppress(UsageError):
            return self.data.version(case.data.removeprefix(PREFIX) or HEAD).id
        return None

    def decision(self, store: Store) -> Decision:
        """The last decision. Raises UsageError when nothing was climbed yet."""
        from rungwise.data.nouns import Nouns

        id = store.setting("decision")
        if id is None:
            raise UsageError(f"nothing was decided in {self.directory} yet. Type: rungwise climb {self.directory}")
        return Nouns(store).get(Decision, id)

    @contextlib.contextmanager
    def _store(self) -> Iterator[Store]:
        store = self._open_store()
        try:
            yield store
        finally:
            store.close()

    def _open_store(self) -> Store:
        """The store of a project that exists: a misspelt folder is an error, and no new state is made in it."""
        from rungwise.data.store import Store

        read_use_case(self.directory / FILE)
        return Store.open(self.directory / STATE, clock=self.clock)

    def _aim(self, target: str | None) -> None:
        """Write a target to rungwise.yaml, if one is given and can be one."""
        if target is not None:
            from rungwise.evaluate.metric import target_metric

            aim = Target.parse(target)
            target_metric(aim.metric)
            self.configure(target=aim)

    def _survey(self, store: Store, wishes: Wishes | None, decision: Decision | None = None) -> Terrain:
        """The data as it is now; with a decision, as that climb had it. Raises UsageError when it has changed since."""
        from rungwise.ladder.expedition import Wishes, survey
        from rungwise.ladder.serving import searched

        case = self.case if decision is None else _case_of(store, decision)
        version = decision.version if decision is not None else None
        terrain = survey(case, self.directory, store, wishes or Wishes(), version=version)
        if decision is not None and terrain.splits.dataset != decision.dataset:
            raise UsageError(
                f"{case.data if version else beside(self.directory, case.data)} has changed since the last decision. "
                f"Type: rungwise climb {self.directory}{'' if version else ', or put the old file back'}"
            )
        if decision is not None and (used := searched(store, decision)) and terrain.imported.documents.id not in used:
            raise UsageError(
                f"the documents in {case.documents} have changed since the last decision. "
                f"Type: rungwise climb {self.directory}, or put the old ones back"
            )
        return terrain

    def _expedition(self, store: Store, wishes: Wishes | None, say: Say | None, *, decision: Decision | None = None) -> Expedition:
        from rungwise.ladder.expedition import Expedition, Wishes

        wishes = wishes or Wishes()
        terrain = self._survey(store, wishes, decision)
        self._remember_columns(store, terrain)
        return Expedition(terrain, store, wishes, self.clock, say or (lambda _: None))

    def _remember_columns(self, store: Store, terrain: Terrain) -> None:
        """Batch files are read by the same columns as the data; keep them, so that asking does not read the data again."""
        import json

        columns = json.dumps(dataclasses.asdict(terrain.imported.roles.columns), sort_keys=True)
        if store.setting("columns") != columns:
            store.set_setting("columns", columns)

    def _columns(self) -> Mapping[str, str | None]:
        import json

        with self._store() as store:
            return json.loads(store.setting("columns") or "{}")  # type: ignore[no-any-return]

    def _chosen(self) -> Serving:
        """The chosen candidate, loaded once and kept. Raises UsageError when no rung was shown to meet the target."""
        if self._answering is None:
            # The store stays open for as long as the responder may load parts from it.
            from rungwise.ladder.serving import chosen_responder

            store = self._open_store()
            try:
                decision = self.decision(store)
                case = _case_of(store, decision)
                self._answering = chosen_responder(store, case, self.directory, decision, clock=self.clock)
            except BaseException:
                store.close()
                raise
        return self._answering

    def _write_report(self, store: Store, terrain: Terrain, decision: Decision, spent: Spend, output: Path | None = None) -> Path:
        import importlib.metadata

        from rungwise.data.blobs import write_durably
        from rungwise.web.gather import report_view
        from rungwise.web.report import render_report

        path = output or self.directory / REPORT
        version = importlib.metadata.version("rungwise")
        watching, at = read_watching(self.directory / FILE), self.clock.now()
        view = report_view(
            store, terrain, decision, spent=spent, project=str(self.directory), version=version, at=at, watching=watching
        )
        write_durably(path, render_report(view).encode("utf-8"))
        return path


def _case_of(store: Store, decision: Decision) -> UseCase:
    """The use case as it was when the decision was made; rungwise.yaml may say something else by now."""
    from rungwise.data.nouns import Nouns

    return Nouns(store).get(UseCase, decision.use_case)


def _wishes_of(decision: Decision) -> Wishes:
    """What was asked of the climb that led to a decision; its leaks were accepted then."""
    from rungwise.core.record import from_plain
    from rungwise.ladder.expedition import Wishes
    from rungwise.ladder.rung import Incumbent

    options = decision.options
    live = options.get("live")
    return Wishes(
        exhaustive=options["exhaustive"],
        order=tuple(options["order"]),
        until=options["until"],
        allow_leaks=True,
        approved_by=decision.approved_by,
        live=from_plain(Incumbent, live) if live is not None else None,
        because=options.get("because", {}),
    )


def load(directory: str | Path) -> Callable[[str], str]:
    """The chosen candidate of a project as a function from text to answer."""
    project = Project(directory)
    project._chosen()
    return lambda text: project.ask(text).answer


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the one background loop, so that notebooks, which have a loop of their own, can call in."""
    from rungwise.engines.loop import run_in_background

    return run_in_background(coroutine)
