"""`ProjectData`: one method per verb of `rungwise data`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rungwise.core.errors import UnknownName, UsageError
from rungwise.core.progress import Progress
from rungwise.core.types import Clock
from rungwise.core.usecase import Columns
from rungwise.data.store import Store
from rungwise.data.versions.version import HEAD, Move, Version, Versions

if TYPE_CHECKING:
    from rungwise.curate.pii.span import Detector
    from rungwise.curate.pii.step import Action
    from rungwise.curate.step import Step
    from rungwise.data.versions.card import Card
    from rungwise.data.versions.curation import Curated
    from rungwise.data.versions.difference import Changed, Difference
    from rungwise.data.versions.erasure import Erased
    from rungwise.data.versions.exporting import Exported
    from rungwise.data.versions.intake import Taken
    from rungwise.data.versions.quarantine import Entry
    from rungwise.data.versions.restoring import Restored
    from rungwise.data.versions.splitting import SplitDone, SplitPlan

Say = Callable[[Progress], None]

STEPS = ("quality", "language", "dedup", "pii", "labels", "leaks")
"""The steps of a curation, as people name them."""

# From so many bytes of records on, the seconds that worker processes take to start are won back.
_MANY_BYTES = 64 * 2**20
# With more rows than this, label problems are looked for by the linear model alone: embedding them takes minutes.
_EMBEDDED_ROWS = 30_000


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What people choose about the steps of a curation: what happens to personal data, whether names count as such,
    which languages are kept (none means all), and whether quality thresholds are calibrated or published."""

    pii: Action = "report"
    names: bool = False
    languages: tuple[str, ...] = ()
    thresholds: Literal["calibrated", "published"] = "calibrated"


class ProjectData:
    """The data of a project folder: its versions, and what makes new ones of them. The folder needs no rungwise.yaml."""

    def __init__(self, directory: Path, clock: Clock, state: Path) -> None:
        self.directory, self.clock, self.state = directory, clock, state

    def take_in(
        self,
        source: str | Path,
        *,
        columns: Columns | None = None,
        licence: str | None = None,
        encoding: str | None = None,
        allow_hosts: Sequence[str] = (),
        subset: str | None = None,
        kind: str | None = None,
        location: str | None = None,
        say: Say = lambda _: None,
    ) -> Taken:
        """Import a table, a folder, a dataset folder or a page as a new version of the data.

        `kind` is table, folder, hub or web where it cannot be told; `subset` names one of a dataset folder, `location` is that
        under which the source is known, where it moved.
        Raises BadData or UsageError for what cannot be used at all; single rows are quarantined.
        """
        from rungwise.data.sources.door import open_source
        from rungwise.data.versions.intake import take_in

        hosts, cache = tuple(allow_hosts), self.state / "web"
        found = open_source(source, kind=kind, encoding=encoding, subset=subset, allow_hosts=hosts, cache=cache)
        with self._taken_back(), self._locked(create=True), self.store(create=True) as store:
            return take_in(store, found, columns=columns, licence=licence, location=location, say=say)

    def curate(
        self,
        steps: Sequence[str | Step] = STEPS,
        *,
        choices: Choices | None = None,
        parts: int = 1,
        say: Say = lambda _: None,
    ) -> Curated:
        """Set aside what the steps find. Steps are named, and follow `choices`, or given with their settings.

        Raises UnknownName for a step, UsageError for a choice that cannot be.
        """
        from rungwise.data.versions.curation import curate
        from rungwise.project import run

        with self._locked(), self.store() as store:
            version = Versions(store).get()
            _check(steps, choices or Choices())
            chosen = _steps(steps, version, choices or Choices())
            with _executor(store, version) as executor:
                return run(curate(store, version, chosen, executor=executor, parts=parts, say=say))

    def exists(self) -> bool:
        """Whether the folder holds data that was imported."""
        if not Store.is_in(self.state):
            return False
        with self.store() as store:
            return Versions(store).head() is not None

    def log(self) -> list[Move]:
        """The moves of the head, newest first."""
        with self.store() as store:
            versions = Versions(store)
            versions.get()
            return versions.log()

    def version(self, name: str = HEAD) -> Version:
        """A version by tag, id or HEAD."""
        with self.store() as store:
            return Versions(store).get(name)

    def rows(self, name: str = HEAD) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """(place, cells) of each row of a version."""
        with self.store() as store:
            versions = Versions(store)
            yield from versions.rows(versions.get(name))

    def quarantine(self, name: str = HEAD) -> list[Entry]:
        """The rows that were set aside from a version."""
        with self.store() as store:
            versions = Versions(store)
            return versions.quarantine(versions.get(name))

    def card(self, name: str = HEAD, *, group: str | None = None, say: Say = lambda _: None) -> Card:
        """What is in a version, in figures: made once and kept. `group` is a column whose values are counted."""
        from rungwise.data.versions.card import make_card
        from rungwise.project import run

        with self._locked(), self.store() as store:
            version = Versions(store).get(name)
            tagged = bool(version.steps.get("pii", {}).get("detectors"))
            usual = _steps(STEPS, version, Choices(names=tagged))
            with _executor(store, version) as executor:
                return run(make_card(store, version, executor=executor, steps=usual, group=group, say=say))

    def tag(self, tag: str, name: str = HEAD) -> Version:
        """Name a version."""
        with self._locked(), self.store() as store:
            versions = Versions(store)
            version = versions.get(name)
            versions.tag(tag, version)
            return version

    def checkout(self, name: str) -> Version:
        """Work with another version from now on."""
        with self._locked(), self.store() as store:
            versions = Versions(store)
            version = versions.get(name)
            versions.checkout(version)
            return version

    def diff(self, old: str, new: str = HEAD, *, limit: int = 10) -> tuple[Difference, list[Changed]]:
        """What changed from one version to another, with the first `limit` rows of it."""
        from rungwise.data.versions.difference import compare, examples

        with self.store() as store:
            versions = Versions(store)
            found = compare(versions, versions.get(old), versions.get(new))
            return found, examples(versions, found, limit)

    def export(self, target: str | Path, *, name: str = HEAD, form: str | None = None) -> Exported:
        """Write a version to a JSONL or Parquet file, or as a dataset folder with its card; told from the target's ending.

        The same version gives the same bytes. Raises UsageError for a target that cannot be replaced.
        """
        from rungwise.data.versions.exporting import export

        with self.store() as store:
            versions = Versions(store)
            return export(versions, versions.get(name), Path(target), form=form)

    def restore(self, ids: Sequence[str] = (), *, reason: str | None = None, everything: bool = False) -> Restored:
        """Bring rows back from the quarantine, by id, by reason, or all. Raises UnknownName for an id that is not there."""
        from rungwise.data.versions.restoring import restore

        with self._locked(), self.store() as store:
            return restore(store, Versions(store).get(), ids, reason=reason, everything=everything)

    def split(self, plan: SplitPlan, *, anew: bool = False) -> SplitDone:
        """Draw the splits as a new version. Rows that were opened stay sealed; others keep a split they had, but for `anew`."""
        from rungwise.data.versions.splitting import split

        with self._locked(), self.store() as store:
            return split(store, Versions(store).get(), plan, anew=anew)

    def erase(
        self,
        ids: Sequence[str] = (),
        *,
        person: str | None = None,
        column: str | None = None,
        dry_run: bool = False,
        agree: Callable[[Erased], bool] = lambda _: True,
    ) -> Erased:
        """Remove rows, or every row of a person, from everything that is kept, and say what must be made anew.

        `agree` sees what would go before anything does. An erasure that was killed is finished by the next one.
        """
        from rungwise.data.versions.erasure import erase

        with self._locked(), self.store() as store:
            return erase(store, ids, person=person, column=column, dry_run=dry_run, agree=agree)

    @contextlib.contextmanager
    def store(self, *, create: bool = False) -> Iterator[Store]:
        """The open store. Raises UsageError where the folder holds no data and none is to be made."""
        self._require(create=create)
        store = Store.open(self.state, clock=self.clock)
        try:
            yield store
        finally:
            store.close()

    @contextlib.contextmanager
    def _taken_back(self) -> Iterator[None]:
        """Where the first import cannot be used, leave nothing behind that was not there."""
        import shutil

        made = [folder for folder in (self.state, self.directory) if not folder.exists()]
        try:
            yield
        except UsageError:
            for folder in made:
                if folder == self.state or not any(folder.iterdir()):
                    shutil.rmtree(folder)
            raise

    def _locked(self, *, create: bool = False) -> contextlib.AbstractContextManager[None]:
        """Hold the project; nothing is made in a folder that holds none."""
        from rungwise.data.lock import project_lock

        self._require(create=create)
        return project_lock(self.state)

    def _require(self, *, create: bool) -> None:
        if not create and not self.state.is_dir():
            raise UsageError(f"{self.directory} holds no data. Type: rungwise data import FILE --into {self.directory}")


