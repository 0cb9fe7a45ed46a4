"""The figures that are claimed for groundedness hold on the sources that were held out."""

from __future__ import annotations

import pytest

from benchmarks.corruptions import cases
from benchmarks.grounded_sentences import DATA, is_held_out, sources
from benchmarks.groundedness import WRONG, by_checks, measure

pytestmark = pytest.mark.skipif(not (DATA / "scifact").exists(), reason="needs the public data beside the checkout: ../shared/data")


def test_no_source_of_the_open_part_is_in_the_held_out_part() -> None:
    parts = [{(one.family, one.unit) for one in sources() if is_held_out(one) == held_out} for held_out in (False, True)]
    assert not parts[0] & parts[1]
    assert min(len(part) for part in parts) > 100


@pytest.mark.slow
def test_corruptions_are_found_and_rewordings_let_pass() -> None:
    counted = measure(cases(held_out=True), {"checks": by_checks})["checks"]
    hits, n = counted["all corruptions"]
    assert hits / n >= 0.95
    for kind in WRONG:
        hits, n = counted[kind]
        assert hits / n >= 0.9, kind
    hits, n = counted["paraphrase"]
    assert hits / n <= 0.02
    assert counted["verbatim"][0] == 0
