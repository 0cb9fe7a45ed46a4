"""Fitted parts are made once, and the same whoever of them was there before."""

from __future__ import annotations

from sqlalchemy import delete
from terminal import ticket_rows

from rungwise.core.candidate import Fitted
from rungwise.core.dataset import Example
from rungwise.core.usecase import UseCase
from rungwise.data import artefacts
from rungwise.data.documents import Documents
from rungwise.data.schema import steps
from rungwise.data.store import Store
from rungwise.engines.executors import InlineExecutor
from rungwise.ladder.embedding import Embeddings
from rungwise.ladder.making import Maker, Materials
from tests.clocks import StillClock

PARTS = [Fitted(technique="linear", recipe={"c": c}, inputs=("train",)) for c in (0.1, 0.3, 1.0, 3.0)]


def maker(store: Store, clock: StillClock) -> Maker:
    rows = tuple(Example(text=row["message"], references=(row["intent"],)) for row in ticket_rows(per_intent=30))
    executor = InlineExecutor()
    embeddings = Embeddings(store, lambda name: lambda texts: None, executor, clock)  # type: ignore[arg-type, return-value]
    materials = Materials(
        case=UseCase(name="x", task="classify"),
        train=rows,
        documents=Documents(),
        recordings={},
        embeddings=embeddings,
        executor=executor,
        load=lambda _: {},
    )
    return Maker(store, materials, clock)


async def test_a_part_that_is_made_again_alone_is_the_one_that_was_made_with_the_others(store: Store, clock: StillClock) -> None:
    # Each fit of a linear model starts from the one before it, so one that is fitted alone differs in its last digits.
    await maker(store, clock).make(PARTS)
    before = [artefacts.load(store, part.id) for part in PARTS]
    with store.write() as connection:
        connection.execute(delete(steps).where(steps.c.key == PARTS[2].id))  # killed before the third was saved
    await maker(store, clock).make(PARTS)
    assert [artefacts.load(store, part.id) for part in PARTS] == before


async def test_a_part_whose_file_was_lost_is_made_anew(store: Store, clock: StillClock) -> None:
    await maker(store, clock).make(PARTS)
    before = [artefacts.load(store, part.id) for part in PARTS]
    for path in store.blobs.directory.rglob("*"):
        if path.is_file():
            path.unlink()
    await maker(store, clock).make(PARTS)
    assert [artefacts.load(store, part.id) for part in PARTS] == before
