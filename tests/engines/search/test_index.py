"""One search over segments: by words, by meaning, by both, for tenants that are apart and documents that fulfil conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.core.content import Passage
from rungwise.core.errors import Corrupt, UsageError
from rungwise.data.documents import Document
from rungwise.engines.chunking.chunk import Chunking
from rungwise.engines.encoders.load import load_encoder
from rungwise.engines.search.building import build_segment
from rungwise.engines.search.filters import Condition
from rungwise.engines.search.index import How, SearchIndex
from rungwise.engines.search.merging import due, merge_segments
from rungwise.engines.search.recipe import Recipe
from rungwise.engines.search.segment import CHUNKS, TEXTS, load_segment

HASHED = Recipe(encoder="hashed")
ENCODE = load_encoder("hashed")
TEXTS_BY_ID = {
    "a.md": "# Delivery\n\nA parcel takes three days. Saturdays do not count.",
    "b.md": "# Returns\n\nSend the parcel back within thirty days.",
    "c.md": "# Warranty\n\nA broken lamp is mended for two years.",
    "d.md": "# Gift cards\n\nA gift card never expires.",
}
FIELDS = {
    "a.md": {"tenant": "north", "year": "2019", "language": "en"},
    "b.md": {"tenant": "north", "year": "2021", "language": "de"},
    "c.md": {"tenant": "south", "year": "2023", "language": "en"},
    "d.md": {"tenant": "south", "year": "2020"},
}


def documents(texts: Mapping[str, str] = TEXTS_BY_ID, fields: Mapping[str, Mapping[str, str]] | None = None) -> list[Document]:
    return [Document(id, text, (fields or {}).get(id, {})) for id, text in texts.items()]


def index_of(*groups: Sequence[Document], dead: Sequence[Sequence[int]] = (), recipe: Recipe = HASHED) -> SearchIndex:
    encode = ENCODE if recipe.encoder else None
    return SearchIndex(recipe, [build_segment(group, recipe, encode) for group in groups], dead=dead, encode=encode)


def found(passages: Sequence[Passage]) -> list[tuple[str, int, int, float]]:
    return [(one.document, one.start, one.end, pytest.approx(one.score, rel=1e-5)) for one in passages]


@pytest.mark.parametrize("mode", ["lexical", "dense", "hybrid"])
def test_a_hit_is_exactly_the_characters_that_it_names(mode: str) -> None:
    hit = index_of(documents()).search("within how many days may I send a parcel back?", 3, How(mode=mode))[0]
    assert hit.document == "b.md"
    text = TEXTS_BY_ID["b.md"]
    assert hit.text == text[hit.start : hit.end]
    assert hit.version == Document("b.md", text).version


@pytest.mark.parametrize("how", [How(mode="lexical"), How(mode="dense"), How(), How(weight=0.4), How(mode="lexical", feedback=2)])
def test_segments_with_dead_documents_answer_as_an_index_of_the_living_ones(how: How) -> None:
    old = documents({"a.md": "An older text about parcels.", "x.md": "A parcel that nobody sent."})
    split = index_of(old, documents(), dead=[[0, 1], []])
    whole = index_of(documents())
    for query in ("parcel days", "lamp", "gift card expires", "when is a parcel mended"):
        assert found(split.search(query, 4, how)) == found(whole.search(query, 4, how))


def test_merged_segments_answer_as_before() -> None:
    groups = [documents({"a.md": "An older text.", "e.md": "Stairs to the third floor cost extra."}), documents()]
    segments = [build_segment(group, HASHED, ENCODE) for group in groups]
    merged = merge_segments(segments, [[0], []])
    apart = SearchIndex(HASHED, segments, dead=[[0], []], encode=ENCODE)
    one = SearchIndex(HASHED, [merged], encode=ENCODE)
    assert [about.id for about in merged.documents] == ["e.md", "a.md", "b.md", "c.md", "d.md"]
    for query in ("parcel days", "stairs", "lamp years"):
        for mode in ("lexical", "dense", "hybrid"):
            assert found(one.search(query, 5, How(mode=mode))) == found(apart.search(query, 5, How(mode=mode)))


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.text("xyz ä\n#", max_size=40)), max_size=12), st.data())
@settings(max_examples=40, deadline=None)
def test_a_segment_survives_its_files_and_a_merge_loses_no_chunk(rows: list[tuple[str, str]], data: st.DataObject) -> None:
    recipe = Recipe(chunking=Chunking(size=20))
    texts = {f"{place}{name}": text for place, (name, text) in enumerate(rows)}
    segment = build_segment(documents(texts), recipe, None)
    again = load_segment(segment.files(), dense=False)
    assert again.files() == segment.files()
    dead = data.draw(st.lists(st.sampled_from(range(len(rows))), unique=True)) if rows else []
    merged = merge_segments([segment, segment], [dead, range(len(rows))])
    kept = [(one.document, one.start, one.end, one.text) for one in _chunks(segment) if int(one.document[:-1]) not in dead]
    assert [(one.document, one.start, one.end, one.text) for one in _chunks(merged)] == kept


def _chunks(segment: object) -> list[Passage]:
    return [segment.passage(chunk, 0.0) for chunk in range(segment.size)]  # type: ignore[attr-defined]


def test_a_damaged_segment_is_found_out_when_it_is_opened() -> None:
    files = build_segment(documents(), HASHED, ENCODE).files()
    other = build_segment(documents({"z.md": "Another text of another length."}), HASHED, ENCODE).files()
    for name in files:
        with pytest.raises(Corrupt):
            load_segment({one: data for one, data in files.items() if one != name}, dense=True)
    for name in (CHUNKS, TEXTS):
        with pytest.raises(Corrupt):
            load_segment({**files, name: other[name]}, dense=True)


def test_tenants_are_apart_even_in_how_rare_a_word_is() -> None:
    shared = index_of(documents(fields=FIELDS))
    own = index_of([one for one in documents(fields=FIELDS) if one.fields["tenant"] == "south"])
    with pytest.raises(UsageError, match="--tenant NAME"):
        shared.search("parcel", 3)
    with pytest.raises(UsageError, match="nothing of a tenant 'west'"):
        shared.search("parcel", 3, How(tenant="west"))
    for mode in ("lexical", "dense", "hybrid"):
        how = How(mode=mode, tenant="south")
        assert found(shared.search("a lamp or a gift card for a parcel", 5, how)) == found(
            own.search("a lamp or a gift card for a parcel", 5, how)
        )
    assert {hit.document for hit in shared.search("parcel", 9, How(mode="dense", tenant="north"))} == {"a.md", "b.md"}


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("language=en", {"a.md", "c.md"}),
        ("language!=en", {"b.md", "d.md"}),
        ("language=en|de", {"a.md", "b.md", "c.md"}),
        ("year>=2020", {"b.md", "c.md", "d.md"}),
        ("year<2020", {"a.md"}),
        ("year > 2020", {"b.md", "c.md"}),
        ("year<=2020", {"a.md", "d.md"}),
    ],
)
def test_conditions_hold_inside_the_search(condition: str, kept: set[str]) -> None:
    fields = {id: {name: value for name, value in own.items() if name != "tenant"} for id, own in FIELDS.items()}
    hits = index_of(documents(fields=fields)).search("parcel", 9, How(mode="dense", where=(Condition.parse(condition),)))
    assert {hit.document for hit in hits} == kept


def test_a_condition_that_is_none_or_on_an_unknown_field_says_so() -> None:
    with pytest.raises(UsageError, match="field=value"):
        Condition.parse("language")
    fields = {"a.md": {"language": "en"}}
    with pytest.raises(UsageError, match="no document has a field 'langauge'"):
        index_of(documents(fields=fields)).search("parcel", 3, How(where=(Condition.parse("langauge=en"),)))


@pytest.mark.parametrize("query", ["", "   \n", "?!", "x" * 100_000, "parcel " * 20_000, "\ud800 lone", "包裹 🎁"])
@pytest.mark.parametrize("mode", ["lexical", "dense", "hybrid"])
def test_any_query_is_answered(query: str, mode: str) -> None:
    hits = index_of(documents()).search(query, 3, How(mode=mode))
    assert len(hits) <= 3
    assert query.strip() or not hits


def test_an_index_without_vectors_says_how_it_can_be_searched() -> None:
    with pytest.raises(UsageError, match="--mode lexical"):
        index_of(documents(), recipe=Recipe()).search("parcel", 3)
    with pytest.raises(UsageError, match="lexical, dense, hybrid"):
        index_of(documents()).search("parcel", 3, How(mode="fuzzy"))


def test_of_many_segments_the_small_ones_are_merged() -> None:
    assert due([5] * 8) == set()
    assert due([1000, 1, 2, 500, 3, 4, 5, 6, 700]) == {1, 2, 4, 5, 6, 7}


def test_small_chunks_find_and_their_parents_are_read() -> None:
    text = "# Lamps\n\n" + " ".join(f"Lamp number {number} shines for {number} years." for number in range(60))
    recipe = Recipe(chunking=Chunking(method="hierarchy", size=60, parent=600))
    index = index_of(documents({"lamps.md": text}), recipe=recipe)
    hit = index.search("lamp number 41", 1, How(mode="lexical"))[0]
    parent = index.parent_of(hit)
    assert parent is not None
    assert parent.start <= hit.start < hit.end <= parent.end
    assert parent.text == text[parent.start : parent.end]
    assert len(parent.text) > len(hit.text)


def test_an_encoder_of_another_dimension_says_so_and_words_are_still_searched() -> None:
    made = index_of(documents())
    other = SearchIndex(HASHED, made.segments, encode=lambda texts: ENCODE(texts)[:, :7])
    with pytest.raises(UsageError, match="vectors of 7 numbers"):
        other.search("lamp", 3, How(mode="hybrid"))
    assert other.search("lamp", 3, How(mode="lexical"))
