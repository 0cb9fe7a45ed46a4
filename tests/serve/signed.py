"""Requests as the real boto3 signs them: caught before they leave, never sent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config


@dataclass(frozen=True)
class Caught:
    """What would have gone over the wire, as a server is given it."""

    method: str
    raw_path: bytes
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """One header by its lower-case name."""
        return dict(self.headers).get(name)

    def but(self, **changes: Any) -> Caught:
        """The same request with something changed on the way."""
        return replace(self, **changes)

    def with_header(self, name: bytes, value: bytes | None) -> Caught:
        """One header replaced, added, or (None) left out."""
        rest = tuple(pair for pair in self.headers if pair[0] != name)
        return self.but(headers=rest if value is None else (*rest, (name, value)))


def caught(
    operation: str, id: str, secret: str, *, endpoint: str = "http://127.0.0.1:8000", token: str | None = None, **arguments: Any
) -> Caught:
    """The request that boto3 makes of an operation of the Bedrock runtime, e.g. 'converse'."""
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=endpoint,
        region_name="eu-central-1",
        aws_access_key_id=id,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(retries={"max_attempts": 0}),
    )
    found: list[Caught] = []

    def catch(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        found.append(_as_sent(request))
        raise _Enough

    client.meta.events.register("before-send.bedrock-runtime", catch)
    try:
        getattr(client, operation)(**arguments)
    except _Enough:
        pass
    finally:
        client.close()
    return found[0]


class _Enough(Exception):
    """Nothing is to be sent."""


def _as_sent(request: AWSPreparedRequest) -> Caught:
    """The bytes of a request as a server reads them from the wire."""
    rest = request.url.split("://", 1)[1]
    host, slash, target = rest.partition("/")
    path, _, query = (slash + target).partition("?")
    body = request.body if isinstance(request.body, bytes) else (request.body or "").encode()
    headers = [(b"host", host.encode())]
    for name, value in request.headers.items():
        if name.lower() != "host":
            headers.append((name.lower().encode(), value if isinstance(value, bytes) else str(value).encode()))
    return Caught(request.method, path.encode(), query.encode(), tuple(headers), body)
