"""Keys at rest: shown once, never kept, and useless to whoever has a copy of the database."""

from __future__ import annotations

import multiprocessing
import os
import re
import stat
from pathlib import Path

import pytest

from rungwise.core.errors import StoreError, UnknownName, UsageError
from rungwise.data.audit import Audit
from rungwise.data.keys import EVERY, SCOPES, TENANT, USER, Keys
from rungwise.data.master import FILE, VARIABLE, MasterKey
from rungwise.data.store import Store
from tests.clocks import StillClock

TEST = "test"


@pytest.fixture
def keys(store: Store) -> Keys:
    return Keys(store, MasterKey.open(store.directory, {}))


def every_byte(folder: Path, *, but: str) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != but)


def test_a_key_has_its_id_and_256_bits_in_it(keys: Keys) -> None:
    made = keys.create(["infer"], actor=TEST)
    assert re.fullmatch(f"rw-{made.kept.id}-[A-Za-z0-9_-]{{43}}", made.key)
    assert made.key != keys.create(["infer"], actor=TEST).key


def test_neither_the_database_nor_any_file_but_the_master_key_helps_to_make_a_key(store: Store, keys: Keys) -> None:
    made = [keys.create([scope], name=scope, actor=TEST) for scope in SCOPES]
    made.append(keys.rotate(made[0].kept.id, overlap_s=0, actor=TEST))
    kept = every_byte(store.directory, but=FILE)
    assert len(kept) > 10_000
    master = (store.directory / FILE).read_text(encoding="ascii").strip()
    assert master.encode() not in kept
    assert bytes.fromhex(master) not in kept
    for one in made:
        assert one.key.encode() not in kept
        assert one.key[-43:].encode() not in kept


def test_a_key_is_not_shown_by_accident(keys: Keys) -> None:
    made = keys.create(["infer"], actor=TEST)
    assert made.key not in repr(made)
    assert "..." in repr(MasterKey(b"secret"))


def test_what_is_kept_comes_back(store: Store, keys: Keys, clock: StillClock) -> None:
    limits = {"requests_per_minute": 60, "usd_per_month": 12.5}
    made = keys.create(
        ["feedback:write", "infer"], name="app", tenant="acme", user="ann", limits=limits, expires_at=clock.now() + 1, actor=TEST
    )
    (found,) = Keys(store, MasterKey(b"")).all()
    assert found == made.kept
    assert found.scopes == ("infer", "feedback:write")
    assert found.limits == limits


@pytest.mark.parametrize("scopes", [[], ["infer", "inferr"], ["*"]])
def test_scopes_are_those_that_there_are(keys: Keys, scopes: list[str]) -> None:
    with pytest.raises(UsageError):
        keys.create(scopes, actor=TEST)