def _check(steps: Sequence[str | Step], choices: Choices) -> None:
    """Raise UsageError for a choice about a step that does not run."""
    plain = Choices()
    about = {"pii": ("pii", "names"), "language": ("languages",), "quality": ("thresholds",)}
    for step, fields in about.items():
        chosen = [name for name in fields if getattr(choices, name) != getattr(plain, name)]
        if chosen and step not in steps:
            raise UsageError(
                f"'{chosen[0]}' is about the step {step}, which is not among those that run. Add it: --steps {step},..."
            )


def _steps(steps: Sequence[str | Step], version: Version, choices: Choices) -> list[Step]:
    """The steps with the choices and their usual settings where only a name is given."""
    from rungwise.curate.duplicates import Duplicates
    from rungwise.curate.language import Language
    from rungwise.curate.overlap import Leaks
    from rungwise.curate.pii.step import Pii
    from rungwise.curate.quality import Quality
    from rungwise.fit.labels import Labels
    from rungwise.ladder.expedition import installed_encoder

    few = version.rows + sum(version.quarantined.values()) <= _EMBEDDED_ROWS
    usual: Mapping[str, Callable[[], Step]] = {
        "quality": lambda: Quality(thresholds=choices.thresholds),
        "language": lambda: Language(allowed=choices.languages),
        "dedup": Duplicates,
        "pii": lambda: Pii(action=choices.pii, detectors=_names() if choices.names else ()),
        "labels": lambda: Labels(encoder=installed_encoder() if few else None),
        "leaks": Leaks,
    }
    for step in steps:
        if isinstance(step, str) and step not in usual:
            raise UnknownName("step", step, usual)
    return [usual[step]() if isinstance(step, str) else step for step in steps]


def _names() -> tuple[Detector, ...]:
    from rungwise.curate.names.tagger import names_detector

    return (names_detector(),)


@contextlib.contextmanager
def _executor(store: Store, version: Version) -> Iterator[Any]:
    """Worker processes on every core where there is much to do, else this process."""
    import os

    from rungwise.engines.executors import InlineExecutor, ProcessExecutor

    versions = Versions(store)
    size = sum(versions.packs.row_bytes(pack) * len(own) for pack, own in versions.selection(version).slices())
    if size < _MANY_BYTES:
        yield InlineExecutor()
        return
    executor = ProcessExecutor(os.cpu_count() or 1)
    try:
        yield executor
    finally:
        executor.close()
