"""Answers of a language model in which every statement is held against the text that it cites."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice

from rungwise.core.content import Chunk, Citation, Passage, Request, Response, Text, ToolCall
from rungwise.core.errors import UnknownName
from rungwise.core.types import Responder, collect
from rungwise.engines.citing import Statement, align, content_words, read_cited, sentences_that_say
from rungwise.engines.injection import KINDS, find_instructions
from rungwise.engines.prompts import NO_EVIDENCE
from rungwise.engines.sentences import Span
from rungwise.evaluate.groundedness import supported
from rungwise.inference.wrappers import as_chunk

Supported = Callable[[str, str], bool | float]
"""Whether an evidence (second) says what a statement (first) says, or how sure that is, in [0, 1]."""

UNVERIFIED = "(not verified)"
"""What a statement without support is marked with."""

SURE = 0.5
"""The least score of `Supported` that counts as support."""


@dataclass(frozen=True, slots=True)
class Citing:
    """How an answer is held against its passages.

    A statement without support is left out (`unsupported` is 'remove') or marked ('mark'). With `repair`, one whose own
    citations do not hold is given the passage that does support it, if there is one. Sentences of the kinds `untrusted` talk to the
    model, or ask and tell nothing: they are evidence of nothing, else a model that repeats them would be proved right.
    """

    supported: Supported = supported
    unsupported: str = "remove"
    repair: bool = True
    untrusted: tuple[str, ...] = KINDS

    def __post_init__(self) -> None:
        if self.unsupported not in ("remove", "mark"):
            raise UnknownName("way with unsupported statements", self.unsupported, ("remove", "mark"))


def with_grounding(answer: Responder, how: Citing | None = None) -> Responder:
    """Wrap `answer`, which is shown the request's passages numbered from 1, so that all it says is verified.

    It gives one chunk: the statements that a passage supports, without markers, each with citations whose quote is exactly what
    stands in the document; `claim` is the statement's place in the answer. Where nothing is left, or the model says that
    there is no evidence, the text is empty and `finish` is 'abstained'. Without passages nobody is asked. The confidence is that of
    `answer`, else the share of statements that had support.
    """
    how = how or Citing()

    async def answer_with_citations(request: Request) -> AsyncIterator[Chunk]:
        if not request.passages:
            yield Chunk(finish="abstained", confidence=0.0)
            return
        yield as_chunk(ground(await collect(answer(request)), request.passages, how))

    return answer_with_citations


def with_sources(answer: Responder, how: Citing | None = None) -> Responder:
    """Wrap `answer` so that it keeps its words and gains the citations that hold: for one that was not asked to cite.

    A citation names its statement by `claim` only where every statement has support; whatever has none goes without.
    """
    how = how or Citing()

    async def answer_with_sources(request: Request) -> AsyncIterator[Chunk]:
        whole = await collect(answer(request))
        held = ground(whole, request.passages, how)
        same = held.text == whole.text
        cited = tuple(citation if same else replace(citation, claim=None) for citation in held.citations)
        yield as_chunk(replace(whole, citations=cited))

    return answer_with_sources


def ground(written: Response, passages: Sequence[Passage], how: Citing | None = None) -> Response:
    """An answer with markers like [1] as one with citations. See `with_grounding`."""
    how = how or Citing()
    if written.abstained:
        return replace(written, text="", parts=(), citations=())
    told = [one for one in read_cited(written.text, len(passages)) if not sentences_that_say(one.text, (NO_EVIDENCE,))]
    evidence = [_evidence(one, passages, how) if content_words(one.text) else () for one in told]
    judged = [place for place, one in enumerate(told) if content_words(one.text)]
    held = [place for place in judged if evidence[place]]
    if not held:
        return replace(written, text="", parts=(), finish="abstained", confidence=0.0, citations=())
    keeps = {place for place in range(len(told)) if _owner(place, judged) in held}
    text, citations = "", []
    for place, one in enumerate(told):
        if place not in keeps and how.unsupported == "remove":
            continue
        start = len(text) + len(gap := _gap(one, text))
        text += gap + one.text
        citations += [replace(citation, claim=(start, len(text))) for citation in evidence[place]]
        text += "" if place in keeps else f" {UNVERIFIED}"
    calls = tuple(part for part in written.parts if isinstance(part, ToolCall))
    sure = written.confidence if written.confidence is not None else len(held) / len(judged)
    return replace(written, text=text, parts=(Text(text), *calls), confidence=sure, citations=tuple(citations))


def _owner(place: int, judged: Sequence[int]) -> int:
    """The statement whose fate this one shares: itself, or for a 'Yes.' the next one that says something, else the last."""
    return next((other for other in judged if other >= place), judged[-1])


def _gap(one: Statement, before: str) -> str:
    if not before:
        return ""
    return "\n" * min(2, one.gap.count("\n")) or " "


def _evidence(statement: Statement, passages: Sequence[Passage], how: Citing) -> tuple[Citation, ...]:
    """What a statement rests on: those of its own citations that hold alone, else together, else the passage that supports it."""
    own = [place for number in statement.marks if (place := _aligned(statement.text, passages[number - 1], how)) is not None]
    holding = [citation for citation in own if _holds(statement.text, citation.quote, how)]
    if holding:
        return tuple(holding)
    if len(own) > 1 and _holds(statement.text, "\n".join(citation.quote for citation in own), how):
        return tuple(own)
    others = [passage for number, passage in enumerate(passages, 1) if number not in statement.marks] if how.repair else []
    found = (citation for passage in others if (citation := _aligned(statement.text, passage, how)) is not None)
    return tuple(islice((citation for citation in found if _holds(statement.text, citation.quote, how)), 1))


def _holds(statement: str, evidence: str, how: Citing) -> bool:
    return float(how.supported(statement, evidence)) >= SURE


def _aligned(statement: str, passage: Passage, how: Citing) -> Citation | None:
    """The exact span of a passage that says most of a statement."""
    span = align(statement, passage.text, barred=_barred(passage.text, how.untrusted))
    if span is None:
        return None
    start, end = span
    return Citation(passage.document, passage.start + start, passage.start + end, passage.text[start:end], passage.version)


@lru_cache(maxsize=256)  # the same passages come up again and again, and with every statement of an answer
def _barred(text: str, kinds: tuple[str, ...]) -> tuple[Span, ...]:
    """The spans of a text that are evidence of nothing."""
    return tuple((one.start, one.end) for one in find_instructions(text, kinds=kinds))
