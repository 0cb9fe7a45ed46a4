"""What a request can take at most: bytes in, the limit that it names out, at the dearest engine that may answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.candidate import Candidate
from rungwise.core.content import Shot
from rungwise.core.usecase import Endpoint
from rungwise.engines.prices import Price
from rungwise.serve.ask import CHAT, COMPLETION, EMBEDDINGS, Ask, Caller
from rungwise.serve.bounds import Bounds
from rungwise.serve.failure import BadRequest
from rungwise.serve.targets import Target

CHEAP = Endpoint(name="cheap", base_url="http://127.0.0.1:1", model="m", max_tokens=256)
DEAR = Endpoint(name="dear", base_url="http://127.0.0.1:2", model="m", max_tokens=512)
PRICES = {"cheap": Price(input=1.0, output=2.0, source="test"), "dear": Price(input=10.0, output=20.0, source="test")}
BOUNDS = Bounds([CHEAP, DEAR], PRICES, {"cheap": ("dear", "gone")})


def bound(target: Target, operation: str = CHAT, **body: Any) -> tuple[int, float]:
    return BOUNDS(Ask(operation, "m", {"messages": [], **body}, Caller(None, frozenset())), target)


def target(engine: Endpoint | None = DEAR, **more: Any) -> Target:
    return Target("t", None, engine=engine, **more)  # type: ignore[arg-type]


def test_the_answer_is_bounded_by_what_the_request_names_else_by_the_engine() -> None:
    free = bound(target(None))[0]
    assert bound(target())[0] - free == 512
    assert bound(target(), max_tokens=100)[0] < bound(target(), max_tokens=200)[0]
    both = bound(target(), max_completion_tokens=7, max_tokens=100)
    assert both[1] == pytest.approx(((both[0] - 7) * 10 + 7 * 20) / 1e6)


def test_several_answers_and_prompts_take_several_times_as_much() -> None:
    one, three = bound(target(), max_tokens=100), bound(target(), max_tokens=100, n=3)
    assert three[0] - one[0] >= 200
    lists = (
        bound(target(), COMPLETION, prompt=["a", "b"], max_tokens=100)[0] - bound(target(None), COMPLETION, prompt=["a", "b"])[0]
    )
    assert 200 <= lists < 250
    tokens = bound(target(), COMPLETION, prompt=[1, 2, 3], max_tokens=100)[0]
    assert tokens < 250


def test_embeddings_answer_no_tokens() -> None:
    assert bound(target(), EMBEDDINGS, input="x")[0] == bound(target(None), EMBEDDINGS, input="x")[0]


def test_the_dearest_engine_that_may_stand_in_counts() -> None:
    tokens, usd = bound(target(CHEAP))
    assert usd == pytest.approx(((tokens - 512) * 10 + 512 * 20) / 1e6)


def test_what_a_candidate_puts_around_a_question_counts() -> None:
    shots = (Shot("question " * 50, "answer"),)
    candidate = Candidate(task="classify", model="dear/m", prompt="Think. " * 100, shots=shots, options={"passages": 4})
    assert bound(target(candidate=candidate))[0] - bound(target())[0] >= 700 + 450 + 4 * 512


@pytest.mark.parametrize("value", ["many", -1, 1.5, True, [1], {"a": 1}, 1e300, float("nan"), float("inf"), "7"])
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "n", "best_of"])
def test_a_limit_that_is_no_number_is_the_clients_error(name: str, value: Any) -> None:
    body = {name: value}
    if value != value or value in (float("inf"), float("-inf")):
        return  # JSON cannot say it: it was refused before
    with pytest.raises(BadRequest) as refusal:
        bound(target(), **body)
    assert refusal.value.param == name


@given(text=st.text(max_size=200), most=st.integers(0, 10_000), n=st.integers(1, 8))
def test_no_tokenizer_makes_more_tokens_than_there_are_bytes(text: str, most: int, n: int) -> None:
    tokens, usd = bound(target(), messages=[{"role": "user", "content": text}], max_tokens=most, n=n)
    assert tokens >= len(text.encode("utf-8", "replace")) + most * n
    assert usd >= 0
