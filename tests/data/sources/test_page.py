"""A page of the web as a source, against a real server on this machine that is allowed by name."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from rungwise.core.errors import BadData, RungwiseError
from rungwise.data.readers import Quarantined
from rungwise.data.sources import Piece
from rungwise.data.sources.options import Limits, Options
from rungwise.data.sources.web import Web, open_web

pytest.importorskip("selectolax", reason="the extra 'curation' is not installed")

PAGE = b"<!doctype html><title>Refunds</title><nav>Home</nav><h1>Refunds</h1><p>Within 7 days.</p>"
Answer = Callable[["Server"], None]


class Server(BaseHTTPRequestHandler):
    """Answers each path by a function; notes what it was asked."""

    answers: dict[str, Answer]
    asked: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        self.asked.append((self.path, dict(self.headers)))
        self.answers[self.path](self)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def give(self, body: bytes, type: str | None = "text/html; charset=utf-8", status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if type is not None:
            self.send_header("Content-Type", type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[tuple[str, type[Server]]]:
    """The address of a server, and where its answers are set."""
    own = type("Own", (Server,), {"answers": {}, "asked": []})
    running = ThreadingHTTPServer(("127.0.0.1", 0), own)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield f"127.0.0.1:{running.server_port}", own
    running.shutdown()
    thread.join()
    running.server_close()


def source(host: str, path: str, cache: Path | None = None, *, allow: str | None = None, **limits: float) -> Web:
    options = Options(allow_hosts=(allow or host,), cache=cache, limits=Limits(**limits))  # type: ignore[arg-type]
    return open_web(f"http://{host}{path}", options)


def cells_of(web: Web) -> dict[str, object]:
    (piece,) = web.pieces()
    assert isinstance(piece, Piece), piece
    read = web.read(piece)
    ((place, cells),) = read.rows
    assert place == piece.name == web.location
    return cells


def test_a_page_is_one_row(server: tuple[str, type[Server]]) -> None:
    host, own = server
    own.answers["/refunds"] = lambda s: s.give(PAGE)
    web = source(host, "/refunds#top")
    assert cells_of(web) == {
        "id": f"http://{host}/refunds",
        "text": "# Refunds\n\nWithin 7 days.",
        "title": "Refunds",
        "type": "html",
    }
    assert (web.kind, web.location, web.licence, web.languages) == ("web", f"http://{host}/refunds", None, ())


def test_a_second_run_asks_only_whether_the_page_changed(server: tuple[str, type[Server]], tmp_path: Path) -> None:
    host, own = server

    def answer(s: Server) -> None:
        if s.headers.get("If-None-Match") == '"v1"':
            s.give(b"", None, 304)
        else:
            s.give(PAGE, ETag='"v1"', Last_Modified="Mon, 02 Mar 2026 10:00:00 GMT")

    own.answers["/a"] = answer
    (first,) = source(host, "/a", tmp_path).pieces()
    (second,) = source(host, "/a", tmp_path).pieces()
    assert first == second
    assert own.asked[1][1]["If-Modified-Since"] == "Mon, 02 Mar 2026 10:00:00 GMT"
    assert cells_of(source(host, "/a", tmp_path))["title"] == "Refunds"
    own.answers["/a"] = lambda s: s.give(PAGE.replace(b"7", b"9"), ETag='"v2"')
    assert "9 days" in str(cells_of(source(host, "/a", tmp_path))["text"])


def test_an_answer_without_bytes_is_not_believed_when_nothing_is_kept(server: tuple[str, type[Server]], tmp_path: Path) -> None:
    host, own = server
    own.answers["/a"] = lambda s: s.give(PAGE, ETag='"v1"')
    cells_of(source(host, "/a", tmp_path))
    next(tmp_path.glob("*.html")).unlink()
    cells_of(source(host, "/a", tmp_path))
    assert "If-None-Match" not in own.asked[1][1]


@pytest.mark.parametrize(
    ("path", "type", "body", "expected"),
    [
        ("/a", "text/plain; charset=latin-1", "caf\xe9".encode("latin-1"), ("café", "text")),
        ("/a", "text/markdown", b"# T\n\nx", ("# T\n\nx", "markdown")),
        ("/a.md", "text/plain", b"# T", ("# T", "markdown")),
        ("/a", "text/html; charset=windows-1252", b"<p>caf\xe9", ("café", "html")),
        ("/a.html", None, b"<p>x", ("x", "html")),
        ("/a.txt", "application/octet-stream", b"x", ("x", "text")),
    ],
)
def test_the_type_is_what_the_server_says_else_what_the_url_ends_in(
    server: tuple[str, type[Server]], path: str, type: str | None, body: bytes, expected: tuple[str, str]
) -> None:
    host, own = server
    own.answers[path] = lambda s: s.give(body, type)
    cells = cells_of(source(host, path))
    assert (cells["text"], cells["type"]) == expected


def test_redirects_are_followed_and_counted(server: tuple[str, type[Server]]) -> None:
    host, own = server
    own.answers["/0"] = lambda s: s.give(b"", status=301, Location="/1")
    own.answers["/1"] = lambda s: s.give(b"", status=302, Location=f"http://{host}/2")
    own.answers["/2"] = lambda s: s.give(PAGE)
    assert cells_of(source(host, "/0"))["id"] == f"http://{host}/0"
    with pytest.raises(BadData, match="more than 1 times"):
        list(source(host, "/0", redirects=1).pieces())
    own.answers["/2"] = lambda s: s.give(b"", status=308, Location="/0")
    with pytest.raises(BadData, match="more than 5 times"):
        list(source(host, "/0").pieces())


@pytest.mark.parametrize(
    "target",
    [
        "http://localhost:{other}/x",
        "http://127.0.0.2/x",
        "http://[::1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://2130706433/",
        "http://user@127.0.0.1/",
        "//0x7f.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://[::1",
    ],
)
def test_a_redirect_is_vetted_as_the_first_address_is(server: tuple[str, type[Server]], target: str) -> None:
    host, own = server
    own.answers["/0"] = lambda s: s.give(b"", status=302, Location=target.format(other=1))
    own.answers["/x"] = lambda s: s.give(PAGE)
    with pytest.raises(BadData):
        list(source(host, "/0").pieces())
    assert [path for path, _ in own.asked] == ["/0"]


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_private_host_that_nobody_named_is_never_connected_to(server: tuple[str, type[Server]], name: str) -> None:
    host, own = server
    port = host.rpartition(":")[2]
    with pytest.raises(BadData, match=f"--allow-host {name}:{port}"):
        list(open_web(f"http://{name}:{port}/", Options()).pieces())
    assert own.asked == []


class Rebinding(AbstractResolver):
    """A name that leads to a public address when it is first asked for, and then into this machine."""

    asked = 0

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        type(self).asked += 1
        address = "93.184.215.14" if type(self).asked == 1 else "127.0.0.1"
        return [ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        """Nothing is open."""


def test_a_name_is_resolved_once_and_the_connection_goes_where_that_led(
    server: tuple[str, type[Server]], monkeypatch: pytest.MonkeyPatch
) -> None:
    host, own = server
    tried: list[str] = []

    async def connect(addr_infos: list[tuple[object, ...]], **_: object) -> socket.socket:
        tried.extend(str(info[4][0]) for info in addr_infos)  # type: ignore[index]
        raise OSError("no network in tests")

    monkeypatch.setattr(aiohttp.connector.aiohappyeyeballs, "start_connection", connect)
    monkeypatch.setattr(Rebinding, "asked", 0)
    with pytest.raises(RungwiseError, match="cannot be fetched"):
        list(Web(f"http://rebind.example:{host.rpartition(':')[2]}/", Options(), Rebinding).pieces())
    assert (tried, Rebinding.asked, own.asked) == (["93.184.215.14"], 1, [])
    with pytest.raises(BadData, match="private network"):
        list(Web("http://rebind.example/", Options(), Rebinding).pieces())


def test_a_page_that_is_gone_is_set_aside_and_a_server_that_fails_is_an_error(server: tuple[str, type[Server]]) -> None:
    host, own = server
    own.answers["/a"] = lambda s: s.give(b"", status=404)
    (bad,) = source(host, "/a").pieces()
    assert isinstance(bad, Quarantined)
    assert (bad.code, bad.place) == ("unreachable:gone", f"http://{host}/a")
    for status in (401, 403, 429, 500, 503):
        own.answers["/a"] = lambda s, status=status: s.give(b"", status=status)  # type: ignore[misc]
        with pytest.raises(RungwiseError, match=f"answers {status}"):
            list(source(host, "/a").pieces())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(RungwiseError, match="cannot be fetched"):
            list(source(closed, "/").pieces())


def test_a_page_beyond_the_limit_is_left_packed_or_not(server: tuple[str, type[Server]]) -> None:
    host, own = server
    own.answers["/big"] = lambda s: s.give(b"x" * 300_000, "text/plain")
    own.answers["/bomb"] = lambda s: s.give(gzip.compress(b"x" * 50_000_000), "text/plain", Content_Encoding="gzip")
    for path in ("/big", "/bomb"):
        (bad,) = source(host, path, page_bytes=200_000).pieces()
        assert isinstance(bad, Quarantined)
        assert bad.code == "refused:size"


def test_a_server_that_drips_is_given_up(server: tuple[str, type[Server]]) -> None:
    host, own = server
    done = threading.Event()

    def drip(s: Server) -> None:
        s.send_response(200)
        s.end_headers()
        while not done.wait(0.05):
            try:
                s.wfile.write(b"x")
            except OSError:
                return

    own.answers["/"] = drip
    try:
        with pytest.raises(RungwiseError, match=r"no whole answer in 0\.5 s"):
            list(source(host, "/", page_seconds=0.5).pieces())
    finally:
        done.set()


def test_what_is_no_document_is_set_aside(server: tuple[str, type[Server]]) -> None:
    host, own = server
    own.answers["/a.zip"] = lambda s: s.give(b"PK", "application/zip")
    (bad,) = source(host, "/a.zip").pieces()
    assert isinstance(bad, Quarantined)
    assert bad.code == "unsupported:format"


def test_nothing_stays_behind_without_a_cache(server: tuple[str, type[Server]]) -> None:
    host, own = server
    own.answers["/a"] = lambda s: s.give(PAGE)
    web = source(host, "/a")
    (piece,) = web.pieces()
    assert isinstance(piece, Piece)
    assert piece.path.is_file()
    del web
    assert not piece.path.exists()


async def test_a_page_is_fetched_from_within_an_event_loop_too(server: tuple[str, type[Server]]) -> None:
    host, own = server
    own.answers["/a"] = lambda s: s.give(PAGE)
    assert cells_of(source(host, "/a"))["title"] == "Refunds"
