"""Who is let in: bearer keys and signatures made by the real boto3, against the keys of a project."""

from __future__ import annotations

import asyncio
import calendar
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rungwise.core.errors import StoreError
from rungwise.data.keys import Keys, NewKey
from rungwise.data.master import MasterKey
from rungwise.data.store import Store
from rungwise.serve.access import EVERYTHING, Access, client_of, is_loopback, require
from rungwise.serve.ask import Caller
from rungwise.serve.exchange import Exchange
from rungwise.serve.failure import NotAllowed
from tests.clocks import StillClock
from tests.serve.signed import Caught, caught

HERE = "127.0.0.1"
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": "hello"}]}]}
ARN = "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.claude-v1:0"


@pytest.fixture
def keys(store: Store) -> Keys:
    return Keys(store, MasterKey.open(store.directory, {}))


def bearer(key: str) -> bytes:
    return f"Bearer {key}".encode()


def enter(access: Access, request: Caught, now: float, host: str | None = None) -> Caller:
    return access.by_signature(request.method, request.raw_path, request.query, request.headers, request.body, now, host)


def signed_at(request: Caught) -> float:
    stamp = (request.header(b"x-amz-date") or b"").decode()
    return float(calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ")))


def test_a_key_lets_in_with_its_scopes_tenant_user_and_limits(store: Store, keys: Keys) -> None:
    made = keys.create(["infer"], tenant="acme", user="ann", limits={"usd_per_day": 5}, actor="test")
    caller = Access.load(store).by_bearer(bearer(made.key), "203.0.113.9")
    assert caller == Caller(
        key=made.kept.id,
        scopes=frozenset({"infer"}),
        tenant="acme",
        user="ann",
        limits={"usd_per_day": 5.0},
        meter=made.kept.id,
    )


def test_the_scheme_may_be_written_in_any_case(store: Store, keys: Keys) -> None:
    made = keys.create(["infer"], actor="test")
    access = Access.load(store)
    assert access.by_bearer(b"bearer " + made.key.encode(), None).key == made.kept.id
    assert access.by_bearer(b"BEARER  " + made.key.encode() + b" ", None).key == made.kept.id


@pytest.mark.parametrize(
    "header", [None, b"", b"Bearer", b"Bearer ", b"Bearer rw-x", b"Basic YTpi", b"\xff\xfe", b"Bearer " + b"x" * 9999]
)
def test_without_a_key_of_the_project_nobody_is_let_in_not_even_from_this_machine(
    store: Store, keys: Keys, header: bytes | None
) -> None:
    keys.create(["infer"], actor="test")
    with pytest.raises(NotAllowed) as refusal:
        Access.load(store).by_bearer(header, HERE)
    assert refusal.value.status == 401


def test_a_digest_or_an_id_from_a_copy_of_the_database_opens_nothing(store: Store, keys: Keys) -> None:
    made = keys.create(["infer"], actor="test")
    access = Access.load(store)
    for stolen in (made.kept.digest, made.kept.id, f"rw-{made.kept.id}-{made.kept.digest[:43]}"):
        with pytest.raises(NotAllowed):
            access.by_bearer(bearer(stolen), None)


def test_a_project_that_never_had_a_key_answers_this_machine_only(store: Store, keys: Keys) -> None:
    access = Access.load(store)
    assert access.by_bearer(None, HERE).scopes == EVERYTHING
    assert access.by_bearer(b"Bearer anything", "::1").scopes == EVERYTHING
    for host in ("192.168.1.4", "203.0.113.9", "localhost.evil.example", "", None):
        with pytest.raises(NotAllowed):
            access.by_bearer(None, host)


def test_a_key_that_was_made_here_does_not_open_another_project_that_has_none(store: Store, keys: Keys, tmp_path: Path) -> None:
    made = keys.create(["infer"], actor="test")
    other = Store.open(tmp_path / "other", clock=StillClock())
    try:
        with pytest.raises(NotAllowed):
            Access.load(other).by_bearer(bearer(made.key), HERE)
        request = caught("converse", made.kept.id, made.key, modelId="m", **HELLO)
        with pytest.raises(NotAllowed):
            enter(Access.load(other), request, signed_at(request), HERE)
    finally:
        other.close()


def test_a_project_whose_keys_are_all_revoked_stays_closed(store: Store, keys: Keys) -> None:
    keys.revoke(keys.create(["infer"], actor="test").kept.id, actor="test")
    with pytest.raises(NotAllowed):
        Access.load(store).by_bearer(None, HERE)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.1", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("localhost", False),
        (None, False),
    ],
)
def test_this_machine_is_told_by_its_address(host: str | None, here: bool) -> None:
    assert is_loopback(host) is here


