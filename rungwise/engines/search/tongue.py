"""In which language documents are searched: that of most of them, where it can be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice

from rungwise.core.errors import MissingExtra
from rungwise.engines.search.languages import stop_words_known
from rungwise.engines.search.terms import Words, words_for

LOOKED_AT = 200
"""Texts whose language is told; they come in the order of their names, so that there is no drawing of lots."""
USUAL = "en"


def words_of(texts: Iterable[str]) -> Words:
    """How these texts become terms: stems and stop words of the language that most of them are in.

    English where none can be told, or without the extra `curation`, which tells them.
    """
    some = list(islice(texts, LOOKED_AT))
    try:
        from rungwise.curate.language import identify

        told = Counter(language for language, _ in identify(some)) if some else Counter[str]()
    except MissingExtra:
        return words_for(USUAL)
    known = [(count, language) for language, count in told.items() if language in stop_words_known()]
    return words_for(max(known, key=lambda pair: (pair[0], pair[1] == USUAL))[1] if known else USUAL)
