"""Several segments made into one, without their dead documents and without encoding anything again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rungwise.engines.search.dense import index_vectors
from rungwise.engines.search.postings import merge_postings
from rungwise.engines.search.segment import NONE, Ints, Segment

MOST_SEGMENTS = 8
"""More than so many are merged: each one costs a search a little, and merging costs a copy."""
LEFT_SEGMENTS = 3


def due(sizes: Sequence[int]) -> set[int]:
    """Which segments, by place, are to be merged: the smallest, when there are too many; else none."""
    if len(sizes) <= MOST_SEGMENTS:
        return set()
    order = sorted(range(len(sizes)), key=lambda place: (-sizes[place], place))
    return set(order[LEFT_SEGMENTS:])


def merge_segments(segments: Sequence[Segment], dead: Sequence[Sequence[int]]) -> Segment:
    """One segment of the live documents of some, in their order. `dead[i]` are places of documents of segment i."""
    kept = [_living(segment, own) for segment, own in zip(segments, dead, strict=True)]
    alive = [keep[segment.owner] for segment, keep in zip(segments, kept, strict=True)]
    paths: dict[tuple[str, ...], int] = {}
    owners, headings, texts = [], [], []
    count = 0
    for segment, keep, chunks in zip(segments, kept, alive, strict=True):
        places = np.full(len(keep), NONE, np.int64)
        places[keep] = count + np.arange(int(keep.sum()))
        count += int(keep.sum())
        owners.append(places[segment.owner[chunks]])
        renamed = np.asarray([paths.setdefault(path, len(paths)) for path in segment.paths], np.int64)
        headings.append(renamed[segment.headings[chunks]] if len(renamed) else segment.headings[:0])
        texts += [segment.texts[segment.offsets[i] : segment.offsets[i + 1]] for i in np.flatnonzero(keep)]
    vectors = [segment.vectored.vectors[chunks] for segment, chunks in zip(segments, alive, strict=True) if segment.vectored]
    return Segment(
        documents=tuple(
            one for segment, keep in zip(segments, kept, strict=True) for one, on in zip(segment.documents, keep, strict=True) if on
        ),
        owner=_joined(owners),
        spans=_joined([segment.spans[chunks] for segment, chunks in zip(segments, alive, strict=True)]),
        parents=_joined([segment.parents[chunks] for segment, chunks in zip(segments, alive, strict=True)]),
        pages=_joined([segment.pages[chunks] for segment, chunks in zip(segments, alive, strict=True)]),
        headings=_joined(headings),
        paths=tuple(paths),
        offsets=np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int64),
        texts=b"".join(texts),
        postings=merge_postings([segment.postings for segment in segments], alive=alive),
        vectored=index_vectors(np.concatenate(vectors)) if vectors else None,
    )


def _living(segment: Segment, dead: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    keep = np.ones(len(segment.documents), np.bool_)
    keep[list(dead)] = False
    return keep


def _joined(arrays: Sequence[Ints]) -> Ints:
    return np.concatenate(arrays) if arrays else np.zeros(0, np.int64)
