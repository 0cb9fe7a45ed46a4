"""Questions made from documents without a model, for those who have none: sentences with a gap, and sections by heading."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from random import Random
from typing import NamedTuple

from rungwise.core.dataset import Example
from rungwise.data.documents import Document
from rungwise.data.splits import SYNTHETIC
from rungwise.engines.chunking.blocks import HEADING, LIST, TEXT, Block, blocks, is_markdown
from rungwise.engines.chunking.chunk import TextChunk
from rungwise.engines.chunking.outline import outline
from rungwise.engines.chunking.structure import sections
from rungwise.engines.citing import content_words
from rungwise.engines.sentences import split_sentences

CLOZE, HEADINGS = "cloze", "heading"
"""How such a row says that it was made up: the value of its field `synthetic`."""

_SAMPLED = 4  # documents that are looked at for each question wanted
_READ = 40_000  # characters of a document that are looked at
_AROUND = 9  # words that are kept on each side of a gap: a question is shorter than the sentence that answers it
_LEAST_WORDS = 3  # words that say something, without which a question is too vague to have one answer
_LENGTHS = range(40, 401)  # characters of a sentence that is asked about

_AMOUNT = re.compile(r"(?<![\w.,])[$€£]?\d(?:[\d.,]*\d)?(?:\s?%|(?= ))?(?![\w%])")
_NAME = re.compile(r"(?<=[a-z,;] )[A-ZÀ-Þ][\w’'-]+(?: (?:of |de |da |von )?[A-ZÀ-Þ][\w’'-]+){0,3}")
_RARE = re.compile(r"[^\W\d_][^\W\d_-]{4,}")
_NOUN = re.compile(  # after one of these words stands a noun, or what goes with one
    r"\b(?:the|an?|of|by|for|with|in|on|from|their|its|your|our|every|each|any|no|all|these|this) ([^\W\d_][^\W\d_-]{4,})(?![\w-])"
)
_NOT_NOUN = ("ly", "ing", "ed")
_WORD = re.compile(r"\w+")
_YEAR = re.compile(r"(?:1[5-9]|20)\d\d$")
_FUNCTION = frozenset(
    ["the", "of", "and", "to", "in", "is", "that", "for", "it", "are", "with", "as", "this", "be", "on", "by", "from"]
)
_GAP = "___"


class _Draft(NamedTuple):
    kind: str
    question: str
    answer: str
    words: frozenset[str]


def questions_of(documents: Sequence[Document], *, count: int, seed: int) -> list[Example]:
    """Up to `count` questions with their answers, half with a gap and half by heading as far as there are both.

    A reference is exactly what stands in the document, which the field `document` and the group name. Every word of a
    question that says something stands in that document, and in no other do they all stand, so that there is one right
    document. So they favour a search by words: it found the document first for 98 % of the gaps and all of the headings, and
    for 30 % and 59 % of real questions (help pages, SciFact), where a search by meaning is better than it was on the gaps.
    They tell whether an index works and compare chunks; they must not choose between words and meaning, nor prove a target
    (benchmarks/questions.py). A row is marked as made up, and never becomes a sealed one.
    The same documents, count and seed give the same questions.
    """
    rng = Random(seed)
    order = rng.sample(range(len(documents)), min(len(documents), _SAMPLED * count))
    corpus = _Corpus(documents, order)
    drafts = {number: _drafts(documents[number], corpus, rng) for number in order}
    found: list[Example] = []
    seen: set[str] = set()
    made = {CLOZE: 0, HEADINGS: 0}
    while len(found) < count and drafts:
        for number in list(drafts):
            draft = _next(drafts[number], made, seen, corpus, number)
            if draft is None:
                del drafts[number]
                continue
            seen.add(draft.question.casefold())
            made[draft.kind] += 1
            found.append(_example(draft, documents[number]))
            if len(found) == count:
                break
    return found


def searches_of(questions: Sequence[Example]) -> list[Example]:
    """The same questions for the task search: what is to be found is the document."""
    return [replace(one, references=(one.fields["document"],)) for one in questions if "document" in one.fields]


def is_answerable(question: str, answer: str, chunk: TextChunk, others: Sequence[TextChunk] = ()) -> bool:
    """Whether a question made from a chunk has its answer there, word for word, does not hold it itself, and has it only there.

    Another chunk answers it equally when it holds the answer too and as many of the question's words that say something.
    """
    words = _terms(question)
    shared = len(words & _terms(chunk.searched))
    if not answer.strip() or answer not in chunk.text or shared == 0 or _holds(question, answer):
        return False
    rivals = (one for one in others if (one.document, one.start) != (chunk.document, chunk.start) and answer in one.text)
    return all(len(words & _terms(one.searched)) < shared for one in rivals)


def _next(drafts: list[_Draft], made: Mapping[str, int], seen: set[str], corpus: _Corpus, number: int) -> _Draft | None:
    """The next draft of a document that can be used, of the kind of which there are fewer if there is one."""
    wanted = min(made, key=lambda kind: (made[kind], kind))
    drafts.sort(key=lambda draft: draft.kind != wanted)
    while drafts:
        draft = drafts.pop(0)
        if draft.question.casefold() not in seen and corpus.only(draft.words, number):
            return draft
    return None


def _example(draft: _Draft, document: Document) -> Example:
    fields = {SYNTHETIC: draft.kind, "document": document.id}
    return Example(text=draft.question, references=(draft.answer,), group=document.id, fields=fields)


class _Corpus:
    """Which documents, ascending, hold each of the words that the sampled ones hold."""

    def __init__(self, documents: Sequence[Document], sampled: Sequence[int]) -> None:
        words = sorted({word for number in sampled for word in _terms(documents[number].text[:_READ])})
        self.holders: dict[str, array[int]] = {word: array("q") for word in words}
        self.rare = max(2, len(documents) // 20)  # a word that so many documents hold is rare still
        for number, document in enumerate(documents):
            for word in _terms(document.text) & self.holders.keys():
                self.holders[word].append(number)

    def count(self, word: str) -> int:
        """How many documents hold a word; 0 where it says nothing."""
        return max((len(self.holders.get(term, ())) for term in _terms(word)), default=0)

    def only(self, words: frozenset[str], number: int) -> bool:
        """Whether one document alone holds all the words."""
        if any(word not in self.holders for word in words):
            return False
        left: set[int] | None = None
        for word in sorted(words, key=lambda word: (len(self.holders[word]), word)):
            left = set(self.holders[word]) if left is None else left.intersection(self.holders[word])
            if left == {number}:
                return True
        return False


def _drafts(document: Document, corpus: _Corpus, rng: Random) -> list[_Draft]:
    text = document.text[:_READ]
    found = list(blocks(text, markdown=is_markdown(document)))
    drafts = [*_by_heading(text, found), *_with_gap(text, found, corpus, rng)]
    rng.shuffle(drafts)
    return drafts


def _by_heading(text: str, found: Sequence[Block]) -> Iterator[_Draft]:
    """What the first sentence of a section says, asked by the headings that lead to it."""
    above = outline(found)
    for section in sections(found):
        body = next((block for block in section if block.kind == TEXT), None)
        if body is None or section[0].kind != HEADING:
            continue
        path, _ = above.path(text, section[0].start, body.end)
        start, end = split_sentences(text[body.start : body.end])[0]
        answer = text[body.start + start : body.start + end]
        name, *over = reversed([_lowered(name) for name in path])
        question = f"What is said about {name}{''.join(f', in {one}' for one in over[:1])}?"
        words = frozenset(_terms(" ".join(path[-2:])))
        if len(answer) in _LENGTHS and words and not _holds(question, answer):
            yield _Draft(HEADINGS, question, answer, words)


def _lowered(name: str) -> str:
    """A heading within a sentence: its first word in small letters, unless it is written in capitals."""
    return name if name[1:2].isupper() or name.startswith(("I ", "I'")) else name[:1].lower() + name[1:]


def _with_gap(text: str, found: Sequence[Block], corpus: _Corpus, rng: Random) -> Iterator[_Draft]:
    for block in found:
        if block.kind not in (TEXT, LIST):
            continue
        for start, end in split_sentences(text[block.start : block.end]):
            sentence = text[block.start + start : block.start + end]
            if end - start not in _LENGTHS or "|" in sentence or "`" in sentence:
                continue
            gaps = [(own.start(), own.end()) for pattern in (_AMOUNT, _NAME) for own in pattern.finditer(sentence)]
            gaps += _rare(sentence, corpus)
            draft = _gapped(sentence, *rng.choice(gaps)) if gaps else None
            if draft is not None:
                yield draft


def _rare(sentence: str, corpus: _Corpus) -> list[tuple[int, int]]:
    """The span of the rarest noun of a sentence, if it is rare, with a rare word directly after it."""
    english = _is_english(sentence)
    rare = {own.start(): own.end() for own in _RARE.finditer(sentence) if 0 < corpus.count(own[0]) <= corpus.rare}
    likely = {own.start(1) for own in _NOUN.finditer(sentence) if not own[1].endswith(_NOT_NOUN)} if english else set(rare)
    if not likely & rare.keys():
        return []
    start = min(likely & rare.keys(), key=lambda at: (corpus.count(sentence[at : rare[at]]), at))
    end = rare[start]
    return [(start, rare.get(end + 1, end) if sentence[end : end + 1] == " " else end)]


def _terms(text: str) -> set[str]:
    """The words of a text that say something, without their endings."""
    return {term for word in set(_WORD.findall(text.casefold())) if (term := _term(word))}


@lru_cache(maxsize=1 << 17)
def _term(word: str) -> str:
    return next(iter(content_words(word)), "")


def _gapped(sentence: str, start: int, end: int) -> _Draft | None:
    """The words around an answer, with what is asked for in its place."""
    answer = sentence[start:end]
    before, after = sentence[:start].split(), sentence[end:].split()
    glued = [sentence[:start][-1:].strip(), sentence[end:][:1].strip()]
    if (glued[0] and glued[0] not in "(\"'“‘[") or (glued[1] and (glued[1].isalnum() or glued[1] in "-/'’")):
        return None
    kept = " ".join(before[-_AROUND:]).strip(" -*•>#_"), " ".join(after[:_AROUND])
    asked = _asked(answer, before, after) if _is_english(sentence) else _GAP
    question = f"{kept[0]} {asked}{' ' if not glued[1] else ''}{kept[1]}".strip().rstrip(".!?;:, ")
    question = question[:1].upper() + question[1:] + "?"
    words = frozenset(_terms(" ".join(kept)))
    if len(words) < _LEAST_WORDS or _holds(question, answer):
        return None
    return _Draft(CLOZE, question, answer, words)


def _asked(answer: str, before: Sequence[str], after: Sequence[str]) -> str:
    """What stands in a question in the place of the answer."""
    if answer[0] in "$€£":
        return "how much"
    if answer[-1] == "%":
        return "what percentage"
    if not answer[0].isdigit():
        return "who or what" if answer[0].isupper() and " " in answer else "what"
    if _YEAR.match(answer) and before and before[-1].lower() in ("in", "since", "by", "from", "until", "of", "during"):
        return "which year"
    return "how many" if after and after[0][:1].islower() else "which number"


def _is_english(sentence: str) -> bool:
    words = sentence.lower().split()
    return 8 * sum(word in _FUNCTION for word in words) >= len(words)


def _holds(question: str, answer: str) -> bool:
    """Whether a question gives its answer away."""
    return f" {_flat(answer)} " in f" {_flat(question)} "


def _flat(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
