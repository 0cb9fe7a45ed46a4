"""The metrics that come with Rungwise; each enters through the entry-point group `rungwise.metrics`, like any plugin's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rungwise.core.content import Response
from rungwise.core.dataset import Example
from rungwise.core.errors import BadData
from rungwise.evaluate import citations, labels, probabilities, ranking, text, translation
from rungwise.evaluate.answers import Answers
from rungwise.evaluate.metric import CorpusMetric, RatioMetric, ReportMetric, RowMetric, Statistic, weighted_mean


def squared_error(example: Example, response: Response) -> float:
    """(answer - label) squared, for numbers. Raises BadData when either is not a number."""
    try:
        return (float(response.text) - float(example.label)) ** 2
    except ValueError as error:
        raise BadData(
            f"mse needs numbers, not the answer '{response.text}' and the label '{example.label}'.", hint="Choose accuracy instead"
        ) from error


def mean_squared_error(examples: Sequence[Example], answers: Answers, ignore: str | None = None) -> Statistic:
    """The mean of the squared errors."""
    return weighted_mean(np.asarray([squared_error(example, answers.response(row)) for row, example in enumerate(examples)]))


ACCURACY = RowMetric(name="accuracy", score=labels.accuracy, binary=True)
SUBSET_ACCURACY = RowMetric(name="subset_accuracy", score=labels.accuracy, binary=True)
JACCARD = RowMetric(name="jaccard", score=labels.jaccard)
IN_SCOPE_ACCURACY = RowMetric(name="in_scope_accuracy", score=labels.accuracy, binary=True, rows="in_scope")
OUT_OF_SCOPE_RECALL = RowMetric(name="out_of_scope_recall", score=labels.accuracy, binary=True, rows="out_of_scope")

EXACT_MATCH = RowMetric(name="exact_match", score=text.exact_match, binary=True)
CONTAINS = RowMetric(name="contains", score=text.contains, binary=True)
TOKEN_F1 = RowMetric(name="token_f1", score=text.token_f1)
ROUGE1 = RowMetric(name="rouge1", score=text.rouge_n(1))
ROUGE2 = RowMetric(name="rouge2", score=text.rouge_n(2))
ROUGE_L = RowMetric(name="rougeL", score=text.rouge_l)

HIT_AT_1 = RowMetric(name="hit_at_1", score=ranking.of_ranking(ranking.at(ranking.hit_at, 1)), binary=True)
HIT_AT_5 = RowMetric(name="hit_at_5", score=ranking.of_ranking(ranking.at(ranking.hit_at, 5)), binary=True)
HIT_AT_10 = RowMetric(name="hit_at_10", score=ranking.of_ranking(ranking.at(ranking.hit_at, 10)), binary=True)
PRECISION_AT_5 = RowMetric(name="precision_at_5", score=ranking.of_ranking(ranking.at(ranking.precision_at, 5)))
PRECISION_AT_10 = RowMetric(name="precision_at_10", score=ranking.of_ranking(ranking.at(ranking.precision_at, 10)))
RECALL_AT_5 = RowMetric(name="recall_at_5", score=ranking.of_ranking(ranking.at(ranking.recall_at, 5)))
RECALL_AT_10 = RowMetric(name="recall_at_10", score=ranking.of_ranking(ranking.at(ranking.recall_at, 10)))
RECALL_AT_100 = RowMetric(name="recall_at_100", score=ranking.of_ranking(ranking.at(ranking.recall_at, 100)))
MRR_AT_10 = RowMetric(name="mrr_at_10", score=ranking.of_ranking(ranking.at(ranking.reciprocal_rank_at, 10)))
NDCG_AT_10 = RowMetric(name="ndcg_at_10", score=ranking.of_ranking(ranking.at(ranking.ndcg_at, 10)))
MAP = RowMetric(name="map", score=ranking.of_ranking(ranking.average_precision))

GROUNDEDNESS = RowMetric(name="groundedness", score=citations.groundedness_score, needs="passages")
CITATION_RECALL = RowMetric(name="citation_recall", score=citations.recall_score, needs="passages")
CITATION_PRECISION = RowMetric(name="citation_precision", score=citations.precision_score, needs="passages")
CITATION_VERBATIM = RowMetric(name="citation_verbatim", score=citations.verbatim_score, needs="passages")

MICRO_F1 = RatioMetric(name="micro_f1", counts=labels.micro("f1"), trials="f1", miss=2.0)
MICRO_PRECISION = RatioMetric(name="micro_precision", counts=labels.micro("precision"), trials="share")
MICRO_RECALL = RatioMetric(name="micro_recall", counts=labels.micro("recall"), trials="share")
BINARY_F1 = RatioMetric(name="binary_f1", counts=labels.binary("f1"), trials="f1")
BINARY_PRECISION = RatioMetric(name="binary_precision", counts=labels.binary("precision"), trials="share")
BINARY_RECALL = RatioMetric(name="binary_recall", counts=labels.binary("recall"), trials="share")

MACRO_F1 = CorpusMetric(name="macro_f1", prepare=labels.of_classes(labels.macro_f1))
MACRO_PRECISION = CorpusMetric(name="macro_precision", prepare=labels.of_classes(labels.macro_precision))
MACRO_RECALL = CorpusMetric(name="macro_recall", prepare=labels.of_classes(labels.macro_recall))
WEIGHTED_F1 = CorpusMetric(name="weighted_f1", prepare=labels.of_classes(labels.weighted_f1))
BALANCED_ACCURACY = CorpusMetric(name="balanced_accuracy", prepare=labels.of_classes(labels.balanced_accuracy))
IN_SCOPE_MACRO_F1 = CorpusMetric(name="in_scope_macro_f1", prepare=labels.of_classes(labels.macro_f1), rows="in_scope")
MCC = CorpusMetric(name="mcc", prepare=labels.of_classes(labels.mcc, every_text=True))
AUC = CorpusMetric(name="auc", prepare=probabilities.auc, needs="probabilities")
BLEU = CorpusMetric(name="bleu", prepare=translation.bleu)
CHRF = CorpusMetric(name="chrf", prepare=translation.chrf)

LOG_LOSS = ReportMetric(
    name="log_loss", prepare=probabilities.log_loss, instead="accuracy or auc", because="it is unbounded", needs="probabilities"
)
PERPLEXITY = ReportMetric(
    name="perplexity", prepare=probabilities.perplexity, instead="accuracy or auc", because="it is unbounded", needs="probabilities"
)
CALIBRATION_ERROR = ReportMetric(
    name="calibration_error",
    prepare=probabilities.calibration_error,
    instead="accuracy with a coverage, such as accuracy=0.95@coverage=0.8",
    because="it is biased upward in small samples",
    needs="confidences",
)
MSE = ReportMetric(name="mse", prepare=mean_squared_error, instead="accuracy or exact_match", because="it is unbounded")