def test_an_expired_key_opens_nothing_from_that_moment_on(store: Store, keys: Keys, clock: StillClock) -> None:
    made = keys.create(["infer"], expires_at=clock.now() + 60, actor="test")
    access = Access.load(store)
    clock.advance(59)
    access.by_bearer(bearer(made.key), None)
    clock.advance(1)
    with pytest.raises(NotAllowed, match="has expired"):
        access.by_bearer(bearer(made.key), None)


def test_a_revoked_key_opens_nothing_once_the_store_was_looked_at(store: Store, keys: Keys) -> None:
    made = keys.create(["infer"], actor="test")
    access = Access.load(store)
    keys.revoke(made.kept.id, actor="test")
    assert access.refresh()
    with pytest.raises(NotAllowed, match="was revoked"):
        access.by_bearer(bearer(made.key), None)
    assert not access.refresh()


def test_of_two_keys_in_rotation_both_open_until_the_overlap_ends(store: Store, keys: Keys, clock: StillClock) -> None:
    old = keys.create(["infer"], actor="test")
    new = keys.rotate(old.kept.id, overlap_s=3600, actor="test")
    access = Access.load(store)
    assert access.by_bearer(bearer(old.key), None).meter == access.by_bearer(bearer(new.key), None).meter == old.kept.id
    clock.advance(3600)
    assert access.by_bearer(bearer(new.key), None).key == new.kept.id
    with pytest.raises(NotAllowed, match="has expired"):
        access.by_bearer(bearer(old.key), None)


def test_a_scope_that_the_key_lacks_is_refused_with_403_and_admin_has_them_all(store: Store, keys: Keys) -> None:
    reader = keys.create(["trace:read"], actor="test")
    boss = keys.create(["admin"], actor="test")
    access = Access.load(store)
    caller = access.by_bearer(bearer(reader.key), None)
    require(caller, "trace:read")
    with pytest.raises(NotAllowed) as refusal:
        require(caller, "infer")
    assert (refusal.value.status, refusal.value.code) == (403, "not_allowed")
    for scope in EVERYTHING:
        require(access.by_bearer(bearer(boss.key), None), scope)


async def test_a_key_that_was_made_a_moment_ago_opens_at_once(store: Store, keys: Keys) -> None:
    keys.create(["infer"], actor="test")
    access = Access.load(store)
    try:
        for _ in range(3):
            made = keys.create(["infer"], actor="test")
            caller = await access.admit(lambda key=made.key: access.by_bearer(bearer(key), None))  # type: ignore[misc]
            assert caller.key == made.kept.id
    finally:
        await access.close()


