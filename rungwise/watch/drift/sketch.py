"""What is kept of one day, so that no day is read twice: the mean of every feature, in all and by group."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rungwise.core.record import canonical_json
from rungwise.watch.drift.features import MIX, OUTSIDE, RATE, Feature, Requests, columns_of
from rungwise.watch.drift.tails import Floats

ALIKE = 0.2
"""How alike the requests of one person on one day are taken to be: the weight of n of them is n / (1 + ALIKE (n - 1)), at most 5
requests' (Kish 1965, Survey Sampling, 5.4), so that a single busy person moves no mean."""

MOST_PEOPLE = 1_000
"""People with a rare event whose numbers are kept for a day; where there are more, the event is not rare."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """A feature of one group on one day: `mean` (p,) over people, `size` the independent requests it stands for, `spread` (p,)
    the variance of one request, `people` how many asked, and for a rate or a mix `who` (p lists) had it, by hashed number."""

    mean: Floats
    size: float
    spread: Floats
    people: int
    who: tuple[NDArray[np.uint32], ...] = ()


Sketch = dict[tuple[int, int], Part]
"""By group (0 is all the traffic) and feature, those of which there is anything."""


def sketched(features: Sequence[Feature], groups: Sequence[str], requests: Requests, *, day: int = OUTSIDE) -> Sketch:
    """The sketch of the requests of one day. `day` is given where they are part of the reference (see `columns_of`)."""
    found: Sketch = {}
    if not len(requests.traffic):
        return found
    tags = requests.traffic.group
    members = [np.ones(len(tags), np.bool_), *(np.array([tag == group for tag in tags], np.bool_) for group in groups)]
    hashed = _hashed(requests)
    for place, feature in enumerate(features):
        columns = columns_of(feature, requests, day)
        if columns is None:
            continue
        values, valid = columns
        for group, member in enumerate(members):
            rows = np.flatnonzero(member & valid)
            if len(rows):
                found[group, place] = part_of(feature, values[rows], requests.people[rows], hashed[rows])
    return found


def part_of(feature: Feature, values: Floats, people: NDArray[np.int64], hashed: NDArray[np.uint32]) -> Part:
    """What is kept of the values (n, p) of requests, at least one, by people (n,) as numbers, in two forms."""
    _, own, asked = np.unique(people, return_inverse=True, return_counts=True)
    weights = (1.0 / (1.0 + ALIKE * (asked - 1.0)))[own]
    size = float(weights.sum())
    mean = weights @ values / size
    spread = np.maximum(weights @ values**2 / size - mean**2, 0.0)
    who: tuple[NDArray[np.uint32], ...] = ()
    if feature.kind in (RATE, MIX):
        rows, columns = np.nonzero(values.T)[::-1]
        edges = np.searchsorted(columns, np.arange(values.shape[1] + 1))
        held = hashed[rows]
        who = tuple(np.unique(held[a:b])[:MOST_PEOPLE] if b > a else held[:0] for a, b in pairwise(edges.tolist()))
    return Part(mean=mean, size=size, spread=spread, people=len(asked), who=who)


def _hashed(requests: Requests) -> NDArray[np.uint32]:
    names = [user or unit for user, unit in zip(requests.traffic.user, requests.traffic.unit, strict=True)]
    return np.array([zlib.crc32(str(name).encode("utf-8", "surrogatepass")) for name in names], np.uint32)


def packed(sketch: Sketch) -> bytes:
    """The sketch as bytes: a line of JSON that says where what is, then numbers."""
    head: list[list[object]] = []
    numbers: list[NDArray[np.float32]] = []
    people: list[NDArray[np.uint32]] = []
    for (group, feature), part in sorted(sketch.items()):
        head.append([group, feature, len(part.mean), part.size, part.people, [len(one) for one in part.who]])
        numbers += [part.mean.astype("<f4"), part.spread.astype("<f4")]
        people += [one.astype("<u4") for one in part.who]
    blobs = b"".join(one.tobytes() for one in (*numbers, *people))
    return zlib.compress(canonical_json(head).encode() + b"\n" + blobs, 1)


def unpacked(body: bytes) -> Sketch:
    """The sketch that `packed` made these bytes of."""
    line, _, blobs = zlib.decompress(body).partition(b"\n")
    head = json.loads(line)
    numbers = np.frombuffer(blobs, "<f4", count=2 * sum(entry[2] for entry in head)).astype(np.float64)
    people = np.frombuffer(blobs, "<u4", offset=4 * len(numbers)).astype(np.uint32)
    found: Sketch = {}
    at = start = 0
    for group, feature, dims, size, asked, lengths in head:
        mean, spread = numbers[at : at + dims], numbers[at + dims : at + 2 * dims]
        at += 2 * dims
        who = []
        for length in lengths:
            who.append(people[start : start + length])
            start += length
        found[group, feature] = Part(mean=mean, size=size, spread=spread, people=asked, who=tuple(who))
    return found
