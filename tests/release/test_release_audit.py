"""Every move of the pointer to the live release is told in the audit log, in the transaction that makes it."""

from __future__ import annotations

import pytest

from rungwise.core.errors import UsageError
from rungwise.core.release import Release, Variant
from rungwise.data.audit import Audit
from rungwise.data.store import Store
from rungwise.release.registry import Releases


def release_of(name: str) -> Release:
    return Release(use_case="case", variants=(Variant(name="a", candidate=name, weight=1.0),), evidence=(), salt="s", at=1.0)


def test_who_released_and_who_went_back_stands_in_the_log(store: Store) -> None:
    releases = Releases(store)
    one, two = release_of("one"), release_of("two")
    releases.put(one, by="ann", why="first")
    releases.put(two)
    releases.put(two)  # is live already: nothing moved
    releases.rollback(by="bob", why="complaints")
    told = [(entry.actor, entry.action, entry.subject, entry.details["why"]) for entry in Audit(store).entries()]
    assert told == [
        ("ann", "release.release", one.id, "first"),
        ("unnamed", "release.release", two.id, None),
        ("bob", "release.rollback", one.id, "complaints"),
    ]
    found = Audit(store).verify()
    assert (found.lines, found.problem) == (3, None)


def test_what_was_refused_is_not_told(store: Store) -> None:
    with pytest.raises(UsageError):
        Releases(store).rollback()
    assert list(Audit(store).entries()) == []
