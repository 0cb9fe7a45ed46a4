"""Documents of a folder, a page, a table; what cannot be read is named."""

from __future__ import annotations

import gzip
import importlib.util
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rungwise.core.errors import BadData, UnknownName, UsageError
from rungwise.core.record import digest
from rungwise.data.documents import Document, Documents, open_documents, read_documents
from rungwise.data.readers import Quarantined
from rungwise.data.sources import Piece, extractor
from rungwise.data.sources.options import Limits
from rungwise.engines.chunking.chunk import Chunking
from rungwise.engines.chunking.cut import chunk_document

SAMPLES = Path(__file__).parent / "sources" / "documents"
readers = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("selectolax", "pypdfium2")),
    reason="the extra 'curation' is not installed",
)


def test_a_folder_is_read_in_order_and_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.md").write_text("x", encoding="utf-8")
    (tmp_path / "sub" / "b.txt").write_bytes(b"\xef\xbb\xbfsecond\r\nline")
    (tmp_path / "a.md").write_text("first", encoding="utf-8")
    (tmp_path / "bad.md").write_bytes(b"ok\n\xff")
    (tmp_path / "empty.md").write_text("\n", encoding="utf-8")
    (tmp_path / "table.csv").write_text("a,b", encoding="utf-8")
    found = read_documents(tmp_path)
    assert [(document.id, document.text) for document in found.documents] == [("a.md", "first"), ("sub/b.txt", "second\nline")]
    assert [bad.place for bad in found.quarantine] == ["bad.md", "empty.md", "table.csv"]
    assert "bad.md:2: byte 3" in found.quarantine[0].reason
    assert [bad.code for bad in found.quarantine] == ["malformed:encoding", "malformed:no_text", "unsupported:format"]
    assert read_documents(tmp_path).id == found.id


def test_a_folder_without_documents_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="no such folder"):
        read_documents(tmp_path / "none")
    with pytest.raises(BadData, match="no document could be read"):
        read_documents(tmp_path)


@readers
def test_html_and_pdf_are_documents_with_a_title_a_type_and_pages(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<title>T</title><h1>Fees</h1><p>Five <b>dollars</b>.", encoding="utf-8")
    shutil.copy(SAMPLES / "two_pages.pdf", tmp_path / "b.pdf")
    shutil.copy(SAMPLES / "scan.pdf", tmp_path / "c.pdf")
    (tmp_path / "d.md").write_text("# Top\n\nwords", encoding="utf-8")
    (tmp_path / "e.txt").write_text("plain", encoding="utf-8")
    found = read_documents(tmp_path)
    html, pdf, markdown, plain = found.documents
    assert html == Document("a.html", "# Fees\n\nFive dollars.", {"title": "T", "type": "html"})
    assert pdf.fields == {"title": "Refund rules", "type": "pdf"}
    assert [pdf.text[start:][:12] for start in pdf.pages] == ["Refunds\nMone", "Second page:"]
    assert markdown.fields == {"title": "Top", "type": "markdown"}
    assert plain.fields == {"type": "text"}
    assert [(bad.place, bad.code) for bad in found.quarantine] == [("c.pdf", "malformed:no_text")]
    assert found.id != Documents((html, pdf.__class__(pdf.id, pdf.text), markdown, plain)).id


def test_without_their_readers_html_and_pdf_are_set_aside_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extractor, "find_spec", lambda name: None)
    (tmp_path / "a.html").write_text("<p>words", encoding="utf-8")
    (tmp_path / "b.pdf").write_bytes(b"%PDF")
    (tmp_path / "c.md").write_text("words", encoding="utf-8")
    found = read_documents(tmp_path)
    assert [document.id for document in found.documents] == ["c.md"]
    assert [bad.code for bad in found.quarantine] == ["unsupported:extra"] * 2
    assert "rungwise[curation]" in found.quarantine[0].reason


@readers
def test_a_page_without_text_begins_where_the_next_one_does(tmp_path: Path) -> None:
    import pypdfium2

    with pypdfium2.PdfDocument.new() as made, pypdfium2.PdfDocument(SAMPLES / "two_pages.pdf") as printed:
        for pages in ([0], None, [1], None):
            if pages is None:
                made.new_page(100, 100)
            else:
                made.import_pages(printed, pages)
        made.save(tmp_path / "a.pdf")
    (document,) = read_documents(tmp_path).documents
    first = document.text.index("\n\nSecond")
    assert document.pages == (0, first + 2, first + 2, len(document.text))
    chunks = chunk_document(document, Chunking(method="pages"))
    assert [(chunk.page, chunk.text[:6]) for chunk in chunks] == [(1, "Refund"), (3, "Second")]


def test_what_text_and_name_tell_does_not_change_the_id_and_what_else_is_known_does() -> None:
    plain = Documents((Document("a.md", "words"),))
    assert plain.id == digest([["a.md", "words"]])
    assert Documents((Document("a.md", "words", {"title": "A", "type": "markdown"}),)).id == plain.id
    assert Documents((Document("a.md", "words", {"tenant": "x"}),)).id != plain.id
    assert Documents((Document("a.md", "words", pages=(0,)),)).id != plain.id


