from __future__ import annotations

import gzip
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rungwise.core.content import Chunk, Request, Text
from rungwise.core.errors import BadData, EngineUnavailable, StoreError
from rungwise.inference.batch_file import Counts, answer_file
from tests.clocks import StillClock


async def shout(request: Request) -> AsyncIterator[Chunk]:
    """The text in capitals; with a passage, that too."""
    passage = "".join(f" [{one.text}]" for one in request.passages)
    yield Chunk(parts=(Text(request.text.upper() + passage),), confidence=0.5)


async def run(folder: Path, clock: StillClock, *, responder=shout, source="in.jsonl", target="out.jsonl", **options) -> Counts:  # type: ignore[no-untyped-def]
    settings = {"candidate": "c" * 64, "text_field": "text"} | options
    return await answer_file(responder, folder / source, folder / target, clock=clock, **settings)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


async def test_rows_keep_their_fields_to_the_letter_and_gain_four(tmp_path: Path, clock: StillClock) -> None:
    row = '{"id":12345678901234567890,"price":1.10,"text":"caf\\u00e9","deep":{"a":[1,null]}}'
    (tmp_path / "in.jsonl").write_text(row + "\n")
    assert await run(tmp_path, clock) == Counts(rows=1, answered=1)
    out = (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    assert out.startswith(row[:-1])  # not a digit of the numbers has changed
    assert lines(tmp_path / "out.jsonl")[0] | {"seconds": 0.0} == json.loads(row) | {
        "answer": "CAFÉ",
        "confidence": 0.5,
        "candidate": "c" * 64,
        "seconds": 0.0,
    }


async def test_a_field_that_is_called_like_ours_stays_and_ours_gets_a_prefix(tmp_path: Path, clock: StillClock) -> None:
    (tmp_path / "in.jsonl").write_text('{"text":"a","answer":"gold","seconds":9}\n')
    await run(tmp_path, clock)
    (row,) = lines(tmp_path / "out.jsonl")
    assert (row["answer"], row["rungwise_answer"], row["seconds"], row["rungwise_seconds"]) == ("gold", "A", 9, 0.0)


async def test_lines_that_cannot_be_read_say_why_keep_their_place_and_are_counted(tmp_path: Path, clock: StillClock) -> None:
    bad = [b"not json", b"[1]", b'{"txt":"x"}', b'{"text":7}', b'{"text":null}', b'{"text":"\xff"}', b"null", b'{"text":"\\ud800"}']
    good = b'{"text":"fine"}'
    (tmp_path / "in.jsonl").write_bytes(b"\n".join([good, *bad, b"", b"  ", good]))
    assert await run(tmp_path, clock) == Counts(rows=10, answered=2, failed=8)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_bytes().decode("utf-8", "replace").splitlines()]
    assert [row.get("answer") for row in rows] == ["FINE", *[None] * 8, "FINE"]
    assert "line 2: not a JSON object" in rows[1]["error"]
    assert "line 4: there is no field 'text'; this row has txt" in rows[3]["error"]
    assert rows[3]["txt"] == "x"
    assert "line 5: a field is not text" in rows[4]["error"]


async def test_a_row_that_the_engine_cannot_answer_says_so_and_the_others_are_answered(tmp_path: Path, clock: StillClock) -> None:
    async def sometimes(request: Request) -> AsyncIterator[Chunk]:
        if request.text == "b":
            raise EngineUnavailable("the endpoint is down")
        yield Chunk(parts=(Text(request.text),))

    (tmp_path / "in.jsonl").write_text("".join(f'{{"text":"{name}"}}\n' for name in "abc"))
    assert await run(tmp_path, clock, responder=sometimes) == Counts(rows=3, answered=2, failed=1)
    assert lines(tmp_path / "out.jsonl")[1]["error"] == "line 2: the endpoint is down"


async def test_passages_are_handed_on_where_a_row_has_one(tmp_path: Path, clock: StillClock) -> None:
    (tmp_path / "in.jsonl").write_text('{"q":"a","p":"ctx"}\n{"q":"b","p":null}\n{"q":"c"}\n')
    await run(tmp_path, clock, text_field="q", passage_field="p")
    assert [row["answer"] for row in lines(tmp_path / "out.jsonl")] == ["A [ctx]", "B", "C"]


