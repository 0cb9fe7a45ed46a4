"""A door whose keys are kept by PostgreSQL: made, rotated and revoked while it stands, and an audit log that stays whole."""

from __future__ import annotations

import threading

import pytest

from rungwise.data.audit import Audit
from rungwise.data.keys import Keys
from rungwise.data.master import MasterKey
from rungwise.data.store import Store
from rungwise.serve.access import Access
from rungwise.serve.failure import NotAllowed


def test_a_door_follows_its_keys(store: Store) -> None:
    keys = Keys(store, MasterKey.open(store.directory, {}))
    access = Access.load(store)
    old = keys.create(["infer"], actor="test")
    new = keys.rotate(old.kept.id, overlap_s=60, actor="test")
    assert access.refresh()
    for made in (old, new):
        assert access.by_bearer(f"Bearer {made.key}".encode(), None).meter == old.kept.id
    keys.revoke(new.kept.id, actor="test")
    assert access.refresh()
    with pytest.raises(NotAllowed, match="revoked"):
        access.by_bearer(f"Bearer {new.key}".encode(), None)


def test_many_that_change_keys_at_once_make_one_chain(store: Store) -> None:
    def change(who: str) -> None:
        for _ in range(5):
            Keys(store, MasterKey(b"x")).create(["infer"], actor=who)

    threads = [threading.Thread(target=change, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = Audit(store).verify()
    assert (found.lines, found.problem) == (20, None)
    assert Keys(store, MasterKey(b"x")).version() == 20
