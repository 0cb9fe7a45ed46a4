"""`rungwise watch`: each day once, in words, as JSON and as a page; a monitor that there is not is named with those there are."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from terminal import Terminal

from rungwise.core.reading import DAY_S
from rungwise.core.release import Release, Variant
from rungwise.core.trace import new_trace_id
from rungwise.core.usecase import UseCase
from rungwise.data.spec import FILE, write_use_case
from rungwise.data.store import EMBEDDED, Store
from rungwise.engines.clock import SystemClock
from rungwise.release.registry import Releases
from tests.data.judged import answered, write


@pytest.fixture
def rungwise(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project that was released four days ago, and answered some questions on each day since."""
    write_use_case(tmp_path / FILE, UseCase(name="shop", task="classify"))
    store = Store.open(tmp_path / "state", clock=SystemClock(), url=EMBEDDED)
    begun = (time.time() // DAY_S - 4) * DAY_S + 3_600.0
    variants = (Variant(name="a", candidate="c" * 64, weight=1.0),)
    live = Releases(store).put(Release(use_case="u", variants=variants, evidence=(), at=begun)).live
    with store.write() as connection:
        connection.exec_driver_sql(f"update release_moves set at = {begun}")
    asked = [(day, n) for day in range(4) for n in range(8)]
    write(
        store,
        [
            replace(
                answered(n, f"where is parcel {n}?", "tracking"),
                id=new_trace_id(begun + day * DAY_S + n, bytes([day, n] * 5)),
                at=begun + day * DAY_S + n,
                release=live.id,
                variant="a",
                candidate="c" * 64,
            )
            for day, n in asked
        ],
    )
    store.close()
    return tmp_path


def test_each_day_is_looked_at_once_and_told_in_words(rungwise: Terminal, shop: Path) -> None:
    first = rungwise("watch", shop)
    assert first.code == 0
    assert "4 new days looked at" in first.out
    assert "8 answers were judged" not in first.out
    assert "0.0% [0.0%," in first.out  # of those who might have judged nobody did
    assert "watch." not in first.out  # no part broke
    assert "0 new days looked at" in rungwise("watch", shop).out


def test_as_json_every_reading_is_there(rungwise: Terminal, shop: Path) -> None:
    said = rungwise("watch", shop, "--json", "--days", 4, "--monitor", "cost.usd")
    document = json.loads(said.out)
    assert (document["looked"], document["page"]) == (4, None)
    assert [one["n"] for one in document["readings"]] == [8, 8, 8, 8]
    assert {one["monitor"] for one in document["readings"]} == {"cost.usd"}


def test_the_page_is_written_where_it_is_wanted(rungwise: Terminal, shop: Path) -> None:
    said = rungwise("watch", shop, "--page", shop / "own.html")
    assert f"written: {shop / 'own.html'}" in said.out
    assert "Nothing stands out" in (shop / "own.html").read_text(encoding="utf-8")


def test_a_monitor_that_there_is_not_is_named_with_those_there_are(rungwise: Terminal, shop: Path) -> None:
    said = rungwise("watch", shop, "--monitor", "cost.usb")
    assert said.code == 2
    assert "there is no monitor 'cost.usb'" in said.err
    assert "cost.usd" in said.err
    assert rungwise("watch", shop, "--monitor", "cost").code == 0


def test_before_a_day_is_over_it_says_what_to_do(rungwise: Terminal, tmp_path: Path) -> None:
    write_use_case(tmp_path / FILE, UseCase(name="shop", task="classify"))
    store = Store.open(tmp_path / "state", clock=SystemClock(), url=EMBEDDED)
    Releases(store).put(Release(use_case="u", variants=(Variant(name="a", candidate="c" * 64, weight=1.0),), evidence=()))
    store.close()
    said = rungwise("watch", tmp_path)
    assert said.code == 2
    assert "no day of traffic" in said.err
    assert "rungwise serve" in said.err
