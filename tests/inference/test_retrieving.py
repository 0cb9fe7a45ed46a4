"""The search that a recipe describes, and who encodes its queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from rungwise.core.candidate import Fitted
from rungwise.core.usecase import UseCase
from rungwise.data import artefacts
from rungwise.data.documents import Document
from rungwise.data.store import Store
from rungwise.engines.encoders.encode import Encode, Vectors
from rungwise.engines.encoders.load import load_encoder
from rungwise.engines.search.building import build_segment
from rungwise.engines.search.index import How
from rungwise.engines.search.recipe import Recipe
from rungwise.inference.respond import Kit
from tests.clocks import StillClock

RECIPE = Recipe(encoder="hashed")
PART = Fitted(technique="index", recipe=RECIPE.plain(), inputs=("documents",))


def counting(seen: list[str]) -> Callable[[str], Encode]:
    def encode(texts: Sequence[str]) -> Vectors:
        seen.extend(texts)
        return load_encoder("hashed")(texts)

    return lambda name: encode


def test_whoever_probes_is_not_answered_from_what_others_remember(tmp_path: Path) -> None:
    clock = StillClock()
    store = Store.open(tmp_path, clock=clock)
    segment = build_segment([Document("a.md", "A lamp shines.")], RECIPE, load_encoder("hashed"))
    artefacts.save(store, PART.id, segment.files())
    kit = Kit(case=UseCase(name="x", task="search"), store=store, clock=clock, rng=Random(0))
    first: list[str] = []
    second: list[str] = []
    measuring, probing = counting(first), counting(second)
    one, other = kit.index(PART, measuring), kit.index(PART, probing)
    assert one.search("lamp", 1, How(mode="dense")) == other.search("lamp", 1, How(mode="dense"))
    assert first == second == ["lamp"]
    assert kit.index(PART, measuring) is one
    assert one.segments[0] is other.segments[0]
    store.close()
