"""What a call costs, by whose word, and how an estimate stays on the safe side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.errors import BadData
from rungwise.core.usecase import Endpoint
from rungwise.engines.prices import (
    Listed,
    Price,
    SharedSeconds,
    guess_tokens,
    price_of,
    price_warning,
    read_prices,
    shipped_prices,
    token_bound,
)
from rungwise.engines.wire import TokenCount


def endpoint(model: str = "gpt-4o-mini-2024-07-18", url: str = "https://api.openai.com/v1", **changes: Any) -> Endpoint:
    return Endpoint(name="e", base_url=url, model=model, **changes)


def test_the_endpoints_own_figures_win_then_the_project_then_the_shipped_table() -> None:
    mine = [Listed(host="api.openai.com", model="gpt-4o-mini*", input=7.0, output=8.0)]
    assert price_of(endpoint()).input == 0.15
    assert price_of(endpoint(), [mine]).input == 7.0
    assert price_of(endpoint(usd_per_m_input=1.0, usd_per_m_output=2.0), [mine]) == Price(
        input=1.0, output=2.0, cached=1.0, source="rungwise.yaml"
    )


def test_the_longest_name_that_fits_wins_and_a_name_without_a_star_fits_itself_only() -> None:
    assert price_of(endpoint("gpt-4o-2024-11-20")).input == 2.5
    assert price_of(endpoint("gpt-4o-mini")).input == 0.15
    assert price_of(endpoint("gpt-5")).known
    assert not price_of(endpoint("gpt-55")).known


def test_a_price_holds_for_its_host_only() -> None:
    assert not price_of(endpoint("gpt-4o", "http://localhost:8000/v1")).known
    assert not price_of(endpoint("gpt-4o", "https://api.openai.com.example.org/v1")).known


def test_an_unknown_price_counts_as_nothing_and_is_said() -> None:
    unknown = price_of(endpoint("mine", "http://localhost:8000/v1"))
    assert unknown.of(TokenCount(10**6, 10**6), 3600.0) == 0.0
    assert "usd_per_m_input" in (price_warning(endpoint("mine"), unknown) or "")
    assert price_warning(endpoint(), price_of(endpoint())) is None
    free = price_of(endpoint("mine", usd_per_hour=0.0))
    assert price_warning(endpoint(), free) is None  # free because someone said so


def test_cached_tokens_have_their_own_price_and_machine_time_is_by_the_hour() -> None:
    assert Price(input=2.0, output=10.0, cached=0.5).of(TokenCount(1000, 100, 600), 9.0) == pytest.approx(
        (400 * 2 + 600 * 0.5 + 1000) / 1e6
    )
    assert price_of(endpoint("mine", usd_per_hour=1.8)).of(TokenCount(1000, 100), 2.0) == pytest.approx(0.001)


@given(
    st.integers(0, 10_000),
    st.integers(0, 1000),
    st.integers(0, 10_000),
    st.floats(0, 100),
    st.floats(0, 50),
    st.floats(0, 50),
    st.floats(0, 50),
)
def test_the_reservation_is_never_less_than_the_bill(
    given_in: int, made: int, cached: int, seconds: float, a: float, b: float, c: float
) -> None:
    price = Price(input=a, output=b, cached=c, usd_per_hour=1.0)
    bill = price.of(TokenCount(given_in, made, min(cached, given_in)), seconds)
    assert bill <= price.at_most(input_tokens=given_in, output_tokens=made, seconds=seconds) * (1 + 1e-9)


@given(st.lists(st.text(max_size=40), max_size=5))
def test_the_token_bound_is_at_least_one_token_a_byte(texts: list[str]) -> None:
    assert token_bound(texts) >= sum(len(text.encode("utf-8", "replace")) for text in texts)
    assert guess_tokens(texts) <= token_bound(texts)


def test_a_real_tokenizer_stays_under_the_bound(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers", reason="the extra 'local' is not installed")
    worst = tokenizers.Tokenizer(tokenizers.models.BPE(vocab={"?": 0}, merges=[], unk_token="?"))
    worst.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    for text in ("where is my parcel?", "größer 😀 漢字", "\x00 \n\n"):
        assert len(worst.encode(text).ids) <= token_bound([text])


def test_the_shipped_table_reads_and_every_output_costs_at_least_its_input() -> None:
    assert len(shipped_prices()) >= 10
    for line in shipped_prices():
        assert 0 < (line.cached or line.input) <= line.input <= line.output


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no [[price]] entries"),
        ("[[price]]\nhost = 1", "entry 1: 'host' must be text"),
        ("[[price]]\nhost='h'\nmodel='m'\ninput=1.0\noutput=-1", "'output' must be US dollars"),
        ("[[price]]\nhost='h'\nmodel='m'\ninput=nan\noutput=1", "'input' must be US dollars"),
        ("[[price]]\nhost='h'\nmodel='m'\ninput=1\noutput=1\ncurrency='EUR'", "unknown key 'currency'"),
        ("[[price]", "cannot read the price table"),
    ],
)
def test_a_broken_price_table_says_where(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadData) as caught:
        read_prices(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_seconds_are_shared_among_the_calls_in_flight(clock: Any) -> None:
    shared = SharedSeconds(clock)
    first = shared.start()
    clock.advance(2.0)  # alone: 2
    second = shared.start()
    clock.advance(2.0)  # together: 1 each
    assert shared.stop(first) == pytest.approx(3.0)
    clock.advance(1.0)  # alone again: 1
    assert shared.stop(second) == pytest.approx(2.0)
    clock.advance(10.0)  # nobody runs
    assert shared.busy_s == pytest.approx(5.0)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 10)), max_size=40))
def test_the_shares_add_up_to_the_time_that_anything_ran(steps: list[tuple[bool, float]]) -> None:
    class Clock:
        at = 0.0

        def now(self) -> float:
            return self.at

        tick = now

    time, running, charged = Clock(), [], 0.0
    shared = SharedSeconds(time)
    for start, passed in steps:
        if start or not running:
            running.append(shared.start())
        else:
            charged += shared.stop(running.pop(0))
        time.at += passed
    charged += sum(shared.stop(mark) for mark in running)
    assert charged == pytest.approx(shared.busy_s)
