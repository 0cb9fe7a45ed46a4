"""An open index stays true to its folder, whoever writes there."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from rungwise.core.errors import UsageError
from rungwise.data.store import Store
from rungwise.engines.clock import SystemClock
from rungwise.project.index import Index, Wanted

WORDS = Wanted(encoder="none")


def found(index: Index, query: str) -> list[str]:
    return [one.document for one in index.search(query)]


@pytest.mark.parametrize("kept_open", [False, True])
def test_an_open_index_searches_what_another_made_since(tmp_path: Path, kept_open: bool) -> None:
    # kept_open: somebody reads all the while, so that new writes stay in the log beside the database
    documents, folder = tmp_path / "documents", tmp_path / "index"
    documents.mkdir()
    (documents / "a.txt").write_text("The heron fishes at dawn.")
    Index(folder).build(documents, WORDS)
    with ExitStack() as stack:
        if kept_open:
            stack.enter_context(closing(Store.open(folder, clock=SystemClock())))
        index = Index(folder)
        assert found(index, "heron") == ["a.txt"]
        first = index.version().id
        for name in ("b.txt", "c.txt", "d.txt"):
            (documents / name).write_text(f"Another heron, in {name}.")
            Index(folder).build(documents)
            assert name in found(index, "heron")
        Index(folder).restore(first)
        assert found(index, "heron") == ["a.txt"]


def test_an_open_index_whose_folder_is_gone_says_so(tmp_path: Path) -> None:
    documents, folder = tmp_path / "documents", tmp_path / "index"
    documents.mkdir()
    (documents / "a.txt").write_text("The heron fishes at dawn.")
    index = Index(folder)
    index.build(documents, WORDS)
    assert found(index, "heron") == ["a.txt"]
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="holds no index"):
        found(index, "heron")
