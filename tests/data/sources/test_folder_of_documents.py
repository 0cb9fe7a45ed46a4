"""A folder of documents as a source: each is a row, and what cannot be read is named."""

from __future__ import annotations

import os
import shutil
import time
import zlib
from pathlib import Path

import pytest

from rungwise.core.errors import BadData, MissingExtra
from rungwise.data.readers import Quarantined, Read
from rungwise.data.sources import Piece
from rungwise.data.sources.extractor import Extractor
from rungwise.data.sources.folder import Folder, markdown_title, open_folder
from rungwise.data.sources.options import Limits, Options

pytest.importorskip("selectolax", reason="the extra 'curation' is not installed")
pytest.importorskip("pypdfium2", reason="the extra 'curation' is not installed")

DOCUMENTS = Path(__file__).parent / "documents"


def folder(path: Path, *, encoding: str | None = None, **limits: float) -> Folder:
    return open_folder(str(path), Options(encoding=encoding, limits=Limits(**limits)))  # type: ignore[arg-type]


def taken(source: Folder) -> tuple[dict[str, dict[str, object]], dict[str, Quarantined]]:
    """The cells and the quarantine, by place."""
    rows: dict[str, dict[str, object]] = {}
    aside: dict[str, Quarantined] = {}
    names = []
    for piece in source.pieces():
        names.append(piece.place if isinstance(piece, Quarantined) else piece.name)
        read = Read(iter(()), [piece]) if isinstance(piece, Quarantined) else source.read(piece)
        rows.update(read.rows)
        aside.update({bad.place: bad for bad in read.quarantine})
    assert names == sorted(names)
    return rows, aside


def test_each_document_is_a_row_with_its_path_text_title_and_type(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.md").write_text("x", encoding="utf-8")
    (tmp_path / "a.md").write_text("# The title #\r\n\r\nwords\r\n", encoding="utf-8", newline="")
    (tmp_path / "sub" / "b.txt").write_bytes("\ufeffsecond\nline".encode("utf-16-le"))
    (tmp_path / "sub.html").write_text("<title>T</title><p>x <b>y</b>", encoding="utf-8")
    shutil.copy(DOCUMENTS / "two_pages.pdf", tmp_path / "z.PDF")
    rows, aside = taken(folder(tmp_path))
    assert rows == {
        "a.md": {"id": "a.md", "text": "# The title #\n\nwords", "title": "The title", "type": "markdown"},
        "sub.html": {"id": "sub.html", "text": "x y", "title": "T", "type": "html"},
        "sub/b.txt": {"id": "sub/b.txt", "text": "second\nline", "title": None, "type": "text"},
        "z.PDF": {
            "id": "z.PDF",
            "text": "Refunds\nMoney comes back within 7 days.\n\nSecond page: a café.",
            "title": "Refund rules",
            "type": "pdf",
        },
    }
    assert aside == {}


def test_one_document_is_a_source_too(tmp_path: Path) -> None:
    source = folder(DOCUMENTS / "two_pages.pdf")
    assert list(taken(source)[0]) == ["two_pages.pdf"]
    assert (source.kind, source.location) == ("folder", str(DOCUMENTS / "two_pages.pdf"))
    with pytest.raises(BadData, match="no such file"):
        folder(tmp_path / "none.pdf")


def test_pdfs_without_text_or_key_are_set_aside_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "cut.pdf").write_bytes((DOCUMENTS / "two_pages.pdf").read_bytes()[:300])
    (tmp_path / "nothing.pdf").write_bytes(b"")
    for name in ("locked", "scan", "blank", "owner_only"):
        shutil.copy(DOCUMENTS / f"{name}.pdf", tmp_path)
    rows, aside = taken(folder(tmp_path))
    assert list(rows) == ["owner_only.pdf"]  # opens without a password
    assert {name: bad.code for name, bad in aside.items()} == {
        "locked.pdf": "refused:password",
        "scan.pdf": "malformed:no_text",
        "blank.pdf": "malformed:no_text",
        "cut.pdf": "malformed:pdf",
        "nothing.pdf": "malformed:pdf",
    }
    assert "a scan" in aside["scan.pdf"].reason
    assert "a scan" not in aside["blank.pdf"].reason


