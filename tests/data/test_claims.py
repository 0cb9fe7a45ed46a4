"""A request that may come twice is claimed once, answered once, and taken over from a process that died."""

from __future__ import annotations

from rungwise.data.replies import CLAIMED, Replies, Reply
from rungwise.data.store import Store
from tests.clocks import StillClock


def claim(replies: Replies, trace: str) -> Reply | None:
    return replies.claim("k", trace, until=1e12, takeover_s=20)


def test_the_second_sees_that_the_first_is_at_it_and_then_its_answer(store: Store) -> None:
    replies = Replies(store)
    assert claim(replies, "first") is None
    assert claim(replies, "second") == Reply(CLAIMED, "", "first")
    replies.fill("k", Reply(200, "{}", "first"))
    assert claim(replies, "second") == Reply(200, "{}", "first")


def test_a_claim_that_failed_is_free_again(store: Store) -> None:
    replies = Replies(store)
    claim(replies, "first")
    replies.release("k", "first")
    assert claim(replies, "second") is None


def test_a_claim_is_taken_over_when_it_was_not_held_and_not_before(store: Store, clock: StillClock) -> None:
    replies = Replies(store)
    claim(replies, "first")
    clock.advance(15)
    replies.hold("k", "first")
    clock.advance(15)
    assert claim(replies, "second") == Reply(CLAIMED, "", "first")
    clock.advance(21)
    assert claim(replies, "third") is None


def test_answers_are_forgotten_when_their_time_is_over(store: Store, clock: StillClock) -> None:
    replies = Replies(store)
    replies.claim("k", "first", until=clock.now() + 10, takeover_s=20)
    replies.fill("k", Reply(200, "{}", "first"))
    clock.advance(11)
    assert replies.forget() == 1
