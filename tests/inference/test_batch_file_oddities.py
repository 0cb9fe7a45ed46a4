"""Batch files that are odd: bytes that are no text, damaged archives, names that are taken, two runs at once."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rungwise.core.content import Chunk, Request, Text
from rungwise.core.errors import BadData, OutOfBudget, ProjectBusy, UsageError
from rungwise.inference.batch_file import Counts, answer_file
from tests.clocks import StillClock


async def shout(request: Request) -> AsyncIterator[Chunk]:
    yield Chunk(parts=(Text(request.text.upper()),), confidence=0.5)


async def answer(folder: Path, clock: StillClock, *, responder=shout, source="in.jsonl", target="out.jsonl") -> Counts:  # type: ignore[no-untyped-def]
    return await answer_file(responder, folder / source, folder / target, candidate="c" * 64, text_field="text", clock=clock)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


async def test_a_row_with_bytes_that_are_no_text_fails_and_never_reaches_the_answers(tmp_path: Path, clock: StillClock) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'{"text":"a","note":"caf\xe9"}\n{"text":"b"}\n{"text":"\xff"}\n')
    assert await answer(tmp_path, clock) == Counts(rows=3, answered=1, failed=2)
    first, _, third = lines(tmp_path / "out.jsonl")  # which reads as UTF-8
    assert first == {"error": "line 1: not UTF-8 (invalid continuation byte at byte 24)"}
    assert "byte 10" in str(third["error"])


async def test_a_row_nested_beyond_reason_fails_alone(tmp_path: Path, clock: StillClock) -> None:
    (tmp_path / "in.jsonl").write_text('{"text":"a","deep":' + "[" * 100_000 + "]" * 100_000 + '}\n{"text":"b"}\n')
    assert await answer(tmp_path, clock) == Counts(rows=2, answered=1, failed=1)


async def test_a_gzip_file_with_a_damaged_middle_says_where(tmp_path: Path, clock: StillClock) -> None:
    packed = bytearray(gzip.compress(b"".join(b'{"text":"row %d"}\n' % (n * 7919 % 1000) for n in range(5_000))))
    packed[len(packed) // 2] ^= 0xFF
    (tmp_path / "in.jsonl").write_bytes(packed)
    with pytest.raises(BadData, match="damaged after line"):
        await answer(tmp_path, clock)


async def test_answers_of_answers_keep_every_field(tmp_path: Path, clock: StillClock) -> None:
    """The output of a run is the input of the next, three times over."""
    (tmp_path / "0.jsonl").write_text('{"text":"a"}\n')
    for turn in range(3):
        assert (await answer(tmp_path, clock, source=f"{turn}.jsonl", target=f"{turn + 1}.jsonl")).answered == 1
    (row,) = lines(tmp_path / "3.jsonl")
    assert [name for name in row if name.endswith("answer")] == ["answer", "rungwise_answer", "rungwise_rungwise_answer"]


async def test_what_failed_is_still_counted_as_failed_after_a_crash(tmp_path: Path, clock: StillClock) -> None:
    """Whatever fields the rows bring along: one has `seconds` and fails, one has `error` and is answered."""
    (tmp_path / "in.jsonl").write_text('{"seconds":3}\n{"text":"a","error":"old"}\n{"text":"crash"}\n')

    async def crashes(request: Request) -> AsyncIterator[Chunk]:
        if request.text == "crash":
            raise KeyError("killed")
        yield Chunk(parts=(Text(request.text),))

    with pytest.raises(KeyError):
        await answer(tmp_path, clock, responder=crashes)
    assert await answer(tmp_path, clock) == Counts(rows=3, answered=2, failed=1, resumed=2)


async def test_answers_before_an_error_are_not_asked_for_again(tmp_path: Path, clock: StillClock) -> None:
    (tmp_path / "in.jsonl").write_text("".join(f'{{"text":"{n}"}}\n' for n in range(20)))
    asked: list[str] = []

    async def runs_out(request: Request) -> AsyncIterator[Chunk]:
        asked.append(request.text)
        if len(asked) == 11:
            raise OutOfBudget("the next call would pass the cap")
        yield Chunk(parts=(Text(request.text),))

    with pytest.raises(OutOfBudget):
        await answer(tmp_path, clock, responder=runs_out)
    asked = ["later"] * 11
    assert await answer(tmp_path, clock, responder=runs_out) == Counts(rows=20, answered=20, resumed=10)
    assert asked[11:] == [str(n) for n in range(10, 20)]


@pytest.mark.parametrize("target", ["in.jsonl", "link.jsonl"])
async def test_the_questions_are_never_overwritten(tmp_path: Path, clock: StillClock, target: str) -> None:
    (tmp_path / "in.jsonl").write_text('{"text":"a"}\n')
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "in.jsonl")
    with pytest.raises(UsageError, match="Choose another --output"):
        await answer(tmp_path, clock, target=target)
    assert (tmp_path / "in.jsonl").read_text() == '{"text":"a"}\n'


async def test_a_second_run_of_the_same_batch_says_that_the_first_is_at_it(tmp_path: Path, clock: StillClock) -> None:
    (tmp_path / "in.jsonl").write_text('{"text":"a"}\n')
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def waits(request: Request) -> AsyncIterator[Chunk]:
        begun.set()
        await go_on.wait()
        yield Chunk(parts=(Text("first"),))

    first = asyncio.create_task(answer(tmp_path, clock, responder=waits))
    await begun.wait()
    with pytest.raises(ProjectBusy, match="choose another --output"):
        await answer(tmp_path, clock)
    go_on.set()
    assert (await first).answered == 1
    assert lines(tmp_path / "out.jsonl")[0]["answer"] == "first"
    assert (await answer(tmp_path, clock)).resumed == 0  # the hold ended with the first run


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.binary(max_size=40), st.text(max_size=20).map(lambda text: json.dumps({"text": text}).encode()))))
async def test_any_bytes_give_one_line_of_json_for_each_line_that_is_not_blank(
    tmp_path: Path, clock: StillClock, rows: list[bytes]
) -> None:
    content = b"\n".join(rows)
    (tmp_path / "in.jsonl").write_bytes(content)
    expected = [line for line in content.split(b"\n") if line.strip()]
    if content.startswith(b"\x1f\x8b"):
        return
    counts = await answer(tmp_path, clock)
    given_back = (tmp_path / "out.jsonl").read_bytes().decode("utf-8").split("\n")[:-1]
    assert all(isinstance(json.loads(line), dict) for line in given_back)
    assert counts.rows == len(given_back)
    assert abs(len(given_back) - len(expected)) <= content.startswith(b"\xef\xbb\xbf")  # a mark alone is a blank line
