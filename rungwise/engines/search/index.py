"""An index that answers: segments behind one search, by words, by meaning, or by both."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from rungwise.core.content import Passage
from rungwise.core.errors import UsageError
from rungwise.engines.encoders.encode import Encode, encodable
from rungwise.engines.search.dense import DenseIndex
from rungwise.engines.search.filters import Condition, check_fields
from rungwise.engines.search.fusion import UNTUNED, convex, reciprocal_rank
from rungwise.engines.search.lexical import LexicalIndex
from rungwise.engines.search.recipe import Recipe
from rungwise.engines.search.segment import NONE, Indexed, Segment

LEXICAL, DENSE, HYBRID = "lexical", "dense", "hybrid"
MODES = (LEXICAL, DENSE, HYBRID)
TENANT = "tenant"
"""The field of a document that says whose it is, in an index of several tenants."""

QUERY_CHARACTERS = 20_000  # of a longer query the beginning is searched: an encoder reads some 1,000, and words repeat
ENCODED_AT_ONCE = 256
KEPT_FILTERS = 64

Numbers = NDArray[np.int64]
Ranked = tuple[Numbers, NDArray[np.float32]]
"""Chunks, best first, and their scores."""


@dataclass(frozen=True, kw_only=True)
class How:
    """How an index is searched.

    `weight` is the share of the dense score in a hybrid one, in [0, 1]; None fuses by ranks instead. `depth` is how many
    chunks each part brings to that. `feedback` is how many of the first hits lend their words to a second search (0: none).
    """

    mode: str = HYBRID
    weight: float | None = UNTUNED
    depth: int = 100
    feedback: int = 0
    where: tuple[Condition, ...] = ()
    tenant: str | None = None


class SearchIndex:
    """The live chunks of some segments. `dead[i]` are the places of documents in segment i that are no longer there.

    `encode` gives the vectors of queries; without one, only words are searched. Tenants are apart: the words and rarities of
    one tenant's documents do not reach another's scores.
    """

    def __init__(
        self, recipe: Recipe, segments: Sequence[Segment], *, dead: Sequence[Sequence[int]] = (), encode: Encode | None = None
    ) -> None:
        self.recipe, self.segments, self.encode = recipe, tuple(segments), encode
        dead = dead or [()] * len(self.segments)
        self._alive = [_living(segment, own) for segment, own in zip(self.segments, dead, strict=True)]
        self._dead = [frozenset(own) for own in dead]
        self._starts = np.concatenate([[0], np.cumsum([segment.size for segment in self.segments])]).astype(np.int64)
        self._view = lru_cache(maxsize=KEPT_FILTERS)(self._make_view)
        self._allowed = lru_cache(maxsize=KEPT_FILTERS)(self._make_allowed)

    def asked_with(self, encode: Encode | None) -> SearchIndex:
        """The same index, and nothing of it twice, for queries that are encoded by another function."""
        other = copy.copy(self)
        other.encode = encode
        return other

    @property
    def size(self) -> int:
        """How many live chunks it has."""
        return int(sum(own.sum() for own in self._alive))

    @cached_property
    def tenants(self) -> frozenset[str]:
        """Whose documents it holds, '' for those that are nobody's; empty where nobody is named."""
        owners = {one.fields.get(TENANT) for _, one in self.documents()}
        return frozenset(owner or "" for owner in owners) if owners != {None} else frozenset()

    def documents(self) -> Iterator[tuple[tuple[int, int], Indexed]]:
        """Each live document with (its segment, its place there)."""
        for number, segment in enumerate(self.segments):
            for place, document in enumerate(segment.documents):
                if place not in self._dead[number]:
                    yield (number, place), document

    @property
    def lexical(self) -> LexicalIndex:
        """The search by words over everybody's chunks: what is rare here."""
        return self._view(None).lexical

    def lexical_of(self, tenant: str | None) -> LexicalIndex:
        """The search by words over one tenant's chunks: what is rare there."""
        return self._view(tenant).lexical

    def search(self, query: str, k: int, how: How | None = None) -> tuple[Passage, ...]:
        """The `k` best chunks, best first."""
        how = how or How()
        vector = self._encoded([query])[0] if self._dense(how) and query.strip() else None
        return self._passages(self.rank(query, k, how, vector=vector))

    def search_many(self, queries: Sequence[str], k: int, how: How | None = None) -> Iterator[tuple[Passage, ...]]:
        """As `search`, for many queries: they are encoded together."""
        how = how or How()
        for start in range(0, len(queries), ENCODED_AT_ONCE):
            some = queries[start : start + ENCODED_AT_ONCE]
            vectors = self._encoded(some) if self._dense(how) else [None] * len(some)
            for query, vector in zip(some, vectors, strict=True):
                yield self._passages(self.rank(query, k, how, vector=vector))

    def rank(self, query: str, k: int, how: How, *, vector: NDArray[np.float32] | None) -> Ranked:
        """The numbers of the `k` best chunks and their scores. An empty query finds nothing.

        Raises UsageError for a mode that this index does not have, a field that no document has, or a missing tenant.
        """
        self.check(how)
        query = query[:QUERY_CHARACTERS]
        if k < 1 or not query.strip():
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        view, allowed = self._view(how.tenant), self._allowed(how.tenant, how.where)
        if how.mode == DENSE:
            assert vector is not None
            assert view.dense is not None
            return view.dense.search(vector, k, allowed=allowed)
        depth = k if how.mode == LEXICAL else max(k, how.depth)
        lexical = view.words(query, depth, how.feedback, allowed)
        if how.mode == LEXICAL:
            return lexical
        assert vector is not None
        assert view.dense is not None
        dense = view.dense.search(vector, depth, allowed=allowed)
        if how.weight is None:
            return _first(reciprocal_rank([lexical[0], dense[0]]), k)
        numbers = np.union1d(lexical[0], dense[0])
        scores = view.lexical.scores(query)[numbers]
        return _first(convex(numbers, scores, view.dense.cosines(vector, numbers), weight=how.weight), k)

    def parent_of(self, passage: Passage) -> Passage | None:
        """What is read where a chunk was found; None where that is the chunk itself."""
        place = self._parents.get((passage.document, passage.start, passage.end))
        return self.segments[place[0]].parent(place[1], passage.score) if place is not None else None

    @cached_property
    def _parents(self) -> dict[tuple[str, int, int], tuple[int, int]]:
        """The chunks that have a parent: document and span to (segment, place there)."""
        return {
            _place(segment, int(chunk)): (number, int(chunk))
            for number, (segment, alive) in enumerate(zip(self.segments, self._alive, strict=True))
            for chunk in np.flatnonzero(alive & (segment.parents[:, 0] != NONE))
        }

    def _passages(self, ranked: Ranked) -> tuple[Passage, ...]:
        found = [(*self._at(int(number)), float(score)) for number, score in zip(*ranked, strict=True)]
        return tuple(segment.passage(chunk, score) for segment, chunk, score in found)

    def _at(self, number: int) -> tuple[Segment, int]:
        place = int(np.searchsorted(self._starts, number, side="right")) - 1
        return self.segments[place], number - int(self._starts[place])

    def _dense(self, how: How) -> bool:
        self.check(how)
        return how.mode != LEXICAL

    def _encoded(self, queries: Sequence[str]) -> NDArray[np.float32]:
        assert self.encode is not None
        vectors = self.encode([encodable(query[:QUERY_CHARACTERS]) for query in queries])
        held = {one.vectored.vectors.shape[1] for one in self.segments if one.vectored is not None and one.size}
        if held and held != {vectors.shape[1]}:
            sizes = " and ".join(map(str, sorted(held)))
            raise UsageError(
                f"the encoder gives vectors of {vectors.shape[1]} numbers, and the index holds vectors of {sizes}: it was changed "
                "since. Put the old one back, search with --mode lexical, or make the index anew in another folder"
            )
        return vectors

    def check(self, how: How) -> None:
        """Raise UsageError for a mode that this index does not have, a field that no document has, or a missing tenant."""
        if how.mode not in MODES:
            raise UsageError(f"there is no way of searching '{how.mode}'. Choose one of: {', '.join(MODES)}")
        if how.mode != LEXICAL and (self.recipe.encoder is None or self.encode is None):
            raise UsageError(
                f"this index has no vectors, which a {how.mode} search needs. Search it with --mode lexical, or index again"
            )
        if self.tenants and how.tenant is None:
            raise UsageError("this index holds documents of several tenants. Say whose are searched: --tenant NAME")
        if how.tenant is not None and how.tenant not in self.tenants:
            raise UsageError(f"this index holds nothing of a tenant '{how.tenant}'")
        if how.where:
            check_fields(how.where, self._fields)

    @cached_property
    def _fields(self) -> tuple[str, ...]:
        return tuple({name for _, one in self.documents() for name in one.fields if name != TENANT})

    def _make_view(self, tenant: str | None) -> _View:
        alive = self._alive
        if tenant is not None:
            alive = [
                own & mask for own, mask in zip(alive, self._masks(lambda one: one.fields.get(TENANT, "") == tenant), strict=True)
            ]
        lexical = LexicalIndex.of([segment.postings for segment in self.segments], alive=alive)
        vectored = [segment.vectored for segment in self.segments if segment.vectored is not None]
        dense = DenseIndex.of(vectored, alive=alive) if self.recipe.encoder is not None else None
        return _View(lexical, dense)

    def _make_allowed(self, tenant: str | None, where: tuple[Condition, ...]) -> NDArray[np.bool_] | None:
        if not where:
            return None
        masks = self._masks(lambda one: all(condition.holds(one.fields) for condition in where))
        return np.concatenate(masks) if masks else np.zeros(0, np.bool_)

    def _masks(self, holds: Callable[[Indexed], bool]) -> list[NDArray[np.bool_]]:
        """For each segment, which chunks are of a document that fulfils this."""
        return [np.asarray([holds(one) for one in segment.documents], np.bool_)[segment.owner] for segment in self.segments]


@dataclass(frozen=True)
class _View:
    """What one tenant, or everybody, searches."""

    lexical: LexicalIndex
    dense: DenseIndex | None

    def words(self, query: str, k: int, feedback: int, allowed: NDArray[np.bool_] | None) -> Ranked:
        """By words; with feedback, by the words of the first hits too."""
        found = self.lexical.search(query, k, allowed=allowed)
        if not feedback or not len(found[0]):
            return found
        return self.lexical.search_weighted(self.lexical.expand(query, found[0][:feedback]), k, allowed=allowed)


def _living(segment: Segment, dead: Sequence[int]) -> NDArray[np.bool_]:
    alive = np.ones(len(segment.documents), np.bool_)
    alive[list(dead)] = False
    return alive[segment.owner]


def _place(segment: Segment, chunk: int) -> tuple[str, int, int]:
    start, end = segment.spans[chunk].tolist()
    return segment.documents[int(segment.owner[chunk])].id, start, end


def _first(ranked: Ranked, k: int) -> Ranked:
    return ranked[0][:k], ranked[1][:k]