def test_the_version_of_a_document_is_that_of_its_text() -> None:
    assert Document("a", "\ud83d").version == Document("b", "\ud83d", {"x": "y"}).version != Document("a", "?").version
    assert len(Document("a", "").version) == 64


def test_one_file_is_a_source_too(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("words", encoding="utf-8")
    assert [document.id for document in read_documents(tmp_path / "a.md").documents] == ["a.md"]


def test_the_rows_of_a_table_are_documents_with_fields(tmp_path: Path) -> None:
    rows = [
        {"doc_id": 7, "title": "First", "abstract": ["One.", " Two."], "year": 2021, "long": "x" * 1001},
        {"doc_id": "8", "title": None, "abstract": "Three.", "year": None},
        {"doc_id": "7", "title": "Again", "abstract": "Four."},
        {"doc_id": "9", "title": "", "abstract": []},
        {"doc_id": "", "abstract": "Five."},
    ]
    table = tmp_path / "corpus.jsonl.gz"
    table.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    found = read_documents(table)
    assert found.documents == (
        Document("7", "First\n\nOne. Two.", {"title": "First", "year": "2021"}),
        Document("8", "Three.", {}),
    )
    assert [bad.code for bad in found.quarantine] == ["refused:twin", "malformed:no_text", "malformed:no_id"]
    named = read_documents(table, id="title", text=["abstract"])
    assert [(document.id, document.text) for document in named.documents] == [("First", "One. Two."), ("Again", "Four.")]
    assert named.documents[0].fields["doc_id"] == "7"


def test_columns_that_a_table_has_not_are_named_with_the_nearest(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("number,words\n1,text of one\n", encoding="utf-8")
    with pytest.raises(UsageError, match="--text number,words"):
        read_documents(table)
    with pytest.raises(UnknownName, match="Did you mean 'words'"):
        read_documents(table, text=["word"])
    assert read_documents(table, text=["words"]).documents == (Document("a.csv:2", "text of one", {"number": "1"}),)
    (tmp_path / "a.md").write_text("words", encoding="utf-8")
    with pytest.raises(UsageError, match="no table"):
        read_documents(tmp_path / "a.md", text=["words"])


def test_a_file_over_the_limit_is_set_aside_unread(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("words", encoding="utf-8")
    with (tmp_path / "huge.txt").open("wb") as out:
        out.truncate(100_000_001)
    (tmp_path / "long.txt").write_text("word " * 100, encoding="utf-8")
    assert [bad.code for bad in read_documents(tmp_path).quarantine] == ["refused:size"]
    strict = read_documents(tmp_path, limits=Limits(document_bytes=100))
    assert [bad.place for bad in strict.quarantine] == ["huge.txt", "long.txt"]


def test_only_the_pieces_that_changed_have_another_fingerprint(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.md").write_text(name, encoding="utf-8")

    def prints() -> dict[str, str]:
        pieces = [piece for piece in open_documents(tmp_path).pieces() if isinstance(piece, Piece)]
        return {piece.name: piece.fingerprint for piece in pieces}

    before = prints()
    (tmp_path / "b.md").write_text("changed", encoding="utf-8")
    (tmp_path / "d.md").write_text("new", encoding="utf-8")
    changed = {name for name, own in prints().items() if before.get(name) != own}
    assert changed == {"b.md", "d.md"}
    source = open_documents(tmp_path)
    pieces = [piece for piece in source.pieces() if isinstance(piece, Piece) and piece.name in changed]
    assert [found.text for piece in pieces for found in source.documents(piece) if isinstance(found, Document)] == [
        "changed",
        "new",
    ]


def test_other_columns_of_a_table_make_another_fingerprint(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("id,text,body\n1,one,two\n", encoding="utf-8")
    found = set()
    for text in ((), ("text",), ("body",)):
        (piece,) = open_documents(table, text=text).pieces()
        assert isinstance(piece, Piece)
        found.add(piece.fingerprint)
    assert len(found) == 3


def test_a_vanished_file_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("a", encoding="utf-8")
    source = open_documents(tmp_path)
    (piece,) = source.pieces()
    assert isinstance(piece, Piece)
    piece.path.unlink()
    assert [type(found) for found in source.documents(piece)] == [Quarantined]


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"# Opening hours\n\nFrom nine to five."
        self.send_response(200)
        self.send_header("Content-Type", "text/markdown; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""


def test_a_page_of_the_web_is_a_document_named_by_its_url() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/hours"
        with pytest.raises(BadData, match="private network"):
            read_documents(url)
        (document,) = read_documents(url, allow_hosts=[f"127.0.0.1:{server.server_port}"]).documents
        server.shutdown()
    assert document == Document(url, "# Opening hours\n\nFrom nine to five.", {"title": "Opening hours", "type": "markdown"})
