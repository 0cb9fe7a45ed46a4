"""The audit log: whatever is changed, swapped or taken away in it is found."""

from __future__ import annotations

import json
import random
import sqlite3
import threading
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.errors import StoreError
from rungwise.core.record import canonical_json, digest
from rungwise.data.audit import Audit, Head, parse_head
from rungwise.data.dialect import write_first
from rungwise.data.store import FILE, Store

LINES = 40
COLUMNS = ("at", "actor", "action", "subject", "details", "previous", "digest")


@pytest.fixture
def audit(store: Store) -> Audit:
    audit = Audit(store)
    for n in range(LINES):
        audit.add("ann", "key.create", f"k{n}", {"n": n})
    return audit


def change(store: Store, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(store.directory / FILE)) as connection, connection:
        connection.execute(statement, values)


def rewrite(store: Store, first: int) -> None:
    """Chain everything anew from a line on, as somebody would who knows how."""
    with closing(sqlite3.connect(store.directory / FILE)) as connection, connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute("select * from audit order by n")]
        previous = rows[first - 2]["digest"] if first > 1 else ""
        for row in rows[first - 1 :]:
            row["previous"] = previous
            row["digest"] = previous = digest({name: value for name, value in row.items() if name != "digest"})
            connection.execute("update audit set previous = ?, digest = ? where n = ?", (row["previous"], row["digest"], row["n"]))


def test_a_log_that_nobody_touched_is_whole(audit: Audit) -> None:
    found = audit.verify()
    assert (found.lines, found.problem) == (LINES, None)
    assert found.head is not None
    assert audit.verify(known=found.head).problem is None


def test_an_empty_log_is_whole(store: Store) -> None:
    assert Audit(store).verify().problem is None


def test_entries_come_back_in_order_and_the_newest_alone(audit: Audit) -> None:
    assert [one.details["n"] for one in audit.entries()] == list(range(LINES))
    assert [one.details["n"] for one in audit.entries(newest=3)] == [37, 38, 39]
    assert len(list(audit.entries(newest=1000))) == LINES


@pytest.mark.parametrize("changes", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_every_one_of_many_random_changes_is_found(audit: Audit, store: Store, changes: int) -> None:
    rng = random.Random(7)
    with closing(sqlite3.connect(store.directory / FILE, isolation_level=None)) as connection:
        written = connection.execute("select * from audit order by n").fetchall()
        for _ in range(changes):
            connection.execute("begin")
            n = rng.randint(1, LINES)
            kind = rng.choice(("edit", "delete", "swap", "insert", "truncate"))
            if kind == "edit":
                column = rng.choice(COLUMNS)
                connection.execute(f"update audit set {column} = ? where n = ?", (1.5 if column == "at" else "other", n))
            elif kind == "delete":
                connection.execute("delete from audit where n = ?", (n,))
            elif kind == "swap":
                other = n % LINES + 1
                connection.execute("update audit set n = -1 where n = ?", (n,))
                connection.execute("update audit set n = ? where n = ?", (n, other))
                connection.execute("update audit set n = ? where n = -1", (other,))
            elif kind == "insert":
                connection.execute("update audit set n = n + 1000 where n >= ?", (n,))
                connection.execute("update audit set n = n - 999 where n >= 1000")
                connection.execute(
                    "insert into audit select ?, at, actor, action, subject, details, previous, digest from audit limit 1", (n,)
                )
            else:
                connection.execute("delete from audit where n >= ?", (n,))
            connection.execute("commit")
            assert audit.verify().problem is not None, (kind, n)
            connection.execute("begin")
            connection.execute("delete from audit")
            connection.executemany(f"insert into audit values ({','.join('?' * 8)})", written)
            connection.execute("commit")
    assert audit.verify().problem is None


def test_a_log_that_is_cut_is_found_by_its_head(audit: Audit, store: Store) -> None:
    change(store, "delete from audit where n > 30")
    assert "ends at line 30" in str(audit.verify().problem)


def test_a_log_that_is_chained_anew_is_found_by_its_head(audit: Audit, store: Store) -> None:
    change(store, "update audit set actor = 'bob' where n = 5")
    rewrite(store, 5)
    assert "written anew" in str(audit.verify().problem)


def test_a_log_that_is_chained_anew_with_its_head_file_is_found_by_a_head_kept_elsewhere(audit: Audit, store: Store) -> None:
    head = audit.verify().head
    change(store, "delete from audit where n > 30")
    change(store, "update audit set actor = 'bob' where n = 5")
    rewrite(store, 5)
    last = list(audit.entries())[-1]
    audit.head_file.write_text(canonical_json({"n": last.n, "digest": last.digest, "at": last.at}), encoding="utf-8")
    assert audit.verify().problem is None  # from inside it cannot be told
    assert audit.verify(known=head).problem is not None


def test_bytes_in_place_of_text_are_a_change_and_no_crash(audit: Audit, store: Store) -> None:
    change(store, "update audit set details = x'ff00' where n = 4")
    assert audit.verify().problem == "line 4 was changed"
    change(store, "update audit set details = 'no json' where n = 4")
    assert audit.verify().problem == "line 4 was changed"


def test_a_head_file_that_was_taken_away_is_told(audit: Audit) -> None:
    audit.head_file.unlink()
    assert "missing" in str(audit.verify().problem)


def test_a_damaged_head_file_is_an_error_that_says_so(audit: Audit) -> None:
    audit.head_file.write_text("{", encoding="utf-8")
    with pytest.raises(StoreError, match="damaged"):
        audit.verify()


def test_lines_after_the_head_are_those_of_a_kill_and_accepted(audit: Audit) -> None:
    before = audit.head_file.read_text(encoding="utf-8")
    audit.add("ann", "key.revoke", "k1")
    audit.head_file.write_text(before, encoding="utf-8")
    found = audit.verify()
    assert (found.lines, found.problem) == (LINES + 1, None)


def test_a_head_never_goes_back(audit: Audit) -> None:
    entries = list(audit.entries())
    audit.publish(entries[3])
    assert json.loads(audit.head_file.read_text(encoding="utf-8"))["n"] == LINES


def test_many_that_write_at_once_make_one_chain(store: Store) -> None:
    def write(who: str) -> None:
        for n in range(10):
            Audit(store).add(who, "x", str(n))

    threads = [threading.Thread(target=write, args=(f"w{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = Audit(store).verify()
    assert (found.lines, found.problem) == (60, None)
    assert found.head is not None
    assert json.loads(Audit(store).head_file.read_text(encoding="utf-8"))["n"] == 60


def test_a_line_is_written_with_what_it_tells_or_not_at_all(store: Store) -> None:
    def fail_on_the_way() -> None:
        with store.write() as connection:
            write_first(connection)
            Audit(store).append(connection, "ann", "x", "y")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_on_the_way()
    assert list(Audit(store).entries()) == []
    assert Audit(store).verify().problem is None


@given(n=st.integers(0, 10**12), text=st.binary(min_size=32, max_size=32))
def test_a_head_is_read_as_it_is_written(n: int, text: bytes) -> None:
    head = Head(n, text.hex())
    assert parse_head(str(head)) == head


@given(text=st.text(max_size=80))
def test_what_is_no_head_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_head(text)
