"""Mistakes are counted from the stored answers."""

from __future__ import annotations

from collections.abc import Sequence

from rungwise.core.dataset import Example
from rungwise.core.evaluation import Evaluation
from rungwise.web import mistakes


def answered(pairs: Sequence[tuple[str, str]], **kept: tuple[float | None, ...]) -> tuple[mistakes.Answered, ...]:
    """Rows with these (true, given) labels."""
    examples = [Example(text=str(number), references=(true,)) for number, (true, _) in enumerate(pairs)]
    evaluation = Evaluation(
        candidate="c",
        dataset="d",
        split="dev",
        rows=tuple(row.id for row in examples),
        answers=tuple(given for _, given in pairs),
        scores=kept,
    )
    return mistakes.answered(evaluation, {row.id: row for row in examples}, "accuracy")


def test_the_matrix_counts_true_against_given_and_the_rest_as_other() -> None:
    table = mistakes.confusion(answered([("a", "a"), ("a", "b"), ("b", "b"), ("b", ""), ("b", "rubbish")]))
    assert table.labels == ("a", "b")
    assert table.cells == ((1, 1), (0, 1))
    assert table.other == (0, 2)  # no answer, and an answer that is no class


def test_with_many_classes_the_ones_with_most_errors_are_shown() -> None:
    pairs = [("a", "a"), ("b", "c"), ("b", "c"), ("c", "c"), ("d", "d")]
    table = mistakes.confusion(answered(pairs), most=2)
    assert table.labels == ("b", "c")
    assert table.classes == 4
    assert table.pairs == (("b", "c", 2),)


def test_rows_that_the_metric_does_not_count_are_left_out() -> None:
    assert len(answered([("a", "a"), ("b", "b")], accuracy=(1.0, None))) == 1


def test_a_corpus_metric_falls_back_to_right_or_wrong() -> None:
    assert [row.score for row in answered([("a", "a"), ("a", "b")])] == [1.0, 0.0]


def test_several_labels_are_right_only_all_together() -> None:
    row = Example(text="x", references=("a", "b"))
    assert mistakes.is_right(row, "b\na")
    assert not mistakes.is_right(row, "a\nb\nc")


def test_groups_are_means_of_their_rows() -> None:
    rows = [
        mistakes.Answered(example=Example(text=str(n), fields={"channel": group}), answer="", confidence=None, score=score)
        for n, (group, score) in enumerate([("chat", 1.0), ("chat", 0.0), ("email", 1.0)])
    ]
    assert [(one.group, one.n, one.mean) for one in mistakes.by_group(rows, "channel")] == [("chat", 2, 0.5), ("email", 1, 1.0)]
