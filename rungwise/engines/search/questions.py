"""Solved questions, found by the words that they share with a new one, and kept as plain files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rungwise.core.dataset import Example
from rungwise.core.errors import Corrupt
from rungwise.engines.search.lexical import LexicalIndex
from rungwise.engines.search.postings import index_terms, load_postings
from rungwise.engines.search.terms import Words

ANSWERS = "answers.json"
"""The file beside the index: what is found by it."""


@dataclass(frozen=True, slots=True)
class QuestionIndex:
    """Questions whose answer is known."""

    index: LexicalIndex
    answers: Sequence[str]

    def nearest(self, question: str) -> tuple[str, float] | None:
        """The answer to the known question most alike by words, and the Jaccard similarity in (0, 1]; None if none is alike."""
        numbers, alike = self.index.overlap(question, 1)
        return (self.answers[int(numbers[0])], float(alike[0])) if len(numbers) else None


def question_files(rows: Sequence[Example]) -> dict[str, bytes]:
    """Training questions with their first answer, as files."""
    answers = json.dumps([row.label for row in rows], ensure_ascii=False)
    postings = index_terms([row.text for row in rows], words=Words())
    return {**postings.files(), ANSWERS: answers.encode("utf-8", "surrogatepass")}


def load_questions(files: Mapping[str, bytes]) -> QuestionIndex:
    """What `question_files` made. Raises Corrupt when it is not that."""
    try:
        answers = json.loads(files[ANSWERS])
    except (KeyError, ValueError) as error:
        raise Corrupt(f"the answers of a search index cannot be read ({error}). Run the climb again to make it") from error
    index = LexicalIndex.of([load_postings(files)])
    if index.size != len(answers):
        raise Corrupt("the files of a search index do not belong together. Run the climb again to make it")
    return QuestionIndex(index, answers)
