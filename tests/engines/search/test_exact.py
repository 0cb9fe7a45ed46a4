import importlib.util
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.engines.search.codes import encode, query_codes
from rungwise.engines.search.exact import Scan, cosines

pytestmark = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="numba is not installed (extra: search)")


def spread(rows: int, dimensions: int, seed: int, *, noise: float = 1.0) -> np.ndarray:
    """Unit vectors around a few centres; with little noise nearly all of them tie."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((3, dimensions))
    made = (centres[rng.integers(0, 3, rows)] + noise * rng.standard_normal((rows, dimensions))).astype(np.float32)
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def winners(vectors: np.ndarray, query: np.ndarray, k: int, rows: np.ndarray) -> set[int]:
    """The best k by float64, rounded once, the lower row first among equals."""
    scores = cosines(vectors[rows], query)
    return set(rows[np.lexsort((rows, -scores))[:k]].tolist())


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 400),
    dimensions=st.sampled_from([1, 3, 33, 384]),
    k=st.integers(1, 30),
    noise=st.sampled_from([0.0, 1e-7, 1e-4, 0.05, 1.0]),
    opposite=st.booleans(),
    kept=st.sampled_from([None, 0.05, 0.9]),
    seed=st.integers(0, 2**16),
)
def test_no_row_that_is_among_the_best_is_lost_by_the_pass_over_codes(
    rows: int, dimensions: int, k: int, noise: float, opposite: bool, kept: float | None, seed: int
) -> None:
    vectors, query = spread(rows, dimensions, seed, noise=noise), spread(1, dimensions, seed + 1)[0]
    query = -vectors[0] if opposite else query
    rng = np.random.default_rng(seed)
    some = None if kept is None else np.flatnonzero(rng.random(rows) < kept)
    scan = Scan(vectors, encode(vectors))
    before = scan.best(query, k, some)
    scan.warm()
    expected = winners(vectors, query, k, np.arange(rows) if some is None else some)
    assert expected <= set(before.tolist())
    assert expected <= set(scan.best(query, k, some).tolist())


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 200), dimensions=st.sampled_from([1, 7, 384, 1024]), seed=st.integers(0, 2**16), peak=st.booleans())
def test_a_sum_over_codes_is_never_further_off_than_is_said(rows: int, dimensions: int, seed: int, peak: bool) -> None:
    vectors, query = spread(rows, dimensions, seed), spread(1, dimensions, seed + 1)[0]
    if peak:
        vectors[0], query = np.eye(dimensions, dtype=np.float32)[0], np.eye(dimensions, dtype=np.float32)[-1]
    codes = encode(vectors)
    own, one, error = query_codes(query, codes)
    sums = codes.values.astype(np.int64) @ own.astype(np.int64)
    assert np.abs(sums).max() < 2**31
    assert (np.abs(sums / one - vectors.astype(np.float64) @ query.astype(np.float64)) <= error).all()


def test_early_searches_and_warm_ones_find_the_same() -> None:
    vectors, query = spread(20_000, 48, 1), spread(1, 48, 2)[0]
    scan = Scan(vectors)
    found = [scan.best(query, 10, None) for _ in range(12)]
    expected = winners(vectors, query, 10, np.arange(20_000))
    assert all(winners(vectors, query, 10, rows) == expected for rows in found)
    assert len(found[-1]) < 2_000


def test_thousands_of_copies_of_one_row_are_all_kept_as_candidates() -> None:
    vectors = np.tile(spread(1, 48, 1), (5_000, 1))
    scan = Scan(vectors, encode(vectors))
    scan.warm()
    assert len(scan.best(vectors[0], 10, None)) == 5_000


def test_without_numba_floats_go_on_finding_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rungwise.engines.search.products", None)
    vectors, query = spread(20_000, 48, 1), spread(1, 48, 2)[0]
    scan = Scan(vectors)
    found = [scan.best(query, 10, None) for _ in range(12)]
    assert all(winners(vectors, query, 10, rows) == winners(vectors, query, 10, np.arange(20_000)) for rows in found)
