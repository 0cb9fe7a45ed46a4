"""The data card: what is in a version of the data, made once and kept; the terminal, JSON and HTML are views of it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import MissingExtra, UnknownName
from rungwise.core.progress import Progress
from rungwise.core.record import digest, from_plain, to_plain
from rungwise.core.types import Executor
from rungwise.curate.step import Look, Step
from rungwise.data.steps import Steps
from rungwise.data.store import Store
from rungwise.data.versions.curation import STAGES
from rungwise.data.versions.licences import read_licence
from rungwise.data.versions.looking import Looks, cut_batches
from rungwise.data.versions.selection import Selection
from rungwise.data.versions.tally import Values, tally_rows
from rungwise.data.versions.version import SourceNote, Version, Versions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EDITION = 1
"""Raised whenever the card of the same version would say something else."""

LISTED = 200
"""Of labels and groups the card lists this many, the most frequent; `distinct` counts all."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_BINS_A_DECADE = 10


@dataclass(frozen=True, kw_only=True)
class SourceCard:
    """A source: how many of its rows stand in the imported version, and what its licence asks for."""

    location: str
    kind: str
    rows: int
    vanished: int
    licence: str | None
    share_alike: bool = False
    non_commercial: bool = False


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """How long the texts are, in characters or words (split at white space).

    `quantiles` are values that occur (0.5 is the median). `counts[i]` rows have a length from `edges[i]` up to, not
    including, `edges[i + 1]`; from 10 on each bin is a quarter wider than the one before it, as lengths usually ask for.
    """

    total: int
    least: int
    most: int
    mean: float
    quantiles: Mapping[str, int]
    edges: tuple[int, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ValueCard:
    """The values of a column and how many rows have each. `imbalance` is the most frequent over the least frequent.

    `distinct` is a lower bound where `more` is true: then the column holds free text.
    """

    column: str
    distinct: int
    counts: Mapping[str, int]
    missing: int
    smallest: str | None = None
    imbalance: float | None = None
    more: bool = False


@dataclass(frozen=True, kw_only=True)
class RuleCard:
    """A quality rule: how many of the `rows` that it is made for it alone would set aside, as published and as calibrated."""

    code: str
    measures: str
    source: str
    published: float
    in_force: float
    published_fails: int
    fails: int
    rows: int


@dataclass(frozen=True, kw_only=True)
class PiiCard:
    """Personal data: spans by type, how many rows hold any, and what was done about them (report, mask, pseudonymise ...)."""

    types: Mapping[str, int]
    rows: int
    action: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """A version of the data in figures. What is None was not looked for; `notes` say why.

    `rows` are those of the version, `rows_before` those of the import that it was curated from. Languages and personal data
    are of the rows of the version, as they were before any text was rewritten; the quality rules saw the rows before.
    `splits` counts rows by split; `splits_drawn` says that a climb will draw them so.
    """

    dataset: str
    kind: str
    rows: int
    rows_before: int
    steps: tuple[str, ...]
    sources: tuple[SourceCard, ...]
    characters: Lengths
    words: Lengths
    repeated_texts: int
    quarantined: Mapping[str, int] = field(default_factory=dict)
    languages: Mapping[str, int] | None = None
    labels: ValueCard | None = None
    groups: ValueCard | None = None
    splits: Mapping[str, int] | None = None
    splits_drawn: bool = False
    duplicates: Mapping[str, int] | None = None
    leaks: Mapping[str, int] | None = None
    wrong_labels: Mapping[str, int] | None = None
    pii: PiiCard | None = None
    quality: tuple[RuleCard, ...] | None = None
    erased: int = 0
    notes: tuple[str, ...] = ()

    @property
    def curated(self) -> bool:
        """Whether any step of a curation looked at it."""
        return bool(self.steps)


async def make_card(
    store: Store,
    version: Version,
    *,
    executor: Executor,
    steps: Sequence[Step] = (),
    group: str | None = None,
    say: Callable[[Progress], None] = lambda _: None,
) -> Card:
    """The card of a version; the one that is kept where it was made before.

    `steps` are those of a curation with their usual settings: they look where nobody has looked yet. `group` is the column
    whose values are counted, by default the one with that role. What the curation saw is not looked at again.
    Raises UnknownName for a column that no source has.
    """
    names = dict.fromkeys(name for source in version.sources for name in source.names)
    if group is not None and group not in names:
        raise UnknownName("column", group, names, where="the data")
    key = digest(["card", EDITION, version.id, to_plain(version), group])
    cached = Steps(store).get(key)
    if cached is not None:
        return from_plain(Card, cached.output)
    card = await _Making(store, version, executor, steps, group, say).card()
    if not card.notes:  # a note says what is missing here and may not be tomorrow
        Steps(store).put(key, "card", to_plain(card), seconds=0.0)
    return card


class _Making:
    """One card in the making."""

    def __init__(
        self,
        store: Store,
        version: Version,
        executor: Executor,
        steps: Sequence[Step],
        group: str | None,
        say: Callable[[Progress], None],
    ) -> None:
        self.version, self.executor, self.group, self.say = version, executor, group, say
        self.usual = {step.name: step for step in steps}
        self.versions = Versions(store)
        self.base = self.versions.get(version.base) if version.base is not None else version
        self.notes: list[str] = []

    async def card(self) -> Card:
        version = self.version
        steps = tuple(name for stage in STAGES for name in stage if name in version.steps)
        tally = await asyncio.to_thread(tally_rows, self.versions, version, group=self.group, say=self.say)
        whole, kept = self._within()
        return Card(
            dataset=version.id,
            kind=version.kind,
            rows=version.rows,
            rows_before=self.base.rows,
            steps=steps,
            sources=tuple(map(_source, version.sources)),
            characters=lengths_of(tally.characters),
            words=lengths_of(tally.words),
            repeated_texts=tally.repeated,
            quarantined=version.quarantined,
            languages=await self._languages(whole, kept),
            labels=_values(tally.labels, imbalance=True),
            groups=_values(tally.groups),
            splits=tally.splits,
            splits_drawn=tally.drawn,
            duplicates=self._reasons("dedup"),
            leaks=self._reasons("leaks"),
            wrong_labels=self._reasons("labels"),
            pii=await self._pii(whole, kept) if "pii" in steps else None,
            quality=await self._quality(whole) if "quality" in steps else None,
            erased=version.erased,
            notes=tuple(self.notes),
        )

    def _within(self) -> tuple[Selection, NDArray[np.bool_]]:
        """The rows that the curation looked at, and which of them stand in the version; its own rows where that cannot be told."""
        import numpy as np

        own = self.versions.selection(self.version)
        whole = self.versions.selection(self.base) if self.base is not self.version else own
        kept = np.ones(len(whole), np.bool_)
        if whole is not own:
            aside = [entry.position for entry in self.versions.quarantine(self.version) if entry.position >= 0]
            kept[[position for position in aside if position < len(whole)]] = False
        if kept.sum() != len(own) or not self._same(whole.take(kept), own):
            return own, np.ones(len(own), np.bool_)
        return whole, kept

    def _same(self, before: Selection, after: Selection) -> bool:
        """Whether each record is the same as before, or was rewritten from it."""
        was, ids = self.versions.ids(before), self.versions.ids(after)
        for pack, own in after.slices():
            changed = (was[own] != ids[own]).any(axis=1)
            if changed.any() and (self.versions.packs.parents(pack)[after.row[own]][changed] != was[own][changed]).any():
                return False
        return True

    async def _languages(self, whole: Selection, kept: NDArray[np.bool_]) -> Mapping[str, int] | None:
        """Rows of the version by language; looked for whether it was curated or not."""
        from rungwise.curate.language import Language

        step = self._as_it_was(Language())
        try:
            seen = await self._seen(step, whole)
        except MissingExtra as error:
            self.notes.append(str(error))
            return None
        return dict(step.counts([{name: column[kept[batch]] for name, column in look.items()} for batch, look in seen]))

    async def _pii(self, whole: Selection, kept: NDArray[np.bool_]) -> PiiCard | None:
        """Personal data in the rows of the version."""
        import numpy as np

        from rungwise.curate.pii.step import Pii

        step = self._as_it_was(Pii())
        if not all(map(callable, step.detectors)):
            self.notes.append("personal data was looked for by detectors that are not at hand. Curate again, and they are")
            return None
        rows, within = 0, []
        for batch, look in await self._seen(step, whole):
            own = kept[batch][look["row"]]
            within.append({"type": look["type"][own]})
            rows += len(np.unique(look["row"][own]))
        return PiiCard(types=dict(step.counts(within)), rows=rows, action=step.action)

    async def _quality(self, whole: Selection) -> tuple[RuleCard, ...]:
        """What each rule says of the rows before curation."""
        from rungwise.curate.quality import Quality

        step = self._as_it_was(Quality())
        counts = step.counts([look for _, look in await self._seen(step, whole)])
        return tuple(
            RuleCard(
                code=one.rule.code,
                measures=one.rule.measures,
                source=one.rule.source,
                published=one.rule.threshold,
                in_force=one.in_force,
                published_fails=one.published_fails,
                fails=one.fails,
                rows=one.rows - one.exempt,
            )
            for one in counts
        )

    async def _seen(self, step: Step, whole: Selection) -> list[tuple[NDArray[np.int64], Look]]:
        """The positions of each batch and what the step sees of it."""
        batches = cut_batches(self.versions, whole)
        looks = Looks(self.versions, self.executor, self.base.columns.text, self.say)
        return [(batch, look) for batch, [look] in zip(batches, await looks.at([step], whole, batches), strict=True)]

    def _as_it_was(self, step: Any) -> Any:
        """The step with the settings that the version was curated with, else with its usual ones."""
        usual = self.usual.get(step.name, step)
        settings = self.version.steps.get(step.name)
        if settings is None or settings == to_plain(usual):
            return usual
        return dataclasses.replace(step, **{name: _frozen(value) for name, value in settings.items()})

    def _reasons(self, step: str) -> Mapping[str, int] | None:
        """The rows that a step set aside, by reason; None where it did not run."""
        if step not in self.version.steps:
            return None
        return {reason: rows for reason, rows in self.version.quarantined.items() if reason.startswith(f"{step}:")}


def lengths_of(values: NDArray[np.int64]) -> Lengths:
    """Quantiles and histogram of lengths (n,)."""
    import numpy as np

    if not len(values):
        return Lengths(total=0, least=0, most=0, mean=0.0, quantiles={}, edges=(), counts=())
    least, most = int(values.min()), int(values.max())
    steps = 10.0 ** (np.arange(int(np.log10(max(most, 1)) * _BINS_A_DECADE) + 2) / _BINS_A_DECADE)
    edges = np.unique(np.concatenate([[0], np.ceil(steps - 1e-9).astype(np.int64), [most + 1]]))
    first = int(np.searchsorted(edges, least, "right")) - 1
    last = int(np.searchsorted(edges, most, "right"))
    edges = edges[first : last + 1]
    marks = np.quantile(values, QUANTILES, method="inverted_cdf")
    return Lengths(
        total=int(values.sum()),
        least=least,
        most=most,
        mean=float(values.mean()),
        quantiles={f"{share:g}": int(value) for share, value in zip(QUANTILES, marks, strict=True)},
        edges=tuple(edges.tolist()),
        counts=tuple(np.histogram(values, edges)[0].tolist()),
    )


def _source(note: SourceNote) -> SourceCard:
    licence = read_licence(note.licence)
    return SourceCard(
        location=note.location,
        kind=note.kind,
        rows=note.rows,
        vanished=note.vanished,
        licence=licence.name if licence.known else None,
        share_alike=licence.share_alike,
        non_commercial=licence.non_commercial,
    )


def _values(values: Values | None, *, imbalance: bool = False) -> ValueCard | None:
    """The most frequent values of a column."""
    if values is None:
        return None
    ordered = by_count(values.counts)
    card = ValueCard(
        column=values.column,
        distinct=len(ordered),
        counts=dict(ordered[:LISTED]),
        missing=values.missing,
        more=values.more,
    )
    if not imbalance or values.more or not ordered:
        return card
    return dataclasses.replace(card, smallest=ordered[-1][0], imbalance=ordered[0][1] / ordered[-1][1])


def _frozen(value: Any) -> Any:
    """A setting as a step holds it: lists of JSON are tuples."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def by_count(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """The counts, most frequent first; of equals, in the order of the alphabet."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
