"""Every sink against a real receiver: what arrives, how it is signed, and what is said when it does not."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import ssl
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.errors import UsageError
from rungwise.core.reading import DAY_S, Reading
from rungwise.core.watching import CRITICAL, SMTP, TERMINAL, TO_FILE, WEBHOOK, Sink
from rungwise.data.alerts import OPENED, RESOLVED, Alert
from rungwise.serve.certificate import self_signed
from rungwise.watch.alerts import sinks
from rungwise.watch.alerts.sinks import NotTold, letter, open_sink
from rungwise.watch.alerts.words import Message, message, sink_name
from tests.watch.alerts.receivers import hooks, mail_server

SECRET = "a-secret-of-the-team"
ENVIRON = {"ALERT_SECRET": SECRET}
HERE = Path("tickets")


def alert(**more: object) -> Alert:
    reading = Reading(
        monitor="quality.target",
        since=0.0,
        until=7 * DAY_S,
        why="The share of right answers fell below the target.",
        about={"variant": "b"},
        value=0.84,
        low=0.8,
        high=0.88,
        reference=0.9,
        level=0.05,
        n=412,
        traces=("0" * 32,),
        details={"texts": ["my card is lost"]},
    )
    told = {"id": "a" * 32, "rule": "quality", "severity": CRITICAL, "reading": reading, "since": 0.0, "note": "it is better"}
    return Alert(**{**told, "opened_at": 7 * DAY_S, "changed_at": 9 * DAY_S, "heard_until": 7 * DAY_S, **more})  # type: ignore[arg-type]


def told(event: str = OPENED) -> Message:
    return message(alert(), event, project="tickets", directory=HERE)


def tell(sink: Sink, what: Message | None = None, *, again: bool = False, directory: Path = HERE) -> None:
    asyncio.run(_tell(sink, what or told(), again, directory))


async def _tell(sink: Sink, what: Message, again: bool, directory: Path) -> None:
    await open_sink(sink, directory, ENVIRON)(what, again)


def test_a_message_says_what_happened_how_sure_since_when_and_what_to_type() -> None:
    text = told().text
    for expected in (
        "critical: quality.target (variant b) in tickets",
        "The share of right answers fell below the target.",
        "0.84, between 0.8 and 0.88 (level 0.05), from 412",
        "since 1970-01-01",
        "for example: " + "0" * 32,
        "Next: rungwise review tickets",
        "Next: rungwise reclimb tickets --because aaaaaaaaaaaa",
    ):
        assert expected in text
    assert "my card is lost" not in text + json.dumps(told().data)
    over = told(RESOLVED)
    assert "over 1970-01-10 00:00 UTC: it is better" in over.text
    assert "Next" not in over.text


def test_a_webhook_gets_json_that_is_signed_and_has_a_key_of_its_own() -> None:
    with hooks() as taken:
        sink = Sink(kind=WEBHOOK, to=f"{taken.url}/services/x?token=1", secret_env="ALERT_SECRET")
        tell(sink)
        tell(sink, again=True)
        tell(sink, told(RESOLVED))
    (path, headers, body), (_, again, _), (_, over, _) = taken.posts
    assert path == "/services/x?token=1"
    assert headers["x-rungwise-signature"] == "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers["idempotency-key"] == again["idempotency-key"] == "a" * 32 + "-opened"
    assert over["idempotency-key"] == "a" * 32 + "-resolved"
    found = json.loads(body)
    assert (found["monitor"], found["severity"], found["low"], found["event"]) == ("quality.target", CRITICAL, 0.8, "opened")
    assert found["text"].startswith("critical: tickets: quality.target")
    assert SECRET not in body.decode() + str(headers)


def test_a_webhook_that_redirects_is_not_followed() -> None:
    with hooks() as taken, hooks() as elsewhere:
        taken.status, taken.headers = 302, {"location": f"{elsewhere.url}/private"}
        with pytest.raises(NotTold, match="status 302"):
            tell(Sink(kind=WEBHOOK, to=taken.url))
        assert (len(taken.posts), elsewhere.posts) == (1, [])


@pytest.mark.parametrize(("status", "down"), [(500, True), (503, True), (429, True), (400, False), (404, False)])
def test_a_webhook_that_is_broken_is_down_and_one_that_refuses_is_not(status: int, down: bool) -> None:
    with hooks() as taken:
        taken.status = status
        with pytest.raises(NotTold, match=f"status {status}") as refused:
            tell(Sink(kind=WEBHOOK, to=f"{taken.url}/s3cret"))
    assert refused.value.down is down
    assert "s3cret" not in str(refused.value)


def test_a_webhook_that_never_answers_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "TIMEOUT_S", 0.2)
    with hooks() as taken:
        taken.wait = threading.Event()
        with pytest.raises(NotTold, match=r"did not answer within 0\.2 seconds"):
            tell(Sink(kind=WEBHOOK, to=taken.url))
    with pytest.raises(NotTold, match=r"127\.0\.0\.1"):
        tell(Sink(kind=WEBHOOK, to="http://127.0.0.1:1/s3cret"))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com",
        "ftp://a/b",
        "file:///etc/passwd",
        "http://",
        "http://u:p@host/",
        "http://[::1",
        "http://a b/",
        "http://h:0/",
        "http://host/\r\nx: y",
        "http://host:99999/",
    ],
)
def test_an_address_that_is_none_is_said_before_anything_is_sent(url: str) -> None:
    with pytest.raises(UsageError):
        open_sink(Sink(kind=WEBHOOK, to=url), HERE, {})


def test_a_secret_that_is_not_there_is_said_by_the_name_of_its_variable() -> None:
    with pytest.raises(UsageError, match="export MISSING="):
        open_sink(Sink(kind=WEBHOOK, to="http://127.0.0.1:1/", secret_env="MISSING"), HERE, {})


def test_the_name_of_a_webhook_hides_its_path_and_tells_two_apart() -> None:
    first, second = (sink_name(Sink(kind=WEBHOOK, to=f"https://hooks.example.com/{path}")) for path in ("T0/s3cret", "T1"))
    assert first.startswith("webhook hooks.example.com #")
    assert "s3cret" not in first
    assert first != second


def test_a_file_holds_each_event_once_also_after_half_a_line(tmp_path: Path) -> None:
    sink = Sink(kind=TO_FILE, to="logs/alerts.jsonl")
    tell(sink, directory=tmp_path)
    path = tmp_path / "logs" / "alerts.jsonl"
    tell(sink, again=True, directory=tmp_path)
    with path.open("ab") as file:
        file.write(b'{"key": "' + b"a" * 32 + b"-resol")  # a process was killed here
    tell(sink, told(RESOLVED), again=True, directory=tmp_path)
    tell(sink, told(RESOLVED), again=True, directory=tmp_path)
    lines = path.read_bytes().split(b"\n")
    assert [json.loads(lines[n])["event"] for n in (0, 2)] == ["opened", "resolved"]
    assert len(lines) == 4


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    with pytest.raises(NotTold, match="cannot write"):
        tell(Sink(kind=TO_FILE, to="logs/alerts.jsonl"), directory=tmp_path)


def test_the_terminal_gets_a_line_of_the_log_by_its_severity(caplog: pytest.LogCaptureFixture) -> None:
    tell(Sink(kind=TERMINAL))
    (record,) = caplog.records
    assert (record.levelno, record.name) == (logging.ERROR, "rungwise.alerts")
    assert "Next: rungwise review tickets" in record.message


def test_mail_comes_over_a_secret_connection_with_a_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    files = self_signed(tmp_path / "tls", ["localhost"], now=time.time())
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files.certificate, files.private_key)
    monkeypatch.setenv("SSL_CERT_FILE", str(files.authority))
    with mail_server(tls, SECRET) as taken:
        sink = Sink(kind=SMTP, to="team@example.com", server=taken.address, user="robot", secret_env="ALERT_SECRET")
        tell(sink)
        tell(sink, again=True)
    first, again = taken.mails
    assert taken.secret == [True, True]
    assert taken.logins == [("robot", SECRET)] * 2
    assert first["Subject"] == "critical: quality.target (variant b) in tickets"
    assert first["Message-ID"] == again["Message-ID"] == f"<{'a' * 32}-opened@localhost>"
    body = first.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert "Next: rungwise review tickets" in body.decode()


def test_a_mail_server_that_is_not_trusted_or_not_secret_gets_neither_mail_nor_password(tmp_path: Path) -> None:
    import time

    files = self_signed(tmp_path / "tls", ["localhost"], now=time.time())
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files.certificate, files.private_key)
    with mail_server(tls, SECRET) as taken:
        sink = Sink(kind=SMTP, to="team@example.com", server=taken.address, user="robot", secret_env="ALERT_SECRET")
        with pytest.raises(NotTold, match="no certificate that is trusted"):
            tell(sink)
    with mail_server(None, SECRET) as plain:
        sink = Sink(kind=SMTP, to="team@example.com", server=plain.address, user="robot", secret_env="ALERT_SECRET")
        with pytest.raises(NotTold, match="no STARTTLS"):
            tell(sink)
    assert (taken.logins, plain.logins, taken.mails, plain.mails) == ([], [], [], [])
    with pytest.raises(UsageError, match="for all to read"):
        open_sink(Sink(kind=SMTP, to="a@b.c", server="mail.b.c:25", user="x", secret_env="ALERT_SECRET", tls=False), HERE, ENVIRON)


def test_mail_without_encryption_goes_where_that_is_wanted_and_a_refusal_says_its_code() -> None:
    with mail_server() as taken:
        sink = Sink(kind=SMTP, to="team@example.com", server=taken.address, tls=False)
        tell(sink)
        taken.refuse = b"452 full"
        with pytest.raises(NotTold, match="code 452") as full:
            tell(sink)
        taken.refuse = b"550 who are you"
        with pytest.raises(NotTold, match="code 550") as never:
            tell(sink)
    assert (len(taken.mails), full.value.down, never.value.down) == (1, True, False)
    with pytest.raises(NotTold, match="does not take mail"):
        tell(Sink(kind=SMTP, to="team@example.com", server="127.0.0.1:1", tls=False))


@pytest.mark.parametrize("server", ["mail", "mail:", ":25", "mail:0", "mail:x", "mail:70000"])
def test_a_mail_server_that_is_none_is_said(server: str) -> None:
    sink = Sink(kind=SMTP, to="team@example.com", server=server)
    if server == "mail":
        open_sink(sink, HERE, {})  # port 25 is meant
    else:
        with pytest.raises(UsageError, match="host:port"):
            open_sink(sink, HERE, {})


@given(why=st.text(), rule=st.text(), group=st.text())
def test_no_text_breaks_out_of_a_mail_or_a_line(why: str, rule: str, group: str) -> None:
    reading = Reading(monitor="drift.x", since=0.0, until=DAY_S, why=why, about={"group": group})
    odd = message(alert(reading=reading, rule=rule), OPENED, project="a\r\nBcc: b", directory=HERE)
    mail = letter(Sink(kind=SMTP, to="team@example.com"), odd)
    assert mail.as_bytes()
    assert set(mail.keys()) >= {"From", "To", "Subject", "Message-ID"}
    assert "Bcc" not in mail
    assert all(sign.isprintable() or sign == "\n" for sign in odd.text)
    assert "\n" not in odd.subject
