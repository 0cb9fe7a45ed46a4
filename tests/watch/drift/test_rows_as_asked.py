"""The rows that days are held against after a re-climb: those drawn from traffic by chance, as users wrote them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from examples.traffic.simulator import FIRST_DAY, World, simulate, write_day
from rungwise.core.dataset import DEV, SEALED, TRAIN, Dataset, Example
from rungwise.core.usecase import UseCase
from rungwise.core.watching import Watching
from rungwise.data.datasets import keep_dataset
from rungwise.data.nouns import Nouns
from rungwise.data.splits import DRAWN, FROM_TRACE, RANDOM
from rungwise.data.store import EMBEDDED, Store
from rungwise.watch.drift.rows import FEWEST, rows_said
from rungwise.watch.scene import Scene
from tests.clocks import StillClock
from tests.decisions import met

MASKED = "{n} <DATE_TIME> and <PERSON>"


def decided_on(store: Store, drawn: int, traces: list[str]) -> None:
    """A decision on 90 rows of old, rows of `drawn` traces and rows of 20 mistakes that somebody noticed."""
    rows = [Example(text=f"old {n}", references=("a",), key=f"old{n}") for n in range(90)]
    fields = [{FROM_TRACE: id, DRAWN: RANDOM} for id in traces[:drawn]] + [{FROM_TRACE: id} for id in traces[-20:]]
    rows += [Example(text=MASKED.format(n=n), references=("a",), key=f"new{n}", fields=own) for n, own in enumerate(fields)]
    splits = [(TRAIN, DEV, TRAIN, DEV, SEALED)[n % 5] for n in range(len(rows))]
    dataset = Dataset(rows=tuple(rows), splits=tuple(splits))
    keep_dataset(store, dataset)
    Nouns(store).put(met(dataset.id))


@pytest.mark.parametrize("drawn", [20, 2 * FEWEST])
def test_masked_rows_and_noticed_mistakes_are_never_what_days_are_held_against(tmp_path: Path, drawn: int) -> None:
    with closing(Store.open(tmp_path, clock=StillClock(), url=EMBEDDED)) as store:
        day = simulate(World(requests_per_day=400), 0)
        write_day(store, day)
        asked = dict(zip(day.traffic.ids, day.traffic.text, strict=True))
        decided_on(store, drawn, list(asked))
        scene = Scene(
            store=store,
            directory=tmp_path,
            case=UseCase(name="simulated", task="classify"),
            watching=Watching(),
            day=FIRST_DAY + 1,
            clock=StillClock(),
        )
        found = rows_said(scene, None)
        assert found is not None
        texts = set(found.text.tolist())
        assert not [text for text in texts if "<DATE_TIME>" in text]
        if drawn < FEWEST:
            assert texts <= {f"old {n}" for n in range(90)}
        else:
            assert texts <= {asked[id] for id in list(asked)[:drawn]}
        assert len(found) >= FEWEST