async def test_unknown_keys_cannot_make_the_store_be_read_often(store: Store, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    keys.create(["infer"], actor="test")
    access = Access.load(store)
    looks = 0
    real = access.refresh

    def counted() -> bool:
        nonlocal looks
        looks += 1
        return real()

    monkeypatch.setattr(access, "refresh", counted)
    try:

        async def guess(n: int) -> None:
            with pytest.raises(NotAllowed):
                await access.admit(lambda: access.by_bearer(bearer(f"rw-{n}"), None))

        await asyncio.gather(*(guess(n) for n in range(500)))
        assert looks <= 4
    finally:
        await access.close()


async def test_a_running_door_follows_the_store_by_itself(store: Store, keys: Keys) -> None:
    made = keys.create(["infer"], actor="test")
    access = Access.load(store)
    try:
        access.by_bearer(bearer(made.key), None)
        keys.revoke(made.kept.id, actor="test")
        for _ in range(100):
            await asyncio.sleep(0.05)
            try:
                access.by_bearer(bearer(made.key), None)
            except NotAllowed:
                break
        else:
            pytest.fail("a revoked key still opens after five seconds")
    finally:
        await access.close()


# What boto3 signs.


@pytest.fixture
def made(keys: Keys) -> NewKey:
    return keys.create(["infer"], tenant="acme", actor="test")


@pytest.fixture
def access(store: Store, made: NewKey) -> Access:
    return Access.load(store)


@pytest.fixture(scope="module")
def requests() -> dict[str, Any]:
    return {
        "converse": {"modelId": "support", **HELLO},
        "converse_stream": {"modelId": ARN, **HELLO},
        "invoke_model": {"modelId": "support:fast", "body": b'{"messages": []}', "trace": "ENABLED"},
        "invoke_model_with_response_stream": {"modelId": "engine/some model+x", "body": b"{}", "contentType": "application/json"},
        "count_tokens": {"modelId": "support", "input": {"converse": HELLO}},
        "apply_guardrail": {
            "guardrailIdentifier": "g/1",
            "guardrailVersion": "DRAFT",
            "source": "INPUT",
            "content": [{"text": {"text": "x"}}],
        },
    }


@pytest.mark.parametrize(
    "operation",
    ["converse", "converse_stream", "invoke_model", "invoke_model_with_response_stream", "count_tokens", "apply_guardrail"],
)
@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:8000", "https://rungwise.example", "http://[::1]:8443/behind/a-prefix"])
def test_whatever_boto3_signs_is_let_in(
    access: Access, made: NewKey, requests: dict[str, Any], operation: str, endpoint: str
) -> None:
    request = caught(operation, made.kept.id, made.key, endpoint=endpoint, **requests[operation])
    assert enter(access, request, signed_at(request)).tenant == "acme"


@pytest.mark.parametrize(
    "model", ["a:b", "a/b", ARN, "spaces and+plus", "ümläut-模型", "tilde~and!star*", "percent%2Fliteral", "a%25b", "..", "a/../b"]
)
def test_model_ids_with_any_sign_are_let_in(access: Access, made: NewKey, model: str) -> None:
    request = caught("converse", made.kept.id, made.key, modelId=model, **HELLO)
    assert enter(access, request, signed_at(request)).key == made.kept.id


def test_a_session_token_and_request_metadata_are_signed_and_let_in(access: Access, made: NewKey) -> None:
    request = caught(
        "converse", made.kept.id, made.key, token="left over from AWS", modelId="m", requestMetadata={"user": "ann"}, **HELLO
    )
    assert enter(access, request, signed_at(request)).key == made.kept.id


@given(
    text=st.text(min_size=1, max_size=40),
    model=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30),
)
@settings(max_examples=40, deadline=None)
def test_any_model_id_and_any_text_are_let_in(text: str, model: str) -> None:
    access, made = _lasting()
    request = caught("converse", made.kept.id, made.key, modelId=model, messages=[{"role": "user", "content": [{"text": text}]}])
    assert enter(access, request, signed_at(request)).key == made.kept.id


_KEPT: list[tuple[Access, NewKey]] = []


def _lasting() -> tuple[Access, NewKey]:
    """A door in memory for the examples of one property."""
    if not _KEPT:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            store = Store.open(Path(folder), clock=StillClock())
            made = Keys(store, MasterKey.open(store.directory, {})).create(["infer"], actor="test")
            _KEPT.append((Access.load(store), made))
            store.close()
    return _KEPT[0]


def refused(access: Access, request: Caught, now: float, why: str) -> None:
    with pytest.raises(NotAllowed, match=why):
        enter(access, request, now)


def test_a_wrong_secret_is_refused(access: Access, made: NewKey) -> None:
    wrong = made.key[:-1] + ("A" if made.key[-1] != "A" else "B")
    request = caught("converse", made.kept.id, wrong, modelId="m", **HELLO)
    refused(access, request, signed_at(request), "does not match")


def test_an_unknown_key_is_refused(access: Access, made: NewKey) -> None:
    request = caught("converse", "AKIAIOSFODNN7EXAMPLE", made.key, modelId="m", **HELLO)
    refused(access, request, signed_at(request), "not known")


def test_the_secret_of_one_key_does_not_sign_for_another(access: Access, keys: Keys, made: NewKey) -> None:
    other = keys.create(["admin"], actor="test")
    access.refresh()
    request = caught("converse", other.kept.id, made.key, modelId="m", **HELLO)
    refused(access, request, signed_at(request), "does not match")


def test_whatever_is_altered_on_the_way_is_noticed(access: Access, made: NewKey) -> None:
    request = caught(
        "invoke_model", made.kept.id, made.key, modelId="m", body=b'{"a": 1}', trace="ENABLED", contentType="application/json"
    )
    now = signed_at(request)
    enter(access, request, now)
    for altered in (
        request.but(body=b'{"a": 2}'),
        request.but(body=b""),
        request.but(method="GET"),
        request.but(raw_path=request.raw_path.replace(b"/m/", b"/n/")),
        request.but(query=b"x=1"),
        request.with_header(b"host", b"evil.example"),
        request.with_header(b"x-amzn-bedrock-trace", b"DISABLED"),
        request.with_header(b"content-type", b"text/plain"),
    ):
        refused(access, altered, now, "does not match")


