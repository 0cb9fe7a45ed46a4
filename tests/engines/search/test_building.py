"""An index is kept true by reading, cutting and encoding what changed, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.core.errors import Corrupt
from rungwise.data.documents import Document
from rungwise.data.indexes import Indexes
from rungwise.data.store import Store
from rungwise.engines.encoders.encode import Vectors
from rungwise.engines.encoders.load import load_encoder
from rungwise.engines.search.building import Built, build_segment, compact, open_index, update
from rungwise.engines.search.index import How, SearchIndex
from rungwise.engines.search.recipe import Recipe
from tests.clocks import StillClock
from tests.engines.search.shelf import Shelf

HASHED = Recipe(encoder="hashed")
TEXTS = {"a": "A parcel takes three days.", "b": "Send it back within thirty days.", "c": "A lamp is mended for two years."}


class Counting:
    """Encodes, and counts the texts."""

    def __init__(self) -> None:
        self.texts = 0
        self._encode = load_encoder("hashed")

    def __call__(self, texts: Sequence[str]) -> Vectors:
        self.texts += len(texts)
        return self._encode(texts)


@pytest.fixture
def indexes(tmp_path: Path) -> Iterator[Indexes]:
    store = Store.open(tmp_path / "index", clock=StillClock())
    yield Indexes(store)
    store.close()


def updated(indexes: Indexes, shelf: Shelf, recipe: Recipe = HASHED, **more: object) -> Built:
    return update(indexes, shelf, recipe, encode=Counting(), say=lambda _: None, **more)  # type: ignore[arg-type]


def hits(index: SearchIndex, query: str, mode: str) -> list[tuple[str, str, float]]:
    return found(index, query, How(mode=mode))


def found(index: SearchIndex, query: str, how: How) -> list[tuple[str, str, float]]:
    return [(one.document, one.text, round(one.score, 4)) for one in index.search(query, 9, how)]


def test_only_documents_that_changed_are_read_and_encoded_again(indexes: Indexes) -> None:
    first = updated(indexes, Shelf(TEXTS))
    assert (first.added, first.changed, first.deleted, first.unchanged, first.version.documents) == (3, 0, 0, 0, 3)
    shelf = Shelf({**TEXTS, "b": "Send it back within sixty days.", "d": "New here."})
    del shelf.texts["c"]  # type: ignore[attr-defined]
    second = updated(indexes, shelf)
    assert shelf.read == ["b", "d"]
    assert (second.added, second.changed, second.deleted, second.unchanged, second.encoded) == (1, 1, 1, 1, 2)
    assert (second.version.documents, second.version.chunks) == (3, 3)
    assert second.version.id != first.version.id


def test_nothing_changed_is_no_new_version(indexes: Indexes) -> None:
    first, shelf = updated(indexes, Shelf(TEXTS)), Shelf(TEXTS)
    assert updated(indexes, shelf).version.id == first.version.id
    assert shelf.read == []
    assert len(indexes.trail()) == 1


def test_what_the_source_does_not_have_stays_when_asked_for(indexes: Indexes) -> None:
    updated(indexes, Shelf(TEXTS))
    kept = updated(indexes, Shelf({"d": "New here."}), keep=True)
    assert (kept.added, kept.deleted, kept.version.documents) == (1, 0, 4)
    assert updated(indexes, Shelf({"d": "New here."})).deleted == 3


def test_another_recipe_makes_every_document_anew(indexes: Indexes) -> None:
    updated(indexes, Shelf(TEXTS))
    built = updated(indexes, Shelf(TEXTS), Recipe(encoder="hashed", words=HASHED.words.__class__(stem=False)))
    assert (built.added, built.encoded, built.version.documents) == (3, 3, 3)


def test_empty_documents_are_set_aside_and_an_empty_folder_is_an_empty_index(indexes: Indexes) -> None:
    built = updated(indexes, Shelf({"a": "   ", "b": "Something."}))
    assert [one.code for one in built.quarantine] == ["malformed:no_text"]
    assert built.version.documents == 1
    empty = updated(indexes, Shelf({}))
    assert (empty.version.documents, empty.version.chunks) == (0, 0)
    index = open_index(indexes, empty.version, encode=load_encoder("hashed"))
    assert index.search("something", 3) == ()


def test_earlier_versions_can_be_searched_again_until_they_are_forgotten(indexes: Indexes) -> None:
    first = updated(indexes, Shelf(TEXTS)).version
    second = updated(indexes, Shelf({"a": TEXTS["a"]})).version
    assert hits(open_index(indexes, first, encode=load_encoder("hashed")), "lamp", "lexical")
    assert not hits(open_index(indexes, second, encode=load_encoder("hashed")), "lamp", "lexical")
    indexes.point(first)
    assert indexes.head() == first
    indexes.point(second)
    assert compact(indexes) > 0
    assert len(indexes.trail()) == 1
    with pytest.raises(Corrupt):
        open_index(indexes, first)
    head = indexes.head()
    assert head is not None
    stored = b"".join(data for one in head.segments for data in indexes.load(one).values())
    assert b"lamp" not in stored


def test_a_byte_that_changed_on_the_disk_is_found_when_the_index_is_opened(indexes: Indexes) -> None:
    version = updated(indexes, Shelf(TEXTS)).version
    for name, blob in version.segments[0].files.items():
        path = indexes.store.blobs.path(blob)
        before = path.read_bytes()
        path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        with pytest.raises(Corrupt, match="does not match its digest"):
            open_index(indexes, version)
        path.write_bytes(before)
        assert name


def test_the_same_steps_give_the_same_version_on_every_machine(tmp_path: Path) -> None:
    def made(name: str) -> list[str]:
        store = Store.open(tmp_path / name, clock=StillClock())
        own = Indexes(store)
        ids = [updated(own, Shelf(TEXTS)).version.id, updated(own, Shelf({**TEXTS, "a": "Other."})).version.id]
        store.close()
        return ids

    assert made("one") == made("two")


@given(st.lists(st.dictionaries(st.sampled_from("abcdef"), st.text("lamp days parcel \nä", max_size=30), max_size=6), max_size=12))
@settings(max_examples=15, deadline=None)
def test_after_any_history_the_index_answers_as_one_built_afresh(history: list[dict[str, str]]) -> None:
    import tempfile

    encode = load_encoder("hashed")
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder), clock=StillClock())
        indexes = Indexes(store)
        for texts in history:
            built = updated(indexes, Shelf(texts))
            whole = [Document(id, text) for id, text in sorted(texts.items()) if text.strip()]
            fresh = SearchIndex(HASHED, [build_segment(whole, HASHED, encode)], encode=encode)
            live = open_index(indexes, built.version, encode=encode)
            assert (built.version.documents, built.version.chunks) == (len(whole), fresh.size)
            for mode in ("lexical", "dense"):
                assert sorted(hits(live, "lamp parcel", mode)) == sorted(hits(fresh, "lamp parcel", mode))
            both = How(mode="hybrid", weight=0.4)  # by ranks, equal scores rank by where they lie
            assert sorted(found(live, "lamp parcel", both)) == sorted(found(fresh, "lamp parcel", both))
        store.close()
