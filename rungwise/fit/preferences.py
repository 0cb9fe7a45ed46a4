"""Which of two answers to a prompt is preferred: pairs from people's choices, from ratings and from corrections."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

from rungwise.core.content import Turn
from rungwise.core.errors import CannotFit
from rungwise.core.record import digest, to_plain


@dataclass(frozen=True)
class Preference:
    """To `prompt`, after what was said before (`system` and `turns`), `chosen` is a better answer than `rejected`.

    `weight` is how often it counts in the loss. `sources` are the ids of the rows that it was made of.
    """

    prompt: str
    chosen: str
    rejected: str
    weight: float = 1.0
    sources: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()
    system: str = ""

    @cached_property
    def asked(self) -> str:
        """SHA-256 of the prompt and what was said before it: pairs that share it stay on one side of a split."""
        return digest([self.prompt, to_plain(self.turns), self.system])

    @cached_property
    def id(self) -> str:
        """SHA-256 of the content, without where it came from."""
        return digest([self.asked, self.chosen, self.rejected, self.weight])


@dataclass(frozen=True)
class Rating:
    """What somebody thought of an answer; higher is better, on any scale that is the same for all answers to a prompt."""

    prompt: str
    answer: str
    score: float
    source: str = ""
    turns: tuple[Turn, ...] = ()


@dataclass(frozen=True)
class Correction:
    """An answer, and what somebody wrote in its place."""

    prompt: str
    answer: str
    corrected: str
    source: str = ""
    turns: tuple[Turn, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Preferences:
    """Usable pairs, and how many were left out: `ties` in score, `equal` texts, an `empty` answer or prompt.

    `contradictions` are pairs of places in `pairs` of which one says the opposite of the other. Both stay: together they say
    that the answers are about as good, which is what the loss makes of them.
    """

    pairs: tuple[Preference, ...]
    ties: int = 0
    equal: int = 0
    empty: int = 0
    contradictions: tuple[tuple[int, int], ...] = ()

    @property
    def left_out(self) -> int:
        """How many pairs there might have been, had they said something."""
        return self.ties + self.equal + self.empty

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The ids of all rows that some pair was made of, each once, in order."""
        return tuple(dict.fromkeys(source for pair in self.pairs for source in pair.sources))


def from_pairs(pairs: Iterable[Preference]) -> Preferences:
    """The pairs that say something. Raises CannotFit for a weight that is not above 0."""
    kept: list[Preference] = []
    equal = empty = 0
    for pair in pairs:
        if not 0.0 < pair.weight < float("inf"):
            raise CannotFit(f"a preference has the weight {pair.weight:g}; a weight is above 0. See {_named(pair)}")
        if not (pair.chosen.strip() and pair.rejected.strip() and (pair.prompt.strip() or pair.turns)):
            empty += 1
        elif pair.chosen.strip() == pair.rejected.strip():
            equal += 1
        else:
            kept.append(pair)
    return Preferences(pairs=tuple(kept), equal=equal, empty=empty, contradictions=tuple(_contradictions(kept)))


def from_ratings(ratings: Iterable[Rating], *, weighted: bool = False) -> Preferences:
    """Every two answers to one prompt that are not rated alike: all pairs of a ranking, as Ouyang et al. 2022, section 3.5.

    An answer that was rated several times has the mean of its scores, and all their sources. With `weighted` a pair counts
    by its difference, as a share of the largest one in all of them.
    """
    asked: dict[tuple[str, tuple[Turn, ...]], dict[str, list[Rating]]] = defaultdict(lambda: defaultdict(list))
    empty = 0
    for rating in ratings:
        if rating.answer.strip() and rating.score == rating.score:  # a score that is not a number says nothing
            asked[rating.prompt, rating.turns][rating.answer.strip()].append(rating)
        else:
            empty += 1
    made: list[tuple[Preference, float]] = []
    ties = 0
    for (prompt, turns), answers in asked.items():
        for one, other in combinations(answers.values(), 2):
            gap = _mean(one) - _mean(other)
            if gap == 0.0:
                ties += 1
                continue
            better, worse = (one, other) if gap > 0 else (other, one)
            sources = tuple(dict.fromkeys(rating.source for rating in (*better, *worse) if rating.source))
            made.append((Preference(prompt, better[0].answer, worse[0].answer, 1.0, sources, turns), abs(gap)))
    largest = max((gap for _, gap in made), default=1.0)
    if weighted:
        made = [(_weighing(pair, gap / largest), gap) for pair, gap in made]
    found = from_pairs(pair for pair, _ in made)
    return Preferences(
        pairs=found.pairs, ties=ties, equal=found.equal, empty=found.empty + empty, contradictions=found.contradictions
    )


def from_corrections(corrections: Iterable[Correction]) -> Preferences:
    """What was written in an answer's place is preferred to it. A correction that changes nothing says nothing."""
    return from_pairs(
        Preference(one.prompt, one.corrected, one.answer, 1.0, (one.source,) if one.source else (), one.turns)
        for one in corrections
    )


def together(parts: Sequence[Preferences]) -> Preferences:
    """All of them as one; contradictions between them are found too."""
    pairs = [pair for part in parts for pair in part.pairs]
    return Preferences(
        pairs=tuple(pairs),
        ties=sum(part.ties for part in parts),
        equal=sum(part.equal for part in parts),
        empty=sum(part.empty for part in parts),
        contradictions=tuple(_contradictions(pairs)),
    )


def _contradictions(pairs: Sequence[Preference]) -> list[tuple[int, int]]:
    """(earlier, later) places of pairs of which the later turns an earlier one round, each later one named once."""
    first: dict[tuple[str, str, str], int] = {}
    found: list[tuple[int, int]] = []
    for place, pair in enumerate(pairs):
        chosen, rejected = pair.chosen.strip(), pair.rejected.strip()
        if (earlier := first.get((pair.asked, rejected, chosen))) is not None:
            found.append((earlier, place))
        first.setdefault((pair.asked, chosen, rejected), place)
    return found


def _weighing(pair: Preference, weight: float) -> Preference:
    return replace(pair, weight=weight)


def _mean(ratings: Sequence[Rating]) -> float:
    return sum(rating.score for rating in ratings) / len(ratings)


def _named(pair: Preference) -> str:
    return ", ".join(pair.sources) or f"the pair of the prompt that begins '{pair.prompt[:40]}'"
