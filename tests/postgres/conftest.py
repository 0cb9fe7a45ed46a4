"""Here every store is a schema of a real PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from rungwise.data import postgres
from rungwise.data.store import VARIABLE
from tests.cluster import Cluster, cluster


@pytest.fixture(scope="session")
def server() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


@pytest.fixture(scope="session")
def frail() -> Iterator[Cluster]:
    """A server that may be made to crash: it holds little, so that it is soon up again."""
    with cluster() as made:
        yield made


@pytest.fixture(autouse=True)
def _stores_are_there(server: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Also those that a test opens itself; whatever it leaves open, as a killed process does, is closed after it."""
    opened: list[Engine] = []
    connect = postgres.connect

    def connect_and_remember(url: str, place: postgres.Place) -> Engine:
        opened.append(connect(url, place))
        return opened[-1]

    monkeypatch.setattr(postgres, "connect", connect_and_remember)
    monkeypatch.setenv(VARIABLE, server.url)
    yield
    for engine in opened:
        engine.dispose()
