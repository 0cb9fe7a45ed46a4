"""Where a project's store is: told by an address, remembered by the folder, never two stores by accident."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest
from terminal import Terminal, ticket_rows, write_csv

from rungwise.core.errors import StoreError, UsageError
from rungwise.data import postgres
from rungwise.data.postgres import NOTE
from rungwise.data.store import EMBEDDED, FILE, VARIABLE, Store
from rungwise.release.registry import Releases
from tests.clocks import StillClock
from tests.cluster import Cluster
from tests.release.decided_projects import CLASSICAL, decided
from tests.release.test_registry import release_of


def opened(folder: Path, clock: StillClock, url: str | None = None) -> Store:
    return Store.open(folder / "state", clock=clock, url=url)


def test_projects_have_schemas_of_their_own(tmp_path: Path, clock: StillClock) -> None:
    one, other = opened(tmp_path / "one", clock), opened(tmp_path / "other", clock)
    one.set_setting("decision", "x")
    assert other.setting("decision") is None
    assert not (one.directory / FILE).exists()
    for store in (one, other):
        store.close()


def test_a_folder_that_moves_takes_its_store_along(tmp_path: Path, clock: StillClock) -> None:
    first = opened(tmp_path / "one", clock)
    first.set_setting("decision", "x")
    first.close()
    shutil.move(tmp_path / "one", tmp_path / "two")
    again = opened(tmp_path / "two", clock)
    assert again.setting("decision") == "x"
    again.close()


def test_without_the_address_nobody_begins_an_empty_store_by_accident(
    tmp_path: Path, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(tmp_path, clock).close()
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(StoreError, match=f"export {VARIABLE}=postgresql://user"):
        opened(tmp_path, clock)
    assert not (tmp_path / "state" / FILE).exists()


def test_a_server_that_does_not_have_the_store_is_not_given_a_new_one(tmp_path: Path, clock: StillClock, server: Cluster) -> None:
    opened(tmp_path, clock).close()
    note = json.loads((tmp_path / "state" / NOTE).read_text())
    (tmp_path / "state" / NOTE).write_text(json.dumps({**note, "schema": "rungwise_elsewhere_0"}))
    with pytest.raises(StoreError, match="there is none at"):
        opened(tmp_path, clock)
    (tmp_path / "state" / NOTE).write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        opened(tmp_path, clock)


def test_the_file_of_a_project_stays_where_it_is_asked_for(tmp_path: Path, clock: StillClock) -> None:
    store = opened(tmp_path, clock, EMBEDDED)
    assert (tmp_path / "state" / FILE).exists()
    assert not store.is_remote
    store.close()


def test_what_stood_in_the_file_moves_and_its_numbers_go_on(
    tmp_path: Path, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as laptop:
        laptop.delenv(VARIABLE)
        project = decided(tmp_path / "tickets", clock)
        project.releases.release()
        assert not (project.folder / "state" / NOTE).exists()
    live = project.releases.live()
    assert live is not None
    assert live.variants[0].candidate == CLASSICAL.id
    store = opened(project.folder, clock)
    Releases(store).put(release_of("next"))
    assert [move.n for move in Releases(store).history()] == [2, 1]
    store.close()
    assert project.releases.rollback().live == live


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://u:secret@h/db", "kind 'mysql'"),
        ("what is this", "cannot be read. Write it as postgresql"),
        ("postgresql://u:secret@h:no/db", "cannot be read"),
    ],
)
def test_an_address_that_is_none_says_how_to_write_one(tmp_path: Path, clock: StillClock, url: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as raised:
        opened(tmp_path, clock, url)
    assert "secret" not in str(raised.value)


def test_a_server_that_is_not_there_is_said_without_its_password(tmp_path: Path, clock: StillClock) -> None:
    with pytest.raises(StoreError, match="Check that the server runs") as raised:
        opened(tmp_path, clock, "postgresql://ann:secret@127.0.0.1:1/db")
    assert "secret" not in str(raised.value)
    assert not (tmp_path / "state" / NOTE).exists()


def test_many_first_commands_at_once_make_one_store(tmp_path: Path, clock: StillClock) -> None:
    made: list[Store] = []
    threads = [threading.Thread(target=lambda: made.append(opened(tmp_path, clock))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({store.place for store in made}) == 1
    assert len(made) == 6
    for store in made:
        store.close()


def test_who_waits_too_long_for_another_writer_is_told(tmp_path: Path, clock: StillClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "LOCK_S", 1)
    one, other = opened(tmp_path, clock), opened(tmp_path, clock)
    with one.write(alone=True), pytest.raises(StoreError, match="lock timeout"), other.write(alone=True):
        pass
    for store in (one, other):
        store.close()


def test_a_store_of_a_newer_version_asks_for_an_upgrade(tmp_path: Path, clock: StillClock) -> None:
    store = opened(tmp_path, clock)
    with store.write() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '9999'")
    store.close()
    with pytest.raises(StoreError, match="pip install -U rungwise"):
        opened(tmp_path, clock)


def test_a_store_survives_a_crash_of_the_server(tmp_path: Path, clock: StillClock, frail: Cluster) -> None:
    store = opened(tmp_path, clock, frail.url)
    store.set_setting("decision", "x")
    frail.stop("immediate")
    try:
        with pytest.raises(StoreError, match="server"):
            store.setting("decision")
    finally:
        frail.start()
    assert store.setting("decision") == "x"
    store.close()


def test_a_project_climbs_releases_and_replays_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rungwise, project = Terminal(capsys), tmp_path / "tickets"
    source = write_csv(tmp_path / "tickets.csv", ticket_rows())
    document = rungwise("climb", source, "--target", "accuracy=0.7", "--until", "classical", "--quiet", "--json").document
    assert document["verdict"] == "met"
    assert not (project / "state" / FILE).exists()
    assert rungwise("replay", project).code == 0
    released = rungwise("release", project, "--json").document
    assert released["variants"][0]["candidate"] == document["chosen"]["candidate"]
    made_of = {one["kind"] for one in rungwise("lineage", project, released["release"], "--json").document["made_of"]}
    assert {"Candidate", "Decision", "UseCase", "Dataset"} <= made_of
    asked = rungwise("ask", project, "where is my parcel?", "--json").document
    assert asked["candidate"] == document["chosen"]["candidate"]
