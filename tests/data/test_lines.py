"""The lines of a file: unpacked, decoded, bounded, and whole up to the place where it breaks."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.core.errors import BadData, UsageError
from rungwise.data.lines import RAW_CAP, Damaged, Lines, Unpacking, blocks, text_decoder


def unpacked(path: Path, content: bytes, unpacking: Unpacking | None = None) -> tuple[bytes, str | None]:
    """The bytes up to the damage, and its code."""
    path.write_bytes(content)
    found = []
    try:
        for block in blocks(path, unpacking or Unpacking()):
            found.append(block)
    except Damaged as error:
        return b"".join(found), error.code
    return b"".join(found), None


@settings(deadline=None)
@given(members=st.lists(st.binary(max_size=2000), min_size=1, max_size=4), padding=st.integers(0, 600))
def test_gzip_is_unpacked_as_the_gzip_module_does_members_and_padding_too(
    tmp_path_factory: pytest.TempPathFactory, members: list[bytes], padding: int
) -> None:
    content = b"".join(gzip.compress(member) for member in members) + bytes(padding)
    path = tmp_path_factory.mktemp("t") / "a.gz"
    assert unpacked(path, content) == (b"".join(members), None)
    with gzip.open(path) as reference:
        assert reference.read() == b"".join(members)


@settings(deadline=None)
@given(content=st.binary(min_size=1, max_size=3000), cut=st.integers(1, 60))
def test_a_cut_gzip_gives_what_is_there_and_says_so(tmp_path_factory: pytest.TempPathFactory, content: bytes, cut: int) -> None:
    packed = gzip.compress(content)
    path = tmp_path_factory.mktemp("t") / "a.gz"
    found, code = unpacked(path, packed[: max(3, len(packed) - cut)])
    assert content.startswith(found)
    assert code == "malformed:truncated"


def test_a_wrong_sum_and_what_follows_a_member_are_damage(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(b"hello"))
    packed[-6] ^= 1
    assert unpacked(tmp_path / "a.gz", bytes(packed)) == (b"hello", "malformed:gzip")
    assert unpacked(tmp_path / "a.gz", gzip.compress(b"hello") + b"junk") == (b"hello", "malformed:gzip")


def test_a_bomb_is_told_by_its_ratio_once_it_is_large_and_by_its_total(tmp_path: Path) -> None:
    zeros = gzip.compress(bytes(10_000_000))
    assert len(zeros) < 10_000_000 / 500
    found, code = unpacked(tmp_path / "a.gz", zeros, Unpacking(after_bytes=2_000_000))
    assert (1_000_000 <= len(found) < 3_000_000, code) == (True, "malformed:bomb")
    found, code = unpacked(tmp_path / "a.gz", zeros, Unpacking(total_bytes=1_000_000))
    assert (len(found) < 1_500_000, code) == (True, "malformed:bomb")
    assert unpacked(tmp_path / "a.gz", zeros)[1] is None
    assert unpacked(tmp_path / "a.gz", gzip.compress(zlib.compress(zeros)), Unpacking(after_bytes=1))[1] is None


def lines(*content: bytes, encoding: str | None = None) -> tuple[list[str | None], Damaged | None]:
    own = Lines(iter(content), "a", encoding)
    found: list[str | None] = []
    try:
        for line in own:
            found.append(line)
    except Damaged as error:
        assert own.number == len(found)
        return found, error
    return found, None


@settings(deadline=None)
@given(data=st.data(), text=st.text(st.sampled_from("aé€😀\n"), min_size=1, max_size=60))
def test_however_the_bytes_are_cut_into_blocks_the_lines_are_the_same(data: st.DataObject, text: str) -> None:
    content = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(1, len(content)), max_size=5)))
    parts = [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True) if start < end]
    assert lines(*parts) == lines(content)
    assert "\n".join(line or "" for line in lines(content)[0]) == text.removesuffix("\n")


@settings(deadline=None)
@given(before=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0\ufeff"), max_size=20), max_size=20))
def test_every_whole_line_before_a_bad_byte_is_given_and_the_bad_line_is_shown(before: list[str]) -> None:
    content = "".join(line + "\n" for line in before).encode() + b"half\xff more\nrest\n"
    found, damage = lines(content)
    assert found == before
    assert damage is not None
    assert (damage.code, damage.raw) == ("malformed:encoding", "half\\xff more")


def test_what_was_found_is_kept_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    _, damage = lines(b"ok\n" + b"x" * 10_000 + b"\xff")
    assert damage is not None
    assert damage.raw == "x" * RAW_CAP
    monkeypatch.setattr("rungwise.data.lines.ROW_CAP", 10_000)
    own = Lines(iter([b"ok\n" + b"y" * 20_000, b"z" * 5_000, b"\nlast"]), "a", None)
    assert list(own) == ["ok", None, "last"]
    assert own.cut == "y" * RAW_CAP


@pytest.mark.parametrize(
    "name", ["klingon", "rot13", "hex", "zip", "base64", "idna", "punycode", "unicode_escape", "undefined", "", "\0"]
)
def test_what_is_no_encoding_of_files_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="there is no encoding"):
        text_decoder(name)


def test_damage_is_bad_data_whose_reason_leaves_out_the_place() -> None:
    error = Damaged("malformed:empty", "it is empty.", where="a.csv", hint="Write it again")
    assert isinstance(error, BadData)
    assert str(error) == "a.csv: it is empty. Write it again"
    assert error.reason == "it is empty. Write it again"
