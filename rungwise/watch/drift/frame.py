"""What days are held against: the reference, fixed once, with what is looked at in it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from rungwise.core.record import canonical_json, digest, from_plain, to_plain
from rungwise.watch.drift.features import (
    FLAGS,
    HIDDEN,
    MEANING,
    MIX,
    NEVER,
    NO_LANGUAGE,
    NUMBER,
    OFTEN,
    ONCE,
    OTHER,
    RATE,
    SCRIPT,
    TWICE,
    Feature,
    Requests,
    hashed,
    number_of,
)
from rungwise.watch.drift.tails import Floats

EDITION = 1
"""Raised whenever the same traffic would give other figures."""

LEAST_DAYS = 14
"""Days with traffic that a reference has at least: two of each weekday."""

LEAST_SIZE = 5.0
"""Independent requests (see `sketch.ALIKE`) that a day needs to count."""

_NUMBERS = 1_024
_A_DAY = 1_000  # requests of a day that ranks, words and labels are learned from; more change nothing
_MOST_LABELS = 200
_COVERED = 0.9
_SAME = 0.9
_MOST_GROUPS = 8
_GROUP_SIZE = 10.0
_PAIRS = 500

INPUTS = ("drift.input.length", "drift.input.language", "drift.input.vocabulary", "drift.input.meaning")
OUTPUTS = ("drift.output.answers", "drift.output.confidence", "drift.output.tokens", "drift.output.latency", *list(FLAGS)[:2])
DATA = ("drift.data.empty", "drift.data.truncated", "drift.data.personal")
_OF_ANSWERS = (*OUTPUTS, "drift.data.truncated")


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The reference: traffic of the days `first` to `last`, of `candidate` where outputs are looked at (None: of all), or the
    rows of a decision (`rows`). `groups` are those that are looked at by themselves."""

    first: int
    last: int
    features: tuple[Feature, ...]
    groups: tuple[str, ...] = ()
    candidate: str | None = None
    rows: str | None = None
    languages: str = NO_LANGUAGE
    edition: int = EDITION

    def packed(self) -> bytes:
        """The frame as bytes, always the same."""
        return canonical_json(to_plain(self)).encode("utf-8", "surrogatepass")

    @classmethod
    def unpacked(cls, body: bytes) -> Frame:
        """The frame that `packed` made these bytes of."""
        return from_plain(cls, json.loads(body))

    @property
    def days(self) -> range:
        """The days of the reference; none where it is rows."""
        return range(self.first, self.last + 1) if self.rows is None else range(0)

    @cached_property
    def kind(self) -> str:
        """What names the sketches that are made by it."""
        return f"drift:{digest(to_plain(self))[:24]}"

    def of_answers(self, feature: Feature) -> bool:
        """Whether a feature is of the answers, and so of the candidate's own requests."""
        return self.candidate is not None and feature.monitor in _OF_ANSWERS


@dataclass
class _Sample:
    """What features are learned from, gathered day by day."""

    labels: frozenset[str] = frozenset()
    numbers: dict[str, list[Floats]] = field(default_factory=dict)
    days: dict[str, dict[str, int]] = field(default_factory=dict)
    shares: dict[str, Counter[str]] = field(default_factory=dict)
    questions: list[Floats] = field(default_factory=list)
    answers: list[Floats] = field(default_factory=list)
    groups: Counter[str] = field(default_factory=Counter)
    rates: set[str] = field(default_factory=set)
    said: int = 0
    answered: int = 0
    day_count: int = 0


def framed(
    days: Sequence[int],
    requests_of: Callable[[int], tuple[Requests, Requests]],
    wants: Callable[[str], bool],
    *,
    candidate: str | None = None,
    labels: frozenset[str] = frozenset(),
    seed: int = 0,
) -> Frame:
    """Fix the reference: these days of traffic. `requests_of` gives of a day all requests, and those that count for outputs.

    `labels` (normalised) are those that the candidate chooses from; any other answer is kept by its number only.
    """
    gathered = _Sample(labels=labels)
    languages = NO_LANGUAGE
    for day in days:
        everybody, own = requests_of(day)
        languages = everybody.languages_by
        if len(everybody.traffic):
            _gather(gathered, everybody, own, day)
    features = [one for one in _features(gathered, seed) if wants(one.monitor)]
    return Frame(
        first=min(days),
        last=max(days),
        features=tuple(features),
        groups=_groups(gathered),
        candidate=candidate,
        languages=languages,
    )


def _gather(sample: _Sample, everybody: Requests, own: Requests, day: int) -> None:
    sample.day_count += 1
    for monitor in ("drift.input.length", "drift.output.confidence", "drift.output.tokens", "drift.output.latency"):
        of = everybody if monitor.startswith("drift.input") else own
        values, valid = number_of(monitor, of)
        sample.numbers.setdefault(monitor, []).append(_some(values[valid]))
    _note(sample, "words", everybody.words, day)
    _note(sample, "drift.output.answers", [frozenset((one,)) for one, ok in zip(own.labels, own.answered, strict=True) if ok], day)
    if everybody.languages is not None:
        _note(sample, "drift.input.language", _told(everybody.languages, everybody), day)
    if everybody.personal is not None:
        sample.rates.add("drift.data.personal")
        _note(sample, "drift.data.personal", everybody.personal, day)
    sample.said += int(everybody.said.sum())
    sample.answered += int(own.answered.sum())
    first = np.flatnonzero(everybody.said)[:40]
    sample.questions.append(everybody.vectors[first])
    tags, counts = np.unique([str(tag) for tag in everybody.traffic.group if tag is not None], return_counts=True)
    sample.groups.update(dict(zip(tags.tolist(), counts.tolist(), strict=True)))


