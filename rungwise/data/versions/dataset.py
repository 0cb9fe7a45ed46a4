"""A version of the data as a dataset that a climb can use."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

from rungwise.core.record import short
from rungwise.core.usecase import Columns, UseCase
from rungwise.data.importing import Imported, dataset_of
from rungwise.data.readers import Read
from rungwise.data.splits import SALT_SETTING
from rungwise.data.store import Store
from rungwise.data.versions.version import HEAD, PREFIX, Version, Versions


def is_version(data: str) -> bool:
    """Whether `data:` of a use case names a version instead of a file."""
    return data.startswith(PREFIX)


def read_version(store: Store, use: UseCase, *, version: str | None = None, documents: Path | None = None) -> Imported:
    """The dataset of a version: of the one with this id, else of the one that the use case names.

    Roles that the use case leaves open are those of the import. Raises UnknownName for a version that is not there, and
    what `read_dataset` raises for rows that cannot carry a climb.
    """
    versions = Versions(store)
    found = versions.get(version or use.data.removeprefix(PREFIX) or HEAD)
    name = f"{found.sources[0].location.rstrip('/').rpartition('/')[2]} (version {short(found.id)})"
    read = Read(versions.rows(found), columns=_names(found))
    records = [id.tobytes().hex() for id in versions.ids(versions.selection(found))]
    salt = store.setting(SALT_SETTING) or found.content
    case = replace(use, columns=merged(use.columns, found))
    return replace(
        dataset_of(read, case, salt=salt, source=name, where=name, documents=documents, records=records, blank_splits=True),
        version=found.id,
    )


def merged(columns: Columns, version: Version) -> Columns:
    """The roles of a use case, completed by those of a version."""
    own = replace(version.columns, split=split_column(version))
    return Columns(**{one.name: getattr(columns, one.name) or getattr(own, one.name) for one in fields(Columns)})


def split_column(version: Version) -> str | None:
    """The column that splits stand in, if any: that of the first source with one, or 'split' for splits that were drawn."""
    given = next((source.columns.split for source in version.sources if source.columns.split), None)
    return version.columns.split or ("split" if version.splits else given)


def _names(version: Version) -> list[str]:
    """The columns of a version, those of all its sources."""
    names = dict.fromkeys(name for source in version.sources for name in source.names)
    if version.splits:
        names[version.columns.split or "split"] = None
    return list(names)
