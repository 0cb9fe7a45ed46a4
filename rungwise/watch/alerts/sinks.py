"""Where alerts go: the terminal, a file, a webhook, mail. Each tells a message once where it can know that it did."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import os
import smtplib
import ssl
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

from rungwise.core.errors import RungwiseError, UsageError
from rungwise.core.record import canonical_json
from rungwise.core.version import __version__
from rungwise.core.watching import CRITICAL, SMTP, TERMINAL, TO_FILE, Sink
from rungwise.data.spec import beside
from rungwise.engines.secrets import read_key
from rungwise.watch.alerts.words import Message

TIMEOUT_S = 10.0
SIGNATURE = "x-rungwise-signature"
_SMTPS = 465
_LOCAL = ("localhost", "127.0.0.1", "::1")
_log = logging.getLogger("rungwise.alerts")

Tell: TypeAlias = Callable[[Message, bool], Awaitable[None]]
"""Tells one message; the flag says that it was tried before and may have been told. Raises NotTold."""


class NotTold(RungwiseError):
    """A sink did not take a message. With `down` it would take no other one now either."""

    def __init__(self, why: str, *, down: bool = True) -> None:
        self.down = down
        super().__init__(why)


def open_sink(sink: Sink, directory: Path, environ: Mapping[str, str]) -> Tell:
    """How a sink of a project is told. Raises UsageError for an address that cannot be one, or a secret that is not there."""
    if sink.kind == TERMINAL:
        return _terminal
    if not sink.to:
        raise UsageError(f"the {sink.kind} sink has no address. Say under watch, sinks, where it goes: to: ...")
    secret = read_key(sink.secret_env, environ, endpoint=sink.kind)
    if sink.kind == TO_FILE:
        return _file(beside(directory, sink.to))
    return _mail(sink, secret) if sink.kind == SMTP else _webhook(sink.to, secret)


async def _terminal(message: Message, again: bool) -> None:
    """A line of the log: a server writes it to its log, a command to stderr."""
    _log.log(logging.ERROR if message.severity == CRITICAL else logging.WARNING, "%s", message.text)


def _file(path: Path) -> Tell:
    async def tell(message: Message, again: bool) -> None:
        try:
            await asyncio.to_thread(_append, path, message, again)
        except OSError as error:
            raise NotTold(f"cannot write {path}: {error.strerror or error}") from error

    return tell


def _append(path: Path, message: Message, again: bool) -> None:
    """Append one line durably. What was tried before may stand there already, and half a line of a process that was killed too."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    line = canonical_json({"key": message.key, **message.data}).encode("utf-8", "surrogatepass") + b"\n"
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if again and _stands(path, message.key):
            return
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            line = line if file.read(1) == b"\n" else b"\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _stands(path: Path, key: str) -> bool:
    needle = key.encode()
    with path.open("rb") as lines:
        return any(needle in line and _key_of(line) == key for line in lines)


def _key_of(line: bytes) -> object:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found.get("key") if isinstance(found, dict) else None


def _webhook(url: str, secret: str | None) -> Tell:
    """POST the alert as JSON. No redirect is followed and nothing of the answer is kept but its status.

    The header idempotency-key is the same each time, so that a receiver can drop what it has. With a secret, the header
    x-rungwise-signature is 'sha256=' and the HMAC-SHA256 of the body in hex (RFC 2104).
    """
    parts = _checked(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    async def tell(message: Message, again: bool) -> None:
        from rungwise.engines.resilience import Failed
        from rungwise.engines.upstream.opening import open_upstream

        body = canonical_json(message.data).encode("utf-8", "replace")
        headers = [
            ("content-type", "application/json"),
            ("user-agent", f"rungwise/{__version__}"),
            ("idempotency-key", message.key),
        ]
        if secret is not None:
            headers.append((SIGNATURE, f"sha256={signature(secret, body)}"))
        upstream = open_upstream(f"{parts.scheme}://{parts.netloc}", connect_s=TIMEOUT_S)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                reply = await upstream.post(path, tuple(headers), body)
                reply.abort()
        except TimeoutError:
            raise NotTold(f"{parts.hostname} did not answer within {TIMEOUT_S:g} seconds") from None
        except Failed as error:
            raise NotTold(f"{parts.hostname}: {error.failure.what}") from None
        finally:
            await upstream.aclose()
        if not 200 <= reply.status < 300:
            raise NotTold(f"{parts.hostname} answered with status {reply.status}", down=reply.status >= 500 or reply.status == 429)

    return tell


def _checked(url: str) -> SplitResult:
    """The parts of a webhook's URL. Whoever runs the project names it, so it may be a private address. Raises UsageError."""
    wrong = "a webhook of watch, sinks, must go to an address such as https://hooks.example.com/alerts"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError(f"{wrong}: its host or port cannot be read") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise UsageError(wrong)
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise UsageError(f"{wrong}: spaces and signs beyond ASCII are written as %20 and so on")
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"{wrong}, without a user and a password before the @. Sign it with a secret instead: secret_env")
    return parts


