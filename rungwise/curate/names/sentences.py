"""Texts with known names, written from templates: `[a|b|]` is a choice, `{slot}` is filled by a generator."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import TypeAlias

from rungwise.curate.names import organisations, people, places
from rungwise.curate.names.lexicon import TEMPLATE_FILES, groups, templates

NAME, ADDRESS, LOCATION, ORGANIZATION = "NAME", "ADDRESS", "LOCATION", "ORGANIZATION"
TYPES = (NAME, ADDRESS, LOCATION, ORGANIZATION)

Piece: TypeAlias = "tuple[str, str]"  # text and its type, empty where it is no name
Node: TypeAlias = "str | tuple[tuple[Node, ...], ...] | Slot"
_SHARES = {"english": 0.54, "plain": 0.28, "foreign": 0.18}
_MONTHS = groups("parts")["month"]
_DAYS = groups("parts")["day"]
_TOKEN = re.compile(r"\[|\]|\||\{\w+\}|[^\[\]|{}]+")


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in a template that a generator fills."""

    name: str


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text and where its names stand: `(start, end, type)`, ascending."""

    text: str
    spans: tuple[tuple[int, int, str], ...]


def parse(template: str) -> tuple[Node, ...]:
    """A template as a tree. Raises ValueError when brackets do not match."""
    tokens = _TOKEN.findall(template)
    tree, end = _sequence(tokens, 0)
    if end != len(tokens):
        raise ValueError(f"brackets do not match in the template {template!r}")
    return tree


def _sequence(tokens: Sequence[str], at: int, *, inside: bool = False) -> tuple[tuple[Node, ...], int]:
    nodes: list[Node] = []
    while at < len(tokens):
        token = tokens[at]
        if token == "[":
            choices: list[tuple[Node, ...]] = []
            while tokens[at] in "[|":
                branch, at = _sequence(tokens, at + 1, inside=True)
                choices.append(branch)
            nodes.append(tuple(choices))
            at += 1
        elif token in ("]", "|") and inside:
            break
        elif token == "]":
            return tuple(nodes), at
        else:
            nodes.append(Slot(token[1:-1]) if token[0] == "{" else token)
            at += 1
    return tuple(nodes), at


def _fill(nodes: tuple[Node, ...], rng: Random, out: list[Piece]) -> None:
    for node in nodes:
        if isinstance(node, str):
            out.append((node, ""))
        elif isinstance(node, Slot):
            out += SLOTS[node.name](rng)
        else:
            _fill(rng.choice(node), rng, out)


def _plain(make: Callable[[Random], str]) -> Callable[[Random], list[Piece]]:
    return lambda rng: [(make(rng), "")]


def _entity(kind: str, make: Callable[[Random], str]) -> Callable[[Random], list[Piece]]:
    return lambda rng: [(make(rng), kind)]


def _name(rng: Random) -> list[Piece]:
    if rng.random() < 0.1:
        return [
            (people.title(rng) + " ", ""),
            (people.surname(rng, people.nation(rng)) if rng.random() < 0.6 else people.full_name(rng), NAME),
        ]
    return [(people.some_name(rng), NAME)]


def _place(rng: Random) -> list[Piece]:
    draw = rng.random()
    if draw < 0.46:
        return [(places.city(rng), LOCATION)]
    if draw < 0.72:
        land = places.country(rng)
        article = (
            "the "
            if land.startswith(("United", "Netherlands", "Phil", "US", "UK", "U", "Czech R", "Dominican R")) and rng.random() < 0.7
            else ""
        )
        return [(article, ""), (land, LOCATION)]
    if draw < 0.83:
        return [(places.region(rng), LOCATION)]
    outer = places.country(rng) if rng.random() < 0.6 else places.region(rng)
    return [(places.city(rng), LOCATION), (", ", ""), (outer, LOCATION)]


def _organisation_place(rng: Random) -> list[Piece]:
    return [(organisations.of_place(rng), ORGANIZATION)]


def _number(rng: Random) -> str:
    return str(rng.randrange(1, 10 ** rng.choice((1, 1, 2, 2, 3, 4, 4, 5, 6))))


def _date(rng: Random) -> str:
    day, month, year = rng.randrange(1, 29), rng.randrange(12), rng.randrange(1920, 2030)
    forms = (
        f"{_MONTHS[month]} {day}, {year}",
        f"{day} {_MONTHS[month]} {year}",
        f"{month + 1:02}/{day:02}/{year}",
        f"{year}-{month + 1:02}-{day:02}",
        f"{day}.{month + 1}.{year}",
        f"{month + 1}/{day}/{year}",
        f"{month + 1}/{day}",
        f"{day}/{month + 1}/{year % 100:02}",
        f"{_MONTHS[month]} {day}",
        f"{_MONTHS[month][:3]} {day}",
        f"{day} {_MONTHS[month][:3]}",
        f"{year}",
        f"{_MONTHS[month]} {year}",
    )
    return rng.choice(forms)


def _time(rng: Random) -> str:
    hour, minute = rng.randrange(1, 13), rng.choice(("00", "15", "30", "45"))
    return rng.choice(
        (f"{hour}:{minute}", f"{hour} pm", f"{hour}am", f"{hour}:{minute} PM", f"{hour + 11}:{minute}", f"{hour}h{minute}", "noon")
    )


def _money(rng: Random) -> str:
    amount = f"{rng.randrange(1, 10 ** rng.choice((2, 3, 4))):,}{rng.choice(('', '.00', '.99', ' million'))}"
    return rng.choice(
        (f"${amount}", f"€{amount}", f"£{amount}", f"{amount} EUR", f"{amount} dollars", f"USD {amount}", f"{amount} kr")
    )


def _email(rng: Random) -> str:
    user = _folded(
        rng.choice((people.some_name(rng).replace(" ", "."), people.syllables(rng, 2), people.full_name(rng).replace(" ", "")))
    )
    domain = people.syllables(rng, 2).encode("ascii", "ignore").decode()
    return f"{user.lower()}@{domain}.{rng.choice(groups('parts')['domain'])}".replace("'", "")


def _url(rng: Random) -> str:
    site = people.syllables(rng, 2).encode("ascii", "ignore").decode() + rng.choice((".com", ".org", ".de", ".co.uk", ".io"))
    return rng.choice((f"www.{site}", f"https://{site}/", f"https://www.{site}/page", f"http://{site}", site, site.title()))


def _made_up(rng: Random, language: str) -> str:
    """A word with an ending that shows it to be a word of its language and no name."""
    return people.syllables(rng, rng.choice((1, 1, 2))) + rng.choice(groups("parts")[f"word_{language}"])


def _noun(rng: Random) -> str:
    """An ordinary noun: from the list, made up, or a word that also stands in names (`credit`, `market`, `road`)."""
    draw = rng.random()
    if draw < 0.06:
        return _made_up(rng, "en")
    if draw < 0.1:
        return people.syllables(rng, 2)
    if draw < 0.16:
        return rng.choice(groups("organisations")[rng.choice(("trade", "stem"))]).lower()
    return rng.choice(groups("words")["noun"])


def _technical(rng: Random) -> str:
    """A term of a science: written with a capital, and no name."""
    return people.syllables(rng, 2).capitalize() + rng.choice(groups("parts")["term"])


def _foreign(rng: Random, kind: str) -> str:
    """A noun or verb of another language: `de_noun`, `es_verb`."""
    language = kind[:2]
    if kind.endswith("noun"):
        if rng.random() < 0.65:
            word = rng.choice(groups("words")[kind])
            return (
                word + rng.choice(("", "", "", "s", "en", rng.choice(groups("words")[kind]).lower())) if language == "de" else word
            )
        return _made_up(rng, "de_noun").capitalize() if language == "de" else _made_up(rng, language)
    return _made_up(rng, language)


def _filler(rng: Random) -> list[Piece]:
    return _draw(_trees()["plain"], rng)


def _word(group: str, change: Callable[[str], str] = str) -> Callable[[Random], list[Piece]]:
    return lambda rng: [(change(_noun(rng) if group == "noun" else rng.choice(groups("words")[group])), "")]


SLOTS: dict[str, Callable[[Random], list[Piece]]] = {
    "name": _name,
    "full": _entity(NAME, people.full_name),
    "first": _entity(NAME, lambda rng: people.given(rng, people.nation(rng))),
    "last": _entity(NAME, lambda rng: people.surname(rng, people.nation(rng))),
    "lasthu": _entity(NAME, lambda rng: people.surname(rng, "hungarian")),
    "lastfirst": _entity(NAME, people.last_first),
    "place": _place,
    "city": _entity(LOCATION, places.city),
    "city_caps": _entity(LOCATION, lambda rng: places.city(rng).upper()),
    "country": _entity(LOCATION, places.country),
    "region": _entity(LOCATION, places.region),
    "address": _entity(ADDRESS, places.address),
    "street": _entity(ADDRESS, places.street),
    "street_name": _entity(ADDRESS, places.street_name),
    "org": _entity(ORGANIZATION, organisations.organisation),
    "org_band": _entity(ORGANIZATION, organisations.band),
    "org_place": _organisation_place,
    "title": _plain(people.title),
    "role": _word("role"),
    "kin": _word("kin"),
    "product": _word("product"),
    "noun": _word("noun"),
    "Noun": _word("noun", str.capitalize),
    "NOUN": _word("noun", str.upper),
    "verb": _word("verb"),
    "Verb": _word("verb", str.capitalize),
    "VERB": _word("verb", str.upper),
    "adj": _word("adjective"),
    "Adj": _word("adjective", str.capitalize),
    "ADJ": _word("adjective", str.upper),
    "demonym": _plain(lambda rng: rng.choice(groups("countries")["demonym"])),
    "day": _plain(lambda rng: rng.choice(_DAYS)),
    "Day": _plain(lambda rng: rng.choice(_DAYS)),
    "DAY": _plain(lambda rng: rng.choice(_DAYS).upper()),
    "month": _plain(lambda rng: rng.choice(_MONTHS)),
    "Month": _plain(lambda rng: rng.choice(_MONTHS)),
    "date": _plain(_date),
    "time": _plain(_time),
    "num": _plain(_number),
    "age": _plain(lambda rng: str(rng.randrange(1, 100))),
    "letter": _plain(lambda rng: rng.choice("ABCDEF")),
    "money": _plain(_money),
    "zip": _plain(places.postcode),
    "phone": _plain(
        lambda rng: places.shaped(
            rng,
            "+99 999 999 999",
            "+99 99 9999 9999",
            "(09999) 99 99",
            "999 9999",
            "0999-999 99 99",
            "1-800-999-9999",
            "(999) 999-9999",
            "999-999-9999",
            "099 9999999",
            "999.999.9999",
            "99-99-99-99",
        )
    ),
    "card": _plain(
        lambda rng: places.shaped(rng, "9999999999999999", "9999 9999 9999 9999", "9999-9999-9999-9999", "999999999999")
    ),
    "iban": _plain(
        lambda rng: places.shaped(rng, "AA99999999999999999999", "AA99 9999 9999 9999 9999 99", "AA99AAAA99999999999999")
    ),
    "bank_line": _plain(lambda rng: "account " + places.shaped(rng, "9999999999", "99-99-99 99999999")),
    "ssn": _plain(lambda rng: places.shaped(rng, "999-99-9999", "999999999")),
    "ip": _plain(lambda rng: ".".join(str(rng.randrange(256)) for _ in range(4))),
    "ref": _plain(lambda rng: places.shaped(rng, "AA-9999", "999999", "A9A9A9", "#99999", "AAA99999", "99-9999-AA")),
    "email": _plain(_email),
    "url": _plain(_url),
    "filler": _filler,
    "Role": _word("role", lambda word: word.title() if len(word) % 2 else word.capitalize()),
    "Tech": _plain(_technical),
    "Coinword": _plain(lambda rng: _made_up(rng, "en").capitalize()),
}
for _language in ("de", "es", "fr", "pt"):
    for _kind in (f"{_language}_noun", f"{_language}_verb"):
        SLOTS[_kind] = _plain(lambda rng, kind=_kind: _foreign(rng, kind))  # type: ignore[misc]
        SLOTS[_kind.capitalize()] = _plain(lambda rng, kind=_kind: _foreign(rng, kind).capitalize())  # type: ignore[misc]
for _language in groups("parts")["address_language"]:
    SLOTS[f"address_{_language}"] = _entity(ADDRESS, lambda rng, language=_language: places.address(rng, language))  # type: ignore[misc]


@cache
def _trees() -> dict[str, tuple[tuple[Node, ...], ...]]:
    return {name: tuple(parse(line) for line in templates(name)) for name in TEMPLATE_FILES}


def _draw(trees: Sequence[tuple[Node, ...]], rng: Random) -> list[Piece]:
    pieces: list[Piece] = []
    _fill(rng.choice(trees), rng, pieces)
    return pieces


def _folded(text: str) -> str:
    """A text without its diacritics."""
    return "".join(sign for sign in unicodedata.normalize("NFD", text) if not unicodedata.combining(sign))


def _changed(pieces: list[Piece], rng: Random) -> list[Piece]:
    """The same text as people type it: all lower case, all capitals, no diacritics, or as a headline."""
    draw = rng.random()
    if draw < 0.1:
        return [(text.lower(), kind) for text, kind in pieces]
    if draw < 0.14:
        return [(text.upper(), kind) for text, kind in pieces]
    if draw < 0.22:
        return [(_folded(text), kind) for text, kind in pieces]
    if draw < 0.235:
        return [(text if kind else text.title(), kind) for text, kind in pieces]
    return pieces


def write(rng: Random, trees: dict[str, tuple[tuple[Node, ...], ...]] | None = None) -> Labelled:
    """One text of one to three templates, with its spans."""
    trees = trees or _trees()
    pieces: list[Piece] = []
    for turn in range(rng.choice((1, 1, 1, 2, 2, 3))):
        if turn:
            pieces.append((rng.choice((" ", " ", " ", "\n", "\n\n")), ""))
        draw = rng.random()
        name = "english" if draw < _SHARES["english"] else "plain" if draw < 1 - _SHARES["foreign"] else "foreign"
        part = _draw(trees[name], rng)
        if rng.random() < 0.12 and part[-1][0].endswith(".") and not part[-1][1]:
            part[-1] = (part[-1][0][:-1], "")
        pieces += part
    return _joined(_changed(pieces, rng))


def _joined(pieces: Sequence[Piece]) -> Labelled:
    spans, parts, at = [], [], 0
    for text, kind in pieces:
        if kind and text:
            spans.append((at, at + len(text), kind))
        parts.append(text)
        at += len(text)
    return Labelled("".join(parts), tuple(spans))


def corpus(seed: int, texts: int, *, held_out: bool = False, share: int = 0) -> Iterator[Labelled]:
    """So many texts, the same for the same seed.

    With `share` n, every n-th template of each file is held out: it is used only when `held_out` is true, and nothing else is then.
    """
    rng, trees = Random(seed), _trees()
    if share:
        trees = {name: tuple(tree for at, tree in enumerate(all_) if (at % share == 0) == held_out) for name, all_ in trees.items()}
    for _ in range(texts):
        yield write(rng, trees)


def ordinary_words() -> frozenset[str]:
    """The words of the templates themselves and of the lists of ordinary words, in lower case."""
    found: set[str] = set()
    for name in TEMPLATE_FILES:
        for line in templates(name):
            found.update(word.lower() for word in re.findall(r"[^\W\d_]+", re.sub(r"\{\w+\}", " ", line)))
    for group, items in groups("words").items():
        if group.endswith("noun") or group in ("verb", "adjective", "function", "foreign", "kin", "role"):
            found.update(word.lower() for item in items for word in re.findall(r"[^\W\d_]+", item))
    return frozenset(found)