@pytest.mark.parametrize(
    "limits",
    [
        {"usd_per_year": 1},
        {"usd_per_day": -1},
        {"usd_per_day": float("nan")},
        {"usd_per_day": float("inf")},
        {"usd_per_day": "5"},
        {"usd_per_day": True},
        {"requests_per_minute": 0.5},
    ],
)
def test_limits_are_numbers_that_can_be_kept(keys: Keys, limits: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        keys.create(["infer"], limits=limits, actor=TEST)
    assert keys.all() == []


@pytest.mark.parametrize("tenant", ["", " ", "*", "a\u200bb", "a\u202eb", "a\nb", "\U000e0041", "x" * 201, "\ud800"])
def test_a_tenant_whose_name_cannot_be_read_is_refused(keys: Keys, tenant: str) -> None:
    with pytest.raises(UsageError):
        keys.create(["infer"], tenant=tenant, actor=TEST)


def test_two_tenants_cannot_have_names_that_read_alike(keys: Keys) -> None:
    keys.create(["infer"], tenant="Acme", actor=TEST)
    assert keys.create(["infer"], tenant="Ａcme", actor=TEST).kept.tenant == "Acme"  # full-width A is the same letter
    for like in ("acme", "ACME"):
        with pytest.raises(UsageError, match="'Acme' already"):
            keys.create(["infer"], tenant=like, actor=TEST)


def test_the_key_of_another_tenant_is_as_if_it_were_not_there(keys: Keys) -> None:
    mine, other = (keys.create(["infer"], tenant=tenant, actor=TEST).kept for tenant in ("acme", "beta"))
    assert keys.all(tenant="acme") == [mine]
    with pytest.raises(UnknownName) as foreign:
        keys.find(other.id, tenant="acme")
    with pytest.raises(UnknownName) as absent:
        keys.find("0" * 20, tenant="acme")
    assert str(foreign.value).replace(other.id, "") == str(absent.value).replace("0" * 20, "")
    assert other.id not in str(absent.value)


def test_rotation_keeps_everything_but_the_key(keys: Keys, clock: StillClock) -> None:
    old = keys.create(["infer"], tenant="acme", user="ann", limits={"usd_per_day": 1}, name="app", actor=TEST).kept
    clock.advance(10)
    new = keys.rotate(old.id, overlap_s=60, actor=TEST).kept
    last = keys.rotate(new.id, overlap_s=60, actor=TEST).kept
    first = keys.find(old.id)
    assert (first.replaced_by, first.expires_at) == (new.id, clock.now() + 60)
    assert (last.scopes, last.tenant, last.user, last.limits, last.name) == (old.scopes, "acme", "ann", {"usd_per_day": 1.0}, "app")
    assert (last.root, last.expires_at, last.replaced_by) == (old.id, None, None)


def test_rotation_never_makes_a_key_live_longer(keys: Keys, clock: StillClock) -> None:
    old = keys.create(["infer"], expires_at=clock.now() + 30, actor=TEST).kept
    new = keys.rotate(old.id, overlap_s=3600, actor=TEST).kept
    assert keys.find(old.id).expires_at == new.expires_at == clock.now() + 30


def test_a_key_that_ended_or_was_replaced_cannot_be_rotated(keys: Keys) -> None:
    old = keys.create(["infer"], actor=TEST).kept
    new = keys.rotate(old.id, overlap_s=3600, actor=TEST).kept
    keys.revoke(new.id, actor=TEST)
    for id, why in ((old.id, "replaced by"), (new.id, "revoked")):
        with pytest.raises(UsageError, match=why):
            keys.rotate(id, overlap_s=1, actor=TEST)
    assert len(keys.all()) == 2


def test_a_key_can_be_revoked_twice_and_the_first_time_counts(keys: Keys, clock: StillClock) -> None:
    id = keys.create(["infer"], actor=TEST).kept.id
    first = keys.revoke(id, actor=TEST)
    clock.advance(5)
    assert keys.revoke(id, actor=TEST) == first
    with pytest.raises(UnknownName):
        keys.revoke("nobody", actor=TEST)


def test_limits_of_tenants_and_users_are_replaced_whole(keys: Keys) -> None:
    keys.allow(TENANT, None, "acme", {"usd_per_day": 5, "requests_per_minute": 9}, actor=TEST)
    keys.allow(TENANT, None, "acme", {"usd_per_day": 6}, actor=TEST)
    keys.allow(USER, "acme", EVERY, {"usd_per_day": 1}, actor=TEST)
    assert [(one.kind, one.tenant, one.name, dict(one.limits)) for one in keys.allowances()] == [
        (TENANT, "", "acme", {"usd_per_day": 6.0}),
        (USER, "acme", EVERY, {"usd_per_day": 1.0}),
    ]
    keys.allow(TENANT, None, "acme", {}, actor=TEST)
    assert [one.kind for one in keys.allowances()] == [USER]


def test_every_change_is_told_in_the_audit_log_without_the_key(store: Store, keys: Keys) -> None:
    made = keys.create(["infer"], tenant="acme", actor="ann")
    new = keys.rotate(made.kept.id, overlap_s=0, actor="bob")
    keys.revoke(new.kept.id, actor="cyd")
    keys.allow(USER, "acme", "dan", {"usd_per_day": 1}, actor="eve")
    entries = list(Audit(store).entries())
    assert [(one.actor, one.action) for one in entries] == [
        ("ann", "key.create"),
        ("bob", "key.rotate"),
        ("cyd", "key.revoke"),
        ("eve", "limit.set"),
    ]
    assert entries[0].details["tenant"] == "acme"
    assert not any(one.key in repr(entries) or one.kept.digest in repr(entries) for one in (made, new))
    assert Audit(store).verify().problem is None


def test_the_version_grows_with_every_change(keys: Keys) -> None:
    seen = [keys.version()]
    id = keys.create(["infer"], actor=TEST).kept.id
    seen.append(keys.version())
    keys.allow(TENANT, None, "acme", {"usd_per_day": 6}, actor=TEST)
    seen.append(keys.version())
    keys.revoke(id, actor=TEST)
    seen.append(keys.version())
    assert seen == sorted(set(seen))


# The master key.


def test_the_file_of_the_master_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    made = MasterKey.open(tmp_path, {})
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == [FILE]
    assert MasterKey.open(tmp_path, {}).key_of("x") == made.key_of("x")


def test_a_master_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    MasterKey.open(tmp_path, {})
    (tmp_path / FILE).chmod(0o640)
    with pytest.raises(StoreError, match="chmod 600"):
        MasterKey.open(tmp_path, {})


@pytest.mark.parametrize("content", ["", "zz", "ab" * 31, "ab" * 33])
def test_a_damaged_master_key_is_refused_and_left_as_it_is(tmp_path: Path, content: str) -> None:
    path = tmp_path / FILE
    path.write_text(content, encoding="ascii")
    path.chmod(0o600)
    with pytest.raises(StoreError, match="Put back a copy"):
        MasterKey.open(tmp_path, {})
    assert path.read_text(encoding="ascii") == content


def test_the_environment_comes_before_the_file_and_makes_none(tmp_path: Path) -> None:
    told = {VARIABLE: "0123456789abcdef" * 2}
    assert MasterKey.open(tmp_path, told).key_of("x") == MasterKey.open(tmp_path, told).key_of("x")
    assert list(tmp_path.iterdir()) == []
    assert MasterKey.open(tmp_path, told).key_of("x") != MasterKey.open(tmp_path, {}).key_of("x")
    with pytest.raises(UsageError, match="at least 32"):
        MasterKey.open(tmp_path, {VARIABLE: "short"})


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("x", encoding="ascii")
    with pytest.raises(StoreError, match=VARIABLE):
        MasterKey.open(blocked, {})


def _open(folder: str) -> str:
    return MasterKey.open(Path(folder), {}).key_of("x")


def test_processes_that_make_the_master_key_at_once_agree(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork" if os.cpu_count() else "spawn")
    with context.Pool(8) as pool:
        assert len(set(pool.map(_open, [str(tmp_path)] * 32))) == 1
    assert [one.name for one in tmp_path.iterdir()] == [FILE]
