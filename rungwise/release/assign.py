"""Which variant answers whom: by a hash, without state, the same on every machine.

Each variant draws a number for the unit, and the least -log(u) / weight wins (weighted rendezvous hashing: Schindelhauer and
Schomaker, SPAA 2005). A unit meets a variant with a probability that is the variant's share; when weights change, units move
only to variants whose share has grown against the one that they leave.
"""

from __future__ import annotations

from hashlib import blake2b
from math import inf, log

from rungwise.core.release import Release, Variant

_DRAWS = 8
"""One digest holds so many draws of eight bytes."""


def variant_of(release: Release, unit: str) -> Variant:
    """The variant that answers a unit: a user, a conversation, or else a single request. Under 2 us."""
    variants = release.variants
    if len(variants) == 1:
        return variants[0]
    seed = f"{release.salt}\0{unit}".encode("utf-8", "surrogatepass")
    chosen, least = variants[0], inf
    drawn = b""
    for place, variant in enumerate(variants):
        if place % _DRAWS == 0:
            drawn = blake2b(seed, person=b"%d" % place).digest()
        if variant.weight > 0.0:
            start = place % _DRAWS * 8
            u = (int.from_bytes(drawn[start : start + 8], "big") + 0.5) * 2.0**-64
            cost = -log(u) / variant.weight
            if cost < least:
                chosen, least = variant, cost
    return chosen
