"""Units of quantities: what is written after or before a number, under one name, with its size."""

from __future__ import annotations

from typing import NamedTuple

from rungwise.evaluate.groundedness.tokens import Token


class Unit(NamedTuple):
    """A unit's name, what it measures, and its size in the smallest unit of that."""

    name: str
    measure: str
    size: float


def _table(measure: str, **sizes: tuple[float, str]) -> dict[str, Unit]:
    found = {}
    for name, (size, spellings) in sizes.items():
        for spelling in (name, *spellings.split()):
            found[spelling] = Unit(name, measure, size)
    return found


# Sizes: SI brochure and the international yard and pound of 1959; a month and a year are measures of their own.
_WORDS: dict[str, Unit] = {
    **_table(
        "length",
        km=(1e6, "kilometer kilometers kilometre kilometres kms"),
        metre=(1e3, "m meter meters metres"),
        cm=(10, "centimeter centimeters centimetre centimetres"),
        mm=(1, "millimeter millimeters millimetre millimetres"),
        µm=(1e-3, "μm um micrometer micrometers micrometre micrometres micron microns"),
        nm=(1e-6, "nanometer nanometers nanometre nanometres"),
        mile=(1609344, "miles mi"),
        foot=(304.8, "feet ft"),
        inch=(25.4, "inches"),
        yard=(914.4, "yards yd"),
    ),
    **_table(
        "mass",
        tonne=(1e9, "tonnes t"),
        ton=(907184740.0, "tons"),
        kg=(1e6, "kilogram kilograms kilogramme kilogrammes kgs"),
        gram=(1e3, "g grams gramme grammes"),
        mg=(1, "milligram milligrams"),
        µg=(1e-3, "μg ug mcg microgram micrograms"),
        ng=(1e-6, "nanogram nanograms"),
        pound=(453592.37, "pounds lb lbs"),
        ounce=(28349.523125, "ounces oz"),
    ),
    **_table(
        "volume",
        litre=(1e3, "l liter liters litres"),
        ml=(1, "milliliter milliliters millilitre millilitres"),
        µl=(1e-3, "μl ul microliter microliters"),
        gallon=(3785.411784, "gallons"),
    ),
    **_table(
        "time",
        second=(1, "s sec secs seconds"),
        minute=(60, "min mins minutes"),
        hour=(3600, "h hr hrs hours"),
        day=(86400, "days d"),
        week=(604800, "weeks wk wks"),
    ),
    **_table("months", month=(1, "months mo"), year=(12, "years yr yrs"), decade=(120, "decades")),
    **_table("share", percent=(1, "pct percentage")),
    **_table("points", point=(1, "points")),
    **_table("people", person=(1, "people persons")),
    **_table("dollar", dollar=(1, "dollars usd")),
    **_table("euro", euro=(1, "euros eur")),
    **_table("sterling", sterling=(1, "gbp")),
    **_table("frequency", hz=(1, "hertz"), khz=(1e3, ""), mhz=(1e6, ""), ghz=(1e9, "")),
    **_table("data", kb=(1, "kilobytes"), mb=(1e3, "megabytes"), gb=(1e6, "gigabytes"), tb=(1e9, "terabytes")),
}
_SIGNS = {"%": "percent", "$": "dollar", "€": "euro", "£": "sterling"}
_CURRENCIES = {"$": "dollar", "€": "euro", "£": "sterling", "usd": "dollar", "eur": "euro", "gbp": "sterling"}
WORKING_DAY = Unit("working day", "working days", 1)
PERCENT = _WORDS["percent"]
_CAPITALS_MATTER = {"S", "T", "H", "D", "G", "M", "L", "MI", "MIN"}  # as names of things: vitamin D, group M


def unit_after(tokens: tuple[Token, ...], place: int) -> tuple[Unit | None, int]:
    """The unit written at `place`, right after a number, and how many tokens it takes."""
    if place < len(tokens) and tokens[place].text == "-":
        place += 1
        taken = 1
    else:
        taken = 0
    if place >= len(tokens):
        return None, 0
    word = tokens[place].text
    low = word.lower()
    following = tokens[place + 1].text.lower() if place + 1 < len(tokens) else ""
    if low == "percentage" and following.startswith("point"):
        return _WORDS["point"], taken + 2
    if low in ("working", "business", "work") and following in ("day", "days"):
        return WORKING_DAY, taken + 2
    if low == "per" and following == "cent":
        return PERCENT, taken + 2
    if low in _SIGNS:
        return _WORDS[_SIGNS[low]], taken + 1
    if word in _CAPITALS_MATTER:
        return None, 0
    found = _WORDS.get(low)
    return (found, taken + 1) if found else (None, 0)


def unit_before(tokens: tuple[Token, ...], place: int) -> Unit | None:
    """The currency written right before the number at `place`."""
    return _WORDS[_CURRENCIES[tokens[place - 1].text.lower()]] if place and tokens[place - 1].text.lower() in _CURRENCIES else None


def agree(one: Unit | None, other: Unit | None) -> bool:
    """Whether two quantities of equal value have units that can be the same."""
    if one == other:
        return True
    if one is None or other is None:  # people are counted under many names
        return (one or other or PERCENT).measure == "people"
    return {one.name, other.name} in ({"pound", "sterling"}, {"ton", "tonne"})
