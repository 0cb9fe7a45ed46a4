"""Hard limits: what is over one is named, what is unknown or on the line is not."""

from __future__ import annotations

import pytest

from rungwise.core.candidate import Candidate
from rungwise.core.evaluation import Evaluation, Latency
from rungwise.core.usecase import Endpoint, Limits, UseCase
from rungwise.ladder.limits import broken_limit

CLOUD = Endpoint(name="cloud", base_url="https://example.org", model="big", licence="proprietary")
LOCAL = Candidate(task="classify", model="linear")
REMOTE = Candidate(task="classify", model="cloud/big")


def broken(limits: Limits, candidate: Candidate = LOCAL, **measured: object) -> str | None:
    case = UseCase(name="x", task="classify", limits=limits, endpoints=(CLOUD,))
    evaluation = Evaluation(candidate=candidate.id, dataset="d", split="dev", rows=(), answers=(), **measured)  # type: ignore[arg-type]
    return broken_limit(case, candidate, evaluation)


def test_without_limits_nothing_is_broken() -> None:
    assert broken(Limits(), REMOTE, usd_per_1k=1e9, memory_mb=1e9) is None


@pytest.mark.parametrize(("high", "over"), [(0.9, False), (1.0, False), (1.01, True)])
def test_latency_counts_by_the_upper_bound_of_its_p95(high: float, over: bool) -> None:
    latency = Latency(p50_s=0.1, p95_s=0.5, p95_high_s=high, n=100)
    assert (broken(Limits(p95_s=1.0), latency=latency) is not None) == over


def test_a_quick_p95_that_may_be_slow_is_over_the_limit() -> None:
    found = broken(Limits(p95_s=1.0), latency=Latency(p50_s=0.1, p95_s=0.5, p95_high_s=3.0, n=10))
    assert found is not None
    assert "may be as high as 3 s" in found


@pytest.mark.parametrize(("usd", "over"), [(1.0, False), (1.1, True)])
def test_price_per_thousand_answers(usd: float, over: bool) -> None:
    assert (broken(Limits(usd_per_1k=1.0), usd_per_1k=usd) is not None) == over


def test_memory() -> None:
    assert broken(Limits(memory_mb=100), memory_mb=99.0) is None
    found = broken(Limits(memory_mb=100), memory_mb=101.0)
    assert found is not None
    assert "101 MB" in found


def test_offline_shuts_out_endpoints_and_nothing_else() -> None:
    assert broken(Limits(offline=True)) is None
    found = broken(Limits(offline=True), REMOTE)
    assert found is not None
    assert "cloud" in found


def test_only_licences_on_the_list_may_be_chosen() -> None:
    assert broken(Limits(licences=("proprietary",)), REMOTE) is None
    assert broken(Limits(licences=("mit", "All rights reserved")), REMOTE) is None  # the same in other words
    found = broken(Limits(licences=("apache-2.0",)), REMOTE)
    assert found is not None
    assert "proprietary" in found
    assert broken(Limits(licences=("apache-2.0",))) is None  # what is made here has the licence of the project
