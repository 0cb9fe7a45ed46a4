import mmap
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.core.errors import BadData, Corrupt, MissingExtra, UsageError
from rungwise.engines.search.dense import ARRAYS, GRAPH, SETTINGS, DenseIndex, Vectored, index_vectors, load_vectored


def unit(rows: int, dimensions: int = 32, *, seed: int = 0) -> np.ndarray:
    made = np.random.default_rng(seed).standard_normal((rows, dimensions)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def by_loop(vectors: np.ndarray, query: np.ndarray, k: int, mask: np.ndarray | None = None) -> list[int]:
    """The nearest rows the slow way: every product in float64, rounded once, sorted with the number as tie-break."""
    scores = {n: np.float32((row * query.astype(np.float64)).sum()) for n, row in enumerate(vectors)}
    rows = [n for n in scores if mask is None or mask[n]]
    return sorted(rows, key=lambda n: (-scores[n], n))[:k]


def test_exact_search_finds_what_a_loop_over_all_rows_finds() -> None:
    vectors, queries = unit(500), unit(20, seed=1)
    index = DenseIndex.of([index_vectors(vectors)])
    for query in queries:
        numbers, scores = index.search(query, 10)
        assert numbers.tolist() == by_loop(vectors, query, 10)
        assert scores == pytest.approx(vectors[numbers] @ query, abs=1e-6)


def test_equal_cosines_are_ordered_by_number() -> None:
    vectors = np.tile(unit(3), (40, 1))
    numbers, scores = DenseIndex.of([index_vectors(vectors)]).search(vectors[1], 50)
    assert numbers[:40].tolist() == list(range(1, 120, 3))
    assert len(set(scores[:40].tolist())) == 1


def test_segments_are_searched_as_one_and_dead_rows_never_appear() -> None:
    vectors, query = unit(300), unit(1, seed=9)[0]
    alive = np.random.default_rng(2).random(300) < 0.7
    index = DenseIndex.of([index_vectors(vectors[:100]), index_vectors(vectors[100:])], alive=[alive[:100], alive[100:]])
    assert index.search(query, 25)[0].tolist() == by_loop(vectors, query, 25, alive)


@pytest.mark.parametrize("share", [0.001, 0.02, 0.5])
def test_a_filter_still_gives_k_hits_and_costs_no_recall(share: float) -> None:
    vectors, query = unit(10_000, 8), unit(1, 8, seed=3)[0]
    allowed = np.zeros(10_000, dtype=np.bool_)
    allowed[np.random.default_rng(4).choice(10_000, int(10_000 * share), replace=False)] = True
    expected = by_loop(vectors, query, 10, allowed)
    exact = DenseIndex.of([index_vectors(vectors)])
    graph = DenseIndex.of([index_vectors(vectors, approximate_from=1)], exact_to=100)
    assert exact.search(query, 10, allowed=allowed)[0].tolist() == expected
    assert len(set(graph.search(query, 10, allowed=allowed)[0].tolist()) & set(expected)) >= 9


def test_a_filter_against_the_query_falls_back_to_exact_search() -> None:
    vectors, query = unit(5_000, 8), unit(1, 8, seed=3)[0]
    allowed = vectors @ query < 0.3  # nearly all rows, and none of those that the graph finds first
    index = DenseIndex.of([index_vectors(vectors, approximate_from=1)], exact_to=100)
    assert index.search(query, 10, allowed=allowed)[0].tolist() == by_loop(vectors, query, 10, allowed)


def test_a_graph_finds_nearly_what_exact_search_finds_and_scores_it_equally() -> None:
    vectors, queries = unit(3_000, 16), unit(50, 16, seed=5)
    segment = index_vectors(vectors, approximate_from=1)
    graph, exact = (DenseIndex.of([segment], exact_to=size).search_many(queries, 10) for size in (0, 10**9))
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(graph[0].tolist(), exact[0].tolist(), strict=True)]) >= 0.98
    same = graph[0] == exact[0]
    assert (graph[1][same] == exact[1][same]).all()


def test_the_same_vectors_give_the_same_bytes() -> None:
    vectors = unit(2_000)
    first, second = (index_vectors(vectors, approximate_from=1).files() for _ in range(2))
    assert first == second
    assert set(first) == {ARRAYS, SETTINGS, GRAPH}


def test_what_was_written_reads_back_equal() -> None:
    vectors, query = unit(500), unit(1, seed=6)[0]
    for approximate_from in (1, 10**9):
        made = index_vectors(vectors, approximate_from=approximate_from)
        read = load_vectored(made.files())
        assert (read.vectors == vectors).all()
        assert DenseIndex.of([read]).search(query, 5)[0].tolist() == DenseIndex.of([made]).search(query, 5)[0].tolist()


@pytest.mark.parametrize("name", [ARRAYS, GRAPH])
def test_a_flipped_byte_is_corrupt_before_anything_reads_it(name: str) -> None:
    files = index_vectors(unit(200), approximate_from=1).files()
    place = len(files[name]) // 2
    files[name] = files[name][:place] + bytes([files[name][place] ^ 1]) + files[name][place + 1 :]
    with pytest.raises(Corrupt, match="digest"):
        load_vectored(files)


@pytest.mark.parametrize("name", [ARRAYS, GRAPH, SETTINGS])
def test_a_missing_file_is_corrupt(name: str) -> None:
    files = index_vectors(unit(200), approximate_from=1).files()
    del files[name]
    with pytest.raises(Corrupt):
        load_vectored(files)


