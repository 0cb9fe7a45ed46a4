"""The language of --where: what it means, and what it says when it cannot be read."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.errors import UnknownName, UsageError
from rungwise.data.traces.query import FLAGS, NUMBERS, TEXTS, Condition, Query
from rungwise.data.traces.where import parse_where, quoted

NOW = 1_790_000_000.0


def parsed(text: str) -> list[tuple[str, str, Any]]:
    return [(one.field, one.operator, one.value) for one in parse_where(text, now=NOW).conditions]


def test_conditions_stand_with_and_between_them() -> None:
    assert parsed('user=ann and usd>0.01 AND text~"refund of 5" and at>=2026-11-01') == [
        ("user", "=", "ann"),
        ("usd", ">", 0.01),
        ("text", "~", "refund of 5"),
        ("at", ">=", 1_793_491_200.0),
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("at>7d", NOW - 7 * 86400),
        ("at > 1.5h", NOW - 5400),
        ("at>1790000000", 1_790_000_000.0),
        ("at>2026-11-01T12:30:00+01:00", 1_793_532_600.0),
        ("at>2026-11-01T12:30", 1_793_536_200.0),
        ('at>"2026-11-01 12:30"', 1_793_536_200.0),
        ("streamed=yes", True),
        ("failed != False", False),
        ("variant=none", None),
        ('variant="none"', "none"),
        ('user="say \\"hi\\" \\\\"', 'say "hi" \\'),
        ("tag.team=blue", "blue"),
        ("user=ann@example.com", "ann@example.com"),
        ("status>=400", 400.0),
        ("user=and", "and"),
    ],
)
def test_values_are_read_as_their_field_wants_them(text: str, value: object) -> None:
    assert [one[2] for one in parsed(text)] == [value]


def test_nothing_at_all_wants_every_trace() -> None:
    assert parse_where("  ", now=NOW) == Query()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("usr=ann", "Did you mean 'user'"),
        ("user", "after 'user' one of = != > >= < <= ~ is expected"),
        ("user=", "after 'user=' a value is expected"),
        ("user==ann", "after 'user=' a value is expected"),
        ("=ann", "here the name of a field is expected (>>>=ann)"),
        ("user=ann usd>1", "here 'and' and another condition, or the end, is expected (user=ann >>>usd>1)"),
        ("user=ann and", "here the name of a field is expected (user=ann and>>>)"),
        ("user=ann or user=bob", "here 'and'"),
        ('user="ann', "this quotation mark has no end"),
        ("user!ann", "'!' is no operator"),
        ("usd>much", "'usd' is compared with a number, not with 'much'"),
        ("usd>nan", "not with 'nan'"),
        ("at>yesterday", "'yesterday' is no moment"),
        ("streamed=maybe", "'streamed' is true or false, not 'maybe'"),
        ("user>ann", "'user' cannot be asked for with '>'"),
        ("text=refund", "'text' cannot be asked for with '='"),
    ],
)
def test_what_cannot_be_read_says_where_and_what_to_write(text: str, told: str) -> None:
    with pytest.raises((UsageError, UnknownName)) as error:
        parse_where(text, now=NOW)
    assert told in str(error.value)


@given(st.text(max_size=60) | st.text('userusd=><~!"\\ and0.1', max_size=40))
def test_any_text_is_a_query_or_an_error_with_words(text: str) -> None:
    with contextlib.suppress(UsageError):  # every other error fails the test
        assert all(isinstance(one, Condition) for one in parse_where(text, now=NOW).conditions)


words = st.tuples(st.sampled_from(sorted(TEXTS)), st.sampled_from(["=", "!="]), st.text(max_size=12))
amounts = st.tuples(
    st.sampled_from(sorted(set(NUMBERS) - {"at"})), st.sampled_from(["=", "!=", ">", ">=", "<", "<="]), st.floats(-1e9, 1e9)
)
flags = st.tuples(st.sampled_from(sorted(FLAGS)), st.just("="), st.booleans())


@given(st.lists(words | amounts | flags, min_size=1, max_size=4))
def test_whatever_is_written_out_is_read_again(wanted: list[tuple[str, str, Any]]) -> None:
    text = " and ".join(
        f"{field}{operator}{quoted(value) if isinstance(value, str) else repr(value)}" for field, operator, value in wanted
    )
    assert parsed(text) == wanted
