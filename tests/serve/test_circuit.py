"""The breaker and the budget of retries, on a clock that stands still."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.serving import Breaker
from rungwise.serve.routing.allowance import FIRST, Allowance
from rungwise.serve.routing.breaker import CLOSED, OPEN, TRYING, Circuit
from tests.clocks import StillClock


def opened(clock: StillClock, *, failures: int = 3, rest_s: float = 10.0) -> Circuit:
    circuit = Circuit(Breaker(failures=failures, rest_s=rest_s), clock)
    for _ in range(failures):
        assert circuit.admits()
        circuit.failed()
    return circuit


def test_opens_after_so_many_failures_in_a_row_and_admits_nothing_while_it_rests(clock: StillClock) -> None:
    circuit = opened(clock)
    assert (circuit.state, circuit.rests_s) == (OPEN, 10.0)
    clock.advance(9.9)
    assert not circuit.admits()


def test_a_success_in_between_starts_the_count_anew(clock: StillClock) -> None:
    circuit = Circuit(Breaker(failures=2), clock)
    for _ in range(5):
        circuit.failed()
        circuit.succeeded()
    assert circuit.state == CLOSED


def test_after_the_rest_one_request_tries_and_the_others_wait_for_its_end(clock: StillClock) -> None:
    circuit = opened(clock)
    clock.advance(10)
    assert circuit.state == TRYING
    assert [circuit.admits() for _ in range(3)] == [True, False, False]
    circuit.succeeded()
    assert (circuit.state, circuit.admits()) == (CLOSED, True)


def test_a_try_that_fails_is_another_whole_rest(clock: StillClock) -> None:
    circuit = opened(clock)
    clock.advance(10)
    assert circuit.admits()
    circuit.failed()
    assert (circuit.admits(), circuit.rests_s) == (False, 10.0)
    clock.advance(10)
    assert circuit.admits()


def test_a_try_whose_client_left_shows_nothing_so_the_next_one_tries(clock: StillClock) -> None:
    circuit = opened(clock)
    clock.advance(10)
    assert circuit.admits()
    circuit.left()
    assert circuit.admits()


def test_failures_of_requests_that_were_under_way_do_not_prolong_the_rest(clock: StillClock) -> None:
    circuit = opened(clock)
    clock.advance(6)
    circuit.failed()
    assert circuit.rests_s == 4.0


@given(st.lists(st.sampled_from(["ask", "good", "bad", "gone", "wait"]), max_size=200), st.integers(1, 4))
def test_never_stays_shut_for_longer_than_a_rest_once_all_requests_are_settled(steps: list[str], failures: int) -> None:
    clock = StillClock()
    circuit, flying = Circuit(Breaker(failures=failures, rest_s=10.0), clock), 0
    for step in steps:
        if step == "ask":
            flying += circuit.admits()
        elif step == "wait":
            clock.advance(3)
        elif flying:
            flying -= 1
            {"good": circuit.succeeded, "bad": circuit.failed, "gone": circuit.left}[step]()
    for _ in range(flying):
        circuit.left()
    clock.advance(10)
    assert circuit.admits()


@given(st.floats(0.0, 1.0), st.lists(st.booleans(), max_size=300))
def test_retries_never_pass_their_share_by_more_than_the_first_few(share: float, wishes: list[bool]) -> None:
    allowance, made = Allowance(share), 0
    for number, wish in enumerate(wishes, 1):
        allowance.asked()
        made += wish and allowance.take()
        assert made <= FIRST + share * number + 1e-6


def test_a_share_of_nothing_is_no_retry_at_all() -> None:
    allowance = Allowance(0.0)
    allowance.asked()
    assert not allowance.take()
