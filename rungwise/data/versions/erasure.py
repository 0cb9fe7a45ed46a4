"""Erasing rows and persons from everything that is kept, and saying what has to be made anew."""

from __future__ import annotations

import html
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rungwise.core.dataset import Example
from rungwise.core.errors import StoreError, UnknownName, UsageError
from rungwise.core.record import canonical_json, digest, from_plain, to_plain
from rungwise.data.dialect import empty_journal, forget_for_good, holds, write_anew
from rungwise.data.nouns import Lineage
from rungwise.data.store import Store
from rungwise.data.versions.removal import Removal, without
from rungwise.data.versions.targets import LEAST_LETTERS, Packets, Targets, Traits, find_targets, traits_of
from rungwise.data.versions.version import HEAD_SETTING

if TYPE_CHECKING:
    from sqlalchemy import Connection

JOB_SETTING = "data.erasing"
ERASED = "[erased]"
"""Stands where an erased text stood in something that keeps its id."""

_AT_ONCE = 500


@dataclass(frozen=True, kw_only=True)
class Erased:
    """What an erasure did, or would do (`done` is false).

    `versions` counts the rows that went from each version; `datasets`, `candidates`, ... in `reached` are what the rows
    entered and must be made anew; `artefacts` and `pages` (reports that show a row) were deleted; `places` are where the
    rows still stand at their sources.
    """

    rows: int
    ids: tuple[str, ...]
    places: tuple[str, ...] = ()
    versions: Mapping[str, int]
    datasets: tuple[str, ...] = ()
    reached: Mapping[str, tuple[str, ...]]
    artefacts: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    calls: int = 0
    rebuild: tuple[str, ...] = ()
    done: bool = False


@dataclass(frozen=True, kw_only=True)
class _Job:
    """An erasure that was begun. It is kept until the last byte is gone, so that after a kill the next command ends it.

    `blobs` is empty until the database is done; from then on it lists the files that are still to be deleted.
    """

    request: str
    records: tuple[str, ...]
    entries: tuple[str, ...]
    examples: tuple[str, ...]
    report: Mapping[str, Any]
    unread: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()
    written: bool = False


def erase(
    store: Store,
    ids: Sequence[str] = (),
    *,
    person: str | None = None,
    column: str | None = None,
    dry_run: bool = False,
    agree: Callable[[Erased], bool] = lambda _: True,
) -> Erased:
    """Remove rows by id, or all rows of a person, from packs, versions, quarantines, datasets, caches and artefacts.

    The order: the digests of the rows are entered as erased together with a note of the job; new packs and lists are
    written; one transaction moves everything to them; the old bytes are deleted; the database is written anew without
    them. Killed anywhere, the next call finishes the job first. Raises what `find_targets` raises.
    """
    request = digest([sorted(ids), person, column])
    begun = _begun(store)
    if begun is not None:
        if dry_run:
            raise UsageError("an erasure was begun and is not finished yet. Run it again without --dry-run, which ends it")
        done = _finish(store, begun)
        if begun.request == request:
            return done
    packets = Packets(store)
    try:
        targets = find_targets(store, packets, ids, person=person, column=column)
    except UnknownName:
        if person is not None or not all(_was_erased(store, id) for id in ids):
            raise
        return Erased(rows=0, ids=(), versions={}, reached={}, done=True)
    report = _trace(store, packets, targets)
    if dry_run or not agree(report):
        return report
    records = tuple(sorted(one.hex() for one in targets.records))
    job = _Job(
        request=request,
        records=records,
        entries=tuple(sorted(targets.entries)),
        examples=tuple(sorted(targets.examples)),
        unread=tuple(sorted(one.hex() for one in targets.unread)),
        report=to_plain(asdict(report)),
    )
    _begin(store, job)
    return _finish(store, job)


def _begun(store: Store) -> _Job | None:
    kept = store.setting(JOB_SETTING)
    return from_plain(_Job, json.loads(kept)) if kept else None


def _was_erased(store: Store, id: str) -> bool:
    from sqlalchemy import select

    from rungwise.data.schema import erased

    with store.read() as connection:
        query = select(erased.c.id).where(erased.c.id.startswith(id, autoescape=True))
        return len(id) >= 8 and connection.execute(query).first() is not None


def _begin(store: Store, job: _Job) -> None:
    """Enter the rows as erased, so that no import takes them in again, together with the job."""
    from rungwise.data.dialect import insert
    from rungwise.data.schema import erased

    now = store.clock.now()
    with store.write() as connection:
        if job.records or job.unread:
            rows = [{"id": id, "at": now} for id in (*job.records, *job.unread)]
            connection.execute(insert(connection, erased).on_conflict_do_nothing(), rows)
        _keep_job(connection, job)


def _keep_job(connection: Connection, job: _Job) -> None:
    from rungwise.data.dialect import insert
    from rungwise.data.schema import settings

    body = canonical_json(to_plain(job))
    statement = insert(connection, settings).values(name=JOB_SETTING, value=body)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": body}))


