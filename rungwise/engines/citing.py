"""What a language model cited, read back: sentences, the passages they name, and the exact span that each rests on."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from rungwise.engines.search.languages import light_stem, stop_words
from rungwise.engines.search.terms import Words
from rungwise.engines.sentences import Span, split_sentences

WINDOW = 3
"""The most sentences in a row that one statement is aligned with."""

ANOTHER = 0.12
"""The share of a statement's words that one more sentence must add to be part of its evidence."""

_LIST = r"\d{1,3}(?:\s*(?:,|;|&|and|-|–|—)\s*(?:and\s+)?\d{1,3}){0,20}"
_NAMED = r"(?:(?:passages?|sources?|documents?|refs?\.?|nos?\.?)\s*)"
# As asked for: [1], [1, 2], [1-3]. As it happens: [^1], [1](a link), [passage 1], 【1†source】, (passage 1), a bracket that
# is not closed before the sentence ends, or was not opened. Four digits are a year, and (1) may number a list: those stay text.
_MARK = rf"""(?:
    \[\s*\^?{_NAMED}?{_LIST}\s*\](?:\([^()\s]{{0,200}}\))?
  | 【\s*{_NAMED}?{_LIST}\s*(?:†[^】\n]{{0,80}})?】
  | \(\s*{_NAMED}{_LIST}\s*\)
  | <sup>\s*\[?{_LIST}\]?\s*</sup>
  | \[\s*{_NAMED}?{_LIST}(?=\s*(?:[.!?](?:\s|$)|$|\n))
  | (?<=[\s.!?]){_LIST}\](?=\s*(?:[.!?,;]|$|\n))
)"""
_RUN = re.compile(rf"{_MARK}(?:\s*[,;]?\s*(?:and\s+)?{_MARK})*", re.VERBOSE | re.IGNORECASE)
_LEAD = re.compile(r"(?:according to|as (?:stated|described|noted|said|written|shown) (?:in|by)|in|per|from)[ \t]+$", re.IGNORECASE)
_LONGEST_LEAD = 40
_SUBJECT = re.compile(r"[ \t]+(?:says?|states?|shows?|notes?|explains?|mentions?|describes?|confirms?|does|also)\b")
_NUMBERS = re.compile(r"(\d{1,3})(?:\s*[-–—]\s*(\d{1,3}))?")
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)
_LINE_START = re.compile(r"[ \t]*(?:[-*+•][ \t]+|\d{1,3}[.)][ \t]+)?\Z")