def test_what_cannot_be_read_as_text_is_set_aside(tmp_path: Path) -> None:
    for name, content in {
        "bytes.md": b"ok\n\xff",
        "empty.txt": b"",
        "blank.txt": b" \n",
        "nul.txt": b"a\nb\0c",
        "zip.txt": b"PK\x03\x04",
        "script.html": b"<script>document.write('x')</script>",
        "data.csv": b"a,b\n",
        "noend": b"x",
    }.items():
        (tmp_path / name).write_bytes(content)
    rows, aside = taken(folder(tmp_path))
    assert rows == {}
    assert {name: bad.code for name, bad in aside.items()} == {
        "bytes.md": "malformed:encoding",
        "empty.txt": "malformed:empty",
        "blank.txt": "malformed:no_text",
        "nul.txt": "malformed:nul",
        "zip.txt": "malformed:format",
        "script.html": "malformed:no_text",
        "data.csv": "unsupported:format",
        "noend": "unsupported:format",
    }


def test_a_file_beyond_the_limit_is_set_aside_unread(tmp_path: Path) -> None:
    (tmp_path / "big.txt").write_text("x" * 101, encoding="utf-8")
    with (tmp_path / "huge.html").open("wb") as out:
        out.truncate(100_000_001)
    _, aside = taken(folder(tmp_path))
    assert (aside["huge.html"].code, "100,000,001 bytes; the limit is 100,000,000" in aside["huge.html"].reason) == (
        "refused:size",
        True,
    )
    assert "big.txt" not in aside
    assert taken(folder(tmp_path, document_bytes=100))[1]["big.txt"].code == "refused:size"


def test_links_that_lead_out_in_a_circle_or_nowhere_are_refused(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "sub").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret.txt").write_text("secret", encoding="utf-8")
    (inside / "sub" / "a.txt").write_text("a", encoding="utf-8")
    links = {
        "circle": inside,
        "sub/up": inside / "sub",
        "twice": inside / "sub",
        "out": outside,
        "secret.txt": outside / "secret.txt",
        "itself": inside / "itself",
        "dangling": inside / "none",
        "fine.txt": Path("sub/a.txt"),
    }
    for name, target in links.items():
        (inside / name).symlink_to(target)
    os.mkfifo(inside / "pipe.txt")
    rows, aside = taken(folder(inside))
    assert {name: row["text"] for name, row in rows.items()} == {"fine.txt": "a", "sub/a.txt": "a"}
    assert {name: bad.code for name, bad in aside.items()} == {
        **dict.fromkeys(("circle", "sub/up", "twice", "out", "secret.txt", "itself", "dangling"), "refused:link"),
        "pipe.txt": "refused:special",
    }
    assert "stands in" in aside["circle"].reason
    assert "out of the folder" in aside["secret.txt"].reason
    assert list(taken(folder(tmp_path / "inside" / "sub"))[0]) == ["a.txt"]


def test_a_name_that_is_no_utf_8_is_refused_and_can_be_printed(tmp_path: Path) -> None:
    try:
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))).write_text("x", encoding="utf-8")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    _, aside = taken(folder(tmp_path))
    assert {name: bad.code for name, bad in aside.items()} == {"caf\\xe9.txt": "refused:name"}


def test_a_fingerprint_changes_with_the_bytes_and_the_encoding_only(tmp_path: Path) -> None:
    def print_of(**options: str) -> str:
        (piece,) = folder(tmp_path, **options).pieces()  # type: ignore[arg-type]
        assert isinstance(piece, Piece)
        return piece.fingerprint

    (tmp_path / "a.txt").write_text("one", encoding="utf-8")
    first = print_of()
    os.utime(tmp_path / "a.txt", (1, 1))
    assert print_of() == first
    assert print_of(encoding="latin-1") != first
    (tmp_path / "a.txt").write_text("two", encoding="utf-8")
    assert print_of() != first


