"""The hard limits of a use case: a candidate that breaks one is shown, not chosen."""

from __future__ import annotations

from rungwise.core.candidate import Candidate
from rungwise.core.evaluation import Evaluation
from rungwise.core.usecase import UseCase


def broken_limit(case: UseCase, candidate: Candidate, evaluation: Evaluation) -> str | None:
    """The first limit that the candidate breaks, in words, or None. Latency counts by the upper bound of its p95."""
    limits = case.limits
    endpoint = next((one for one in case.endpoints if candidate.model == f"{one.name}/{one.model}"), None)
    if limits.offline and endpoint is not None:
        return f"the use case is offline and {endpoint.name} is not"
    if limits.licences is not None and endpoint is not None and endpoint.licence not in limits.licences:
        return f"the licence of {endpoint.name} is {endpoint.licence or 'not declared'}, which is not on the allow-list"
    if limits.usd_per_1k is not None and evaluation.usd_per_1k > limits.usd_per_1k:
        return f"{evaluation.usd_per_1k:.4g} USD per 1,000 answers is over the limit of {limits.usd_per_1k:g}"
    latency = evaluation.latency
    if limits.p95_s is not None and latency is not None and latency.p95_high_s > limits.p95_s:
        return f"its p95 may be as high as {latency.p95_high_s:.3g} s, over the limit of {limits.p95_s:g} s"
    if limits.memory_mb is not None and evaluation.memory_mb is not None and evaluation.memory_mb > limits.memory_mb:
        return f"it needs {evaluation.memory_mb:.0f} MB, over the limit of {limits.memory_mb:g} MB"
    return None
