"""What speaks for a sentence, and what a fitted scorer makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rungwise.core.content import Passage
from rungwise.core.dataset import Example
from rungwise.core.errors import Corrupt, UsageError
from rungwise.engines.arrays import SETTINGS
from rungwise.engines.encoders.hashed import encode_hashed
from rungwise.engines.sentence_scorer import FEATURES, SentenceScorer, coverage, features, kind_asked, sentences_of
from rungwise.fit.sentence_scorer import fit_sentence_scorer, holds

GUIDE = Passage(
    "# Returns\n\nYou may return an item within 30 days. The label is in the parcel.\n\n## Costs\n\nReturning is free for members.",
    document="returns.md",
    start=50,
    version="v2",
)


def test_sentences_know_their_place_their_heading_and_their_characters() -> None:
    found = sentences_of([GUIDE, Passage("Another one.")])
    assert [one.passage.text for one in found][1:] == [
        "The label is in the parcel.",
        "Returning is free for members.",
        "Another one.",
    ]
    assert [one.heading for one in found] == ["Returns", "Returns", "Costs", ""]
    assert [(one.source, one.place) for one in found] == [(0, 0), (0, 1), (0, 2), (1, 0)]
    document = "x" * 50 + GUIDE.text
    for one in found[:3]:
        assert document[one.passage.start : one.passage.end] == one.passage.text
        assert (one.passage.document, one.passage.version) == ("returns.md", "v2")


def test_rare_words_count_more() -> None:
    covered = coverage("is the zebra here", ["the cat is here", "a zebra ran", "the dog is here"])
    assert covered[1] > 0.3
    assert covered.max() <= 1.0
    assert coverage("", ["a"]).tolist() == [0.0]


@pytest.mark.parametrize(
    ("question", "right", "wrong"),
    [
        ("Who built it?", "It was built by Lena Varga.", "It was built of stone."),
        ("How many bells are there?", "There are two bells.", "Bells are loud."),
        ("When was it built?", "They built it in 1432.", "They built it slowly."),
        ("Why is it closed?", "It is closed because of rain.", "It remains closed."),
    ],
)
def test_a_question_word_says_what_kind_of_answer_is_wanted(question: str, right: str, wrong: str) -> None:
    kind = kind_asked(question)
    assert kind is not None
    assert kind.search(right)
    assert not kind.search(wrong)
    assert kind_asked("Is it open?") is None


def solved(count: int) -> tuple[list[Example], list[list[Passage]]]:
    """The right sentence shares few words with the question, stands first, and says a number where one is asked for."""
    rows, passages = [], []
    for number in range(count):
        text = f"It weighs {number} kilos. What does box {number} do? Box {number} does nothing much. Nobody knows more."
        rows.append(Example(text=f"How much does box {number} weigh?", passage=text, references=(f"{number} kilos",)))
        passages.append([Passage(text, document=f"d{number}")])
    return rows, passages


def test_learns_from_a_few_solved_questions_what_a_right_sentence_looks_like() -> None:
    rows, passages = solved(30)
    files = fit_sentence_scorer(rows[:20], passages[:20], encode_hashed, encoder="hashed")
    scorer = SentenceScorer.load(files, lambda name: encode_hashed)
    for row, own in zip(rows[20:], passages[20:], strict=True):
        ranked = scorer.rank(row.text, own)
        assert ranked[0].sentence.passage.text.startswith("It weighs")
        assert ranked[0].probability > 0.8
        assert [one.probability for one in ranked] == sorted((one.probability for one in ranked), reverse=True)


def test_equal_rows_give_equal_bytes_and_reading_them_gives_the_same_scorer() -> None:
    rows, passages = solved(12)
    first, again = (fit_sentence_scorer(rows, passages, encode_hashed, encoder="hashed") for _ in range(2))
    assert first == again
    scorer = SentenceScorer.load(first, lambda name: encode_hashed)
    about = json.loads(first[SETTINGS])
    assert about["features"] == list(FEATURES)
    assert scorer.encoder == "hashed"


def test_questions_asked_of_a_wrong_passage_teach_doubt() -> None:
    """The shipped questions, every other one with the passage of another: fitted on two thirds, asked about the rest."""
    lines = (
        (Path(__file__).resolve().parents[2] / "examples" / "support" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    )
    records = [json.loads(line) for line in lines]
    rows, passages = [], []
    for place, record in enumerate(records):
        own = place % 2 == 0
        passage = record["passage"] if own else records[(place + 50) % len(records)]["passage"]
        rows.append(Example(text=record["question"], passage=passage, references=(record["answer"],) if own else ()))
        passages.append([Passage(passage)])
    files = fit_sentence_scorer(rows[:155], passages[:155], encode_hashed, encoder="hashed")
    scorer = SentenceScorer.load(files, lambda name: encode_hashed)
    winners = [scorer.rank(row.text, own)[0] for row, own in zip(rows[155:], passages[155:], strict=True)]
    sure = np.array([one.probability for one in winners])
    right = np.array(
        [
            bool(row.references) and holds(one.sentence.passage.text, row.references[0])
            for row, one in zip(rows[155:], winners, strict=True)
        ]
    )
    assert sure.mean() == pytest.approx(right.mean(), abs=0.12)  # two standard errors at n = 78
    assert (sure[right][:, None] > sure[~right]).mean() > 0.62  # surer than a wrong one; a coin is within 0.5 +- 0.07


def test_passages_without_a_sentence_have_no_answer() -> None:
    rows, passages = solved(10)
    scorer = SentenceScorer.load(fit_sentence_scorer(rows, passages, encode_hashed, encoder="hashed"), lambda name: encode_hashed)
    assert scorer.rank("What?", []) == []
    assert scorer.rank("What?", [Passage(" \n "), Passage("# Only a heading")]) == []


def test_too_few_answers_in_the_text_say_so() -> None:
    rows, passages = solved(10)
    abstract = [Example(text=row.text, references=("something else",)) for row in rows]
    with pytest.raises(UsageError, match="needs 5 questions whose answer stands in their passages, and there are 0"):
        fit_sentence_scorer(abstract, passages, encode_hashed, encoder="hashed")


def test_files_of_other_features_are_corrupt() -> None:
    rows, passages = solved(10)
    files = fit_sentence_scorer(rows, passages, encode_hashed, encoder="hashed")
    about = json.loads(files[SETTINGS])
    with pytest.raises(Corrupt):
        SentenceScorer.load({**files, SETTINGS: json.dumps(about | {"features": ["covered"]}).encode()}, lambda name: encode_hashed)


def test_a_sentence_holds_an_answer_or_is_part_of_it() -> None:
    assert holds("It takes 5 days.", "5 days")
    assert holds("It takes 5 days.", "It takes 5 days. Or six.")
    assert not holds("It takes 5 days.", "6 days")
    assert not holds("It takes 5 days.", " ")


def test_features_have_one_column_each_and_are_finite() -> None:
    own = features("How long?", sentences_of([GUIDE]), encode_hashed)
    assert own.shape == (3, len(FEATURES))
    assert np.isfinite(own).all()
