"""Vectors are computed once, survive a kill, and are never wrong."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rungwise.core.errors import StoreError
from rungwise.data.store import Store
from rungwise.data.vectors import VectorCache
from rungwise.engines.encoders.encode import Vectors
from rungwise.engines.encoders.remembering import BATCH_TEXTS, with_cache


def vectors_of(texts: Sequence[str], *, width: int = 8) -> Vectors:
    """A vector for each text that no other text has."""
    rows = [np.random.default_rng(list(text.encode("utf-8", "surrogatepass"))).normal(size=width) for text in texts]
    return np.asarray(rows, dtype=np.float32).reshape(len(texts), width)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=30), unique=True, max_size=30), st.data())
def test_what_was_put_comes_back_bit_for_bit(store: Store, texts: list[str], data: st.DataObject) -> None:
    kept = data.draw(st.lists(st.sampled_from(texts), unique=True)) if texts else []
    encoder = repr([texts, kept])
    VectorCache(store).put(encoder, kept, vectors_of(kept))
    found = VectorCache(store).get(encoder, texts)
    assert [vector is not None for vector in found] == [text in kept for text in texts]
    for text, vector in zip(texts, found, strict=True):
        assert vector is None or vector.tobytes() == vectors_of([text])[0].tobytes()
    assert VectorCache(store).get(encoder + "x", kept) == [None] * len(kept)


def test_a_lone_surrogate_and_a_text_asked_twice_are_texts_like_others(store: Store) -> None:
    cache = VectorCache(store)
    cache.put("e", ["\ud800", ""], vectors_of(["\ud800", ""]))
    found = cache.get("e", ["", "\ud800", "", "none"])
    assert [vector is not None for vector in found] == [True, True, True, False]


@pytest.mark.parametrize(
    "damage",
    [
        "update vectors set vector = zeroblob(length(vector))",
        "update vectors set vector = substr(vector, 1, 8)",
        "update vectors set vector = 'text'",
        "update vectors set checksum = checksum + 1",
        "update vectors set vector = (select max(vector) from vectors)",
    ],
)
def test_a_damaged_entry_is_found_and_computed_again(store: Store, damage: str) -> None:
    texts, calls = ["one", "two", "three"], []
    encode = with_cache(lambda some: calls.append(list(some)) or vectors_of(some), VectorCache(store), "e")
    encode(texts)
    with sqlite3.connect(VectorCache(store).path) as connection:
        connection.execute(damage)
    connection.close()
    assert sum(vector is None for vector in VectorCache(store).get("e", texts)) >= 2
    assert encode(texts).tobytes() == vectors_of(texts).tobytes()
    assert len(calls) == 2
    assert encode(texts).tobytes() == vectors_of(texts).tobytes()
    assert len(calls) == 2


def test_a_file_that_is_no_database_any_more_is_begun_anew(store: Store) -> None:
    cache = VectorCache(store)
    cache.put("e", ["a"], vectors_of(["a"]))
    cache.path.write_bytes(b"not a database" * 1_000)
    assert cache.get("e", ["a"]) == [None]
    cache.put("e", ["a"], vectors_of(["a"]))
    assert cache.get("e", ["a"])[0] is not None


def test_a_file_that_cannot_be_opened_says_what_to_do(store: Store) -> None:
    VectorCache(store).path.mkdir()
    with pytest.raises(StoreError, match="computed again"):
        VectorCache(store).get("e", ["a"])


def test_each_text_is_encoded_once_in_the_order_asked(store: Store) -> None:
    calls: list[str] = []
    encode = with_cache(lambda some: calls.extend(some) or vectors_of(some), VectorCache(store), "e")
    texts = [f"text {number % 1_500}" for number in range(2_000)]
    assert encode(texts).tobytes() == vectors_of(texts).tobytes()
    assert sorted(calls) == sorted(set(texts))
    assert encode(texts[::-1]).tobytes() == vectors_of(texts[::-1]).tobytes()
    assert len(calls) == 1_500
    assert encode([]).shape == (0, 8)


def test_vectors_of_another_length_under_the_same_name_are_computed_again(store: Store) -> None:
    cache = VectorCache(store)
    cache.put("e", ["a", "b"], vectors_of(["a", "b"], width=4))
    encode = with_cache(vectors_of, cache, "e")
    assert encode(["a", "b", "c"]).shape == (3, 8)


def test_a_killed_run_goes_on_where_it_stood(tmp_path: Path, store: Store) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from rungwise.data.store import Store\n"
        "from rungwise.data.vectors import VectorCache\n"
        "from rungwise.engines.encoders.remembering import with_cache\n"
        "from tests.clocks import StillClock\n"
        "from tests.data.test_vectors import vectors_of\n"
        "calls = []\n"
        "def encode(texts):\n"
        "    calls.append(texts)\n"
        "    if len(calls) == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return vectors_of(texts)\n"
        f"store = Store.open(Path({str(store.directory)!r}), clock=StillClock())\n"
        f"with_cache(encode, VectorCache(store), 'e')([f'text {{n}}' for n in range({4 * BATCH_TEXTS})])\n"
    )
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=environ, timeout=120).returncode == -signal.SIGKILL
    encoded: list[str] = []
    texts = [f"text {n}" for n in range(4 * BATCH_TEXTS)]
    found = with_cache(lambda some: encoded.extend(some) or vectors_of(some), VectorCache(store), "e")(texts)
    assert len(encoded) == 2 * BATCH_TEXTS
    assert found.tobytes() == vectors_of(texts).tobytes()


def test_many_threads_read_and_write_together(store: Store) -> None:
    cache, failed = VectorCache(store), []

    def work(number: int) -> None:
        texts = [f"{number % 2} {one}" for one in range(200)]
        for _ in range(3):
            if with_cache(vectors_of, cache, "e")(texts).tobytes() != vectors_of(texts).tobytes():
                failed.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert all(vector is not None for vector in cache.get("e", [f"1 {one}" for one in range(200)]))
