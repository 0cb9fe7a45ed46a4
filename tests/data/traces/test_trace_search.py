"""Search gives what a look at every trace would give, newest first."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rungwise.core.content import Usage
from rungwise.core.errors import StoreError, UnknownName, UsageError
from rungwise.core.trace import Trace
from rungwise.data.traces.file import TraceFile
from rungwise.data.traces.query import FLAGS, NUMBERS, TEXTS, Condition, Query, checked
from rungwise.data.traces.search import by_response_id, get, search
from rungwise.data.traces.sums import sums
from tests.data.traces.tracing import BEGIN, a_trace

ROWS = 2_600


def varied(number: int, rng: random.Random) -> Trace:
    """A trace that differs from its neighbours; some come long after they began, several of one moment."""
    at = BEGIN + number // 3 - (rng.random() < 0.02) * rng.randrange(500)
    return a_trace(
        number,
        at=at,
        seconds=rng.choice([0.1, 0.5, 9.0]),
        user=rng.choice([None, "ann", "bob", f"user{rng.randrange(300)}"]),
        tenant=rng.choice(["north", "south"]),
        variant=rng.choice(["plain", "rich"]) if number > 1000 else "plain",
        status=rng.choice([200, 200, 200, 429, 502]),
        error=rng.choice([None, "engine_failed"]),
        tags=rng.choice([{}, {"team": "blue"}, {"team": "red", "page": "help"}]),
        usage=Usage(rng.randrange(500), rng.randrange(90), calls=1, usd=rng.choice([0.0, 0.001, 0.5])),
        shadow_of=rng.choice([None, None, "c" * 32]),
        first_token_s=rng.choice([None, 0.2]),
        streamed=rng.random() < 0.3,
        request=f'{{"messages":[{{"content":"parcel {rng.randrange(900)} Übergröße"}}]}}',
        response=rng.choice([None, '{"content":"a REFUND of 5%"}', '{"content":"caf\\u00e9"}']),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files, of 2,600 traces: segments that are full, and the rest behind them."""
    folder, rng = tmp_path_factory.mktemp("searched"), random.Random(7)
    files = [TraceFile(folder, worker=worker) for worker in range(2)]
    for start in range(0, ROWS, 20):
        file = rng.choice(files[: 1 + start % 3 // 1] if start % 7 else files[:1])
        file.write([varied(n, rng) for n in range(start, start + 20)])
        file.tidy()
    for one in files:
        one.close()
    return folder


class Many(list[Trace]):
    """Traces that are not written out when a test fails."""

    def __repr__(self) -> str:
        return f"{len(self)} traces"


@pytest.fixture(scope="module")
def everything(folder: Path) -> list[Trace]:
    return Many(sorted(search(folder, Query()), key=lambda trace: (trace.at, trace.id), reverse=True))


def test_all_of_them_are_given_newest_first(folder: Path, everything: list[Trace]) -> None:
    assert len(everything) == ROWS
    assert list(search(folder, Query())) == everything


words = st.sampled_from([None, "ann", "nobody", "north", "plain", "rich", "blue", "local", "engine_failed", "", "a" * 12, "b" * 64])
texts = st.builds(Condition, st.sampled_from([*TEXTS, "tag.team", "tag.page"]), st.sampled_from(["=", "!="]), words)
parts = st.builds(
    Condition, st.sampled_from([*TEXTS, "tag.team"]), st.just("~"), st.sampled_from(["n", "NN", "chatcmpl-12", "fail"])
)
amounts = st.builds(
    Condition,
    st.sampled_from(sorted(NUMBERS)),
    st.sampled_from(["=", "!=", ">", ">=", "<", "<="]),
    st.sampled_from([0.0, 0.2, 0.5, 9.0, 100.0, 200.0, 429.0, BEGIN + 100, BEGIN + 700.0]),
)
flags = st.builds(Condition, st.sampled_from(sorted(FLAGS)), st.sampled_from(["=", "!="]), st.booleans())
content = st.builds(
    Condition, st.just("text"), st.just("~"), st.sampled_from(["refund", "5%", "café", "Übergröße", "parcel 12", '"', "_"])
)
conditions = st.lists(texts | parts | amounts | flags | content, max_size=3).map(tuple)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conditions=conditions, limit=st.none() | st.integers(1, 40))
def test_any_query_gives_what_a_look_at_each_trace_gives(
    folder: Path, everything: list[Trace], conditions: tuple[Condition, ...], limit: int | None
) -> None:
    query = Query(tuple(checked(one) for one in conditions))
    expected = [trace for trace in everything if all(one.holds(trace) for one in conditions)]
    found = list(search(folder, query, limit=limit))
    assert [trace.id for trace in found] == [trace.id for trace in expected[:limit]]
    assert Many(found) == Many(expected[:limit])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conditions=conditions, by=st.sampled_from([None, "user", "tenant", "variant", "asked", "tag.team", "model"]))
