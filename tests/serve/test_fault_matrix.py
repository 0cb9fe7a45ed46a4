"""Whatever an engine does wrong ends within its limit in a fallback or in an error that says what it was."""

from __future__ import annotations

import re

import pytest

from tests.serve.faults import CASES, SECRET, Case, run

SLACK_S = 1.0  # for a machine under load; the figure, with 50 ms, is printed by benchmarks/faults.py


def named(case: Case) -> str:
    return f"{'stream' if case.stream else 'whole'}-{case.name}{'-with-fallback' if case.fallback else ''}"


def test_the_matrix_is_as_large_as_promised() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize("case", CASES, ids=named)
async def test_ends_within_its_limit_in_a_fallback_or_a_documented_error(case: Case) -> None:
    ended = await run(case)
    told = re.sub(r"^w+(?=, then)", "wwwww", ended.told)  # how many words there were is for the clock to say
    assert told == case.told
    assert ended.calls == case.calls
    assert ended.seconds <= case.within_s + SLACK_S
    assert ended.tasks == 0
    assert len([span for span in ended.tape.spans if span.name == "first"]) == 1
    assert ended.tape.engine == ("second" if case.told == "200 other" else "first")
    assert SECRET not in f"{ended.tape.spans} {ended.message}"
    if case.told.endswith("504 timeout"):
        assert f"of the {next(iter(case.limits), 'engine')} " in ended.message
    if "200" in case.told:
        assert ended.tape.usage is not None
        assert ended.tape.usage.calls == 1 + (case.told == "200 other")