@pytest.mark.parametrize(("source", "target"), [("in.jsonl.gz", "out.jsonl"), ("in.jsonl", "out.jsonl.gz"), ("packed", "out.gz")])
async def test_gzip_goes_in_and_out(tmp_path: Path, clock: StillClock, source: str, target: str) -> None:
    content = b'\xef\xbb\xbf{"text":"a"}\r\n{"text":"b"}\r\n'  # with the mark and line ends of Windows
    (tmp_path / source).write_bytes(content if source == "in.jsonl" else gzip.compress(content))
    assert (await run(tmp_path, clock, source=source, target=target)).answered == 2
    out = (tmp_path / target).read_bytes()
    plain = gzip.decompress(out) if target.endswith(".gz") else out
    assert [json.loads(line)["answer"] for line in plain.splitlines()] == ["A", "B"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([source, target])  # nothing else is left behind


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 2_000))
async def test_cut_off_anywhere_the_same_command_ends_with_the_same_file(tmp_path: Path, clock: StillClock, cut: int) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    if not source.exists():
        source.write_text("".join(f'{{"n":{n},"text":"row é {n}"}}\n' if n % 7 else "broken\n" for n in range(30)))
    target.unlink(missing_ok=True)
    await run(tmp_path, clock)
    whole = target.read_bytes()
    asked: list[str] = []

    async def noting(request: Request) -> AsyncIterator[Chunk]:
        asked.append(request.text)
        async for chunk in shout(request):
            yield chunk

    async def dies(request: Request) -> AsyncIterator[Chunk]:
        raise KeyError("killed")
        yield Chunk()

    target.unlink()
    with pytest.raises(KeyError):
        await run(tmp_path, clock, responder=dies)
    (partial,) = tmp_path.glob("out.jsonl.partial-*")
    partial.write_bytes(whole[:cut])
    counts = await run(tmp_path, clock, responder=noting)
    assert target.read_bytes() == whole
    assert (counts.rows, counts.failed) == (30, 5)
    kept = whole[:cut].count(b"\n")
    assert counts.resumed == kept
    assert len(asked) == sum(1 for n in range(kept, 30) if n % 7)  # what was answered is not asked again


CHILD = """
import asyncio, sys
from pathlib import Path
from rungwise.core.content import Chunk, Text
from rungwise.engines.clock import SystemClock
from rungwise.inference.batch_file import answer_file
async def slow(request):
    await asyncio.sleep(0.002)
    yield Chunk(parts=(Text(request.text.upper()),), confidence=0.5)
source, target = Path(sys.argv[1]), Path(sys.argv[2])
asyncio.run(answer_file(slow, source, target, candidate="c" * 64, text_field="text", window=4, clock=SystemClock()))
"""


async def test_killed_for_good_it_goes_on_where_it_was(tmp_path: Path, clock: StillClock) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(f'{{"n":{n},"text":"row {n}"}}\n' for n in range(20_000)))
    child = subprocess.Popen([sys.executable, "-c", CHILD, source, target])
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in tmp_path.glob("*.partial-*")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not target.exists()
    counts = await run(tmp_path, clock)
    assert 0 < counts.resumed < 20_000
    assert counts.answered == 20_000
    assert [row["n"] for row in lines(target)] == list(range(20_000))


async def test_another_candidate_or_a_changed_source_starts_anew(tmp_path: Path, clock: StillClock) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"text":"a"}\n{"text":"b"}\n')

    async def half(request: Request) -> AsyncIterator[Chunk]:
        if request.text == "b":
            raise KeyError("stop")
        yield Chunk(parts=(Text("half"),))

    with pytest.raises(KeyError):
        await run(tmp_path, clock, responder=half)
    assert (await run(tmp_path, clock, candidate="d" * 64)).resumed == 0
    source.write_text('{"text":"a"}\n{"text":"bb"}\n')
    assert (await run(tmp_path, clock)).resumed == 0


async def test_an_empty_file_gives_an_empty_file(tmp_path: Path, clock: StillClock) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"\n\n")
    assert await run(tmp_path, clock) == Counts()
    assert (tmp_path / "out.jsonl").read_bytes() == b""


async def test_a_missing_or_damaged_source_and_a_folder_that_is_not_there_say_what_to_do(tmp_path: Path, clock: StillClock) -> None:
    with pytest.raises(BadData, match="--input"):
        await run(tmp_path, clock)
    whole = gzip.compress(b"".join(b'{"text":"row %d"}\n' % n for n in range(5_000)))
    (tmp_path / "in.jsonl").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadData, match="cut off or damaged after line"):
        await run(tmp_path, clock)
    (tmp_path / "in.jsonl").write_text('{"text":"a"}\n')
    with pytest.raises(StoreError, match="choose another --output"):
        await run(tmp_path, clock, target="no/such/out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


async def test_a_full_disk_is_told_and_what_was_written_is_kept(tmp_path: Path, clock: StillClock) -> None:
    """The disk is full after 100,000 bytes: a limit on file size raises the same kind of error at the same place."""
    (tmp_path / "in.jsonl").write_text("".join(f'{{"n":{n},"text":"row {n}"}}\n' for n in range(3_000)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StoreError, match="Free some space"):
            await run(tmp_path, clock)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "out.jsonl").exists()
    counts = await run(tmp_path, clock)
    assert 0 < counts.resumed < 3_000
    assert [row["n"] for row in lines(tmp_path / "out.jsonl")] == list(range(3_000))