@pytest.mark.parametrize("kept", [3, 12, 30, 24 + 200 * 32, 24 + 200 * 32 + 40, -1])
def test_a_graph_that_was_cut_off_is_corrupt(kept: int) -> None:
    segment = index_vectors(unit(200), approximate_from=1)
    assert segment.graph is not None
    with pytest.raises(Corrupt, match="graph"):
        DenseIndex.of([Vectored(segment.vectors, segment.graph[:kept])])


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_settings_with_a_wrong_byte_read_back_equal_or_are_corrupt(place: int, byte: int) -> None:
    made = index_vectors(unit(20), approximate_from=1)
    files = made.files()
    about = bytearray(files[SETTINGS])
    about[place % len(about)] = byte
    try:
        read = load_vectored(files | {SETTINGS: bytes(about)})
    except Corrupt:
        return
    assert (read.vectors == made.vectors).all()
    assert read.graph == made.graph


def test_a_memory_map_is_searched_where_it_lies(tmp_path: Path) -> None:
    made = index_vectors(unit(500), approximate_from=1)
    files = {}
    for name, data in made.files().items():
        (tmp_path / name).write_bytes(data)
        with (tmp_path / name).open("rb") as file:
            files[name] = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    read = load_vectored(files)
    assert not read.vectors.flags.owndata
    for exact_to in (0, 10**9):
        own, other = (DenseIndex.of([one], exact_to=exact_to).search(unit(1, seed=6)[0], 5) for one in (read, made))
        assert own[0].tolist() == other[0].tolist()


def test_a_graph_of_other_vectors_is_corrupt() -> None:
    graph = index_vectors(unit(200), approximate_from=1).graph
    with pytest.raises(Corrupt, match="of other vectors"):
        DenseIndex.of([Vectored(unit(201), graph)])
    with pytest.raises(Corrupt, match="is none"):
        DenseIndex.of([Vectored(unit(200), b"\x00" * 500)])


def test_an_index_without_rows_and_a_query_that_says_nothing_have_no_hits() -> None:
    nothing = np.zeros((0, 32), dtype=np.float32)
    for index in (DenseIndex.of([]), DenseIndex.of([index_vectors(nothing)])):
        assert len(index.search(unit(1)[0], 5)[0]) == 0
    assert len(DenseIndex.of([index_vectors(unit(5))]).search(np.zeros(32, dtype=np.float32), 5)[0]) == 0


def test_more_hits_than_rows_gives_every_row_once() -> None:
    index = DenseIndex.of([index_vectors(unit(7)), index_vectors(unit(4, seed=1), approximate_from=1)])
    assert sorted(index.search(unit(1, seed=2)[0], 50)[0].tolist()) == list(range(11))
    numbers, scores = index.search_many(unit(2, seed=2), 12)
    assert numbers[:, 11].tolist() == [-1, -1]
    assert np.isneginf(scores[:, 11]).all()


def test_a_query_of_another_encoder_is_refused() -> None:
    index = DenseIndex.of([index_vectors(unit(5))])
    with pytest.raises(UsageError, match="different encoders"):
        index.search(unit(1, 16)[0], 3)
    with pytest.raises(BadData, match="NaN"):
        index.search(np.full(32, np.nan, dtype=np.float32), 3)
    with pytest.raises(UsageError, match="one encoder"):
        DenseIndex.of([index_vectors(unit(5)), index_vectors(unit(5, 16))])


def test_vectors_that_are_no_directions_are_refused_but_empty_texts_may_be_zero() -> None:
    vectors = unit(5)
    vectors[3] = 0
    assert len(index_vectors(vectors).vectors) == 5
    vectors[2] = np.nan
    with pytest.raises(BadData, match="row 2"):
        index_vectors(vectors)
    with pytest.raises(BadData, match="unit length"):
        index_vectors(2 * unit(5))


def test_without_usearch_many_vectors_name_the_extra_and_few_are_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    made = index_vectors(unit(50), approximate_from=1)
    monkeypatch.setitem(sys.modules, "usearch", None)
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    assert len(DenseIndex.of([index_vectors(unit(50))]).search(unit(1)[0], 5)[0]) == 5
    with pytest.raises(MissingExtra, match=r"rungwise\[search\]"):
        index_vectors(unit(50), approximate_from=1)
    with pytest.raises(MissingExtra):
        DenseIndex.of([Vectored(made.vectors, made.graph)])


def test_a_mask_of_another_length_is_refused() -> None:
    index = DenseIndex.of([index_vectors(unit(5))])
    with pytest.raises(UsageError, match="allowed"):
        index.search(unit(1)[0], 3, allowed=np.ones(4, dtype=np.bool_))
    with pytest.raises(UsageError, match="alive"):
        DenseIndex.of([index_vectors(unit(5))], alive=[np.ones(6, dtype=np.bool_)])


def test_cosines_of_numbers_are_those_of_the_search() -> None:
    index = DenseIndex.of([index_vectors(unit(70)), index_vectors(unit(30, seed=1))])
    query = unit(1, seed=2)[0]
    numbers, scores = index.search(query, 100)
    assert (index.cosines(query, numbers) == scores).all()


def test_several_threads_find_what_one_finds() -> None:
    queries = unit(200, 16, seed=5)
    index = DenseIndex.of([index_vectors(unit(2_000, 16), approximate_from=1)], exact_to=0)
    alone = [index.search(query, 5)[0].tolist() for query in queries]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda query: index.search(query, 5)[0].tolist(), queries)) == alone
