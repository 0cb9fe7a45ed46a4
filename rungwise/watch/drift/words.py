"""Which words and which answers moved where a monitor alarms, and in which requests they are to be seen."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from rungwise.core.reading import ALARM, Reading
from rungwise.curate.shingles import normalise
from rungwise.watch.drift.domain import WORD, DomainShift, Moved, domain_shift
from rungwise.watch.drift.features import NEVER, hashed, words_of
from rungwise.watch.drift.frame import Frame
from rungwise.watch.traffic import Traffic

BY_WORDS = ("drift.input.meaning", "drift.input.vocabulary")
BY_ANSWERS = ("drift.output.answers",)
MOST = 2_000
"""So many texts of a side are read, a sample by the hash of their traces."""

LEAST_PEOPLE = 5
"""A word or an answer is named where so many different people used it, so that nobody's name is told; labels always are."""

CLEAR = 4.0
"""Beside the first, a word is named where its share moved by so many standard errors, texts taken as independent: among some
thousand words chance alone moves hardly one so far. It decides nothing but what is named."""

EXAMPLES = 5
_LOOKED_AT = 40
_NAMED = 3
_WORD = re.compile(WORD)


@dataclass(frozen=True, kw_only=True)
class Said:
    """What was said, by whom: texts (n,) with the ids of their traces (n,) and who said each (n,)."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    people: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)


Side = tuple[bool, str | None]
"""Whether answers or questions, and of which group (None: of all)."""

Reader = Callable[[frozenset[Side]], Mapping[Side, Said]]
"""Reads what was said, each day once for all sides that are asked for."""


def said_in(parts: Iterable[Traffic], sides: frozenset[Side], candidate: str | None = None) -> dict[Side, Said]:
    """The questions, or the answers, of some traffic: MOST of them at most, those of the smallest hashes of their traces.

    Answers are those of the candidate, where one is given.
    """
    kept: dict[Side, list[tuple[int, str, str, str]]] = {side: [] for side in sides}
    for traffic in parts:
        for side, found in kept.items():
            found += _rows(traffic, side, candidate)
            kept[side] = sorted(found)[:MOST]
    return {
        side: Said(ids=tuple(one[1] for one in found), texts=tuple(one[2] for one in found), people=tuple(one[3] for one in found))
        for side, found in kept.items()
    }


def _rows(traffic: Traffic, side: Side, candidate: str | None) -> Iterator[tuple[int, str, str, str]]:
    answers, group = side
    own = np.ones(len(traffic), np.bool_)
    if group is not None:
        own &= np.array([one == group for one in traffic.group], np.bool_)
    if answers and candidate is not None:
        own &= np.array([one == candidate for one in traffic.candidate], np.bool_)
    column = traffic.answer if answers else traffic.text
    for place in np.flatnonzero(own).tolist():
        text, id = column[place], str(traffic.ids[place])
        if isinstance(text, str) and text.strip():
            yield zlib.crc32(id.encode()), id, text, str(traffic.user[place] or traffic.unit[place])


def explained(
    found: Sequence[Reading],
    frame: Frame,
    reference: Reader,
    window: Callable[[int], Reader],
    *,
    labels: frozenset[str] = frozenset(),
    seed: int = 0,
) -> list[Reading]:
    """The readings, alarms about words and answers with those that moved: of all the traffic, and of the surest group.

    `window` reads the last so many days, as `reference` does the reference. Nothing is read without an alarm, and nothing is
    added where the traces of the reference are gone.
    """
    chosen, told = _chosen(found), []
    if not chosen:
        return list(found)
    sides = frozenset(_side(found[place]) for place in chosen)
    before = reference(sides)
    now = {days: window(days)(sides) for days in sorted({found[place].days for place in chosen})}

    @cache
    def shift(days: int, side: Side) -> DomainShift:
        known, current = before[side], now[days][side]
        return domain_shift(
            known.texts,
            current.texts,
            reference_units=known.people,
            current_units=current.people,
            seed=seed,
            words=_LOOKED_AT,
            examples=EXAMPLES,
        )

    for place, one in enumerate(found):
        if place not in chosen:
            told.append(one)
            continue
        known, current = before[_side(one)], now[one.days][_side(one)]
        if not len(known) or not len(current):
            told.append(one)
        elif one.monitor in BY_ANSWERS:
            told.append(by_labels(one, known, current, labels))
        else:
            told.append(_by_words(one, shift(one.days, _side(one)), known, current, frame))
    return told


def _side(one: Reading) -> Side:
    return one.monitor in BY_ANSWERS, one.about.get("group")


def _chosen(found: Sequence[Reading]) -> set[int]:
    """The places of the alarms that are explained."""
    alarms = [place for place, one in enumerate(found) if one.state == ALARM and one.monitor in (*BY_WORDS, *BY_ANSWERS)]
    surest: dict[str, int] = {}
    for place in sorted((place for place in alarms if found[place].about), key=lambda place: (found[place].p or 0.0, place)):
        surest.setdefault(found[place].monitor, place)
    return {place for place in alarms if not found[place].about} | set(surest.values())


def _by_words(one: Reading, shift: DomainShift, known: Said, current: Said, frame: Frame) -> Reading:
    """With the words that tell the two apart, by the domain classifier."""
    if shift.why:
        return one
    people = _people(known, {moved.word for moved in shift.words}), _people(current, {moved.word for moved in shift.words})
    words = [moved for moved in shift.words if max(side.get(moved.word, 0) for side in people) >= LEAST_PEOPLE]
    vocabulary = next((feature.only_day for feature in frame.features if feature.monitor == "drift.input.vocabulary"), None)

    def is_new(moved: Moved) -> bool:
        if moved.reference_count:
            return False
        parts = words_of(moved.word)  # a sample of the reference may lack what the reference has
        return vocabulary is None or not parts or any(vocabulary.get(hashed(part), NEVER) == NEVER for part in parts)

    told = _with(one, _clear(words, *shift.n), is_new, tuple(current.ids[place] for place in shift.examples))
    return replace(told, details={**told.details, "told_apart": round(shift.auc, 3)})


def _people(said: Said, words: set[str]) -> dict[str, int]:
    """By how many people each of these words was used."""
    found: dict[str, set[str]] = {}
    for text, who in zip(said.texts, said.people, strict=True):
        for word in words.intersection(_WORD.findall(text.lower())):
            found.setdefault(word, set()).add(who)
    return {word: len(who) for word, who in found.items()}


def by_labels(one: Reading, known: Said, current: Said, labels: frozenset[str] = frozenset()) -> Reading:
    """The same reading with the answers whose share moved most, each answer as a whole, and requests with the one that rose most.

    The order is that of the difference over its standard error."""
    written = Counter((normalise(text), text.strip()) for side in (known, current) for text in side.texts)
    spelling = {label: text for (label, text), _ in sorted(written.items(), key=lambda item: (item[1], item[0]))}
    sides = [[normalise(text) for text in side.texts] for side in (known, current)]
    counts = [Counter(side) for side in sides]
    people = [
        Counter(label for label, _ in set(zip(side, who.people, strict=True)))
        for side, who in zip(sides, (known, current), strict=True)
    ]
    n, m = len(known), len(current)
    moved: list[tuple[float, Moved]] = []
    for label in counts[0].keys() | counts[1].keys():
        if label not in labels and max(side[label] for side in people) < LEAST_PEOPLE:
            continue
        before, now = counts[0][label] / n, counts[1][label] / m
        found = Moved(
            word=label,
            reference_share=before,
            current_share=now,
            reference_count=counts[0][label],
            current_count=counts[1][label],
        )
        moved.append((-_errors(found, n, m), found))
    ranked = [one for _, one in sorted(moved, key=lambda item: (item[0], item[1].word))]
    risen = next((one.word for one in ranked if one.current_share > one.reference_share), None)
    words = [replace(one, word=spelling[one.word]) for one in _clear(ranked[:_LOOKED_AT], n, m)]
    examples: dict[str, str] = {}
    for id, label, who in zip(current.ids, sides[1], current.people, strict=True):
        if label == risen and len(examples) < EXAMPLES:
            examples.setdefault(who, id)
    return _with(one, words, lambda word: not word.reference_count, tuple(examples.values()))


def _clear(words: Sequence[Moved], n: int, m: int) -> list[Moved]:
    """The first, and those that moved by more than chance does."""
    return [one for place, one in enumerate(words) if not place or _errors(one, n, m) >= CLEAR]


def _errors(one: Moved, n: int, m: int) -> float:
    """By how many standard errors a share moved from n texts to m."""
    share = (one.reference_count + one.current_count + 0.5) / (n + m + 1.0)
    return float(abs(one.current_share - one.reference_share) / (share * (1.0 - share) * (1.0 / n + 1.0 / m)) ** 0.5)


def _with(one: Reading, words: Sequence[Moved], is_new: Callable[[Moved], bool], traces: tuple[str, ...]) -> Reading:
    parts: dict[str, list[Moved]] = {"new": [], "more often": [], "less often": []}
    for word in words:
        more = "more often" if word.current_share > word.reference_share else "less often"
        part = parts["new" if is_new(word) else more]
        if len(part) < _NAMED:
            part.append(word)
    why = "; ".join(f"{name}: {', '.join(repr(word.word) for word in part)}" for name, part in parts.items() if part)
    told = [
        {"word": word.word, "now": round(word.current_share, 5), "before": round(word.reference_share, 5)}
        for part in parts.values()
        for word in part
    ]
    return replace(
        one,
        why=f"{one.why}; {why}" if why else one.why,
        traces=traces,
        details={**one.details, **({"words": told} if told else {})},
    )
