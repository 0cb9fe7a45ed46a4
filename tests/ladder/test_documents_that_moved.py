"""Documents that change or go away after a climb: whoever was chosen still answers, and no decision is judged by others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rungwise.core.decision import MET
from rungwise.core.errors import BadData, UsageError
from rungwise.ladder.expedition import Wishes
from rungwise.project import Project

THINGS = ("amber", "bronze", "copper", "denim", "ebony", "fuchsia", "green", "hazel", "indigo", "jade")
WORDS = ("where", "who", "what", "when", "why", "how", "see", "buy")


@pytest.fixture
def climbed(tmp_path: Path) -> Project:
    (tmp_path / "docs").mkdir()
    rows = []
    for thing in THINGS:
        (tmp_path / "docs" / f"{thing}.md").write_text(f"The {thing} lamp shines.", encoding="utf-8")
        rows += [{"query": f"{word} {thing} lamp", "relevant": f"{thing}.md"} for word in WORDS]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    project = Project.create(tmp_path / "p", task="search", source=tmp_path / "q.jsonl", documents=str(tmp_path / "docs"))
    assert project.climb("ndcg_at_10=0.5", wishes=Wishes(until="classical")).decision.verdict == MET
    return project


def test_whoever_was_chosen_answers_from_the_index_when_the_documents_are_gone(climbed: Project, tmp_path: Path) -> None:
    before = climbed.ask("the jade lamp").answer
    shutil.rmtree(tmp_path / "docs")
    assert Project(climbed.directory).ask("the jade lamp").answer == before
    with pytest.raises(BadData, match="no such folder"):
        climbed.replay()


def test_a_decision_over_other_documents_is_not_replayed(climbed: Project, tmp_path: Path) -> None:
    assert climbed.replay().agrees
    page = tmp_path / "docs" / "jade.md"
    before = page.read_text(encoding="utf-8")
    page.write_text("Nothing shines.", encoding="utf-8")
    with pytest.raises(UsageError, match=r"the documents in .* have changed since the last decision"):
        climbed.replay()
    page.write_text(before, encoding="utf-8")
    assert climbed.replay().agrees
