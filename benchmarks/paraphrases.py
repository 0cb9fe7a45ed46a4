"""Says the same in other words: rule-made rewordings of real sentences that keep every fact, for measuring false alarms.

Written before the checks of `rungwise/evaluate/groundedness` existed. Each rewording is a function
`(sentence, following sentence, rng) -> new sentence or None` where it does not apply.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping

Rewrite = Callable[[str, str, random.Random], "str | None"]

SYNONYMS = {
    "shows": "demonstrates", "showed": "demonstrated", "show": "demonstrate", "large": "big", "begin": "start", "began": "started",
    "help": "assist", "helps": "assists", "important": "significant", "use": "employ", "used": "employed", "using": "by means of",
    "many": "numerous", "most": "the majority of", "several": "a number of", "about": "around", "approximately": "about",
    "because": "since", "also": "additionally", "however": "nevertheless", "often": "frequently", "rapidly": "quickly",
    "method": "approach", "methods": "approaches", "study": "investigation", "studies": "investigations", "found": "discovered",
    "main": "principal", "major": "main", "almost": "nearly", "near": "close to", "obtain": "get", "obtained": "gained",
    "required": "needed", "require": "need", "requires": "needs", "built": "constructed", "created": "made", "area": "region",
    "areas": "regions", "city": "town", "purchase": "buy", "send": "dispatch", "sends": "dispatches", "sent": "dispatched",
    "receive": "get", "received": "got", "ask": "request", "choose": "select", "chosen": "selected", "card": "payment card",
    "email": "e-mail", "children": "kids", "people": "persons", "individuals": "people", "suggest": "indicate",
    "suggests": "indicates", "including": "among them", "whole": "entire", "entire": "whole", "within": "inside",
    "known": "familiar",
    "called": "named", "near-by": "close", "thus": "therefore", "therefore": "hence", "although": "though", "while": "whereas",
    "total": "overall", "death": "dying", "risk": "danger", "cells": "cell bodies", "parcel": "package", "order": "purchase",
    "pay": "settle", "return": "give back", "reply": "respond", "answer": "respond", "via": "through", "assess": "evaluate",
    "assessed": "evaluated", "associated": "linked", "treatment": "therapy", "role": "function", "novel": "new",
}  # fmt: skip
_SYNONYM = re.compile(rf"\b(?:{'|'.join(sorted(SYNONYMS, key=len, reverse=True))})\b")

DIGIT_WORDS = {
    "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven", "8": "eight", "9": "nine", "10": "ten",
    "11": "eleven", "12": "twelve", "15": "fifteen", "20": "twenty", "30": "thirty", "100": "one hundred", "1,000": "one thousand",
    "1000": "one thousand",
}  # fmt: skip
_WORD_DIGITS = {word: digits for digits, word in DIGIT_WORDS.items() if digits != "1000"}
SHARES = {"50": "half", "25": "a quarter", "75": "three quarters", "20": "one fifth", "10": "one tenth"}
UNIT_NAMES = {
    "kg": "kilograms", "km": "kilometers", "cm": "centimeters", "mm": "millimeters", "mg": "milligrams",
    "g": "grams", "ml": "milliliters",
    "hours": "h", "minutes": "min", "seconds": "s", "kilometres": "km", "kilometers": "km", "metres": "m",
    "meters": "m", "feet": "ft",
    "ft": "feet", "m": "meters", "miles": "mi", "inches": "in", "kilograms": "kg", "tonnes": "t", "weeks": "wk", "years": "yr",
}  # fmt: skip
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
_MONTH = "|".join(MONTHS)
ABBREVIATIONS = {
    "United States": "US", "United Kingdom": "UK", "for example": "e.g.", "approximately": "approx.",
    "versus": "vs.", "Saint": "St.",
    "Doctor": "Dr.", "European Union": "EU", "United Nations": "UN", "that is": "i.e.", "World War II": "WWII",
    "World War I": "WWI",
    "number": "no.", "U.S.": "United States", "US": "United States", "UK": "United Kingdom", "EU": "European Union",
    "vs.": "versus",
}  # fmt: skip
CONTRACTIONS = {
    "do not": "don't", "does not": "doesn't", "did not": "didn't", "is not": "isn't", "are not": "aren't", "was not": "wasn't",
    "were not": "weren't", "cannot": "can't", "can not": "can't", "could not": "couldn't", "will not": "won't",
    "would not": "wouldn't",
    "has not": "hasn't", "have not": "haven't", "had not": "hadn't", "should not": "shouldn't", "it is": "it's",
    "you are": "you're",
    "we are": "we're", "they are": "they're", "you have": "you've", "we will": "we'll", "that is": "that's",
}  # fmt: skip
CENTURIES = {
    "10th": "tenth", "11th": "eleventh", "12th": "twelfth", "15th": "fifteenth", "16th": "sixteenth",
    "17th": "seventeenth",
             "18th": "eighteenth", "19th": "nineteenth", "20th": "twentieth"}  # fmt: skip
CONNECTIVES = (
    "However", "Moreover", "In addition", "Therefore", "Thus", "Furthermore", "Additionally", "In contrast", "Here",
    "Finally",
               "Interestingly", "Importantly", "Also", "Overall", "Meanwhile", "For example", "In fact", "As a result")  # fmt: skip
FUNCTION_WORDS = {
    "The", "A", "An", "In", "It", "This", "These", "Those", "They", "He", "She", "We", "You", "If", "When", "After",
    "At",
                  "For", "With", "As", "On", "By", "All", "Both", "Most", "Many", "Some", "There", "His", "Her",
                  "Its", "Their", "Our",
                  "Your", "To", "From", "Although", "While", "Because", "Since", "Before", "During", "Please"}  # fmt: skip


def capital(text: str) -> str:
    """The same with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def uncapital(text: str) -> str:
    """The same with a first word that is no name in lower case."""
    return text[:1].lower() + text[1:] if text.split(" ", 1)[0].strip(",") in FUNCTION_WORDS else text


