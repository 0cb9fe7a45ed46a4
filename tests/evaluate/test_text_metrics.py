"""Text metrics equal the SQuAD script, rouge-score and sacrebleu."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF

from rungwise.core.content import Response
from rungwise.core.dataset import Example
from rungwise.evaluate.answers import Answers
from rungwise.evaluate.metric import RowMetric, metric, value
from rungwise.evaluate.text import normalise

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
WORDS = st.lists(
    st.sampled_from(["the", "a", "cat", "Cat", "sat", "on", "mat", "mat.", "42", "über", "日本語", "don't", "-"]), max_size=12
)
TEXTS = st.one_of(WORDS.map(" ".join), st.text(max_size=30))


def score(name: str, answer: str, *references: str) -> float:
    found = metric(name)
    assert isinstance(found, RowMetric)
    return found.score(Example(text="", references=references), Response(answer))


@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
def test_rouge_equals_rouge_score(answer: str, references: list[str]) -> None:
    names = ["rouge1", "rouge2", "rougeL"]
    scorer = RougeScorer(names, use_stemmer=False)
    for name in names:
        other = max(scorer.score(reference, answer)[name].fmeasure for reference in references)
        assert score(name, answer, *references) == pytest.approx(other, abs=1e-9)


@pytest.mark.skipif(not (DATA / "squad2_part").exists(), reason="squad2_part is not beside the checkout")
def test_rouge_equals_rouge_score_on_real_passages() -> None:
    with gzip.open(DATA / "squad2_part" / "dev.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for _, line in zip(range(60), lines, strict=False)]
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    for one, other in zip(rows[::2], rows[1::2], strict=True):
        for name, expected in scorer.score(one["context"], other["context"]).items():
            assert score(name, other["context"], one["context"]) == pytest.approx(expected.fmeasure, abs=1e-9)


def test_normalisation_is_that_of_the_squad_script() -> None:
    assert normalise("  The Cat's  an (old) A-team, a ") == "cats old ateam"
    assert normalise("Thé à") == "thé à"


def test_exact_match_takes_any_reference() -> None:
    assert score("exact_match", "the Eiffel Tower!", "Louvre", "Eiffel tower") == 1.0
    assert score("exact_match", "Eiffel", "Eiffel tower") == 0.0


@pytest.mark.parametrize(
    ("answer", "references", "expected"),
    [
        ("the big red cat", ("red cat",), 2 * (2 / 3) * 1 / (2 / 3 + 1)),  # article dropped: precision 2/3, recall 1
        ("cat cat cat", ("cat dog",), 2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2)),  # counts are shared at most once each
        ("red", ("blue", "red"), 1.0),
        ("", ("red",), 0.0),
        ("", (), 1.0),  # unanswerable, and not answered
        ("red", (), 0.0),
        ("the", ("a",), 1.0),  # nothing is left of either: the script's rule for empty answers
    ],
)
def test_token_f1(answer: str, references: tuple[str, ...], expected: float) -> None:
    assert score("token_f1", answer, *references) == pytest.approx(expected, abs=1e-12)


def test_containment_goes_by_whole_words() -> None:
    assert score("contains", "It was built in 1889, in Paris.", "1889") == 1.0
    assert score("contains", "It has 15 floors", "5") == 0.0
    assert score("contains", "anything", "") == 0.0
    assert score("contains", "", "") == 1.0


def pairs_to(examples: list[tuple[str, list[str]]]) -> tuple[list[Example], Answers]:
    return [Example(text="", references=tuple(wanted)) for _, wanted in examples], Answers(tuple(told for told, _ in examples))


@given(st.lists(st.tuples(TEXTS, st.lists(TEXTS, min_size=2, max_size=2)), min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
def test_bleu_and_chrf_equal_sacrebleu(pairs: list[tuple[str, list[str]]]) -> None:
    examples, answers = pairs_to(pairs)
    streams = [[wanted[place] for _, wanted in pairs] for place in range(2)]
    assert value(metric("bleu"), examples, answers) == pytest.approx(
        BLEU().corpus_score(answers.texts, streams).score / 100, abs=1e-9
    )
    assert value(metric("chrf"), examples, answers) == pytest.approx(
        CHRF().corpus_score(answers.texts, streams).score / 100, abs=1e-9
    )


@pytest.mark.skipif(not (DATA / "tatoeba_translation").exists(), reason="tatoeba_translation is not beside the checkout")
def test_bleu_and_chrf_equal_sacrebleu_on_real_sentences() -> None:
    with gzip.open(next((DATA / "tatoeba_translation").glob("laser_eng_por_dev*.gz")), "rt", encoding="utf-8") as lines:
        wanted = [json.loads(line)["por"] for line in lines]
    told = [" ".join(text.split()[:-1]) for text in wanted]
    examples, answers = pairs_to([(give, [want]) for give, want in zip(told, wanted, strict=True)])
    assert value(metric("bleu"), examples, answers) == pytest.approx(BLEU().corpus_score(told, [wanted]).score / 100, abs=1e-9)
    assert value(metric("chrf"), examples, answers) == pytest.approx(CHRF().corpus_score(told, [wanted]).score / 100, abs=1e-9)
