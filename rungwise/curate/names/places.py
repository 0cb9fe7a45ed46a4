"""Places and street addresses, in the ways of many countries and sometimes in none."""

from __future__ import annotations

from random import Random

from rungwise.curate.names.lexicon import flat, groups
from rungwise.curate.names.people import full_name, surname, syllables

_CITY_ENDS = groups("parts")["city"]
_CITY_FRAMES = groups("parts")["city_frame"]
_STATE_CODES = groups("parts")["state_code"]
_LANGUAGES = groups("parts")["street_language"]
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"


def city(rng: Random) -> str:
    """A city: from the lists, or coined."""
    if rng.random() < 0.65:
        country = rng.choice([name for name in groups("cities") if name not in ("state", "region")])
        return rng.choice(groups("cities")[country])
    coined = (syllables(rng, rng.choice((1, 1, 2))) + rng.choice(_CITY_ENDS)).capitalize()
    return rng.choice(_CITY_FRAMES).format(coined) if rng.random() < 0.2 else coined


def country(rng: Random) -> str:
    """A country, seldom by its name in another language."""
    draw = rng.random()
    return rng.choice(groups("countries")["country" if draw < 0.88 else "local" if draw < 0.96 else "continent"])


def region(rng: Random) -> str:
    """A state, province or region."""
    return rng.choice(groups("cities")["state" if rng.random() < 0.5 else "region"])


def shaped(rng: Random, *shapes: str) -> str:
    """One of the shapes with 9 as any digit, A and a as any letter."""
    pools = {"9": "0123456789", "A": _LETTERS, "a": _LETTERS.lower()}
    return "".join(rng.choice(pools[sign]) if sign in pools else sign for sign in rng.choice(shapes))


def postcode(rng: Random) -> str:
    """A post code in the form of some country."""
    return shaped(rng, *groups("parts")["postcode"])


def house_number(rng: Random) -> str:
    """From 1 to 99999, small ones more often; sometimes with a letter, a range or a stair."""
    number = str(rng.randrange(1, 10 ** rng.choice((1, 2, 2, 2, 3, 3, 4, 5)) + 1))
    draw = rng.random()
    if draw < 0.07:
        return number.zfill(rng.choice((2, 3, 4)))
    if draw < 0.87:
        return number
    return number + rng.choice(
        (
            rng.choice("abcdABCD"),
            f"/{rng.randrange(1, 30)}",
            f"-{int(number) + 2}",
            f" {rng.choice('ABCDE')} {rng.randrange(1, 60)}",
            " bis",
        )
    )


def _coined_stem(rng: Random) -> str:
    draw = rng.random()
    if draw < 0.5:
        return syllables(rng, rng.choice((1, 2, 2))).capitalize()
    return surname(rng, "english") if draw < 0.7 else full_name(rng) if draw < 0.78 else rng.choice(flat("cities"))


def street_name(rng: Random, language: str = "") -> str:
    """The name of a street with its type word, before, after or grown together, as the language has it."""
    streets = groups("streets")
    language = language or ("en" if rng.random() < 0.4 else rng.choice(_LANGUAGES))
    if f"{language} stem" in streets:
        if f"{language} name" in streets and rng.random() < 0.2:
            return rng.choice(streets[f"{language} name"])
        stem = rng.choice(streets[f"{language} stem"]) if rng.random() < 0.6 else syllables(rng, rng.choice((1, 2))).capitalize()
        return stem.strip() + rng.choice(streets[f"{language} type"])
    name = rng.choice(streets[f"{language} name"]) if rng.random() < 0.62 else _coined_stem(rng)
    if language in ("in", "asia", "arab"):
        return name if " " in name else f"{name} Road"
    if language == "en" and rng.random() < 0.04:
        return rng.choice(streets["en alone"])
    if f"{language} after" in streets and (language in ("en", "tr", "hu", "lv") or rng.random() < 0.45):
        return f"{name} {rng.choice(streets[f'{language} after'])}"
    if f"{language} before" in streets:
        return f"{rng.choice(streets[f'{language} before'])} {name}"
    return name


def street(rng: Random, language: str = "") -> str:
    """A street with its house number, on the side where the language has it, and sometimes a flat."""
    language = language or ("en" if rng.random() < 0.4 else rng.choice(_LANGUAGES))
    name, number = street_name(rng, language), house_number(rng)
    front = language in ("en", "fr", "asia", "arab", "in") if rng.random() < 0.9 else rng.random() < 0.5
    text = (
        f"{number}{', ' if language == 'fr' and rng.random() < 0.5 else ' '}{name}"
        if front
        else f"{name}{rng.choice((' ', ' ', ' ', ', '))}{number}"
    )
    if rng.random() < 0.08:
        text = f"{house_number(rng)} {text}"
    if rng.random() < (0.22 if language == "en" else 0.1):
        text += rng.choice((" ", ", ", "\n")) + rng.choice(groups("streets")["en unit"]) + " " + house_number(rng)
    return text


def _tail(rng: Random) -> str:
    """What follows the street: city, region, post code and country in some order that people use."""
    town, code, land = city(rng), postcode(rng), country(rng)
    state = rng.choice(_STATE_CODES) if rng.random() < 0.6 else region(rng)
    forms = (
        f"{town}, {state} {code}",
        f"{town} {state} {code}",
        f"{code} {town}",
        f"{code} {town}",
        f"{town} {code}",
        f"{town}, {code}",
        f"{town}",
        f"{town}, {land}",
        f"{code} {town}, {land}",
        f"{town}, {state} {code}, {land}",
        f"{town}, {state}",
        f"{town}\n{code}",
        f"{town}, {state}, {land}",
        f"{town}\n, {state}\n {land} {code}",
        f"{town}, {state}\n{land} {code}",
        f"{code} {town} ({state})",
        f"{town}\n{land}",
        f"{town} {land} {code}",
        f"{code}, {town}, {land}",
        f"{town}, {land} {code}",
        f"{code} {town}\n{land}",
        f"{town}\n{state}\n{code}",
        f"{code}",
        f"{land}",
    )
    return rng.choice(forms)


def address(rng: Random, language: str = "") -> str:
    """A whole postal address, on one line or on several."""
    if rng.random() < 0.04:
        unit = "" if rng.random() < 0.8 else f"{house_number(rng)} "
        box = rng.choice(("P.O. Box", "PO Box", "Apartado", "Postfach", "BP", "Post Box"))
        return f"{unit}{box} {house_number(rng)}, {_tail(rng)}"
    text = street(rng, language)
    if rng.random() < 0.2:
        return text
    joint = rng.choice((", ", ", ", ", ", "\n", "\n", "\n ", " ", " - ", ",\n"))
    return text + joint + _tail(rng)