def _targets(job: _Job) -> Targets:
    return Targets(frozenset(map(bytes.fromhex, job.records)), frozenset(job.entries), frozenset(job.examples))


def _finish(store: Store, job: _Job) -> Erased:
    """Do what is left of a job."""
    if not job.written:
        packets = Packets(store)
        targets = _targets(job)
        traits = traits_of(store, packets, targets)
        removal = without(store, packets, targets)
        for page in _pages(store, traits):
            page.unlink()
        job = _write(store, job, packets, traits, removal)
    for blob in job.blobs:
        store.blobs.delete(blob)
    _sweep(store)
    _compact(store)
    report = from_plain(Erased, job.report)
    return replace(report, done=True)


def _trace(store: Store, packets: Packets, targets: Targets) -> Erased:
    """What the rows entered, without changing anything."""
    traits = traits_of(store, packets, targets)
    removal = without(store, packets, targets, write=False)
    with store.read() as connection:
        rows = _example_rows(connection, targets, traits)
        datasets = _datasets(connection, rows)
        reached = _reached(store, connection, datasets)
        artefacts = sorted(_artefacts(connection, store, datasets))
        calls = len(_calls(connection, _needles(traits)))
    folder = store.directory.parent
    again = [f"rungwise climb {folder}"] if datasets else []
    return Erased(
        rows=len(targets.records) + len(targets.entries) + len(targets.examples),
        ids=tuple(sorted([*(one.hex() for one in targets.records), *targets.entries, *targets.examples])),
        places=traits.places,
        versions=removal.counts,
        datasets=tuple(datasets),
        reached=reached,
        artefacts=tuple(artefacts),
        pages=tuple(map(str, _pages(store, traits))),
        calls=calls,
        rebuild=tuple(again),
    )


def _write(store: Store, job: _Job, packets: Packets, traits: Traits, removal: Removal) -> _Job:
    """Move everything in the database to what was written anew, in one transaction; give the job with what is to be deleted."""
    from sqlalchemy import delete, insert, update

    from rungwise.data.schema import calls, moves, nouns, pending_packs, rows, settings, steps

    targets = _targets(job)
    with store.write() as connection:
        forget_for_good(connection)
        for id, version in removal.versions.items():
            connection.execute(update(nouns).where(nouns.c.id == id).values(body=canonical_json(to_plain(version))))
        for old, new in removal.packs.items():
            where = pending_packs.c.pack == old
            connection.execute(update(pending_packs).where(where).values(pack=new) if new else delete(pending_packs).where(where))
        examples = _example_rows(connection, targets, traits)
        datasets = _datasets(connection, examples)
        blank = canonical_json(to_plain(Example(text=ERASED)))
        for some in _some(sorted(examples)):
            connection.execute(update(rows).where(rows.c.id.in_(some)).values(body=blank))
        dead = _artefacts(connection, store, datasets) | _looks(connection)
        blobs = {blob for own in dead.values() for blob in own} - _blobs_of_others(connection, dead)
        for some in _some(sorted(dead)):
            connection.execute(delete(steps).where(steps.c.key.in_(some)))
        for some in _some(_calls(connection, _needles(traits))):
            connection.execute(delete(calls).where(calls.c.key.in_(some)))
        _scrub(connection, traits)
        head = connection.execute(settings.select().where(settings.c.name == HEAD_SETTING)).first()
        if head is not None:
            connection.execute(insert(moves).values(version=head.value, verb="erase", at=store.clock.now()))
        loose = [one for one in packets.quarantines if one not in removal.after]
        gone = tuple(sorted({*removal.old_blobs, *blobs, *loose}))
        job = replace(job, written=True, blobs=gone)
        _keep_job(connection, job)
    return job


def _example_rows(connection: Connection, targets: Targets, traits: Traits) -> set[str]:
    """The examples of datasets that were made of the records; of a dataset that was read from a file, those with the same input."""
    from sqlalchemy import select

    from rungwise.data.schema import members, rows

    found = set(targets.examples)
    for some in _some(sorted(one.hex() for one in targets.records)):
        found.update(connection.execute(select(members.c.row).where(members.c.record.in_(some))).scalars())
    for some in _some(sorted(traits.inputs)):
        query = select(rows.c.id).join(members, members.c.row == rows.c.id)
        found.update(connection.execute(query.where(rows.c.input_id.in_(some), members.c.record.is_(None))).scalars())
    return found


def _datasets(connection: Connection, examples: set[str]) -> list[str]:
    from sqlalchemy import select

    from rungwise.data.schema import members

    found: set[str] = set()
    for some in _some(sorted(examples)):
        found.update(connection.execute(select(members.c.dataset).where(members.c.row.in_(some)).distinct()).scalars())
    return sorted(found)