def test_sums_are_those_of_the_traces(
    folder: Path, everything: list[Trace], conditions: tuple[Condition, ...], by: str | None
) -> None:
    wanted = [trace for trace in everything if all(one.holds(trace) for one in conditions)]
    found = {one.value: one for one in sums(folder, Query(conditions), by=by)}
    assert sum(one.traces for one in found.values()) == len(wanted)
    for value, one in found.items():
        own = [t for t in wanted if by is None or (t.tags.get("team") if by == "tag.team" else TEXTS[by](t)) == value]
        assert one.traces == len(own)
        assert one.failed == sum(trace.status >= 400 for trace in own)
        assert one.usd == pytest.approx(sum(trace.usage.usd for trace in own))
        assert one.input_tokens == sum(trace.usage.input_tokens for trace in own)
        assert one.seconds == pytest.approx(sum(trace.seconds for trace in own))


def test_pages_follow_each_other_without_a_gap(folder: Path, everything: list[Trace]) -> None:
    pages: list[Trace] = []
    while page := list(search(folder, Query(), after=(pages[-1].at, pages[-1].id) if pages else None, limit=700)):
        pages += page
    assert pages == everything


def test_only_as_much_is_read_as_is_asked_for(folder: Path, everything: list[Trace]) -> None:
    with closing(search(folder, Query().where("user", "=", "ann"))) as found:
        assert list(islice(found, 3)) == [trace for trace in everything if trace.user == "ann"][:3]


def test_ids_are_looked_up(folder: Path, everything: list[Trace]) -> None:
    some = everything[5::700]
    wanted = frozenset([trace.id for trace in some] + ["0" * 32])
    assert list(search(folder, Query(ids=wanted))) == some
    assert list(search(folder, Query(ids=wanted).where("id", "=", some[0].id))) == some[:1]
    assert list(search(folder, Query(ids=wanted).among(frozenset([some[1].id])))) == [some[1]]
    assert get(folder, some[0].id) == some[0]
    assert get(folder, "f" * 32) is None


def test_an_answer_is_found_by_its_id(folder: Path, everything: list[Trace]) -> None:
    assert by_response_id(folder, "chatcmpl-2000").response_id == "chatcmpl-2000"  # type: ignore[union-attr]
    assert by_response_id(folder, "chatcmpl-none") is None


def test_a_folder_without_traces_has_none(tmp_path: Path) -> None:
    assert list(search(tmp_path / "none", Query())) == []
    assert sums(tmp_path / "none", Query(), by="user") == []


def test_what_comes_while_one_searches_is_left_for_the_next_search(tmp_path: Path) -> None:
    one = TraceFile(tmp_path, worker=0)
    one.write([a_trace(number) for number in range(5)])
    found: Iterator[Trace] = search(tmp_path, Query())
    assert next(found) == a_trace(4)
    one.write([a_trace(number) for number in range(5, 9)])
    assert len(list(found)) == 4
    assert len(list(search(tmp_path, Query()))) == 9
    one.close()


@pytest.mark.parametrize(
    ("field", "operator", "value", "error", "told"),
    [
        ("usr", "=", "ann", UnknownName, "Did you mean 'user'"),
        ("user", ">", "ann", UsageError, "'user' cannot be asked for with '>'"),
        ("usd", "~", 1.0, UsageError, "'usd' cannot be asked for with '~'"),
        ("usd", ">", "much", UsageError, "a number"),
        ("streamed", "=", "yes", UsageError, "true or false"),
        ("text", "=", "x", UsageError, "with '='"),
        ("text", "~", "", UsageError, "needs a text"),
        ("tag.", "=", "x", UnknownName, "there is no field"),
    ],
)
def test_a_condition_that_cannot_be_is_explained(
    field: str, operator: str, value: object, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        Query().where(field, operator, value)  # type: ignore[arg-type]


def test_sums_by_what_is_no_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="sum by"):
        sums(tmp_path, Query(), by="usd")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    one = TraceFile(tmp_path, worker=0)
    one.write([a_trace(number) for number in range(50)])
    one.close()
    data = bytearray((tmp_path / "worker-0.db").read_bytes())
    data[4096 : 4096 * 8] = b"\xff" * (4096 * 7)
    (tmp_path / "worker-0.db").write_bytes(bytes(data))
    with pytest.raises(StoreError, match="damaged"):
        list(search(tmp_path, Query()))
