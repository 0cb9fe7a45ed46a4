"""Making an index and keeping it true: only documents that changed are cut and encoded again; the rest stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from rungwise.core.errors import BadData, UnknownName, UsageError
from rungwise.core.progress import Progress
from rungwise.core.record import digest
from rungwise.data.documents import Document
from rungwise.data.indexes import Indexes, IndexVersion, StoredSegment
from rungwise.data.readers import Quarantined
from rungwise.data.sources import Piece
from rungwise.engines.chunking.cut import chunk_document
from rungwise.engines.encoders.encode import Encode, Vectors, encodable
from rungwise.engines.encoders.load import load_tokenizer
from rungwise.engines.search.dense import index_vectors
from rungwise.engines.search.index import TENANT, SearchIndex
from rungwise.engines.search.merging import due, merge_segments
from rungwise.engines.search.postings import index_terms
from rungwise.engines.search.recipe import Recipe
from rungwise.engines.search.segment import Indexed, Segment, load_segment, make_segment

ENCODED_AT_ONCE = 1_024
"""Chunks that are encoded, and kept, in one go: what a kill costs at most."""

Say = Callable[[Progress], None]


class Listing(Protocol):
    """Where documents come from: pieces (files, pages, tables) that are known by their fingerprints, and what is in each."""

    def pieces(self) -> Iterator[Piece | Quarantined]:
        """Every piece, without reading it."""
        ...

    def documents(self, piece: Piece) -> Iterator[Document | Quarantined]:
        """The documents of a piece."""
        ...


@dataclass(frozen=True, kw_only=True)
class Built:
    """What became of an index: the version, and how many documents were new, changed, gone, left as they were, not readable."""

    version: IndexVersion
    added: int = 0
    changed: int = 0
    deleted: int = 0
    unchanged: int = 0
    encoded: int = 0
    quarantine: tuple[Quarantined, ...] = ()


def build_segment(
    documents: Sequence[Document],
    recipe: Recipe,
    encode: Encode | None,
    *,
    about: Sequence[Indexed] = (),
    say: Say = lambda _: None,
) -> Segment:
    """Cut, count and encode documents; `about` says what is kept of each beside its text (else what the document says)."""
    about = about or [Indexed(one.id, one.version, dict(one.fields)) for one in documents]
    tokenizer = load_tokenizer(recipe.chunking.tokenizer) if recipe.chunking.tokenizer else None
    chunks = [chunk_document(document, recipe.chunking, tokenizer=tokenizer) for document in documents]
    texts = [chunk.searched for own in chunks for chunk in own]
    vectored = index_vectors(_vectors(texts, encode, say)) if encode is not None else None
    return make_segment(list(zip(documents, about, strict=True)), chunks, index_terms(texts, words=recipe.words), vectored)


def update(
    indexes: Indexes,
    listing: Listing,
    recipe: Recipe,
    *,
    encode: Encode | None,
    tenant: str | None = None,
    keep: bool = False,
    may_empty: bool = True,
    say: Say,
) -> Built:
    """Bring the index up to date with what a listing has now, as a new version; nothing changed is no new version.

    `tenant` is the field that says whose a document is. With `keep`, documents that the listing does not have stay.
    Another recipe than before makes every document anew; raises UsageError where that would lose what is to be kept, or when no
    document has that field, and, unless it `may_empty` the index, BadData when not one document was found.
    """
    head = indexes.head()
    settings = {"tenant": tenant}
    same = head is not None and Recipe.of(head.recipe) == recipe and dict(head.settings) == settings
    if keep and head is not None and head.documents and not same:
        raise UsageError("other settings make every document anew, also those to be kept. Leave out the settings, or --keep")
    old = open_index(indexes, head) if same and head is not None else None
    survey = _look(listing, _Known(old), tenant=tenant, say=say)
    if not may_empty:
        _check_found(survey, head)
    _check_tenant(survey, tenant)
    dead = survey.dead(old, keep=keep)
    if head is not None and old is not None and not survey.fresh and not any(dead.values()):
        return Built(version=head, unchanged=len(survey.kept), quarantine=tuple(survey.quarantine))
    stored = []
    if head is not None and old is not None:
        stored = [
            _marked(one, segment, dead.get(place, ()))
            for place, (one, segment) in enumerate(zip(head.segments, old.segments, strict=True))
        ]
    encoded = 0
    if survey.fresh:
        documents = [document for document, _ in survey.fresh]
        segment = build_segment(documents, recipe, encode, about=[about for _, about in survey.fresh], say=say)
        encoded = segment.size
        stored.append(indexes.keep(segment.files(), documents=len(segment.documents), chunks=segment.size))
    version = _version(recipe, settings, _merged(indexes, stored, recipe))
    indexes.point(version)
    deleted = sum(map(len, dead.values())) - survey.replaced
    return Built(
        version=version,
        added=len(survey.fresh) - survey.replaced,
        changed=survey.replaced,
        deleted=deleted,
        unchanged=len(survey.kept),
        encoded=encoded,
        quarantine=tuple(survey.quarantine),
    )


def open_index(indexes: Indexes, version: IndexVersion, *, encode: Encode | None = None) -> SearchIndex:
    """An index as it was at a version. Raises Corrupt when a byte of it is not what it was."""
    recipe = Recipe.of(version.recipe)
    segments = [load_segment(indexes.load(one), dense=recipe.encoder is not None) for one in version.segments]
    return SearchIndex(recipe, segments, dead=[one.dead for one in version.segments], encode=encode)


def compact(indexes: Indexes) -> int:
    """Make one segment of the live documents and forget every other version; give how many bytes that freed.

    What was deleted is then nowhere in the index any more.
    """
    head = indexes.head()
    if head is None:
        return 0
    recipe = Recipe.of(head.recipe)
    stored = [_merge(indexes, head.segments, recipe)] if len(head.segments) > 1 or any(one.dead for one in head.segments) else []
    version = _version(recipe, dict(head.settings), stored or list(head.segments))
    return indexes.forget([indexes.point(version)])


def _check_found(survey: _Survey, head: IndexVersion | None) -> None:
    if survey.fresh or survey.kept:
        return
    first = (
        f" The first that was set aside: {survey.quarantine[0].place}: {survey.quarantine[0].reason.rstrip('.')}."
        if survey.quarantine
        else ""
    )
    stays = " The index stays as it was." if head is not None and head.documents else ""
    hint = "Check the place, or put text, Markdown, HTML or PDF files in it"
    raise BadData(f"no document could be read.{first}{stays}", hint=hint)


def _check_tenant(survey: _Survey, tenant: str | None) -> None:
    """A misspelt field would put every document into the hands of one tenant without a name."""
    if tenant is None or survey.kept or not survey.fresh or any(tenant in one.fields for one, _ in survey.fresh):
        return
    names = {name for one, _ in survey.fresh for name in one.fields}
    raise UnknownName("field", tenant, names, where="any document, to tell tenants by")


class _Known:
    """The live documents of an index, by id and by the fingerprint of what they were read from."""

    def __init__(self, index: SearchIndex | None) -> None:
        self.by_id: dict[str, tuple[tuple[int, int], Indexed]] = {}
        self.by_print: dict[str, list[str]] = {}
        for place, document in index.documents() if index is not None else ():
            self.by_id[document.id] = place, document
            self.by_print.setdefault(document.fingerprint, []).append(document.id)


@dataclass
class _Survey:
    """What a listing has: documents to index, and the ids of those that stay as they are."""

    known: _Known
    fresh: list[tuple[Document, Indexed]] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)
    quarantine: list[Quarantined] = field(default_factory=list)
    replaced: int = 0

    def dead(self, old: SearchIndex | None, *, keep: bool) -> dict[int, list[int]]:
        """The places of documents that are replaced or no longer there, by segment."""
        gone: dict[int, list[int]] = {}
        if old is None:
            return gone
        new = {about.id for _, about in self.fresh}
        for id, ((segment, place), _) in self.known.by_id.items():
            if id in new or (id not in self.kept and not keep):
                gone.setdefault(segment, []).append(place)
        return gone


def _look(listing: Listing, known: _Known, *, tenant: str | None, say: Say) -> _Survey:
    survey = _Survey(known)
    seen: set[str] = set()
    for piece in listing.pieces():
        if isinstance(piece, Quarantined):
            survey.quarantine.append(piece)
            continue
        print = digest([piece.name, piece.fingerprint])
        if print in known.by_print:
            survey.kept.update(known.by_print[print])
            seen.update(known.by_print[print])
            continue
        for found in listing.documents(piece):
            if isinstance(found, Quarantined):
                survey.quarantine.append(found)
            elif found.id in seen:
                survey.quarantine.append(Quarantined(piece.name, f"the id '{found.id}' was there before", "refused:twin"))
            else:
                seen.add(found.id)
                _sort_in(survey, found, print, tenant)
        say(Progress(rung="index", step="read", done=len(seen)))
    return survey


def _sort_in(survey: _Survey, document: Document, print: str, tenant: str | None) -> None:
    fields = dict(document.fields)
    if tenant is not None:
        fields[TENANT] = fields.get(tenant, "")
    about = Indexed(document.id, document.version, fields, print)
    before = survey.known.by_id.get(document.id)
    if before is not None and replace(before[1], fingerprint=print) == about:
        survey.kept.add(document.id)
        return
    survey.replaced += before is not None
    survey.fresh.append((document, about))


def _vectors(texts: Sequence[str], encode: Encode, say: Say) -> Vectors:
    """(n, d); some at a time, so that there is news of it and a kill loses little."""
    found: list[Vectors] = []
    for start in range(0, max(1, len(texts)), ENCODED_AT_ONCE):
        found.append(encode([encodable(text) for text in texts[start : start + ENCODED_AT_ONCE]]))
        say(Progress(rung="index", step="encode", done=min(len(texts), start + ENCODED_AT_ONCE), total=len(texts)))
    return np.concatenate(found)


def _marked(stored: StoredSegment, segment: Segment, dead: Iterable[int]) -> StoredSegment:
    """The segment with further dead documents."""
    all_dead = tuple(sorted({*stored.dead, *dead}))
    lost = int(np.isin(segment.owner, all_dead).sum())
    return replace(stored, dead=all_dead, dead_chunks=lost)


def _merged(indexes: Indexes, stored: Sequence[StoredSegment], recipe: Recipe) -> list[StoredSegment]:
    """The segments with small ones made into one, and those without a live document left out."""
    live = [one for one in stored if len(one.dead) < one.documents]
    small = due([one.chunks for one in live])
    if not small:
        return live
    others = [one for place, one in enumerate(live) if place not in small]
    return [*others, _merge(indexes, [live[place] for place in sorted(small)], recipe)]


def _merge(indexes: Indexes, stored: Sequence[StoredSegment], recipe: Recipe) -> StoredSegment:
    segments = [load_segment(indexes.load(one), dense=recipe.encoder is not None) for one in stored]
    merged = merge_segments(segments, [one.dead for one in stored])
    return indexes.keep(merged.files(), documents=len(merged.documents), chunks=merged.size)


def _version(recipe: Recipe, settings: dict[str, str | None], stored: Sequence[StoredSegment]) -> IndexVersion:
    return IndexVersion(
        recipe=recipe.plain(),
        settings=settings,
        segments=tuple(stored),
        documents=sum(one.documents - len(one.dead) for one in stored),
        chunks=sum(one.chunks - one.dead_chunks for one in stored),
    )