def _swap(
    text: str, table: Mapping[str, str], rng: random.Random, most: int = 1, before: str = r"\b", after: str = r"\b"
) -> str | None:
    found = list(
        re.finditer(rf"{before}(?:{'|'.join(re.escape(one) for one in sorted(table, key=len, reverse=True))}){after}", text)
    )
    for one in sorted(rng.sample(found, min(most, len(found))), key=lambda match: -match.start()):
        text = text[: one.start()] + table[one.group()] + text[one.end() :]
    return text if found else None


def clause_to_the_end(text: str, following: str, rng: random.Random) -> str | None:
    """'In 1990, X did Y.' becomes 'X did Y in 1990.'."""
    found = re.fullmatch(
        r"(In|During|After|Before|When|If|Although|While|Because|By|At|On|For|Since|To|Among|With) ([^,;]{4,90}), ([^;]+)\.", text
    )
    return f"{capital(found[3])} {found[1].lower()} {found[2]}." if found else None


def clause_to_the_front(text: str, following: str, rng: random.Random) -> str | None:
    """'X did Y because Z.' becomes 'Because Z, X did Y.'."""
    found = re.fullmatch(r"([^,;]{15,}) (?<!and )(because|when|if|although|while|after|before|during) (?!and )([^,;]{8,})\.", text)
    return f"{capital(found[2])} {found[3]}, {uncapital(found[1])}." if found else None


def synonyms(text: str, following: str, rng: random.Random) -> str | None:
    """Up to three words become synonyms."""
    return _swap(text, SYNONYMS, rng, most=3)


def passive_to_active(text: str, following: str, rng: random.Random) -> str | None:
    """'X was founded by Y.' becomes 'Y founded X.'."""
    found = re.fullmatch(r"([^,;]{3,60}?) (?:was|were) (\w+ed|built|written|made) by ([^,;]{3,60})\.", text)
    return f"{capital(found[3])} {found[2].replace('written', 'wrote')} {uncapital(found[1])}." if found else None


def number_words(text: str, following: str, rng: random.Random) -> str | None:
    """'5' becomes 'five', or the other way; '1,000' becomes 'one thousand'."""
    plain = _swap(text, DIGIT_WORDS, rng, before=r"(?<=[a-z] )", after=r"(?= [a-z])(?! (?:to|a\.m|p\.m|h|min|[a-z]{1,2}) )")
    return plain or _swap(text, _WORD_DIGITS, rng, before=r"(?<=[a-z] )", after=r"(?= [a-z])(?! (?:of|to|hundred|thousand)\b)")


def number_grouping(text: str, following: str, rng: random.Random) -> str | None:
    """'1,000' becomes '1000' and the other way; '5 million' becomes '5,000,000'."""
    if found := re.search(r"(?<![\d.,])(\d{1,3}) (million|billion)\b", text):
        size = int(found[1]) * (10**6 if found[2] == "million" else 10**9)
        return text[: found.start()] + f"{size:,}" + text[found.end() :]
    if found := re.search(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])", text):
        return text[: found.start()] + found.group().replace(",", "") + text[found.end() :]
    if found := re.search(r"(?<![\d.,$\w])(?:[3-9]\d{3}|\d{5,6})(?![\d.,\w-])", text):
        return text[: found.start()] + f"{int(found.group()):,}" + text[found.end() :]
    return None


def percent(text: str, following: str, rng: random.Random) -> str | None:
    """'50 %' becomes '50 percent', '50 per cent' or 'half'."""
    if found := re.search(r"(?<![\d.,-])(50|25|75|20|10) ?(?:%|percent|per cent) of\b", text):
        return text[: found.start()] + SHARES[found[1]] + " of" + text[found.end() :]
    found = re.search(r"(\d) ?(%|percent\b|per cent\b)", text)
    if not found:
        return None
    forms = [one for one in ("%", " %", " percent", " per cent") if one.strip() != found[2]]
    return text[: found.start()] + found[1] + rng.choice(forms) + text[found.end() :]


def times(text: str, following: str, rng: random.Random) -> str | None:
    """'3 p.m.' becomes '15:00'."""
    found = re.search(r"\b(\d{1,2})(?::(\d\d))? ?([ap])\.?m\b\.?", text)
    if not found:
        return None
    hour = int(found[1]) % 12 + (12 if found[3] == "p" else 0)
    new = text[: found.start()] + f"{hour}:{found[2] or '00'}" + text[found.end() :]
    return new if new.endswith(".") else new + "."


