"""Names of organisations: firms, banks, schools, hospitals, papers, ministries, clubs and bands, most of them coined."""

from __future__ import annotations

from random import Random

from rungwise.curate.names.lexicon import groups
from rungwise.curate.names.people import full_name, nation, surname, syllables
from rungwise.curate.names.places import city, country, region

_LETTERS = "ABCDEFGHIKLMNOPRSTUVWX"


def _of(group: str, rng: Random) -> str:
    return rng.choice(groups("organisations")[group])


def _word(rng: Random, group: str) -> str:
    return rng.choice(groups("words")[group]).title()


def _last(rng: Random) -> str:
    return surname(rng, nation(rng))


def _partners(rng: Random) -> str:
    """`Smith, Jones and Sons` and its kin."""
    a, b, c = _last(rng), _last(rng), _last(rng)
    forms = (
        f"{a} & {b}",
        f"{a} and {b}",
        f"{a}, {b} and {c}",
        f"{a}, {b} & {c}",
        f"{a}-{b}",
        f"{a} & Sons",
        f"{a} and Sons",
        f"{a} Brothers",
        f"{a}/{b}",
    )
    return rng.choice(forms)


def _compound(rng: Random) -> str:
    """Two ordinary words grown together, as young firms are called."""
    first, second = (
        rng.choice(groups("words")[rng.choice(("noun", "verb", "adjective"))]).split()[0].split("-")[0] for _ in range(2)
    )
    second = second + rng.choice(("", "", "", "r", "er", "s", "ly", "o"))
    head = (
        first
        if rng.random() < 0.85
        else rng.choice(("re", "un", "e", "my", "go", "pre", "inter", "open", "trans", "micro", "omni", "bio"))
    )
    return head.capitalize() + (second if rng.random() < 0.6 else second.capitalize())


def coined(rng: Random) -> str:
    """A brand that did not exist before."""
    draw = rng.random()
    if draw < 0.05:
        return syllables(rng, 2).capitalize() + rng.choice((".com", ".io", ".org", ".net", "!", ".de", ".co"))
    if draw < 0.15:
        return _compound(rng)
    if draw < 0.46:
        return syllables(rng, rng.choice((2, 2, 3))).capitalize() + rng.choice(
            ("", "", "ix", "io", "ex", "ia", "ly", "tech", "soft", "net", "corp", "mart")
        )
    if draw < 0.6:
        return _word(rng, "noun").replace(" ", "") + rng.choice(
            ("Works", "Hub", "Tech", "Soft", "Base", "Flow", "Lab", "Point", "ify", "ly", "Net", "Pay", "Now")
        )
    if draw < 0.8:
        acronym = "".join(rng.choice(_LETTERS) for _ in range(rng.choice((2, 3, 3, 3, 4, 4, 5))))
        return rng.choice((acronym, acronym, acronym, f"{acronym[0]}&{acronym[1]}", ".".join(acronym) + "."))
    return rng.choice(
        (_of("stem", rng), f"{_of('stem', rng)} {_word(rng, 'noun')}", f"{_word(rng, 'adjective')} {_word(rng, 'noun')}")
    )


def band(rng: Random) -> str:
    """A group of musicians, a team or a bar."""
    draw = rng.random()
    if draw < 0.15:
        return _of("band", rng)
    if draw < 0.55:
        return f"The {_word(rng, 'adjective')} {_word(rng, 'noun')}{rng.choice(('', 's'))}"
    if draw < 0.75:
        return f"{_word(rng, rng.choice(('adjective', 'noun')))} {_word(rng, 'noun')}{rng.choice(('', 's'))}"
    return (
        f"The {_word(rng, 'noun')}s"
        if draw < 0.85
        else f"{_last(rng)} {rng.choice(('Quartet', 'Trio', 'Band', 'Orchestra', 'Ensemble', 'Project'))}"
    )


def of_place(rng: Random) -> str:
    """A school, hospital, museum or bank that is called by its place or by a person."""
    draw, place = rng.random(), city(rng) if rng.random() < 0.7 else rng.choice((country(rng), region(rng)))
    if draw < 0.35:
        return f"{place} {_of('place_org', rng)}"
    if draw < 0.6:
        return f"{_of('of_org', rng)} {place}"
    if draw < 0.75:
        return f"{_of('local_org', rng)} {place if rng.random() < 0.8 else _last(rng)}"
    if draw < 0.9:
        honoured = (_last(rng), full_name(rng), "St. " + _last(rng), "Royal", "National", "First", "Central")
        return f"{rng.choice(honoured)} {_of('place_org', rng)}"
    adjective = rng.choice(("National", "Royal", "European", "International", "American", "British", "Federal"))
    body = rng.choice(("Institute", "Society", "Association", "Council", "Agency", "Federation", "Foundation", "Bureau"))
    return f"{adjective} {body} {rng.choice(('of', 'for'))} {_word(rng, 'noun')}"


def organisation(rng: Random) -> str:
    """Any organisation."""
    draw = rng.random()
    if draw < 0.18:
        return _of("known", rng)
    if draw < 0.25:
        return _of("ministry", rng)
    if draw < 0.43:
        return of_place(rng)
    if draw < 0.51:
        return _partners(rng) + (f" {_of('suffix', rng)}" if rng.random() < 0.3 else "")
    if draw < 0.56:
        return band(rng)
    borrowed = rng.random() < 0.4  # a surname or a city: an organisation only by what follows
    head = (_last(rng) if rng.random() < 0.8 else city(rng)) if borrowed else coined(rng)
    if rng.random() < 0.08:
        head = f"The {head}"
    trade = f" {_of('trade', rng)}" if borrowed or rng.random() < 0.45 else ""
    if trade and rng.random() < 0.2:
        trade += f" {rng.choice(('& ', 'and ', ''))}{_of('trade', rng)}"
    suffix = f"{rng.choice((' ', ' ', ', '))}{_of('suffix', rng)}" if rng.random() < 0.45 else ""
    return head + trade + suffix
