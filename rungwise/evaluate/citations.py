"""Whether an answer's citations are verbatim, needed and enough, and how much of the answer its sources say.

Citation recall and precision are those of ALCE (Gao et al. 2023, arXiv 2305.14627), with the checks of
`groundedness` in the place of its entailment model: `supports(sentence, texts)` may be any other judge.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from rungwise.core.content import Citation, Passage, Response
from rungwise.core.dataset import Example
from rungwise.engines.sentences import split_sentences
from rungwise.evaluate.groundedness import is_grounded

Supports: TypeAlias = Callable[[str, Sequence[str]], bool]


def checks(sentence: str, texts: Sequence[str]) -> bool:
    """Whether the checks of groundedness find nothing wrong with the sentence beside these texts."""
    return bool(texts) and is_grounded(sentence, texts).grounded


def is_verbatim(citation: Citation, text: str) -> bool:
    """Whether the quote is exactly the characters `start` to `end` of the document's text, and not nothing."""
    return 0 <= citation.start < citation.end <= len(text) and text[citation.start : citation.end] == citation.quote


def verbatim_share(citations: Sequence[Citation], documents: Mapping[str, str]) -> float:
    """The share of citations that are verbatim in `documents` (id to text); NaN without citations. An unknown document has none."""
    if not citations:
        return math.nan
    return sum(one.document in documents and is_verbatim(one, documents[one.document]) for one in citations) / len(citations)


def citation_recall(response: Response, *, supports: Supports = checks) -> float:
    """The share of the answer's sentences that their citations together support; NaN for an answer without text."""
    sentences = _sentences(response)
    if not sentences:
        return math.nan
    return sum(supports(text, [one.quote for one in cited]) for text, cited in sentences) / len(sentences)


def citation_precision(response: Response, *, supports: Supports = checks) -> float:
    """The share of citations that their sentence needs; 0 for an answer that cites nothing, NaN for one without text.

    A citation counts where all citations of its sentence together support it, unless it supports it not even in part:
    alone it does not, and the others do without it.
    """
    sentences = _sentences(response)
    if not sentences:
        return math.nan
    needed = total = 0
    for text, cited in sentences:
        quotes = [one.quote for one in cited]
        total += len(quotes)
        if not quotes or not supports(text, quotes):
            continue
        for place, quote in enumerate(quotes):
            others = [*quotes[:place], *quotes[place + 1 :]]
            needed += supports(text, [quote]) or not (others and supports(text, others))
    return needed / total if total else 0.0


def grounded_share(response: Response, *, supports: Supports = checks) -> float:
    """The share of the answer's sentences that its passages and quotes support; NaN for an answer without text."""
    sentences = _sentences(response)
    if not sentences:
        return math.nan
    texts = list(dict.fromkeys([*(one.text for one in response.passages), *(one.quote for one in response.citations)]))
    return sum(supports(text, texts) for text, _ in sentences) / len(sentences)


def verbatim_score(example: Example, response: Response) -> float:
    """The share of citations whose quote stands at its place in a passage that the answer was given; NaN without citations."""
    if not response.citations:
        return math.nan
    return sum(any(_stands_in(one, passage) for passage in response.passages) for one in response.citations) / len(
        response.citations
    )


def recall_score(example: Example, response: Response) -> float:
    """Citation recall of a row's answer."""
    return citation_recall(response)


def precision_score(example: Example, response: Response) -> float:
    """Citation precision of a row's answer."""
    return citation_precision(response)


def groundedness_score(example: Example, response: Response) -> float:
    """The share of a row's answer that its sources support, by sentences."""
    return grounded_share(response)


def _sentences(response: Response) -> list[tuple[str, list[Citation]]]:
    """The sentences of the answer, each with its citations; one without `claim` belongs to all of them."""
    found = []
    for start, end in split_sentences(response.text):
        cited = [one for one in response.citations if one.claim is None or (one.claim[0] < end and start < one.claim[1])]
        found.append((response.text[start:end], cited))
    return found


def _stands_in(citation: Citation, passage: Passage) -> bool:
    """Whether the passage covers the citation's place in the same version of the document, with the same characters."""
    if passage.document != citation.document or (citation.version and passage.version and citation.version != passage.version):
        return False
    start, end = citation.start - passage.start, citation.end - passage.start
    return 0 <= start < end <= len(passage.text) and passage.text[start:end] == citation.quote