def _told(languages: Sequence[str], requests: Requests) -> list[frozenset[str]]:
    return [frozenset((code,)) for code, said in zip(languages, requests.said, strict=True) if said]


def _some(values: Floats) -> Floats:
    return values if len(values) <= _A_DAY else values[np.linspace(0, len(values) - 1, _A_DAY).astype(np.int64)]


def _note(sample: _Sample, name: str, held: Sequence[frozenset[str]], day: int) -> None:
    """Note what was seen, how often, and where on one day only on which."""
    seen, counts = sample.days.setdefault(name, {}), sample.shares.setdefault(name, Counter())
    today: Counter[str] = Counter(one for some in held for one in some)
    counts.update(today)
    for one in today:
        before = seen.get(one, NEVER)
        seen[one] = day if before in (NEVER, day) else TWICE if before >= 0 else OFTEN


def _features(sample: _Sample, seed: int) -> list[Feature]:
    found = []
    for monitor, parts in sample.numbers.items():
        feature = _number(monitor, np.sort(np.concatenate(parts)), sample.day_count)
        found += [feature] if feature is not None else []
    if sample.said:
        unseen = {hashed(word): max(day, OFTEN) for word, day in sorted(sample.days["words"].items())}
        found.append(Feature(monitor="drift.input.vocabulary", kind=RATE, names=("unseen",), only_day=unseen))
        found.append(_meaning("drift.input.meaning", np.concatenate(sample.questions), seed))
    if "drift.input.language" in sample.shares and sample.said:
        found.append(_mix("drift.input.language", sample, MIX))
    if sample.answered and _few_labels(sample):
        answers = _mix("drift.output.answers", sample, MIX)
        found.append(replace(answers, names=hidden_but(answers.names, sample.labels)))
    found += [Feature(monitor=monitor, kind=RATE, names=("yes",)) for monitor in FLAGS]
    if "drift.data.personal" in sample.rates and sample.said:
        found.append(_mix("drift.data.personal", sample, RATE))
    return sorted(found, key=lambda one: one.monitor)


def _number(monitor: str, values: Floats, days: int) -> Feature | None:
    """A figure by its ranks, or as the share of requests where it is not the usual value; None where there is hardly any."""
    if len(values) < LEAST_SIZE * days:
        return None
    different, counts = np.unique(values, return_counts=True)
    if counts.max() >= _SAME * len(values):
        return Feature(monitor=monitor, kind=RATE, names=("unusual",), numbers=(float(different[counts.argmax()]),))
    places = np.linspace(0, len(values) - 1, min(_NUMBERS, len(values))).astype(np.int64)
    return Feature(monitor=monitor, kind=NUMBER, numbers=tuple(float(one) for one in values[places]))


def _few_labels(sample: _Sample) -> bool:
    """Whether answers are labels: few of them cover nearly everything that was said."""
    counts = sample.shares["drift.output.answers"]
    return sum(count for _, count in counts.most_common(_MOST_LABELS)) >= _COVERED * sum(counts.values())


def _mix(monitor: str, sample: _Sample, kind: str) -> Feature:
    counts, days = sample.shares[monitor], sample.days[monitor]
    names = [name for name, _ in sorted(counts.items(), key=_by_count) if days[name] < 0][:_MOST_LABELS]
    known = frozenset(names)
    alone = {hashed(name): day for name, day in sorted(days.items()) if day != OFTEN}
    alone |= {hashed(name): NEVER for name in days if days[name] < 0 and name not in known}  # too many to have a column each
    return Feature(monitor=monitor, kind=kind, names=(*names, ONCE, OTHER), only_day=dict(sorted(alone.items())))


def hidden_but(names: Sequence[str], labels: frozenset[str]) -> tuple[str, ...]:
    """Names of columns; those that are not of `labels` as numbers."""
    return tuple(name if name in labels or name in (ONCE, OTHER) else f"{HIDDEN}{hashed(name)}" for name in names)


def _by_count(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _meaning(monitor: str, vectors: Floats, seed: int, *, output: bool = False) -> Feature:
    """The kernel's width is the median distance of two texts (Gretton et al. 2012, JMLR 13, section 8)."""
    rng = np.random.default_rng(seed)
    some = vectors[rng.permutation(len(vectors))[:_PAIRS]]
    squares = np.maximum(2.0 - 2.0 * some @ some.T, 0.0)[np.triu_indices(len(some), 1)]
    scale = float(np.sqrt(np.median(squares))) if len(squares) else 1.0
    return Feature(monitor=monitor, kind=MEANING, scale=max(round(scale, 6), 1e-3), seed=seed, output=output)


def _groups(sample: _Sample) -> tuple[str, ...]:
    """The groups that are large enough on most days, the largest first; none where one holds nearly everything."""
    total = sum(sample.groups.values())
    least = 2.0 * _GROUP_SIZE * sample.day_count
    large = [name for name, count in sorted(sample.groups.items(), key=_by_count) if count >= least and count < 0.95 * total]
    return tuple(large[:_MOST_GROUPS])


def language_source(texts: Sequence[str]) -> str:
    """Whether languages are told by their n-grams, or by their script where what tells them is not installed."""
    from rungwise.watch.drift.features import languages_of

    return NO_LANGUAGE if languages_of(texts[:1] or [""], NO_LANGUAGE) is not None else SCRIPT