def signature(secret: str, body: bytes) -> str:
    """HMAC-SHA256 of a body in hex (RFC 2104)."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _mail(sink: Sink, password: str | None) -> Tell:
    """Mail with a Message-ID that is the same each time. With `tls` it goes encrypted (STARTTLS, or port 465) or not at all."""
    host, port = _server(sink.server)
    if sink.user is not None and not sink.tls and host not in _LOCAL:
        raise UsageError(f"the password for {host} would be sent for all to read. Leave out tls: false")
    if sink.user is not None and password is None:
        raise UsageError(f"the mail server {host} wants the password of {sink.user}. Name the variable that holds it: secret_env")
    for address in (sink.to, sink.sender):
        if "@" not in parseaddr(address)[1] or not address.isprintable():
            raise UsageError(f"'{address}' is no mail address. Write for instance to: team@example.com")

    async def tell(message: Message, again: bool) -> None:
        try:
            await asyncio.to_thread(_send, sink, (host, port), password, message)
        except smtplib.SMTPResponseException as error:
            raise NotTold(
                f"{host} refused the mail with code {error.smtp_code}", down=error.smtp_code < 500 or _login(error)
            ) from None
        except smtplib.SMTPRecipientsRefused:
            raise NotTold(f"{host} does not deliver to {sink.to}", down=False) from None
        except smtplib.SMTPNotSupportedError:
            raise NotTold(f"{host} offers no STARTTLS or no login. On a machine that you trust: tls: false") from None
        except ssl.SSLError as error:
            raise NotTold(f"{host} has no certificate that is trusted ({error.reason})") from None
        except (smtplib.SMTPException, OSError) as error:
            raise NotTold(f"{host} port {port} does not take mail ({type(error).__name__})") from None

    return tell


def _login(error: smtplib.SMTPResponseException) -> bool:
    return isinstance(error, (smtplib.SMTPAuthenticationError, smtplib.SMTPConnectError, smtplib.SMTPHeloError))


def _send(sink: Sink, server: tuple[str, int], password: str | None, message: Message) -> None:
    host, port = server
    context = ssl.create_default_context()
    if sink.tls and port == _SMTPS:
        connection: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=context)
    else:
        connection = smtplib.SMTP(host, port, timeout=TIMEOUT_S)
    with connection:
        if sink.tls and port != _SMTPS:
            connection.starttls(context=context)
        if sink.user is not None and password is not None:
            connection.login(sink.user, password)
        connection.send_message(letter(sink, message))


def letter(sink: Sink, message: Message) -> EmailMessage:
    """The mail that tells a message."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sink.sender, sink.to, message.subject
    mail["Date"] = format_datetime(datetime.fromtimestamp(message.at, UTC))
    mail["Message-ID"] = f"<{message.key}@{parseaddr(sink.sender)[1].rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday note answers it
    mail.set_content(message.text.encode("utf-8", "replace").decode() + "\n")
    return mail


def _server(text: str) -> tuple[str, int]:
    """(host, port) of 'host:port'. Raises UsageError."""
    host, _, port = text.rpartition(":") if ":" in text else (text, "", "25")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise UsageError(f"the mail server '{text}' must be written as host:port, for instance localhost:25")
    return host.strip("[]"), int(port)
