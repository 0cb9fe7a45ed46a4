"""The hard limits of a use case: a candidate that breaks one is shown, not chosen."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from rungwise.core.candidate import Candidate
from rungwise.core.evaluation import Evaluation
from rungwise.core.usecase import Endpoint, UseCase
from rungwise.data.versions.licences import is_allowed
from rungwise.ladder.origin import Origin


def forbidden(case: UseCase, endpoint: Endpoint | None) -> str | None:
    """Why an endpoint may not be asked at all, in words, or None: it is checked before anything is sent."""
    if endpoint is None:
        return None
    limits = case.limits
    if limits.offline and not is_on_this_machine(endpoint):
        return f"the use case is offline and {endpoint.name} is not on this machine"
    if limits.licences is not None and not is_allowed(endpoint.licence, limits.licences):
        return f"the licence of {endpoint.name} is {endpoint.licence or 'not declared'}, which is not on the allow-list"
    return None


def forbidden_origin(case: UseCase, origin: Origin | None) -> str | None:
    """Why training may not begin from a model, in words, or None: its licence goes over to whatever is made of it."""
    allowed = case.limits.licences
    if origin is None or allowed is None or is_allowed(origin.licence, allowed):
        return None
    return f"the licence of {origin.name} is {origin.licence or 'not declared'}, which is not on the allow-list"


def is_on_this_machine(endpoint: Endpoint) -> bool:
    """Whether an endpoint's address is a loopback one; a name that has to be looked up is not."""
    host = urlsplit(endpoint.base_url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def broken_limit(case: UseCase, candidate: Candidate, evaluation: Evaluation) -> str | None:
    """The first limit that the candidate breaks, in words, or None.

    Latency counts by the upper bound of its p95, and where it is not known the limit is not kept.
    """
    limits = case.limits
    endpoint = next((one for one in case.endpoints if candidate.model == f"{one.name}/{one.model}"), None)
    if (why := forbidden(case, endpoint)) is not None:
        return why
    if limits.usd_per_1k is not None and evaluation.usd_per_1k > limits.usd_per_1k:
        return f"{evaluation.usd_per_1k:.4g} USD per 1,000 answers is over the limit of {limits.usd_per_1k:g}"
    latency = evaluation.latency
    if limits.p95_s is not None and latency is None:
        return f"how long it takes is not known, and the limit is {limits.p95_s:g} s: give its p95_s in rungwise.yaml"
    if limits.p95_s is not None and latency is not None and latency.p95_high_s > limits.p95_s:
        return f"its p95 may be as high as {latency.p95_high_s:.3g} s, over the limit of {limits.p95_s:g} s"
    if limits.memory_mb is not None and evaluation.memory_mb is not None and evaluation.memory_mb > limits.memory_mb:
        return f"it needs {evaluation.memory_mb:.0f} MB, over the limit of {limits.memory_mb:g} MB"
    return None