def test_a_header_that_says_more_must_be_signed(access: Access, made: NewKey) -> None:
    request = caught("converse", made.kept.id, made.key, modelId="m", **HELLO)
    now = signed_at(request)
    refused(access, request.with_header(b"x-amz-security-token", b"x"), now, "must be signed")
    refused(access, request.with_header(b"x-amzn-bedrock-request-metadata", b"{}"), now, "must be signed")
    assert enter(access, request.with_header(b"x-forwarded-for", b"10.0.0.1"), now).key == made.kept.id


def test_the_host_and_the_date_must_be_signed(access: Access, made: NewKey) -> None:
    request = caught("converse", made.kept.id, made.key, modelId="m", **HELLO)
    told = request.header(b"authorization") or b""
    for name in (b"host", b"x-amz-date"):
        names = told.split(b"SignedHeaders=")[1].split(b",")[0]
        fewer = b";".join(one for one in names.split(b";") if one != name)
        refused(access, request.with_header(b"authorization", told.replace(names, fewer)), signed_at(request), "must be signed")


def test_a_signed_header_that_did_not_come_is_refused(access: Access, made: NewKey) -> None:
    request = caught("converse", made.kept.id, made.key, modelId="m", **HELLO)
    refused(access, request.with_header(b"content-type", None), signed_at(request), "did not come")


@pytest.mark.parametrize(("seconds", "good"), [(0, True), (299, True), (-299, True), (301, False), (-301, False), (86_400, False)])
def test_a_signature_holds_for_five_minutes_either_way(access: Access, made: NewKey, seconds: float, good: bool) -> None:
    request = caught("converse", made.kept.id, made.key, modelId="m", **HELLO)
    if good:
        enter(access, request, signed_at(request) + seconds)
    else:
        refused(access, request, signed_at(request) + seconds, "Check the clock")


def test_another_date_in_an_old_request_is_refused(access: Access, made: NewKey) -> None:
    request = caught("converse", made.kept.id, made.key, modelId="m", **HELLO)
    later = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(signed_at(request) + 5)).encode()
    refused(access, request.with_header(b"x-amz-date", later), signed_at(request) + 5, "does not match|not that of")
    refused(access, request.with_header(b"x-amz-date", b"20260231T250000Z"), signed_at(request), "names no time")
    refused(access, request.with_header(b"x-amz-date", b"yesterday"), signed_at(request), "missing or not of the form")
    refused(access, request.with_header(b"x-amz-date", None), signed_at(request), "missing or not of the form")


def test_a_payload_that_is_not_signed_is_refused(access: Access, made: NewKey) -> None:
    request = caught("converse", made.kept.id, made.key, modelId="m", **HELLO)
    refused(access, request.with_header(b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD"), signed_at(request), "must be signed")


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"AWS4-HMAC-SHA256",
        b"AWS4-HMAC-SHA256 Credential=",
        b"AWS4-HMAC-SHA256 Credential=a/b/c/d/e/f, SignedHeaders=host, Signature=" + b"0" * 64,
        b"AWS4-HMAC-SHA256 Credential=ID/20260101/x/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + b"0" * 64,
        b"AWS4-HMAC-SHA256 Credential=ID/20260101/x/bedrock/aws4_request, SignedHeaders=x-amz-date;host, Signature=" + b"0" * 64,
        b"AWS4-HMAC-SHA256 Credential=ID/20260101/x/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature=zz",
        b"AWS4-ECDSA-P256-SHA256 Credential=ID/20260101/x/bedrock/aws4_request",
        b"\xff" * 10_000,
        b"AWS4-HMAC-SHA256 " + b"=" * 4000,
    ],
)
def test_a_header_that_is_no_signature_is_refused_with_words(access: Access, told: bytes) -> None:
    with pytest.raises(NotAllowed) as refusal:
        access.by_signature("POST", b"/model/m/converse", b"", [(b"host", b"h"), (b"authorization", told)], b"{}", 0.0)
    assert refusal.value.status == 401
    assert len(refusal.value.message) > 20


