"""A project's feedback: by hand and by the file, the verdict between variants, and rows that go back into the data."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rungwise.core.dataset import SEALED
from rungwise.core.errors import BadData, UsageError
from rungwise.core.release import Release, Variant
from rungwise.core.trace import Trace
from rungwise.data.nouns import Lineage
from rungwise.data.splits import FROM_TRACE
from rungwise.data.store import Store
from rungwise.data.versions.dataset import read_version
from rungwise.data.versions.records import record_cells
from rungwise.data.versions.splitting import SplitPlan
from rungwise.data.versions.version import Versions
from rungwise.project import Project
from rungwise.release.registry import Releases
from tests.clocks import StillClock
from tests.data.judged import answered, judge, write

LABELS = ("refund", "tracking", "delivery")


@pytest.fixture
def project(tmp_path: Path, clock: StillClock) -> Project:
    """A project on a table of 60 questions."""
    table = tmp_path / "tickets.csv"
    table.write_text("text,label\n" + "".join(f"question number {n} please,{LABELS[n % 3]}\n" for n in range(60)))
    return Project.create(tmp_path / "support", source=table, clock=clock)


@contextmanager
def opened(project: Project) -> Iterator[Store]:
    store = Store.open(project.directory / "state", clock=project.clock)
    yield store
    store.close()


def judged(project: Project, *answers: tuple[Trace, dict[str, Any]]) -> None:
    with opened(project) as store:
        write(store, [trace for trace, _ in answers])
        for trace, said in answers:
            judge(store, trace, **said)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_an_answer_is_judged_by_hand(project: Project) -> None:
    with opened(project) as store:
        write(store, [answered(1, "Where is it?", "refund")])
    own = project.feedback
    done = own.add({"response_id": "chatcmpl-1", "label": "tracking"})
    assert done.new
    assert not own.add({"trace": done.trace, "label": "tracking"}).new
    assert [one.feedback.label for one in own.listed()] == ["tracking"]
    with pytest.raises(UsageError, match="rungwise traces"):
        own.add({"trace": "f" * 32, "label": "tracking"})


def test_a_file_of_outcomes_is_taken_in_and_bad_lines_are_named(project: Project, tmp_path: Path) -> None:
    traces = [answered(n, f"q{n}", "a") for n in range(3)]
    with opened(project) as store:
        write(store, traces)
    good = [{"trace": trace.id, "value_usd": 5.0, "source": "business", "at": 1e9 + n} for n, trace in enumerate(traces)]
    bad = ["no json", "[1]", json.dumps({"trace": "f" * 32, "thumb": "up"}), json.dumps({**good[0], "score": 7})]
    file = tmp_path / "outcomes.jsonl"
    file.write_text("\n".join([*map(json.dumps, good), "", *bad, json.dumps({"response_id": "chatcmpl-1", "thumb": "up"})]))
    done = project.feedback.take_in(file)
    assert (done.new, done.known) == (4, 0)
    assert [place for place, _ in done.bad] == [f"outcomes.jsonl:{line}" for line in (5, 6, 7, 8)]
    assert all(reason for _, reason in done.bad)
    again = project.feedback.take_in(file)
    assert (again.new, again.known) == (0, 4)
    with pytest.raises(BadData, match="cannot be read"):
        project.feedback.take_in(tmp_path / "nothing.jsonl")


def test_a_folder_that_is_no_project_gets_no_state(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Project(tmp_path).feedback.listed()
    assert list(tmp_path.iterdir()) == []


def test_rows_are_written_beside_the_data_where_it_is_a_file(project: Project) -> None:
    judged(
        project,
        (answered(1, "Write to ann@example.com!", "refund"), {"label": "tracking"}),
        (answered(2, "Question number 7, please", "refund"), {"label": "tracking"}),  # it stands in the table
    )
    done = project.feedback.to_dataset()
    assert (done.made, done.judged, done.version) == (1, 2, None)
    assert done.left_out == {"the question stands in the data already": 1}
    assert done.path is not None
    (row,) = lines(done.path)
    assert (row["text"], row["label"], row["split"]) == ("Write to [EMAIL]!", "tracking", "train")
    assert row["id"] == row[FROM_TRACE] == answered(1, "", "").id


def test_where_the_data_has_versions_rows_become_a_new_one_and_are_never_sealed(project: Project) -> None:
    project.data.take_in(project.directory.parent / "tickets.csv")
    project.data.split(SplitPlan())
    before = project.data.version()
    judged(project, *((answered(n, f"something new, number {n}", "refund"), {"label": LABELS[n % 3]}) for n in range(40)))
    done = project.feedback.to_dataset()
    assert done.version == project.data.version().id != before.id
    assert project.data.version().rows == 100
    with opened(project) as store:
        read = read_version(store, project.case, version=done.version)
        splits = {
            (FROM_TRACE in row.fields, split)
            for row, split in zip(read.dataset.rows, read.dataset.splits, strict=True)
            if split == SEALED or FROM_TRACE in row.fields
        }
        assert (False, SEALED) in splits
        assert (True, SEALED) not in splits
        assert sum(FROM_TRACE in row.fields for row in read.dataset.rows) == 40
    assert all(cells.get("split") != "sealed" for _, cells in project.data.rows() if cells.get(FROM_TRACE))
    project.data.split(SplitPlan(), anew=True)
    assert all(cells["split"] != "sealed" for _, cells in project.data.rows() if cells.get(FROM_TRACE))


def test_a_project_that_moved_counts_each_row_once(project: Project, tmp_path: Path) -> None:
    project.data.take_in(project.directory.parent / "tickets.csv")
    judged(project, *((answered(n, f"something new, number {n}", "refund"), {"label": LABELS[n % 3]}) for n in range(8)))
    first = project.feedback.to_dataset()
    moved = Project(shutil.copytree(project.directory, tmp_path / "elsewhere"), clock=project.clock)
    assert moved.feedback.to_dataset().version == first.version
    moved.feedback.to_dataset(output=tmp_path / "rows.jsonl")
    assert moved.data.version().rows == 68
    judged(moved, (answered(9, "another one", "refund"), {"label": "refund"}))
    moved.feedback.to_dataset()
    assert moved.data.version().rows == 69
    assert Counter(cells["text"] for _, cells in moved.data.rows()).most_common(1)[0][1] == 1


def test_rows_of_another_project_stay_beside_ones_own(project: Project, tmp_path: Path) -> None:
    judged(project, (answered(1, "something new", "refund"), {"label": "refund"}))
    path = project.feedback.to_dataset().path
    assert path is not None
    other = Project.create(tmp_path / "other", source=tmp_path / "tickets.csv", clock=project.clock)
    other.data.take_in(tmp_path / "tickets.csv")
    other.data.take_in(path)
    judged(other, (answered(2, "something else", "refund"), {"label": "refund"}))
    for _ in range(2):
        other.feedback.to_dataset()
        assert other.data.version().rows == 62


def test_a_row_names_all_the_traces_that_it_was_made_of(project: Project) -> None:
    project.data.take_in(project.directory.parent / "tickets.csv")
    one, two = answered(1, "Where is my parcel?", "x"), answered(2, "where is my parcel", "x")
    judged(project, (one, {"label": "tracking"}), (two, {"label": "tracking"}))
    version = project.feedback.to_dataset().version
    with opened(project) as store:
        versions = Versions(store)
        selection = versions.selection(versions.get(version or ""))
        bodies = zip(versions.ids(selection), map(record_cells, versions.bodies(selection)), strict=True)
        (record,) = [id.tobytes().hex() for id, cells in bodies if cells.get(FROM_TRACE)]
        assert set(Lineage(store).ancestors(record)) == {one.id, two.id}
        assert Lineage(store).descendants(one.id) == [record]
    for trace in (one, two):  # both ways, by the verb that people type
        assert [reached["id"] for reached in project.lineage(trace.id)["reached"]] == [record, version]
    found = project.lineage(record)
    assert {made["id"] for made in found["made_of"] if made["kind"] == "Trace"} == {one.id, two.id}
    assert [reached["id"] for reached in found["reached"]] == [version]


def test_the_same_command_again_adds_only_what_is_new(project: Project) -> None:
    project.data.take_in(project.directory.parent / "tickets.csv")
    judged(project, (answered(1, "Where is my parcel?", "x"), {"label": "tracking"}))
    first = project.feedback.to_dataset()
    assert project.feedback.to_dataset().version == first.version
    judged(project, (answered(2, "I want my money", "x"), {"label": "refund"}))
    second = project.feedback.to_dataset()
    assert (second.made, project.data.version().rows) == (2, 62)


def test_rows_outlive_their_traces_but_not_their_judgements(project: Project) -> None:
    from rungwise.data.feedback import Judgements
    from rungwise.data.traces.door import archive_of
    from rungwise.data.traces.query import Query

    traces = [answered(n, f"something else {n}", "x") for n in range(2)]
    judged(project, *((trace, {"label": "refund"}) for trace in traces))
    assert project.feedback.to_dataset().made == 2
    with opened(project) as store:
        archive_of(store).erase(Query(ids=frozenset(trace.id for trace in traces)))
        Judgements(store).erase([traces[0].id])
    done = project.feedback.to_dataset()
    assert (done.made, done.earlier) == (0, 1)
    assert done.path is not None
    assert [row["id"] for row in lines(done.path)] == [traces[1].id]


def test_rows_of_the_data_stay_until_they_are_erased_themselves(project: Project) -> None:
    project.data.take_in(project.directory.parent / "tickets.csv")
    traces = [answered(n, f"something else {n}", "x") for n in range(3)]
    judged(project, *((trace, {"label": "refund"}) for trace in traces))
    project.feedback.to_dataset()
    project.traces.erase("user~user")
    judged(project, (answered(9, "something new", "x"), {"label": "refund"}))
    done = project.feedback.to_dataset()
    assert (done.made, done.earlier, project.data.version().rows) == (1, 3, 64)
    with opened(project) as store:
        (record,) = set(Lineage(store).descendants(traces[0].id)) - {done.version}
    project.data.erase([record])
    again = project.feedback.to_dataset()
    assert (again.earlier, project.data.version().rows) == (2, 63)
    assert again.path is not None
    assert traces[0].id not in again.path.read_text()


def test_a_file_that_is_not_ours_is_not_written_over(project: Project, tmp_path: Path) -> None:
    judged(project, (answered(1, "Where is my parcel?", "x"), {"label": "tracking"}))
    for text in ('{"text": "mine"}\n', "not json\n"):
        own = tmp_path / "mine.jsonl"
        own.write_text(text)
        with pytest.raises(BadData, match="--output"):
            project.feedback.to_dataset(output=own)
        assert own.read_text() == text


def test_pairs_are_written_for_preference_training(project: Project) -> None:
    judged(project, (answered(1, "Where is Rome?", "In France"), {"correction": "In Italy"}))
    done = project.feedback.pairs()
    assert done.path is not None
    (pair,) = lines(done.path)
    assert pair["prompt"] == [{"role": "user", "content": "Where is Rome?"}]
    assert [pair[name][0]["content"] for name in ("chosen", "rejected")] == ["In Italy", "In France"]


def test_without_judgements_there_is_nothing_to_make(project: Project) -> None:
    with pytest.raises(UsageError, match="rungwise feedback add"):
        project.feedback.to_dataset()


def test_the_live_release_is_compared_by_what_was_judged(project: Project) -> None:
    with pytest.raises(UsageError, match="rungwise release"):
        project.feedback.contest()
    with opened(project) as store:
        variants = (Variant(name="a", candidate="1" * 64, weight=0.5), Variant(name="b", candidate="2" * 64, weight=0.5))
        live = Release(use_case="u", variants=variants, evidence=(), salt="s")
        Releases(store).put(live)
    judged(
        project,
        *((answered(n, f"q{n}", "x", release=live.id, variant="ab"[n % 2]), {"score": 0.9 if n % 2 else 0.3}) for n in range(120)),
    )
    found = project.feedback.contest()
    assert (found.told, found.metric, found.verdict.ruling.action) == (True, "score", "promote")
    assert found.verdict.ruling.weights == {"a": 0.0, "b": 1.0}
    assert json.loads(json.dumps(found.plain()))["duels"][0]["standing"]["verdict"] == "winner"
