"""Who did what: a log whose rows are chained by digests, with its head kept in a file outside the table."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.core.errors import StoreError
from rungwise.core.record import canonical_json, digest
from rungwise.data.dialect import write_first
from rungwise.data.lock import alone_in
from rungwise.data.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection

HEAD_FILE = "audit.head"
_FIRST = ""
_AT_ONCE = 10_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log. `digest` covers everything else in it, `previous` the line before; `at` is seconds since 1970."""

    n: int
    at: float
    actor: str
    action: str
    subject: str
    details: Mapping[str, Any]
    previous: str
    digest: str


@dataclass(frozen=True, slots=True)
class Head:
    """The last line that is known to have been written: its number and digest. Kept elsewhere it also guards the head file."""

    n: int
    digest: str

    def __str__(self) -> str:
        return f"{self.n}:{self.digest}"


@dataclass(frozen=True, slots=True)
class Verified:
    """What `verify` found: the number of lines, the head as it is now, and what is wrong, or None."""

    lines: int
    head: Head | None
    problem: str | None


class Audit:
    """The audit log of a store. A line is written in the transaction of what it tells, then the head follows."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.head_file = store.directory / HEAD_FILE

    def add(self, actor: str, action: str, subject: str, details: Mapping[str, Any] | None = None) -> Entry:
        """Write a line in a transaction of its own."""
        with self.store.write() as connection:
            write_first(connection)
            entry = self.append(connection, actor, action, subject, details)
        self.publish(entry)
        return entry

    def append(
        self, connection: Connection, actor: str, action: str, subject: str, details: Mapping[str, Any] | None = None
    ) -> Entry:
        """Write a line in a transaction that began with `write_first`; call `publish` once it is committed."""
        from sqlalchemy import insert, select

        from rungwise.data.schema import audit

        last = connection.execute(select(audit.c.n, audit.c.digest).order_by(audit.c.n.desc()).limit(1)).first()
        n, previous = (last.n + 1, last.digest) if last is not None else (1, _FIRST)
        if last is None and not self.head_file.exists():  # from now on a missing head file means that somebody took it
            _replace(self.head_file, canonical_json({"n": 0, "digest": _FIRST, "at": 0.0}))
        values = {
            "n": n,
            "at": float(self.store.clock.now()),
            "actor": actor,
            "action": action,
            "subject": subject,
            "details": canonical_json(dict(details or {})),
            "previous": previous,
        }
        values["digest"] = digest(values)
        connection.execute(insert(audit).values(**values))
        return _entry(values)

    def publish(self, entry: Entry) -> None:
        """Let the head file, and the program's own log, say how far the committed lines go. Never goes back."""
        with alone_in(self.store.directory):
            before = self._kept()
            if before is None or before.n < entry.n:
                _replace(self.head_file, canonical_json({"n": entry.n, "digest": entry.digest, "at": entry.at}))
        log.info("audit head %d:%s", entry.n, entry.digest)

    def entries(self, *, newest: int | None = None) -> Iterator[Entry]:
        """The lines, oldest first; with `newest` only the last so many."""
        for values in self._rows(newest):
            yield _entry(values)

    def _rows(self, newest: int | None = None) -> Iterator[Mapping[str, Any]]:
        from sqlalchemy import select

        from rungwise.data.schema import audit

        query = select(audit).order_by(audit.c.n).limit(_AT_ONCE)
        with self.store.read() as connection:
            after = 0
            if newest is not None:
                last = select(audit.c.n).order_by(audit.c.n.desc()).offset(newest).limit(1)
                after = connection.execute(last).scalar() or 0
            while found := connection.execute(query.where(audit.c.n > after)).all():
                yield from (row._asdict() for row in found)
                after = found[-1].n

    def verify(self, *, known: Head | None = None) -> Verified:
        """Recompute the whole chain and hold it against the head file and, if given, a head that was kept elsewhere.

        Lines after the head are accepted: a kill between a commit and its head leaves them so. Whoever can write the table
        and the head file can rewrite both; only a `known` head tells then.
        """
        kept = self._kept()
        wanted = {head.n: head for head in (kept, known) if head is not None}
        if kept is not None and known is not None and kept.n == known.n and kept != known:
            return Verified(0, kept, f"the head file says {kept}, the head that was kept elsewhere {known}")
        lines, previous, head = 0, _FIRST, None
        for values in self._rows():
            lines += 1
            if (wrong := _wrong(values, lines, previous, wanted)) is not None:
                return Verified(lines, head, wrong)
            previous, head = values["digest"], Head(values["n"], values["digest"])
        missing = [one for one in wanted.values() if one.n > lines]
        if missing:
            return Verified(lines, head, f"the log ends at line {lines}, but line {max(one.n for one in missing)} was written once")
        if lines and kept is None:
            return Verified(lines, head, f"the head file {self.head_file} is missing")
        return Verified(lines, head, None)

    def _kept(self) -> Head | None:
        try:
            data = json.loads(self.head_file.read_text(encoding="utf-8"))
            return Head(int(data["n"]), str(data["digest"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"the head of the audit log, {self.head_file}, is damaged. Put back a copy of it") from error


def parse_head(text: str) -> Head:
    """A head as `str(head)` wrote it. Raises ValueError for anything else."""
    n, _, found = text.strip().partition(":")
    if not n.isdigit() or len(found) != 64 or set(found) - set("0123456789abcdef"):
        raise ValueError("a head is written as NUMBER:DIGEST, as the log prints it")
    return Head(int(n), found)


def _wrong(values: Mapping[str, Any], n: int, previous: str, wanted: Mapping[int, Head]) -> str | None:
    """What is wrong with the line that should be the n-th, or None."""
    if values["n"] != n:
        return f"line {n} is missing"
    if values["previous"] != previous:
        return f"line {n} does not follow the line before it"
    try:
        own = digest({name: value for name, value in values.items() if name != "digest"})
    except TypeError:  # bytes where text was: somebody wrote past this class
        own = None
    if own != values["digest"]:
        return f"line {n} was changed"
    if n in wanted and wanted[n].digest != own:
        return f"line {n} is not the one that was written once: the log was written anew"
    return None


def _entry(values: Mapping[str, Any]) -> Entry:
    return Entry(**{**values, "details": json.loads(values["details"])})


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.new")  # one name, so that kills leave one draft at most; whoever writes it is alone
    with draft.open("w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
