"""AWS Signature Version 4, checked: is this request signed with the secret of the key that it names?

Source: the reference of AWS Signature Version 4, "Create a signed AWS API request", and what botocore signs in fact. The path
is encoded once more on top of how it came, as for every service but S3.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "bedrock"
SKEW_S = 300.0
"""How far the client's clock may be from ours; AWS allows five minutes as well."""

_SIGNATURE = re.compile("[0-9a-f]{64}")
_STAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_PARTS = ((0, 4), (4, 6), (6, 8), (9, 11), (11, 13), (13, 15))  # year, month, day, hour, minute, second in a stamp
# What changes how a request is understood must be signed; so must whatever AWS itself would read.
_MUST_SIGN = ("x-amz-", "x-amzn-bedrock-")
_LONGEST = 4096


class BadSignature(Exception):
    """What is wrong with a signature, in words that may be shown to whoever sent it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What the header `Authorization` claims: signed by the key `id`, for a day, region and service, over these headers."""

    id: str
    day: str
    region: str
    service: str
    signed: tuple[str, ...]
    signature: str

    @property
    def scope(self) -> str:
        """The scope as it is signed."""
        return f"{self.day}/{self.region}/{self.service}/aws4_request"


def read_claim(authorization: str) -> Claim:
    """Take the header apart. Raises BadSignature for one that is not of Signature Version 4, or incomplete."""
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != ALGORITHM or len(authorization) > _LONGEST:
        raise BadSignature(f"the header Authorization does not begin with {ALGORITHM}")
    fields = dict(piece.strip().partition("=")[::2] for piece in rest.split(","))
    credential = fields.get("Credential", "").split("/")
    signed = tuple(fields.get("SignedHeaders", "").split(";"))
    signature = fields.get("Signature", "")
    if len(credential) != 5 or credential[4] != "aws4_request" or not all(credential):
        raise BadSignature("the credential is not KEY/DAY/REGION/bedrock/aws4_request")
    if credential[3] != SERVICE:
        raise BadSignature(f"the request is signed for the service '{credential[3]}', not for {SERVICE}")
    if not all(signed) or list(signed) != sorted(set(signed)) or any(name != name.lower() for name in signed):
        raise BadSignature("SignedHeaders must name headers in lower case, each once, in order")
    if not _SIGNATURE.fullmatch(signature):
        raise BadSignature("the signature is not 64 hex digits")
    id, day, region, service, _ = credential
    return Claim(id, day, region, service, signed, signature)


def check(
    claim: Claim,
    secret: str,
    *,
    method: str,
    raw_path: bytes,
    query: bytes,
    headers: Iterable[tuple[bytes, bytes]],
    body: bytes,
    now: float,
) -> None:
    """Raise BadSignature unless the request is whole, recent and signed with the secret. `headers` as they came."""
    values = _joined(headers)
    stamp = values.get("x-amz-date", "")
    _check_time(claim, stamp, now)
    _check_coverage(claim, values)
    digest = hashlib.sha256(body).hexdigest()
    told = values.get("x-amz-content-sha256")
    if told is not None and not hmac.compare_digest(told.encode(), digest.encode()):
        raise BadSignature("the body is not the one that was signed")
    request = canonical_request(method, raw_path, query, values, claim.signed, digest)
    text = "\n".join((ALGORITHM, stamp, claim.scope, hashlib.sha256(request).hexdigest()))
    key = _signing_key(secret, claim.day, claim.region, claim.service)
    wanted = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(wanted.encode(), claim.signature.encode()):
        raise BadSignature("the signature does not match: check the secret, and that nothing on the way changes the request")


def canonical_request(
    method: str, raw_path: bytes, query: bytes, values: Mapping[str, str], signed: Sequence[str], body_digest: str
) -> bytes:
    """The request in the one form that both sides sign."""
    lines = [method.upper(), _path(raw_path), _query(query)]
    lines += [f"{name}:{values[name]}" for name in signed]
    return "\n".join([*lines, "", ";".join(signed), body_digest]).encode()


def _check_time(claim: Claim, stamp: str, now: float) -> None:
    if not _STAMP.fullmatch(stamp):
        raise BadSignature("the header x-amz-date is missing or not of the form 20260131T235959Z")
    try:
        year, month, day, hour, minute, second = (int(stamp[start:end]) for start, end in _PARTS)
        at = datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:
        raise BadSignature(f"the header x-amz-date names no time: {stamp}") from None
    if claim.day != stamp[:8]:
        raise BadSignature("the day of the credential is not that of the header x-amz-date")
    if abs(now - at) > SKEW_S:
        way = "old" if now > at else "early"
        raise BadSignature(
            f"the request is signed {abs(now - at):.0f} s too {way}: at most {SKEW_S:.0f} s are allowed. Check the clock"
        )


def _check_coverage(claim: Claim, values: Mapping[str, str]) -> None:
    signed = set(claim.signed)
    for name in ("host", "x-amz-date"):
        if name not in signed:
            raise BadSignature(f"the header {name} must be signed")
    for name in values:
        if name.startswith(_MUST_SIGN) and name not in signed:
            raise BadSignature(f"the header {name} must be signed, or left out")
    absent = [name for name in claim.signed if name not in values]
    if absent:
        raise BadSignature(f"the header {absent[0]} is signed but did not come")


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case name: spaces folded, several of one name joined by a comma."""
    values: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name = raw_name.decode("latin-1").lower()
        value = " ".join(raw_value.decode("latin-1").split())
        values[name] = f"{values[name]},{value}" if name in values else value
    return values


def _path(raw: bytes) -> str:
    """The path without . and .. and empty segments, encoded once more."""
    path = raw.decode("latin-1") or "/"
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    clean = "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")
    return quote(clean.encode("latin-1"), safe="/~")


def _query(raw: bytes) -> str:
    pairs = sorted(piece.partition("=")[::2] for piece in raw.decode("latin-1").split("&") if piece)
    return "&".join(f"{name}={value}" for name, value in pairs)


@lru_cache(maxsize=1024)
def _signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