def test_a_file_that_vanishes_between_the_listing_and_the_reading_is_set_aside(tmp_path: Path) -> None:
    for name in ("a.txt", "b.html", "c.pdf"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    source = folder(tmp_path)
    pieces = list(source.pieces())
    for piece in pieces:
        assert isinstance(piece, Piece)
        piece.path.unlink()
        read = source.read(piece)
        assert list(read.rows) == []
        assert read.quarantine[0].code in ("malformed:unreadable", "malformed:pdf")


def nested(path: Path) -> None:
    path.write_text("<div>" * 400_000 + "x", encoding="utf-8")


def test_a_page_nested_without_end_is_given_up_and_the_next_is_read(tmp_path: Path) -> None:
    nested(tmp_path / "a.html")
    (tmp_path / "b.html").write_text("<p>fine", encoding="utf-8")
    start = time.monotonic()
    rows, aside = taken(folder(tmp_path, document_seconds=2))
    assert time.monotonic() - start < 15
    assert aside["a.html"].code == "refused:time"
    assert rows["b.html"]["text"] == "fine"


def test_memory_is_bounded_for_each_document(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<p>x" * 4_000_000, encoding="utf-8")
    (tmp_path / "b.html").write_text("<p>fine", encoding="utf-8")
    rows, aside = taken(folder(tmp_path, document_memory_bytes=400 * 2**20))
    assert aside["a.html"].code in ("refused:memory", "malformed:crash")
    assert list(rows) == ["b.html"]


def test_entities_of_xml_do_not_multiply_and_nothing_is_fetched(tmp_path: Path) -> None:
    lol = "".join(f'<!ENTITY l{i + 1} "{f"&l{i};" * 10}">' for i in range(9))
    (tmp_path / "a.xhtml").write_text(
        f'<?xml version="1.0"?><!DOCTYPE html [<!ENTITY l0 "lol">{lol}<!ENTITY f SYSTEM "file:///etc/passwd">]>'
        "<html><body><p>a &l9; &f; b</p><img src='http://127.0.0.1:1/x'><iframe src='file:///etc/passwd'></iframe></body></html>",
        encoding="utf-8",
    )
    rows, _ = taken(folder(tmp_path))
    assert len(str(rows["a.xhtml"]["text"])) < 1000
    assert "root:" not in str(rows["a.xhtml"]["text"])


def test_a_reader_is_picklable_and_ends_with_its_owner() -> None:
    import pickle

    extractor = Extractor(5, 2**31)
    extractor.text(DOCUMENTS / "two_pages.pdf", "pdf")
    process = extractor._process
    assert process is not None
    assert pickle.loads(pickle.dumps(extractor)).seconds == 5  # noqa: S301
    del extractor
    assert process.poll() is not None


def pdf(*objects: bytes) -> bytes:
    """A PDF of these objects, the first of them the catalogue. Readers find them without a table of offsets."""
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % (number, content) for number, content in enumerate(objects, start=1))
    return b"%PDF-1.4\n" + body + b"trailer\n<</Root 1 0 R/Size 9>>\n"


def stream(content: bytes) -> bytes:
    packed = zlib.compress(content, 9)
    return b"<</Length %d/Filter/FlateDecode>>stream\n%s\nendstream" % (len(packed), packed)


FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>"


def test_pdfs_made_to_swell_or_never_end_cost_only_themselves(tmp_path: Path) -> None:
    one = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
    draw = b"BT /F 9 Tf 9 9 Td (a word ) Tj ET "
    (tmp_path / "fine.pdf").write_bytes(pdf(b"<</Type/Catalog/Pages 2 0 R>>", one, PAGE, stream(draw), FONT))
    (tmp_path / "swells.pdf").write_bytes(pdf(b"<</Type/Catalog/Pages 2 0 R>>", one, PAGE, stream(draw * 4_000_000), FONT))
    loop = b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 1000000000>>"
    (tmp_path / "loops.pdf").write_bytes(pdf(b"<</Type/Catalog/Pages 2 0 R>>", loop, PAGE, stream(draw), FONT))
    many = b"<</Type/Pages/Kids[" + b"3 0 R " * 200_000 + b"]/Count 200000>>"
    (tmp_path / "many.pdf").write_bytes(pdf(b"<</Type/Catalog/Pages 2 0 R>>", many, PAGE, stream(draw * 1000), FONT))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 3_000_000
    start = time.monotonic()
    rows, aside = taken(folder(tmp_path, document_seconds=2, document_memory_bytes=600 * 2**20))
    assert time.monotonic() - start < 20
    assert {place: row["text"] for place, row in rows.items()} == {"fine.pdf": "a word"}
    assert set(aside) == {"swells.pdf", "loops.pdf", "many.pdf"}
    assert {bad.code for bad in aside.values()} <= {"refused:time", "refused:memory", "malformed:crash", "malformed:pdf"}


def test_a_text_beyond_what_a_cell_holds_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<p>" + "word " * 4_000_000, encoding="utf-8")
    (tmp_path / "a.txt").write_text("word\n" * 4_000_000, encoding="utf-8")
    _, aside = taken(folder(tmp_path))
    assert {bad.code for bad in aside.values()} == {"malformed:too_long"}
    assert len(aside) == 2


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("intro\n\n# One ##\n# Two", "One"),
        ("```\n# a comment\n```\n\nThe title\n=========\n", "The title"),
        ("## second level\n\n=====\n#hashtag", None),
        ("", None),
    ],
)
def test_the_title_of_markdown_is_its_first_heading_of_the_first_level(text: str, title: str | None) -> None:
    assert markdown_title(text) == title


def test_without_its_reader_a_document_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rungwise.data.sources.extractor.find_spec", lambda name: None)
    source = folder(DOCUMENTS / "two_pages.pdf")
    (piece,) = source.pieces()
    assert isinstance(piece, Piece)
    with pytest.raises(MissingExtra, match=r"rungwise\[curation\]"):
        source.read(piece)
