"""A stream of lines: one in, one out, whatever is in them; and the command over it."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from rungwise.cli.data.pii import pii
from rungwise.core.errors import BadData, UsageError
from rungwise.curate.pii.detect import Structured
from rungwise.curate.pii.masking import placeholder
from rungwise.curate.pii.stream import LONGEST_LINE_BYTES, Stream, Tally, lines_of

KEY = "0123456789abcdef0123456789abcdef"
ROWS = [{"id": 1, "text": "mail jane@example.com 😀", "n": 1.5}, {"id": 2, "text": "fine"}]


def run(lines: list[bytes], **settings) -> tuple[list[dict], Tally]:
    tally = Tally()
    return [json.loads(line) for line in Stream(detectors=(Structured(),), **settings)(lines, tally)], tally


def lines_of_rows(rows: list[dict]) -> list[bytes]:
    return [json.dumps(row).encode() + b"\n" for row in rows]


def test_spans_are_added_and_everything_else_stays() -> None:
    out, tally = run(lines_of_rows(ROWS))
    assert out[0] == ROWS[0] | {"pii": [{"start": 5, "end": 21, "type": "EMAIL", "text": "jane@example.com"}]}
    assert out[1] == ROWS[1] | {"pii": []}
    assert (tally.rows, tally.bad, dict(tally.types)) == (2, 0, {"EMAIL": 1})


def test_masking_rewrites_the_field() -> None:
    assert run(lines_of_rows(ROWS), replacement=placeholder)[0][0]["text"] == "mail [EMAIL] 😀"


@pytest.mark.parametrize(
    "bad", [b"not json\n", b"[1, 2]\n", b'{"id": 3}\n', b'{"text": 5}\n', b'{"text": "\xff"}\n', b"\n", b"[" * 100_000 + b"\n"]
)
def test_a_bad_line_is_passed_on_with_its_error(bad: bytes) -> None:
    out, tally = run([*lines_of_rows(ROWS), bad, *lines_of_rows(ROWS)])
    assert len(out) == 5
    assert out[2]["error"]
    assert out[4]["pii"] == []
    assert (tally.rows, tally.bad) == (5, 1)


def test_a_row_with_a_field_named_error_is_not_bad() -> None:
    out, tally = run(lines_of_rows([{"text": "a@b.org", "error": "none"}]))
    assert tally.bad == 0
    assert out[0]["error"] == "none"
    assert len(out[0]["pii"]) == 1


@given(
    st.lists(
        st.one_of(st.binary(max_size=30), st.text(max_size=20).map(lambda text: json.dumps({"text": text}).encode())), max_size=12
    )
)
def test_one_line_in_one_line_out(lines: list[bytes]) -> None:
    tally = Tally()
    out = list(Stream(detectors=(Structured(),))([line.replace(b"\n", b"") + b"\n" for line in lines], tally))
    assert len(out) == tally.rows == len(lines)
    assert all(line.count(b"\n") == 1 and line.endswith(b"\n") for line in out)


def test_lone_surrogates_pass_through() -> None:
    assert run([b'{"text": "\\ud800 a@b.org"}\n'], replacement=placeholder)[0] == [{"text": "\ud800 [EMAIL]"}]


def test_a_line_that_is_too_long_is_cut_and_bad() -> None:
    class Endless(io.RawIOBase):
        """More than a line may have, without holding it."""

        left = LONGEST_LINE_BYTES + (8 << 20)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer) -> int:
            size = min(len(buffer), self.left)
            buffer[:size] = b"x" * size
            self.left -= size
            return size

    assert [len(line) for line in lines_of(io.BufferedReader(Endless()))] == [4096]


def test_memory_does_not_grow_with_the_stream() -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        lines = (json.dumps({"text": f"mail user{number}@example.com on 12/05/2020"}).encode() for number in range(count))
        for _ in Stream(detectors=(Structured(),), replacement=placeholder)(lines, Tally()):
            pass
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(300)
    assert peak(6_000) < 2 * peak(600)


def command(*arguments: str, input: bytes | None = None):
    return CliRunner().invoke(pii, list(arguments), input=input, catch_exceptions=False, standalone_mode=False)


def test_command_masks_and_brings_back_through_gzip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cryptography", reason="the vault needs the extra curation")
    monkeypatch.setenv("MY_KEY", KEY)
    source, masked, back = tmp_path / "in.jsonl", tmp_path / "masked.jsonl.gz", tmp_path / "back.jsonl"
    source.write_bytes(b"".join(lines_of_rows(ROWS)))
    vault = ("--vault", str(tmp_path / "vault"), "--key-env", "MY_KEY")
    done = command("--input", str(source), "--output", str(masked), "--mode", "mask", *vault, "--json")
    assert json.loads(done.output) == {"rows": 2, "bad": 0, "found": {"EMAIL": 1}}
    assert b"jane" not in gzip.decompress(masked.read_bytes())
    assert command("--input", str(masked), "--output", str(back), "--mode", "unmask", *vault).return_value == 0
    assert [json.loads(line) for line in back.read_text().splitlines()] == ROWS


def test_command_reads_standard_input_and_writes_nothing_but_lines(tmp_path: Path) -> None:
    done = command("--input", "-", "--output", "-", input=b"".join(lines_of_rows(ROWS)) + b"bad\n")
    assert done.return_value == 1
    assert [len(json.loads(line).get("pii", [])) for line in done.stdout.splitlines()] == [1, 0, 0]


def test_command_leaves_no_half_file(tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl.gz", tmp_path / "out.jsonl"
    whole = gzip.compress(b"".join(lines_of_rows(ROWS * 5000)))
    source.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadData, match="damaged or cut short"):
        command("--input", str(source), "--output", str(target))
    assert list(tmp_path.iterdir()) == [source]


def test_command_refuses_what_makes_no_sense(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(b"")
    place = ("--input", str(source), "--output", "-")
    with pytest.raises(UsageError, match="--vault FILE"):
        command(*place, "--mode", "unmask")
    with pytest.raises(UsageError, match="Did you mean 'PHONE'"):
        command(*place, "--types", "PHON")
    with pytest.raises(UsageError, match="no file"):
        command("--input", str(tmp_path / "none"), "--output", "-")


def test_nothing_of_a_line_that_cannot_be_used_comes_out_of_a_stream_that_masks() -> None:
    lines = [b'{"text": "mail ada@example.org"}\n', b"not json but ada@example.org\n", b'{"other": "ada@example.org"}\n']
    stream, tally = Stream(detectors=(Structured(),), replacement=placeholder), Tally()
    out = [json.loads(line) for line in stream(lines, tally)]
    assert out[0] == {"text": "mail [EMAIL]"}
    assert [sorted(row) for row in out[1:]] == [["error", "line"]] * 2
    assert [row["line"] for row in out[1:]] == [2, 3]
    assert "ada" not in json.dumps(out)
    assert tally.bad == 2