@given(told=st.binary(max_size=300), path=st.binary(max_size=60), query=st.binary(max_size=60), date=st.binary(max_size=20))
@settings(max_examples=300, deadline=None)
def test_no_bytes_at_all_make_the_check_fall_over(told: bytes, path: bytes, query: bytes, date: bytes) -> None:
    access, made = _lasting()
    scope = f"{made.kept.id}/20260101/r/bedrock/aws4_request"
    good = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature={'0' * 64}"
    for header in (told, b"AWS4-HMAC-SHA256 " + told, good.encode()):
        headers = [(b"host", b"h"), (b"authorization", header), (b"x-amz-date", date), (b"x-amz-date", b"20260101T000000Z")]
        with pytest.raises(NotAllowed):
            access.by_signature("POST", path, query, headers, told, 1767225600.0)
        with pytest.raises(NotAllowed):
            access.by_signature("POST", path, query, headers[:2] + headers[3:], told, 1767225600.0)


def test_a_revoked_key_signs_nothing(access: Access, keys: Keys, made: NewKey) -> None:
    keys.revoke(made.kept.id, actor="test")
    access.refresh()
    request = caught("converse", made.kept.id, made.key, modelId="m", **HELLO)
    refused(access, request, signed_at(request), "was revoked")


def test_with_another_master_key_bearers_go_on_and_signatures_say_why_not(store: Store, made: NewKey) -> None:
    access = Access.load(store, MasterKey(b"another"))
    assert access.by_bearer(bearer(made.key), None).key == made.kept.id
    request = caught("converse", made.kept.id, made.key, modelId="m", **HELLO)
    refused(access, request, signed_at(request), "Use the key as a bearer token")


def test_a_project_without_keys_takes_any_signature_from_this_machine(store: Store) -> None:
    request = caught("converse", "AKIAIOSFODNN7EXAMPLE", "whatever", modelId="m", **HELLO)
    access = Access.load(store)
    assert enter(access, request, 0.0, HERE).scopes == EVERYTHING
    with pytest.raises(NotAllowed):
        enter(access, request, 0.0, "203.0.113.9")


def test_a_key_finds_its_own_project(access: Access, made: NewKey) -> None:
    request = caught("converse", made.kept.id, made.key, modelId="m", **HELLO)
    assert access.knows(bearer(made.key))
    assert access.knows(request.header(b"authorization"))
    assert not any(access.knows(header) for header in (None, b"", b"Bearer x", b"AWS4-HMAC-SHA256 x"))


# What only seems to come from this machine.


def coming(client: str | None, **headers: str) -> str | None:
    async def never() -> Any:
        raise AssertionError("the body is not read")

    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"path": "/", "headers": pairs, "client": None if client is None else (client, 5000)}
    return client_of(Exchange(scope, never, never))


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost", "LOCALHOST:8000", "[::1]:8000", "[::1]", "127.0.0.2", "shop.localhost:80", None]
)
def test_a_program_on_this_machine_is_told_by_its_address(host: str | None) -> None:
    assert coming(HERE, **({"host": host} if host else {})) == HERE
    assert coming(HERE, **({"host": host} if host else {}), origin="http://localhost:3000") == HERE


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example:8000"},
        {"host": "localhost.evil.example"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "localhost", "origin": "https://evil.example"},
        {"host": "localhost", "origin": "null"},
        {"host": "localhost", "x_forwarded_for": "203.0.113.9"},
        {"host": "localhost", "forwarded": "for=203.0.113.9"},
        {"host": "localhost", "x_real_ip": "203.0.113.9"},
        {"host": ""},
        {"host": "[evil"},
    ],
)
def test_pages_and_proxies_do_not_pass_for_this_machine(headers: dict[str, str]) -> None:
    assert coming(HERE, **headers) is None


def test_others_come_from_where_they_come_from() -> None:
    assert coming("203.0.113.9", host="127.0.0.1:8000") == "203.0.113.9"
    assert coming(None, host="127.0.0.1:8000") is None


async def test_a_store_that_cannot_be_read_leaves_the_keys_as_they_are_and_is_told_once(
    store: Store, keys: Keys, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = keys.create(["infer"], actor="test")
    access = Access.load(store)

    def fail() -> bool:
        raise StoreError("the disk is gone")

    monkeypatch.setattr(access, "refresh", fail)
    try:
        for _ in range(3):
            with pytest.raises(NotAllowed):
                await access.admit(lambda: access.by_bearer(b"Bearer rw-unknown", None))
        assert access.by_bearer(bearer(made.key), None).key == made.kept.id
        assert caplog.text.count("the disk is gone") == 1
    finally:
        await access.close()
