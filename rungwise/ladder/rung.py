"""What a rung is to the climb: a name, a way to propose, what it is expected to cost, and what it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from rungwise.core.candidate import Candidate
from rungwise.core.errors import UnknownName
from rungwise.core.types import Rung
from rungwise.core.usecase import Endpoint, Included, UseCase
from rungwise.engines.prices import Listed
from rungwise.engines.search.terms import Words
from rungwise.fit.forecast import REFERENCE_PACE, Work
from rungwise.ladder.origin import Origin

DOOR = "rungwise.rungs"


@dataclass(frozen=True, kw_only=True)
class Incumbent:
    """The candidate that answers users now, and the release by which it does.

    `dataset` is the one that it was decided on, `usd_per_1k` what 1,000 answers cost then, in US dollars,
    `rung` the one that it was made on.
    """

    candidate: Candidate
    release: str
    dataset: str
    usd_per_1k: float = 0.0
    rung: str = ""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What a rung may know when it is made: the use case, the training part by its digest, sizes. Never the sealed rows.

    `chars` is the mean length of a question with its passage, in characters;
    `encoder` the sentence encoder that this installation has; `documents` the digest
    of the folder of documents, `document_chars` their length in characters and `words` how
    their text becomes terms; `passages` whether questions come with theirs; `recorded` are the
    digests of the included systems' answers; `prices` the project's own price tables.
    `live` is who answers users now, in a re-climb. `origin` is the language model that training may begin from,
    `preferences` the digest of the pairs of answers and `pairs` their number, `general` the digest of the texts that are not
    to be forgotten, `answer_chars` the mean length of an answer,
    `pace` how fast this machine trains, in floating-point operations a second.
    """

    case: UseCase
    labels: tuple[str, ...]
    train_id: str
    n_train: int
    n_dev: int
    chars: float = 60.0
    encoder: str = "minilm"
    documents: str | None = None
    passages: bool = False
    document_chars: int = 0
    words: Words = field(default_factory=lambda: Words(stem=True))
    endpoint: Endpoint | None = None
    included: Included | None = None
    recorded: Mapping[str, str] = field(default_factory=dict)
    prices: tuple[tuple[Listed, ...], ...] = ()
    live: Incumbent | None = None
    origin: Origin | None = None
    preferences: str | None = None
    pairs: int = 0
    general: str | None = None
    answer_chars: float = 0.0
    pace: float = REFERENCE_PACE

    @property
    def start(self) -> Candidate:
        """Where a line of rungs begins: the task and its labels, and nothing that answers yet."""
        return Candidate(task=self.case.task, model="none", labels=self.labels)


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a rung is expected to take until it is measured on dev, and per answer after that; `bytes` of memory at the peak.

    `work` is its largest training, for a rung that trains.
    """

    seconds: float = 0.0
    usd: float = 0.0
    calls: int = 0
    answer_s: float = 0.0
    answer_usd: float = 0.0
    bytes: int = 0
    work: Work | None = None

    def total_usd(self, case: UseCase) -> float:
        """Development cost plus price per answer times forecast volume; local seconds at the machine price."""
        per_second = case.machine_usd_per_hour / 3600.0
        return self.usd + self.seconds * per_second + case.forecast_volume * (self.answer_usd + self.answer_s * per_second)


@dataclass(frozen=True, kw_only=True)
class RungKind:
    """A kind of rung, as it is registered under the entry-point group `rungwise.rungs`.

    `place` is its place in the table of the design, cheapest first. `make` gives the
    rung for a ground, `forecast` what it will cost there. `each` says whether it
    stands once (`local`), once per configured endpoint, or once per included system.
    `fits` says whether it has anything to do on this ground, `origin` the model that it begins from, whose licence counts.
    """

    name: str
    place: int
    tasks: tuple[str, ...]
    make: Callable[[Ground], Rung]
    forecast: Callable[[Ground], Forecast]
    each: str = "local"
    extra: str | None = None
    races: bool = False
    fits: Callable[[Ground], bool] = field(default=lambda _: True)
    origin: Callable[[Ground], Origin | None] = field(default=lambda _: None)


@dataclass(frozen=True, kw_only=True)
class Stair:
    """One rung of one ladder, ready to be climbed: its kind on its ground. `line` names whose candidates it builds on."""

    name: str
    kind: RungKind
    ground: Ground
    line: str
    forecast: Forecast

    @property
    def propose(self) -> Rung:
        """The rung itself, made for this ground. It keeps nothing between calls: what was seen is handed to it."""
        return self.kind.make(self.ground)


@cache
def _door() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=DOOR)}


def rung_kinds(task: str) -> tuple[RungKind, ...]:
    """Every registered kind of rung for a task, in the table's order."""
    kinds = [entry.load() for _, entry in sorted(_door().items())]
    return tuple(sorted((kind for kind in kinds if task in kind.tasks), key=lambda kind: (kind.place, kind.name)))


def check_rung_names(names: Sequence[str], ladder: Sequence[Stair]) -> None:
    """Raise UnknownName for a name that is neither a rung nor a kind of rung on this ladder."""
    known = {stair.name for stair in ladder} | {stair.kind.name for stair in ladder}
    for name in names:
        if name not in known:
            raise UnknownName("rung", name, known)
