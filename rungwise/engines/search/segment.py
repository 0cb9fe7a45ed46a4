"""A segment: the chunks of some documents with everything that finds them. It never changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rungwise.core.content import Passage
from rungwise.core.errors import Corrupt
from rungwise.core.record import canonical_json
from rungwise.data.documents import Document
from rungwise.engines.chunking.chunk import TextChunk
from rungwise.engines.search.dense import Vectored, load_vectored
from rungwise.engines.search.postings import Postings, load_postings

CHUNKS, DOCUMENTS, TEXTS = "chunks.safetensors", "documents.json", "texts.bin"
"""The files of a segment, beside those of its postings and vectors."""

NONE = -1
KEPT_TEXTS = 256
_ARRAYS = ("owner", "spans", "parents", "pages", "headings", "offsets")

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Indexed:
    """A document as an index holds it: id, `version` (SHA-256 of its text), its fields, and the print of its source."""

    id: str
    version: str
    fields: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str = ""


@dataclass(frozen=True, eq=False)
class Segment:
    """The chunks of `documents`, n in all.

    `owner` (n,) is the place of each chunk's document, `spans` (n, 2) its characters, `parents` (n, 2) those of the piece that
    is read for it and `pages` (n,) its page (-1: none); `headings` (n,) leads to its heading path in `paths`. The text of
    document i is the bytes `offsets[i]` to `offsets[i + 1]` of `texts`.
    """

    documents: tuple[Indexed, ...]
    owner: Ints
    spans: Ints
    parents: Ints
    pages: Ints
    headings: Ints
    paths: tuple[tuple[str, ...], ...]
    offsets: Ints
    texts: bytes
    postings: Postings
    vectored: Vectored | None

    @property
    def size(self) -> int:
        """How many chunks it has."""
        return len(self.owner)

    def text(self, document: int) -> str:
        """The whole text of one of its documents."""
        return self._texts(document)

    @cached_property
    def _texts(self) -> Callable[[int], str]:
        """Decodes a text; several hits as a rule lie in one document."""

        @lru_cache(maxsize=KEPT_TEXTS)
        def decoded(document: int) -> str:
            return self.texts[int(self.offsets[document]) : int(self.offsets[document + 1])].decode("utf-8", "surrogatepass")

        return decoded

    def passage(self, chunk: int, score: float) -> Passage:
        """A chunk as a passage."""
        return self._piece(chunk, self.spans[chunk], score)

    def parent(self, chunk: int, score: float) -> Passage:
        """The piece that is read for a chunk: its parent, else itself."""
        own = self.parents[chunk]
        return self._piece(chunk, own if own[0] != NONE else self.spans[chunk], score)

    def _piece(self, chunk: int, span: Ints, score: float) -> Passage:
        number = int(self.owner[chunk])
        start, end = int(span[0]), int(span[1])
        document = self.documents[number]
        return Passage(self.text(number)[start:end], document.id, start, end, score, document.version)

    def files(self) -> dict[str, bytes]:
        """The segment as files. Equal segments give equal bytes."""
        from safetensors.numpy import save

        documents = [[one.id, one.version, dict(one.fields), one.fingerprint] for one in self.documents]
        about = canonical_json({"documents": documents, "paths": [list(path) for path in self.paths]})
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in _ARRAYS}
        own = {CHUNKS: save(arrays), DOCUMENTS: about.encode("utf-8", "surrogatepass"), TEXTS: self.texts}
        return {**own, **self.postings.files(), **(self.vectored.files() if self.vectored is not None else {})}


def make_segment(
    documents: Sequence[tuple[Document, Indexed]],
    chunks: Sequence[Sequence[TextChunk]],
    postings: Postings,
    vectored: Vectored | None,
) -> Segment:
    """The segment of documents and, for each, its chunks; postings and vectors are of all chunks in that order."""
    paths: dict[tuple[str, ...], int] = {}
    own = [(place, chunk) for place, found in enumerate(chunks) for chunk in found]
    texts = [document.text.encode("utf-8", "surrogatepass") for document, _ in documents]
    return Segment(
        documents=tuple(about for _, about in documents),
        owner=np.asarray([place for place, _ in own], np.int64),
        spans=_pairs([(chunk.start, chunk.end) for _, chunk in own]),
        parents=_pairs([chunk.parent or (NONE, NONE) for _, chunk in own]),
        pages=np.asarray([chunk.page or NONE for _, chunk in own], np.int64),
        headings=np.asarray([paths.setdefault(chunk.headings, len(paths)) for _, chunk in own], np.int64),
        paths=tuple(paths),
        offsets=np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int64),
        texts=b"".join(texts),
        postings=postings,
        vectored=vectored,
    )


def load_segment(files: Mapping[str, bytes], *, dense: bool) -> Segment:
    """A segment from its files. Raises Corrupt when one is missing or they do not belong together."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(files[CHUNKS])
        about: Mapping[str, Any] = json.loads(files[DOCUMENTS].decode("utf-8", "surrogatepass"))
        segment = Segment(
            documents=tuple(Indexed(id, version, fields, print) for id, version, fields, print in about["documents"]),
            paths=tuple(tuple(path) for path in about["paths"]),
            texts=files[TEXTS],
            postings=load_postings(files),
            vectored=load_vectored(files) if dense else None,
            **{name: arrays[name] for name in _ARRAYS},
        )
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise Corrupt(f"a segment of the index cannot be read ({error!r}). Make the index again") from error
    _check(segment)
    return segment


def _check(segment: Segment) -> None:
    """Raise Corrupt unless every place that is named is there: nothing that is read later can then be out of range."""
    n, count = segment.size, len(segment.documents)
    fits = (
        segment.spans.shape == segment.parents.shape == (n, 2)
        and len(segment.pages) == len(segment.headings) == segment.postings.size == n
        and (segment.vectored is None or len(segment.vectored.vectors) == n)
        and len(segment.offsets) == count + 1
        and segment.offsets[0] == 0
        and segment.offsets[-1] == len(segment.texts)
        and bool(np.all(np.diff(segment.offsets) >= 0))
        and (n == 0 or (0 <= segment.owner.min() <= segment.owner.max() < count))
        and (n == 0 or (0 <= segment.headings.min() <= segment.headings.max() < len(segment.paths)))
    )
    if not fits:
        raise Corrupt("the files of a segment of the index do not belong together. Make the index again")


def _pairs(spans: Sequence[tuple[int, int]]) -> Ints:
    return np.asarray(spans, np.int64).reshape(-1, 2)