def _reached(store: Store, connection: Connection, datasets: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """What was made from the datasets, by kind."""
    from sqlalchemy import select

    from rungwise.data.schema import nouns

    ids = sorted({one for dataset in datasets for one in Lineage(store).descendants(dataset)})
    found: dict[str, list[str]] = {}
    for some in _some(ids):
        for row in connection.execute(
            select(nouns.c.kind, nouns.c.id).where(nouns.c.id.in_(some)).order_by(nouns.c.kind, nouns.c.at)
        ):
            found.setdefault(row.kind, []).append(row.id)
    return {kind: tuple(own) for kind, own in sorted(found.items())}


def _artefacts(connection: Connection, store: Store, datasets: Sequence[str]) -> dict[str, list[str]]:
    """The artefacts that may hold something of the datasets, with their blobs: made from them, or of no known origin."""
    from sqlalchemy import select

    from rungwise.data.schema import nouns, steps

    if not datasets:
        return {}
    made = {one for dataset in datasets for one in Lineage(store).descendants(dataset)}
    known = set(connection.execute(select(nouns.c.id).where(nouns.c.kind == "Fitted")).scalars())
    query = select(steps.c.key, steps.c.output).where(steps.c.kind == "artefact")
    return {
        row.key: list(json.loads(row.output).values())
        for row in connection.execute(query)
        if row.key in made or row.key not in known
    }


def _looks(connection: Connection) -> dict[str, list[str]]:
    """What curations saw of batches of rows. Which of them held a row cannot be told: all are looked at again when needed."""
    from sqlalchemy import select

    from rungwise.data.schema import steps

    query = select(steps.c.key, steps.c.output).where(steps.c.kind == "look")
    return {row.key: [json.loads(row.output)] for row in connection.execute(query)}


def _blobs_of_others(connection: Connection, dead: Mapping[str, object]) -> set[str]:
    """The blobs of artefacts that stay: the same bytes may be part of several."""
    from sqlalchemy import select

    from rungwise.data.schema import steps

    query = select(steps.c.key, steps.c.output).where(steps.c.kind == "artefact")
    return {blob for row in connection.execute(query) if row.key not in dead for blob in json.loads(row.output).values()}


def _needles(traits: Traits) -> list[str]:
    """The texts as JSON writes them, without quotes; short ones are not looked for within others."""
    return sorted(_json(one)[1:-1] for one in traits.texts if len(one) >= LEAST_LETTERS)


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _calls(connection: Connection, needles: Sequence[str]) -> list[str]:
    """The answered calls whose answer holds one of the texts."""
    from sqlalchemy import select

    from rungwise.data.schema import calls

    found: set[str] = set()
    for needle in needles:
        found.update(connection.execute(select(calls.c.key).where(holds(connection, calls.c.response, needle))).scalars())
    return sorted(found)


def _scrub(connection: Connection, traits: Traits) -> None:
    """Replace the texts wherever else they stand: shots in candidates, outputs of steps, notes of openings."""
    from sqlalchemy import func, true, update

    from rungwise.data.schema import nouns, openings, steps

    shots = [(f'"text":{_json(one)}', f'"text":"{ERASED}"') for one in traits.texts]
    long = [(needle, ERASED) for needle in _needles(traits)]
    made = nouns.c.kind.not_in(("Version", "UseCase", "Dataset"))  # these hold names of columns and files, never texts
    others = (steps.c.output, openings.c.note, openings.c.result)
    for column, where, pairs in ((nouns.c.body, made, [*shots, *long]), *((other, true(), long) for other in others)):
        for needle, instead in pairs:
            cleaned = func.replace(column, needle, instead)
            connection.execute(update(column.table).where(holds(connection, column, needle), where).values({column.name: cleaned}))


def _pages(store: Store, traits: Traits) -> list[Path]:
    """The report of the last climb where it shows one of the texts."""
    page = store.directory.parent / "report.html"
    try:
        shown = page.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [page] if any(html.escape(text) in shown or text in shown for text in traits.texts) else []


def _sweep(store: Store) -> None:
    """Delete what killed commands left behind: half-written blobs, parts of sources, and pages of the web that are kept."""
    for partial in store.blobs.directory.glob("??/.*.tmp"):
        partial.unlink(missing_ok=True)
    for folder in (*store.directory.glob("tmp*"), store.directory / "web"):
        shutil.rmtree(folder, ignore_errors=True)


def _compact(store: Store) -> None:
    """Write the database anew without what was deleted, and end the job. Raises StoreError while another program reads it."""
    from sqlalchemy import delete

    from rungwise.data.schema import metadata, settings

    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        write_anew(connection, list(metadata.tables))
        _checkpoint(store, connection)
        # Last, since a job that is no longer known cannot be ended: it holds digests alone.
        connection.execute(delete(settings).where(settings.c.name == JOB_SETTING))


def _checkpoint(store: Store, connection: Connection) -> None:
    if not empty_journal(connection):
        raise StoreError(
            f"another program reads {store.directory}, so that its journal could not be emptied of what was erased. "
            "End it, then run the same command again"
        )


def _some(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE)]