_STOP = stop_words("en")
_PIECES = Words(stop=True, stem=True)
_WORD = re.compile(r"\d+\.\d+|\w+(?:['’]\w+)*")
_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?")
_SAYS_NOTHING = (
    "yes no sure okay ok indeed correct right here however therefore also so thus "
    "i you we he she they his her its our your my me him them us do does did has have had can may"
)
_EMPTY = frozenset(_SAYS_NOTHING.split())


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence of an answer without its markers; `marks` are passages by number from 1, `wrong` numbers that are none.

    `gap` is the white space that stood before it.
    """

    text: str
    marks: tuple[int, ...] = ()
    wrong: tuple[int, ...] = ()
    gap: str = " "


def read_cited(text: str, count: int) -> tuple[Statement, ...]:
    """The sentences of an answer that cites `count` passages as [n], in any of the ways in which models write that.

    A marker belongs to the sentence that it stands in or behind, at the start of a line to the one that follows. Markers in code
    stay text.
    """
    clean, marks = _without_marks(text, count)
    spans = split_sentences(clean)
    if not spans:
        return ()
    starts, ends = [start for start, _ in spans], [end for _, end in spans]
    held: list[list[int]] = [[] for _ in spans]
    for place, leads, numbers in marks:
        behind = max(0, bisect_left(starts, place) - 1)
        following = bisect_right(ends, place)
        held[following if leads and following < len(spans) else behind] += numbers
    before = 0
    statements = []
    for (start, end), numbers in zip(spans, held, strict=True):
        known = [number for number in dict.fromkeys(numbers) if 1 <= number <= count]
        wrong = [number for number in dict.fromkeys(numbers) if not 1 <= number <= count]
        statements.append(Statement(clean[start:end], tuple(known), tuple(wrong), clean[before:start]))
        before = end
    return tuple(statements)


def _without_marks(text: str, count: int) -> tuple[str, list[tuple[int, bool, list[int]]]]:
    """The text without markers, and (place in it, whether a line begins with it, numbers) of each run of them."""
    code = [match.span() for match in _CODE.finditer(text)]
    clean, at = "", 0
    marks: list[tuple[int, bool, list[int]]] = []
    for run in _RUN.finditer(text):
        if any(start <= run.start() < end for start, end in code):
            continue
        clean += text[at : run.start()]
        at = run.end()
        numbers = _numbers(run[0], count)
        lead = _LEAD.search(clean, max(0, len(clean) - _LONGEST_LEAD))
        if lead is not None and _starts_sentence(clean[: lead.start()]):
            # "According to [1], it is free." says no more than "It is free. [1]"
            clean = clean[: lead.start()]
            at = _after(text, at, " \t,:")
            if text[at : at + 1].isalpha():
                clean, at = clean + text[at].upper(), at + 1
            marks.append((len(clean), False, numbers))
            continue
        if _SUBJECT.match(text, at):  # the marker is a word of the sentence
            clean += "The passage" if _starts_sentence(clean) else "the passage"
            marks.append((len(clean), False, numbers))
            continue
        said = _after(text, at, " \t.,;:")
        leads = bool(_LINE_START.match(clean, clean.rfind("\n") + 1)) and text[said : said + 1] not in ("", "\n")
        if leads:
            at = _after(text, at, " \t:")
        elif not text[at : at + 1].strip() or text[at] in ".,;:!?)":
            clean = clean.rstrip(" \t")
        marks.append((len(clean), leads, numbers))
    return clean + text[at:], marks


def _after(text: str, at: int, letters: str) -> int:
    """The first place from `at` on that holds none of these letters."""
    while at < len(text) and text[at] in letters:
        at += 1
    return at


def _starts_sentence(before: str) -> bool:
    return not before.strip() or before.rstrip()[-1] in ".!?\n" or before[-1] == "\n"


def _numbers(run: str, count: int) -> list[int]:
    found: list[int] = []
    for match in _NUMBERS.finditer(run):
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        first, last = min(first, last), max(first, last)
        # A range ends where the passages do; its ends are kept even so, to be told as wrong.
        found += dict.fromkeys([first, *range(max(first, 1), min(last, count) + 1), last])
    return found


def content_words(text: str) -> list[str]:
    """The stems of the words that say something, in order: no stop words, pronouns, or words like 'yes'. 1,200.0 is 1200."""
    words = (word.casefold() for word in _WORD.findall(_NUMBER.sub(_plain_number, text)))
    return [light_stem(word) for word in words if word not in _STOP and word not in _EMPTY]


def _told(text: str) -> set[str]:
    """The words that a text and a statement of it share; in scripts without spaces also pieces of one and two characters."""
    words = set(content_words(text))
    return words if text.isascii() else words | set(_PIECES.terms(text))


def align(statement: str, text: str, *, barred: Sequence[Span] = ()) -> Span | None:
    """The sentences in a row, three at most, of a text that say most of what a statement says; None when they share no word.

    They are those that hold the statement word for word; else those with the largest share of its words, where each sentence
    beyond one must add 0.12 of them; fewer characters on a tie. A sentence that touches one of the `barred` spans is none of them.
    """
    spans = split_sentences(text)
    usable = [not any(start < last and first < end for first, last in barred) for start, end in spans]
    bare = statement.strip().rstrip(".!?").rstrip()
    if bare and (at := text.find(bare)) >= 0 and _whole_words(text, at, at + len(bare)):
        # Never less than a sentence: what stands beside the words may deny them.
        touched = [place for place, (start, end) in enumerate(spans) if start < at + len(bare) and at < end]
        if all(usable[place] for place in touched):
            return spans[touched[0]][0], spans[touched[-1]][1]
    wanted = _told(statement)
    held = [wanted & _told(text[start:end]) if good else set() for (start, end), good in zip(spans, usable, strict=True)]
    if not wanted or not any(held):
        return None
    price = ANOTHER * len(wanted)
    windows = [
        (first, last)
        for first in range(len(spans))
        for last in range(first, min(first + WINDOW, len(spans)))
        if all(usable[first : last + 1])
    ]

    def worth(window: tuple[int, int]) -> tuple[float, int]:
        first, last = window
        covered = set().union(*held[first : last + 1])
        return len(covered) - price * (last - first), spans[first][0] - spans[last][1]

    first, last = max(windows, key=worth)
    return spans[first][0], spans[last][1]


def _whole_words(text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - 1) : start], text[end : end + 1]
    return not (before.isalnum() and text[start].isalnum()) and not (after.isalnum() and text[end - 1].isalnum())


def _plain_number(found: re.Match[str]) -> str:
    return format(Decimal(found[0].replace(",", "")).normalize(), "f")


def sentences_that_say(text: str, said: Sequence[str]) -> bool:
    """Whether one of some fixed sentences stands in a text, whatever its case and punctuation."""
    flat = " ".join(_WORD.findall(text.casefold()))
    return any(" ".join(_WORD.findall(one.casefold())) in flat for one in said)
