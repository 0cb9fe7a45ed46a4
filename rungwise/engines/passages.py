"""Passages of documents and solved questions, searchable by words and kept as plain files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rungwise.core.content import Passage
from rungwise.core.dataset import Example
from rungwise.core.errors import Corrupt
from rungwise.data.documents import Document, Section, split_sections
from rungwise.engines.lexical import LexicalIndex, Words, build_index, load_index

PASSAGES, ANSWERS = "passages.json", "answers.json"
"""The files beside the index: what is found by it."""

_WORDS = Words(stem=True)


@dataclass(frozen=True, slots=True)
class PassageIndex:
    """The sections of documents, found by BM25 on their text and headings."""

    index: LexicalIndex
    passages: Sequence[Passage]

    def search(self, query: str, k: int) -> tuple[Passage, ...]:
        """The `k` best passages for a query, best first, each with its score; those that share no word are left out."""
        return tuple(replace(self.passages[number], score=score) for number, score in self.index.search(query, k))


@dataclass(frozen=True, slots=True)
class QuestionIndex:
    """Questions whose answer is known."""

    index: LexicalIndex
    answers: Sequence[str]

    def nearest(self, question: str) -> tuple[str, float] | None:
        """The answer to the known question most alike by words, and the Jaccard similarity in (0, 1]; None if none is alike."""
        found = self.index.overlap(question, 1)
        return (self.answers[found[0][0]], found[0][1]) if found else None


def passage_files(documents: Sequence[Document]) -> dict[str, bytes]:
    """The searchable sections of documents, as files."""
    sections = [section for document in documents for section in split_sections(document)]
    index = build_index([_searched(section) for section in sections], words=_WORDS)
    found = [[section.text, section.document, section.start, section.end] for section in sections]
    return {**index.files(), PASSAGES: json.dumps(found, ensure_ascii=False).encode("utf-8", "surrogatepass")}


def load_passages(files: Mapping[str, bytes]) -> PassageIndex:
    """What `passage_files` made. Raises Corrupt when it is not that."""
    try:
        passages = [Passage(*found) for found in json.loads(files[PASSAGES])]
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt(f"the passages of a search index cannot be read ({error}). Run the climb again to make it") from error
    return PassageIndex(_checked(load_index(files), passages), passages)


def question_files(rows: Sequence[Example]) -> dict[str, bytes]:
    """Training questions with their first answer, as files."""
    index = build_index([row.text for row in rows])
    answers = json.dumps([row.label for row in rows], ensure_ascii=False)
    return {**index.files(), ANSWERS: answers.encode("utf-8", "surrogatepass")}


def load_questions(files: Mapping[str, bytes]) -> QuestionIndex:
    """What `question_files` made. Raises Corrupt when it is not that."""
    try:
        answers = json.loads(files[ANSWERS])
    except (KeyError, ValueError) as error:
        raise Corrupt(f"the answers of a search index cannot be read ({error}). Run the climb again to make it") from error
    return QuestionIndex(_checked(load_index(files), answers), answers)


def _searched(section: Section) -> str:
    """Headings are searched with the text: they often hold the word that the text takes for granted."""
    return "\n".join((*section.headings, section.text))


def _checked(index: LexicalIndex, found: Sequence[object]) -> LexicalIndex:
    if index.size != len(found):
        raise Corrupt("the files of a search index do not belong together. Run the climb again to make it")
    return index