def dates(text: str, following: str, rng: random.Random) -> str | None:
    """'12 March 1990', 'March 12, 1990', '1990-03-12', '12 Mar 1990' and '10th century' change into one another."""
    found = re.search(rf"\b(\d{{1,2}}) ({_MONTH}) (\d{{4}})\b", text)
    parts = (int(found[1]), found[2], found[3]) if found else None
    if parts is None and (found := re.search(rf"\b({_MONTH}) (\d{{1,2}}), (\d{{4}})\b", text)):
        parts = (int(found[2]), found[1], found[3])
    if parts is None or found is None:
        return _swap(text, CENTURIES, rng, after=r"(?=[ -]centur)")
    day, month, year = parts
    forms = [
        f"{day} {month} {year}",
        f"{month} {day}, {year}",
        f"{year}-{MONTHS.index(month) + 1:02}-{day:02}",
        f"{day} {month[:3]} {year}",
    ]
    return text[: found.start()] + rng.choice([one for one in forms if one != found.group()]) + text[found.end() :]


def contractions(text: str, following: str, rng: random.Random) -> str | None:
    """'do not' becomes 'don't', and the other way."""
    back = {short: long for long, short in CONTRACTIONS.items() if "not" in long and short != "can't"} | {"can't": "cannot"}
    return _swap(text, CONTRACTIONS, rng, most=3) or _swap(text, back, rng, most=3)


def abbreviations(text: str, following: str, rng: random.Random) -> str | None:
    """A name is written short or long, or stands as the short form that the sentence itself gives in brackets."""
    if found := re.search(r"((?:[\w-]+ ){1,6})\(([A-Z][A-Za-z]{1,6})\)", text):
        words, letters = found[1].split(), found[2].lower().rstrip("s")
        named = words[-len(letters) :]
        if "".join(word[0].lower() for word in named) == letters:
            at = text.index(" ".join(named))
            return capital(text[:at] + (found[2] if rng.random() < 0.5 else " ".join(named)) + text[found.end() :])
    return _swap(text, ABBREVIATIONS, rng, before=r"(?<!\w)", after=r"(?![\w.])")


def unit_names(text: str, following: str, rng: random.Random) -> str | None:
    """'5 kg' becomes '5 kilograms', '$5' becomes '5 dollars' or 'USD 5'."""
    if found := re.search(r"\$(\d[\d,.]*\d|\d)(?! (?:million|billion))", text):
        return (
            text[: found.start()] + rng.choice((f"{found[1]} dollars", f"USD {found[1]}", f"US${found[1]}")) + text[found.end() :]
        )
    return _swap(text, UNIT_NAMES, rng, before=r"(?<=\d )", after=r"(?![\w/^.])")


def connective_dropped(text: str, following: str, rng: random.Random) -> str | None:
    """'However, X.' becomes 'X.', and a bare 'also' goes."""
    found = re.match(rf"(?:{'|'.join(CONNECTIVES)}), ", text)
    if found:
        return capital(text[found.end() :])
    return text.replace(" also ", " ", 1) if " also " in text else None


def brackets_dropped(text: str, following: str, rng: random.Random) -> str | None:
    """What stands in brackets goes."""
    new = re.sub(r" \([^()]*\)", "", text)
    return new if new != text and len(new.split()) >= 5 else None


def fused(text: str, following: str, rng: random.Random) -> str | None:
    """Two sentences that follow one another become one."""
    if not following.endswith(".") or not 4 <= len(following.split()) <= 25 or len(text.split()) > 25:
        return None
    return f"{text[:-1]}{rng.choice((', and ', '; ', ', while '))}{uncapital(following)}"


def quoted(text: str, following: str, rng: random.Random) -> str | None:
    """Words that an answerer puts around what it found."""
    lead = rng.choice(("According to the document, ", "As stated there, ", "Yes: ", "The text says that "))
    return lead + uncapital(text)


def mixed(text: str, following: str, rng: random.Random) -> str | None:
    """Three or more rewordings, one after the other."""
    done = 0
    for name in rng.sample(sorted(set(PARAPHRASES) - {"mixed", "fused"}), len(PARAPHRASES) - 2):
        new = PARAPHRASES[name](text, following, rng)
        if new is not None and new != text:
            text, done = new, done + 1
        if done == 4:
            break
    return text if done >= 3 else None


PARAPHRASES: dict[str, Rewrite] = {
    "clause to the end": clause_to_the_end,
    "clause to the front": clause_to_the_front,
    "synonyms": synonyms,
    "active": passive_to_active,
    "number words": number_words,
    "number grouping": number_grouping,
    "percent": percent,
    "times": times,
    "dates": dates,
    "contractions": contractions,
    "abbreviations": abbreviations,
    "unit names": unit_names,
    "connective dropped": connective_dropped,
    "brackets dropped": brackets_dropped,
    "fused": fused,
    "quoted": quoted,
    "mixed": mixed,
}
