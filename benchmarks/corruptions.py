"""Makes wrong answers from right ones: one number, unit, date, name or negation of a real sentence is changed, and nothing else.

Written before the checks of `rungwise/evaluate/groundedness` existed, and not changed to suit them. Each corruption
is a function `(sentence, source, rng) -> new sentence or None` where it does not apply. Every case carries the document
that the sentence stood in and one other document of the same collection, as a retriever would hand them over.
`python -m benchmarks.corruptions` prints how many cases there are of each kind, and some of them.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from benchmarks.grounded_sentences import Source, is_held_out, is_plain, sources
from benchmarks.paraphrases import PARAPHRASES

SEED = 20250101
MOST_PER_WAY = 120  # cases of one way in one collection and part

NUMBER = re.compile(r"(?<![\w.,/^-])(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w^/])(?!-\w)(?![.,]\d)")
WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
NUMBER_WORD = re.compile(rf"\b(?:{'|'.join(WORDS)})\b")
YEAR = re.compile(r"(?<![\w.,$£€-])(?:1[5-9]|20)\d\d(?![\w,.]\d|\w|-)")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTH = re.compile(
    rf"\b(?:{'|'.join(MONTHS)})\b(?=,? \d|\.| of)|(?<=\d )(?:{'|'.join(MONTHS)})\b|(?<=[Ii]n )(?:{'|'.join(MONTHS)})\b"
)
DAY = re.compile(
    rf"(?<![\d.,])\d{{1,2}}(?= (?:{'|'.join(MONTHS)})\b)|(?:{'|'.join(f'(?<={one} )' for one in MONTHS)})\d{{1,2}}(?=[,. ])"
)
WEEKDAY = re.compile(rf"\b(?:{'|'.join(DAYS)})")
CENTURY = re.compile(r"\b(\d{1,2})(st|nd|rd|th)(?=[ -]centur)")
DECADE = re.compile(r"\b(1[5-9]|20)(\d)0s\b")

UNITS = {
    "km": "miles", "kilometers": "miles", "kilometres": "miles", "miles": "kilometers", "mg": "g", "g": "mg", "kg": "g", "ng": "mg",
    "cm": "mm", "mm": "cm", "m": "feet", "feet": "meters", "ft": "m", "metres": "feet", "meters": "feet", "inches": "feet",
    "ml": "l", "tonnes": "kilograms", "tons": "pounds", "pounds": "ounces",
    "seconds": "minutes", "minutes": "hours", "hours": "minutes", "hour": "day", "days": "weeks", "day": "week", "weeks": "months",
    "months": "years", "month": "year", "years": "months", "year": "month", "working days": "weeks", "million": "billion",
    "billion": "million", "points": "percent",
}  # fmt: skip
UNIT = re.compile(rf"(?<=\d )(?:{'|'.join(sorted(UNITS, key=len, reverse=True))})(?![\w/^])")

OPPOSITES = (
    ("increase", "decrease"), ("increases", "decreases"), ("increased", "decreased"), ("increasing", "decreasing"),
    ("higher", "lower"), ("high", "low"), ("highest", "lowest"), ("more", "less"), ("most", "least"), ("larger", "smaller"),
    ("large", "small"), ("greater", "smaller"), ("before", "after"), ("above", "below"), ("positive", "negative"),
    ("positively", "negatively"), ("with", "without"), ("early", "late"), ("earlier", "later"), ("first", "last"),
    ("minimum", "maximum"), ("always", "never"), ("all", "none of the"), ("improved", "worsened"), ("reduced", "raised"),
    ("promotes", "inhibits"), ("activation", "inhibition"), ("activates", "inhibits"), ("present", "absent"),
    ("presence", "absence"), ("strong", "weak"), ("strongly", "weakly"), ("northern", "southern"), ("north", "south"),
    ("east", "west"), ("eastern", "western"), ("old", "new"), ("older", "younger"), ("gained", "lost"), ("won", "lost"),
    ("free", "chargeable"), ("possible", "impossible"), ("allowed", "forbidden"), ("accepted", "rejected"), ("open", "closed"),
    ("safe", "unsafe"), ("common", "rare"), ("better", "worse"), ("best", "worst"), ("longer", "shorter"), ("long", "short"),
    ("faster", "slower"), ("include", "exclude"), ("includes", "excludes"), ("started", "ended"), ("began", "ended"),
    ("success", "failure"), ("successful", "unsuccessful"), ("dependent", "independent"), ("upper", "lower"), ("left", "right"),
)  # fmt: skip
_TURNED = {word: other for pair in OPPOSITES for word, other in (pair, pair[::-1]) if " " not in word}
OPPOSITE = re.compile(rf"\b(?:{'|'.join(sorted(_TURNED, key=len, reverse=True))})\b")

NAME = re.compile(r"(?<=[a-z,] )(?:[A-Z][\w-]*\w)(?: [A-Z][\w-]*\w)*")
NO_NAMES = {*MONTHS, *DAYS, "I", "We", "The", "This", "These", "In", "It", "However", "A", "An", "CI", "OR", "HR", "RR"}

Corrupt = Callable[[str, Source, random.Random], "str | None"]


class Case(NamedTuple):
    """A statement, the passages beside it, and what was done: `kind` is 'verbatim', 'paraphrase' or what was corrupted."""

    kind: str
    way: str
    statement: str
    passages: tuple[str, ...]
    original: str
    source: Source


def _replace(text: str, found: re.Match[str], new: str) -> str:
    return text[: found.start()] + new + text[found.end() :]


def _pick(pattern: re.Pattern[str], text: str, rng: random.Random) -> re.Match[str] | None:
    found = list(pattern.finditer(text))
    return rng.choice(found) if found else None


def _numbers(text: str) -> list[re.Match[str]]:
    """Numbers that are no years, no days of a month and no name of a section."""
    dates = {one.start() for pattern in (YEAR, DAY) for one in pattern.finditer(text)}
    return [one for one in NUMBER.finditer(text) if one.start() not in dates]


def _written(value: float, like: str) -> str:
    places = len(like.split(".")[1]) if "." in like else 0
    return f"{value:,.{places}f}" if "," in like else f"{value:.{places}f}"


def number_changed(text: str, source: Source, rng: random.Random) -> str | None:
    """One number becomes another of like size and form."""
    digits, words = _numbers(text), list(NUMBER_WORD.finditer(text))
    if not digits and not words:
        return None
    found = rng.choice([*digits, *words])
    if found.group() in WORDS:
        return _replace(text, found, rng.choice([one for one in WORDS if one != found.group()]))
    value = float(found.group().replace(",", ""))
    step = 10.0 ** -(len(found.group().split(".")[1]) if "." in found.group() else 0)
    new = _written(
        value + max(step, round(abs(value) * rng.uniform(0.05, 0.6) / step) * step) * rng.choice((1, 1, -1)), found.group()
    )
    return None if new.startswith("-") or new == found.group() else _replace(text, found, new)


def number_magnitude(text: str, source: Source, rng: random.Random) -> str | None:
    """One number becomes ten times or a tenth of itself."""
    digits = [one for one in _numbers(text) if float(one.group().replace(",", "")) > 0]
    if not digits:
        return None
    found = rng.choice(digits)
    value = float(found.group().replace(",", ""))
    if value % 10 == 0 and rng.random() < 0.5:
        return _replace(text, found, _written(value / 10, found.group()))
    return _replace(text, found, _written(value * 10, found.group()))


def number_swapped_within(text: str, source: Source, rng: random.Random) -> str | None:
    """Two numbers of the sentence change places; not the ends of a range and not the members of a bare list."""
    found = _numbers(text)
    pairs = [
        (a, b)
        for a, b in pairwise(found)
        if a.group() != b.group() and len(re.findall(r"[A-Za-z]{3,}", text[a.end() : b.start()])) >= 2
    ]
    if not pairs:
        return None
    a, b = rng.choice(pairs)
    return text[: a.start()] + b.group() + text[a.end() : b.start()] + a.group() + text[b.end() :]


def number_swapped_between(text: str, source: Source, rng: random.Random) -> str | None:
    """One number becomes one of another sentence of the document."""
    own = _numbers(text)
    values = {one.group() for one in own}
    others = [one.group() for other in source.sentences if other != text for one in _numbers(other) if one.group() not in values]
    return _replace(text, rng.choice(own), rng.choice(others)) if own and others else None


def unit_changed(text: str, source: Source, rng: random.Random) -> str | None:
    """A unit after a number becomes another of the same kind of quantity."""
    found = _pick(UNIT, text, rng)
    return _replace(text, found, UNITS[found.group()]) if found else None


def unit_percent(text: str, source: Source, rng: random.Random) -> str | None:
    """Percent becomes percentage points or a count of people."""
    found = _pick(re.compile(r"(?<=\d) ?(?:%|percent\b)"), text, rng)
    return _replace(text, found, rng.choice((" percentage points", " people"))) if found else None


def unit_currency(text: str, source: Source, rng: random.Random) -> str | None:
    """One currency becomes another."""
    found = _pick(re.compile(r"[$£€](?=\d)"), text, rng)
    return _replace(text, found, rng.choice([one for one in "$£€" if one != found.group()])) if found else None


def date_year(text: str, source: Source, rng: random.Random) -> str | None:
    """A year becomes one up to 30 years away."""
    found = _pick(YEAR, text, rng)
    return _replace(text, found, str(int(found.group()) + rng.choice((-30, -10, -3, -2, -1, 1, 2, 3, 10)))) if found else None


def date_month(text: str, source: Source, rng: random.Random) -> str | None:
    """A month becomes another."""
    found = _pick(MONTH, text, rng)
    return _replace(text, found, rng.choice([one for one in MONTHS if one != found.group()])) if found else None


def date_day(text: str, source: Source, rng: random.Random) -> str | None:
    """A day of a month or of the week becomes another."""
    found = _pick(WEEKDAY, text, rng)
    if found:
        return _replace(text, found, rng.choice([one for one in DAYS if one != found.group()]))
    found = _pick(DAY, text, rng)
    return _replace(text, found, str((int(found.group()) + rng.randrange(1, 27)) % 28 + 1)) if found else None


def date_relative(text: str, source: Source, rng: random.Random) -> str | None:
    """A century, a decade, a part of it or a relative day becomes another."""
    turned = {"early": "late", "late": "early", "first": "second", "second": "first", "last": "next", "previous": "following",
              "following": "previous", "today": "tomorrow", "same": "next"}  # fmt: skip
    pattern = rf"\b(?:{'|'.join(turned)})(?= (?:\d+|half of|half|day\b|week\b|month\b|year\b|decade\b|century\b))"
    if found := _pick(re.compile(pattern), text, rng):
        return _replace(text, found, turned[found.group()])
    if found := _pick(CENTURY, text, rng):
        other = rng.choice([one for one in range(9, 21) if one != int(found[1])])
        return _replace(text, found, f"{other}{'th'}")
    if found := _pick(DECADE, text, rng):
        return _replace(text, found, f"{found[1]}{(int(found[2]) + rng.randrange(1, 10)) % 10}0s")
    return None


def _names(text: str) -> list[re.Match[str]]:
    return [one for one in NAME.finditer(text) if one.group() not in NO_NAMES and len(one.group()) > 2]


def _shape(name: str) -> tuple[bool, bool, bool]:
    """What likeness of type is judged by: written in capitals, several words, the ending of an adjective of a people."""
    return sum(letter.isupper() for letter in name.split()[0]) > 1, " " in name, bool(re.search(r"(?:ish|ese|ian|can|ench)$", name))


def _other_name(text: str, names: Sequence[str], rng: random.Random) -> str | None:
    own = _names(text)
    if not own:
        return None
    found = rng.choice(own)
    words = set(re.findall(r"\w+", text.lower()))
    like = [one for one in names if _shape(one) == _shape(found.group()) and not words & set(re.findall(r"\w+", one.lower()))]
    return _replace(text, found, rng.choice(like)) if like else None


def entity_same_document(text: str, source: Source, rng: random.Random) -> str | None:
    """A name becomes one of another sentence of the same document."""
    return _other_name(text, [one.group() for other in source.sentences if other != text for one in _names(other)], rng)


def negation_inserted(text: str, source: Source, rng: random.Random) -> str | None:
    """'not' after an auxiliary verb."""
    participle = r"(?:has|have|had)(?= (?:been|\w+ed)\b)"
    verbs = rf"\b(?:is|are|was|were|can|could|will|would|may|should|must|{participle})(?= [a-z])(?! (?:not|no|never)\b)"
    found = _pick(re.compile(verbs), text, rng)
    return _replace(text, found, f"{found.group()} not") if found else None


def negation_removed(text: str, source: Source, rng: random.Random) -> str | None:
    """A 'not', 'never', 'no' or 'without' goes."""
    turns = {" not": "", "cannot": "can", " never": " always", " no ": " some ", " No ": " Some ", " without ": " with ", "n't": ""}
    found = _pick(re.compile("cannot| not(?= )| never(?= )| no (?=[a-z])| without |n't(?= )"), text, rng)
    return _replace(text, found, turns[found.group()]) if found else None


def negation_antonym(text: str, source: Source, rng: random.Random) -> str | None:
    """A word becomes its opposite."""
    found = _pick(OPPOSITE, text, rng)
    return _replace(text, found, _TURNED[found.group()]) if found else None


CORRUPTIONS: dict[str, dict[str, Corrupt]] = {
    "number": {"changed": number_changed, "magnitude": number_magnitude, "swapped within": number_swapped_within,
               "swapped between": number_swapped_between},
    "unit": {"changed": unit_changed, "percent": unit_percent, "currency": unit_currency},
    "date": {"year": date_year, "month": date_month, "day": date_day, "relative": date_relative},
    "entity": {"same document": entity_same_document},
    "negation": {"inserted": negation_inserted, "removed": negation_removed, "antonym": negation_antonym},
}  # fmt: skip


def cases(*, held_out: bool, seed: int = SEED) -> list[Case]:
    """Every case of one part, at most `MOST_PER_WAY` of each way in each collection; same seed, same cases."""
    rng = random.Random(f"{seed}/{held_out}")
    documents = [one for one in sources() if is_held_out(one) == held_out]
    by_family: dict[str, list[Source]] = defaultdict(list)
    for one in documents:
        by_family[one.family].append(one)
    gathered: dict[tuple[str, str, str], list[Case]] = defaultdict(list)
    for source in documents:
        others = [one for one in by_family[source.family] if one.unit != source.unit]
        for place, sentence in enumerate(source.sentences):
            if not is_plain(sentence):
                continue
            other = rng.choice(others)
            passages = [source.text, other.text]
            rng.shuffle(passages)
            for kind, way, statement in _versions(sentence, place, source, others, rng):
                gathered[kind, way, source.family].append(Case(kind, way, statement, tuple(passages), sentence, source))
    kept = [rng.sample(found, min(len(found), MOST_PER_WAY)) for _, found in sorted(gathered.items())]
    return [case for found in kept for case in found]


def _versions(
    sentence: str, place: int, source: Source, others: Sequence[Source], rng: random.Random
) -> list[tuple[str, str, str]]:
    made = [("verbatim", "verbatim", sentence)]
    for kind, ways in CORRUPTIONS.items():
        for way, corrupt in ways.items():
            new = corrupt(sentence, source, rng)
            if new is not None and new != sentence:
                made.append((kind, way, new))
    foreign = [
        one.group() for other in rng.sample(others, min(10, len(others))) for line in other.sentences for one in _names(line)
    ]
    new = _other_name(sentence, [one for one in foreign if one not in source.text], rng)
    if new is not None:
        made.append(("entity", "other document", new))
    following = source.sentences[place + 1] if place + 1 < len(source.sentences) else ""
    for way, rewrite in PARAPHRASES.items():
        new = rewrite(sentence, following, rng)
        if new is not None and new != sentence:
            made.append(("paraphrase", way, new))
    return made


def main() -> None:
    """Print the counts and two cases of each way of the part that may be looked at."""
    for held_out in (False, True):
        found = cases(held_out=held_out)
        print("held out" if held_out else "open", len(found), dict(Counter(one.kind for one in found)))
        for (kind, way), count in sorted(Counter((one.kind, one.way) for one in found).items()):
            print(f"  {kind:<12}{way:<22}{count:>6}")
            for case in [one for one in found if (one.kind, one.way) == (kind, way)][:2] if not held_out else []:
                print(f"      - {case.original}\n      + {case.statement}")


if __name__ == "__main__":
    main()
