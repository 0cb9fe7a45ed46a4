"""Rows of answers that chance chose may be sealed; no row that was learned from, or that people chose, ever is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rungwise.core.dataset import DEV, SEALED, SPLITS, TRAIN, Example
from rungwise.curate.shingles import normalise
from rungwise.data.reviews import Item, Reviews, Verdict
from rungwise.data.spec import FILE, read_use_case
from rungwise.data.splits import DRAWN, FROM_TRACE, draw_splits, fill_splits, is_fresh, proves_nothing
from rungwise.data.store import Store
from rungwise.data.versions.dataset import read_version
from rungwise.data.versions.splitting import SplitPlan
from rungwise.project import Project
from rungwise.watch.files import UNNAMED, fair_lines, row_line
from rungwise.watch.harvest import Row
from tests.clocks import StillClock
from tests.data.judged import answered, judge, write

QUESTIONS = [f"question {n}" for n in range(12)]
rows = st.lists(
    st.builds(
        lambda text, fair: Row(text=text, reference="a", traces=("t",), random=fair), st.sampled_from(QUESTIONS), st.booleans()
    ),
    max_size=12,
)


@given(rows, st.text(max_size=5), st.lists(st.tuples(st.sampled_from(QUESTIONS), st.booleans()), max_size=12))
def test_a_question_that_stands_unsealed_is_never_sealed_and_one_that_people_chose_neither(
    harvested: Sequence[Row], salt: str, before: Sequence[tuple[str, bool]]
) -> None:
    made = [row_line(Row(text=text, reference="a", traces=("old",), random=fair), salt=salt) for text, fair in before]
    standing: Mapping[str, Mapping[str, Any]] = {normalise(one["text"]): one for one in made}
    for row in harvested:
        line = row_line(row, salt=salt, standing=standing)
        earlier = standing.get(normalise(row.text))
        if earlier is not None:
            assert (line["split"], line.get(DRAWN)) == (earlier["split"], earlier.get(DRAWN))
        elif not row.random:
            assert (line["split"], line.get(DRAWN)) == (TRAIN, None)
        else:
            assert line[DRAWN] == "random"
        assert is_fresh(line) == (not proves_nothing(line))
        assert line["split"] != SEALED or is_fresh(line)
        fields = {name: str(value) for name, value in line.items() if name in (FROM_TRACE, DRAWN)}
        example = Example(text=line["text"], references=("a",), fields=fields)
        others = [Example(text=f"other {split}") for split in SPLITS]
        assert fill_splits([example, *others], [line["split"], *SPLITS], salt)[0] == line["split"]


def test_half_of_what_was_drawn_by_chance_is_sealed() -> None:
    lines = [row_line(Row(text=f"q {n}", reference="a", traces=(f"t{n}",), random=True), salt="s") for n in range(2_000)]
    counts = Counter(line["split"] for line in lines)
    assert 900 < counts["sealed"] < 1_100
    assert 520 < counts["dev"] < 680


def test_a_drawn_row_that_was_made_up_or_names_no_trace_is_not_fresh() -> None:
    assert proves_nothing({FROM_TRACE: "t", DRAWN: "random", "synthetic": "model"})
    assert proves_nothing({FROM_TRACE: "t", DRAWN: ""})
    assert proves_nothing({FROM_TRACE: "t", DRAWN: "flagged"})
    assert not proves_nothing({FROM_TRACE: "", DRAWN: ""})
    assert not is_fresh({DRAWN: "random"})
    many = [Example(text=f"q {n}", fields={FROM_TRACE: "t"}) for n in range(100)]
    assert SEALED not in draw_splits(many, "salt")
    fair = [Example(text=f"q {n}", fields={FROM_TRACE: "t", DRAWN: "random"}) for n in range(100)]
    assert SEALED in draw_splits(fair, "salt")


def project_with_reviews(tmp_path: Path, clock: StillClock, *, named: bool = True) -> Project:
    """40 answers drawn by chance and judged, 10 more that users judged. Of wrong answers it is said what is right where `named`."""
    table = tmp_path / "tickets.csv"
    table.write_text("text,label\n" + "".join(f"question number {n} please,{'ab'[n % 2]}\n" for n in range(60)))
    project = Project.create(tmp_path / "support", source=table, clock=clock)
    store = Store.open(project.directory / "state", clock=clock)
    traces = [answered(n, f"Live question {n}?", "a") for n in range(50)]
    write(store, traces)
    Reviews(store).put([Item(trace=one.id, day=7, reason="random", chance=0.5) for one in traces[:40]])
    for one in traces[40:]:
        judge(store, one, label="b")
    store.close()
    with project.reviews.sitting("ann") as sitting:
        while (task := sitting.desk.next()) is not None:
            wrong = int(task.trace.id[:12], 16) % 3 == 0
            sitting.desk.judge(task.item.id, _verdict(wrong=wrong, named=named))
    return project


def _verdict(*, wrong: bool, named: bool) -> Verdict:
    if not wrong:
        return Verdict(kind="right")
    return Verdict(kind="label", wanted="b") if named else Verdict(kind="wrong")


def test_reviewed_answers_that_chance_chose_renew_the_sealed_rows(tmp_path: Path, clock: StillClock) -> None:
    project = project_with_reviews(tmp_path, clock)
    project.data.take_in(tmp_path / "tickets.csv")
    done = project.feedback.to_dataset()
    assert done.made == 50
    assert done.version is not None
    store = Store.open(project.directory / "state", clock=clock)
    dataset = read_version(store, read_use_case(project.directory / FILE), version=done.version).dataset
    live = [(row, split) for row, split in zip(dataset.rows, dataset.splits, strict=True) if row.fields.get(FROM_TRACE)]
    assert len(live) == 50
    fresh = {row.fields[FROM_TRACE] for row, _ in live if row.fields.get(DRAWN) == "random"}
    assert fresh == Reviews(store).random_traces()
    sealed = {row.fields[FROM_TRACE] for row, split in live if split == SEALED}
    assert sealed
    assert sealed < fresh
    store.close()
    again = project.feedback.to_dataset()
    assert again.version == done.version  # the same judgements make the same rows


def test_splits_that_were_drawn_into_a_version_take_fresh_rows_as_they_come(tmp_path: Path, clock: StillClock) -> None:
    project = project_with_reviews(tmp_path, clock)
    project.data.take_in(tmp_path / "tickets.csv")
    project.data.split(SplitPlan())
    done = project.feedback.to_dataset()
    store = Store.open(project.directory / "state", clock=clock)
    dataset = read_version(store, read_use_case(project.directory / FILE), version=done.version or "").dataset
    live = [(row, split) for row, split in zip(dataset.rows, dataset.splits, strict=True) if row.fields.get(FROM_TRACE)]
    counts = Counter((row.fields.get(DRAWN) == "random", split) for row, split in live)
    assert counts[(True, SEALED)] >= 12  # half of 40, not a quarter
    assert counts[(False, SEALED)] == 0
    store.close()


def test_right_answers_alone_are_no_fair_sample_and_wait_for_the_labels_of_the_wrong_ones(
    tmp_path: Path, clock: StillClock
) -> None:
    """A right answer is a row by itself, a wrong one only with its label: otherwise whoever answered would be proven by itself."""
    project = project_with_reviews(tmp_path, clock, named=False)
    project.data.take_in(tmp_path / "tickets.csv")
    done = project.feedback.to_dataset()
    store = Store.open(project.directory / "state", clock=clock)
    assert Reviews(store).unnamed() == 1.0
    dataset = read_version(store, read_use_case(project.directory / FILE), version=done.version or "").dataset
    fresh = [split for row, split in zip(dataset.rows, dataset.splits, strict=True) if row.fields.get(DRAWN) == "random"]
    store.close()
    assert set(fresh) == {TRAIN}  # those that would be proof wait; none of them teaches meanwhile
    assert done.left_out[UNNAMED] > 10


def test_rows_that_stand_stay_where_they_are_when_labels_are_missing_later() -> None:
    lines = [{"text": f"q {n}", "split": split} for n, split in enumerate((TRAIN, DEV, SEALED))]
    standing: dict[str, dict[str, object]] = {"q 2": {}}
    assert fair_lines(lines, standing=standing, unnamed=0.05) == lines
    assert fair_lines(lines, standing=standing, unnamed=0.06) == [lines[0], lines[2]]
