"""`rungwise keys` and `rungwise audit`, as people type them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.cli.app import run
from rungwise.cli.audit import audit as audit_command
from rungwise.cli.keys import read_end, read_span
from rungwise.core.errors import UsageError
from rungwise.data.store import Store
from rungwise.engines.clock import SystemClock
from rungwise.project import Project
from rungwise.serve.access import Access

Type = Callable[..., tuple[int, str, str]]


@pytest.fixture
def type_(capsys: pytest.CaptureFixture[str]) -> Type:
    def typed(*words: object) -> tuple[int, str, str]:
        code = run([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return typed


@pytest.fixture
def project(tmp_path: Path) -> Path:
    data = tmp_path / "rows.csv"
    data.write_text("text,label\nhello,a\nbye,b\n", encoding="utf-8")
    Project.create(tmp_path / "support", source=data)
    return tmp_path / "support"


def document(said: tuple[int, str, str]) -> Any:
    assert said[0] == 0, said
    return json.loads(said[1])


def test_a_key_is_shown_once_and_opens_the_project(type_: Type, project: Path) -> None:
    words = (
        "--scope",
        "infer,feedback:write",
        "--name",
        "app",
        "--tenant",
        "acme",
        "--usd-per-day",
        5,
        "--expires",
        "90d",
        "--json",
    )
    made = document(type_("keys", "create", project, *words))
    assert {"id", "key"} <= set(made)
    assert made["limits"] == {"usd_per_day": 5.0}
    assert made["expires_at"] == pytest.approx(made["created_at"] + 90 * 86_400)
    store = Store.open(project / "state", clock=SystemClock())
    try:
        caller = Access.load(store).by_bearer(f"Bearer {made['key']}".encode(), None)
        assert (caller.key, caller.tenant, caller.scopes) == (made["id"], "acme", {"infer", "feedback:write"})
    finally:
        store.close()
    _, listed, _ = type_("keys", "list", project, "--json")
    assert made["key"] not in listed
    (one,) = json.loads(listed)["keys"]
    assert (one["id"], one["name"], one["state"]) == (made["id"], "app", "good")
    assert "digest" not in one


def test_what_people_are_shown_can_be_piped(type_: Type, project: Path) -> None:
    code, out, err = type_("keys", "create", project)
    assert code == 0
    assert out.startswith("rw-")
    assert len(out.splitlines()) == 1
    assert "AWS_SECRET_ACCESS_KEY" in err
    assert out.strip() not in err


def test_the_folder_may_be_left_out(type_: Type, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    made = document(type_("keys", "create", "--scope", "admin", "--json"))
    assert made["scopes"] == ["admin"]


def test_a_key_is_rotated_and_revoked_by_the_first_digits_of_its_id(type_: Type, project: Path) -> None:
    first = document(type_("keys", "create", project, "--json"))
    second = document(type_("keys", "rotate", project, first["id"][:8], "--overlap", "1h", "--json"))
    document(type_("keys", "revoke", project, second["id"][:10], "--json"))
    _, out, _ = type_("keys", "list", project)
    assert "good" in out.splitlines()[0]
    assert "until" in out.splitlines()[0]
    assert "revoked" in out.splitlines()[1]


def test_limits_of_tenants_and_users_are_set_and_listed(type_: Type, project: Path) -> None:
    document(type_("keys", "limit", project, "--tenant", "acme", "--usd-per-month", 100, "--json"))
    document(type_("keys", "limit", project, "--tenant", "acme", "--user", "*", "--requests-per-minute", 10, "--json"))
    listed = document(type_("keys", "list", project, "--json"))
    assert [(one["kind"], one["name"], one["limits"]) for one in listed["limits"]] == [
        ("tenant", "acme", {"usd_per_month": 100.0}),
        ("user", "*", {"requests_per_minute": 10.0}),
    ]
    code, out, _ = type_("keys", "list", project)
    assert code == 0
    assert "100 USD a month" in out
    code, out, _ = type_("keys", "limit", project, "--tenant", "acme")
    assert "no limits of their own" in out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("create", "{project}", "--scope", "infr"), "Did you mean 'infer'"),
        (("create", "{project}", "--expires", "soon"), "90d"),
        (("create", "{project}", "--expires", "2001-01-01"), "expired before its first use"),
        (("create", "{project}", "--usd-per-day", "-1"), "from 0"),
        (("create", "{project}/nowhere"), "no project"),
        (("rotate", "{project}", "abc"), "no key 'abc'"),
        (("rotate", "{project}", "abc", "--overlap", "1 fortnight"), "no length of time"),
        (("revoke", "{project}", ""), "no key"),
        (("limit", "{project}", "--usd-per-day", "1"), "Give a tenant or a user"),
    ],
)
def test_what_cannot_be_done_is_said_with_what_to_type(type_: Type, project: Path, words: tuple[str, ...], why: str) -> None:
    code, out, err = type_("keys", *(word.format(project=project) for word in words))
    assert code == 2
    assert why in err
    assert out == ""


def test_a_misspelt_folder_makes_no_state(type_: Type, project: Path) -> None:
    type_("keys", "create", project / "nowhere")
    assert not (project / "nowhere").exists()


def said_of_audit(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    with click.Context(audit_command):
        code = audit_command.main([str(word) for word in words], standalone_mode=False)
    return code, capsys.readouterr().out


def test_the_audit_log_tells_who_did_what_and_whether_it_is_whole(
    type_: Type, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = document(type_("keys", "create", project, "--json"))
    document(type_("keys", "revoke", project, made["id"], "--json"))
    code, out = said_of_audit(capsys, project)
    assert code == 0
    assert [line.split()[3] for line in out.splitlines()] == ["key.create", "key.revoke"]
    assert made["key"] not in out
    code, out = said_of_audit(capsys, project, "--verify", "--json")
    found = json.loads(out)
    assert (code, found["whole"], found["lines"]) == (0, True, 2)
    code, _ = said_of_audit(capsys, project, "--head", found["head"])
    assert code == 0
    code, out = said_of_audit(capsys, project, "--head", "7:" + "0" * 64)
    assert code == 1
    assert "NOT whole" in out
    (project / "state" / "audit.head").unlink()
    assert said_of_audit(capsys, project, "--verify")[0] == 1


@given(n=st.integers(0, 10_000), unit=st.sampled_from("smhdw"))
def test_a_length_of_time_is_read_as_it_is_written(n: int, unit: str) -> None:
    assert read_span(f"{n}{unit}") == n * {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}[unit]
    assert read_end(f"{n}{unit}", 5.0) == 5.0 + read_span(f"{n}{unit}")


@given(text=st.text(max_size=20))
def test_any_other_text_is_a_time_or_a_usage_error(text: str) -> None:
    with suppress(UsageError):
        assert read_end(text, 0.0) is not None


def test_a_date_is_meant_in_utc_unless_it_says_otherwise() -> None:
    assert read_end("2027-01-31", 0.0) == 1801353600.0
    assert read_end("2027-01-31T02:00:00+02:00", 0.0) == 1801353600.0
