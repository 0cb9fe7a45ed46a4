"""The drift report: kinds of columns, the shared level, odd input, JSON in and out, and the verb."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from rungwise.core.errors import BadData, UnknownName, UsageError
from rungwise.core.record import canonical_json, from_plain
from rungwise.project.drift import compare_files, window
from rungwise.watch.drift.kinds import typed
from rungwise.watch.drift.report import DriftReport, drift_report
from tests.terminal import Terminal


def names(values: list[Any]) -> np.ndarray[Any, Any]:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def table(seed: int, n: int = 400, shift: float = 0.0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    plans = names(["free", "pro", "team"])
    words = ["parcel", "order", "invoice", "password", "voucher", "shop", "bill", "number", "address", "street"]
    return {
        "minutes": rng.standard_normal(n) + shift,
        "visits": rng.poisson(3, n),
        "plan": plans[rng.choice(3, n, p=[0.5 - shift / 4, 0.3, 0.2 + shift / 4])],
        "paid": rng.random(n) < 0.3,
        "message": names([" ".join(rng.choice(words, 6)) + (" refund" if shift and i % 3 == 0 else "") for i in range(n)]),
    }


def test_what_changed_is_shown_with_its_size_and_what_moved() -> None:
    found = drift_report(table(0), table(1, shift=0.6))
    by_name = {one.column: one for one in found.columns}
    assert found.drifted == ("minutes", "plan", "message")
    assert [one.kind for one in found.columns] == ["numeric", "numeric", "categorical", "categorical", "text"]
    first = by_name["minutes"].first
    assert first is not None
    assert (first.unit, first.size, first.shown) == ("sd", "medium", True)
    assert by_name["minutes"].what.startswith("mean ")
    assert "refund" in by_name["message"].what
    assert by_name["visits"].verdict == "none"


def test_a_tiny_shift_on_many_rows_is_shown_and_called_tiny() -> None:
    values = np.random.default_rng(2).standard_normal((2, 50_000))
    before, after = {"x": values[0]}, {"x": values[1] + 0.05}
    found = drift_report(before, after)
    (column,) = found.columns
    assert (column.verdict, found.drifted) == ("tiny", ())
    assert column.findings[0].p < 1e-6
    assert drift_report(before, after, least="tiny").drifted == ("x",)


def test_reports_on_what_did_not_change_keep_the_level_over_all_columns() -> None:
    rng, shown = np.random.default_rng(3), 0
    for _ in range(60):
        sides = [
            {**{f"n{i}": np.where(rng.random(120) < 0.1, np.nan, rng.standard_normal(120)) for i in range(6)},
             **{f"c{i}": rng.integers(0, 4, 120).astype(str) + "x" for i in range(4)}}
            for _ in range(2)
        ]  # fmt: skip
        found = drift_report(sides[0], sides[1], least="tiny")
        shown += any(one.shown for column in found.columns for one in column.findings)
    assert shown <= stats.binom.ppf(0.999, 60, 0.05)


def test_the_report_goes_through_json_and_is_the_same_bytes_each_time() -> None:
    first, second = (drift_report(table(4), table(5, shift=0.3)) for _ in range(2))
    text = canonical_json(first.plain())
    assert text == canonical_json(second.plain())
    plain = json.loads(text)
    assert plain.pop("drifted") == list(first.drifted)
    assert from_plain(DriftReport, plain) == first


ODD: dict[str, Callable[[], Any]] = {
    "nothing": lambda: [],
    "one": lambda: [1.0],
    "equal": lambda: np.ones(30),
    "missing": lambda: np.full(30, np.nan),
    "nones": lambda: names([None] * 30),
    "blank": lambda: names([" "] * 30),
    "infinite": lambda: np.array([np.inf, -np.inf, 1.0]),
    "huge": lambda: np.array([1e308, -1e308, 5e-324]),
    "mixed": lambda: names([1, "two", None, True, 2.5, [1], {"a": 1}, b"x"] * 4),
    "words": lambda: np.array(["a", "b"] * 20),
    "numbers as text": lambda: names(["1", "2.5", "", "nan", "-3e2"] * 8),
    "whole": lambda: np.arange(40),
    "unsigned": lambda: np.arange(40, dtype=np.uint8),
    "truth": lambda: np.array([True, False] * 20),
    "times": lambda: np.array(["2026-01-01", "NaT", "2026-02-01"], dtype="datetime64[D]"),
    "complex": lambda: np.array([1j, 2j]),
    "flat": lambda: np.ones((4, 2)),
    "texts": lambda: names([f"a rather long text that has the number {i}" for i in range(40)]),
    "surrogate": lambda: names(["\ud83d", "ok"] * 10),
    "big number": lambda: names([10**400, 1] * 5),
}


@pytest.mark.parametrize("first", ODD)
def test_odd_columns_get_a_line_and_never_an_error(first: str) -> None:
    for second in ODD:
        found = drift_report({"x": ODD[first]()}, {"x": ODD[second]()})
        (column,) = found.columns
        json.dumps(found.plain(), allow_nan=False)
        assert column.verdict in ("drift", "tiny", "none", "cannot_tell")
        if column.verdict == "cannot_tell":
            assert column.why


def test_columns_of_one_side_only_are_named() -> None:
    found = drift_report({"a": [1.0] * 9, "b": [1.0] * 9}, {"a": [1.0] * 9, "c": [1.0] * 9})
    assert [(one.column, one.verdict) for one in found.columns] == [("a", "none"), ("b", "cannot_tell"), ("c", "cannot_tell")]
    assert "gone" in found.columns[1].why
    assert "new" in found.columns[2].why


def test_what_is_odd_is_said() -> None:
    sides = {"x": names([1.0, 2.0] * 10)}, {"x": names(["a", "b"] * 10)}
    assert "compared as names" in drift_report(*sides).columns[0].why
    assert "all values are 1" in drift_report({"x": np.ones(9)}, {"x": np.ones(9)}).columns[0].why
    assert "infinite" in drift_report({"x": [1.0, np.inf]}, {"x": [1.0, 2.0]}).columns[0].why


def test_the_kind_of_a_column_is_told_by_the_rule() -> None:
    assert typed(names(["1", "2", None]), np.array([1, 2])).kind == "numeric"
    assert typed(names(["1_000"]), names(["2"])).kind == "categorical"
    assert typed(np.array([True]), np.array([False])).kind == "categorical"
    assert typed(names(["short"] * 3), names(["short"]), text=True).kind == "text"
    assert typed(names([f"id{i}" for i in range(50)]), names(["id1"])).kind == "categorical"
    seconds = typed(np.array(["1970-01-02"], dtype="datetime64[D]"), np.array([], dtype="datetime64[s]")).reference
    assert seconds.tolist() == [86400]


def test_wrong_wishes_are_refused() -> None:
    with pytest.raises(UsageError, match="level"):
        drift_report({}, {}, level=1.0)
    with pytest.raises(UnknownName):
        drift_report({}, {}, least="huge")
    with pytest.raises(UnknownName):
        drift_report({"a": [1]}, {"a": [1]}, texts=["b"])
    with pytest.raises(UsageError, match="units"):
        drift_report({"a": [1]}, {"a": [1]}, units=(names([1, 2]), names([1])))


def test_windows_are_read_as_people_write_them() -> None:
    day = 86400.0
    assert window("14d", now=100 * day) == (86 * day, 100 * day)
    assert window("30d..14d", now=100 * day) == (70 * day, 86 * day)
    assert window("1970-01-03..1970-01-05", now=0.0) == (2 * day, 4 * day)
    for text in ("", "soon", "14d..30d", "1d..", "..1d"):
        with pytest.raises(UsageError, match="window"):
            window(text, now=100 * day)


def write(path: Path, columns: dict[str, Any]) -> Path:
    rows = list(zip(*columns.values(), strict=True))
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([tuple(columns), *rows])
    return path


def test_the_verb_compares_files_and_its_exit_code_says_whether_they_drifted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = write(tmp_path / "a.csv", table(6)), write(tmp_path / "b.csv", table(7, shift=0.6))
    terminal = Terminal(capsys)
    said = terminal("drift", str(before), str(after))
    assert said.code == 1
    assert "drift in 3 of 5 columns: minutes, plan, message" in said.out
    same = terminal("drift", str(before), str(before), "--column", "plan", "--json")
    assert (same.code, [one["column"] for one in same.document["columns"]]) == (0, ["plan"])


def test_files_of_another_format_say_the_same(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="Parquet needs the extra curation")
    from pyarrow import parquet

    one, other = table(8), table(9, shift=0.5)
    found = []
    for kind in ("csv", "jsonl", "parquet"):
        paths = []
        for name, columns in (("a", one), ("b", other)):
            path = tmp_path / f"{name}.{kind}"
            plain = {column: values.tolist() for column, values in columns.items()}
            if kind == "csv":
                write(path, plain)
            elif kind == "jsonl":
                rows = [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]
                path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            else:
                parquet.write_table(pyarrow.table(plain), path)
            paths.append(path)
        found.append(compare_files(*paths))
    assert found[1] == found[2]
    assert [column.numbers for column in found[0].columns] == [column.numbers for column in found[1].columns]


def test_a_unit_makes_p_larger_where_users_have_habits(tmp_path: Path) -> None:
    rng = np.random.default_rng(10)
    paths = []
    for side in range(2):
        habits = np.repeat(rng.standard_normal(20) + side * 0.3, 30)
        columns = {"user": np.repeat(np.arange(20) + 100 * side, 30), "x": habits + 0.1 * rng.standard_normal(600)}
        paths.append(write(tmp_path / f"{side}.csv", columns))
    without, kept = compare_files(*paths, columns=["x"]), compare_files(*paths, columns=["x"], unit="user")
    assert without.columns[0].findings[0].p < 1e-3
    assert kept.columns[0].findings[0].p > 0.01
    with pytest.raises(UnknownName):
        compare_files(*paths, unit="account")


def test_two_windows_of_traffic_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from examples.traffic.simulator import Drift, World, simulate, write_day
    from rungwise.data.store import Store
    from rungwise.project import Project
    from rungwise.project.drift import ProjectDrift
    from tests.clocks import StillClock

    world = World(requests_per_day=60, season=False)
    first = simulate(world, 0).number
    clock = StillClock((first + 6) * 86400.0)
    project = Project.create(tmp_path / "live", clock=clock)
    found = project.traces
    with closing(Store.open(found.state, clock=clock)) as store:
        for day in range(6):
            write_day(store, simulate(world, day, [Drift(kind="length", start=3, strength=1.0)]))
    compared = ProjectDrift(found.directory, found.clock, found.state)
    report = compared.compare("3d", "6d..3d")
    assert "text" in report.drifted
    assert "group" not in report.drifted
    with pytest.raises(UsageError, match="overlap"):
        compared.compare("4d", "6d..3d")
    with pytest.raises(UsageError, match="no request"):
        compared.compare("3d", "90d..60d")
    with pytest.raises(UnknownName):
        compared.compare("3d", "6d..3d", columns=["txt"])
    terminal = Terminal(capsys)
    assert terminal("drift", found.directory).code == 2
    assert terminal("drift", found.directory, "--since", "1d", "--against", "2d..1d").code == 2


@pytest.mark.parametrize("content", [b"user,minutes\n", b"\xff\xfe\x00bad"])
def test_a_file_without_rows_is_no_sign_that_nothing_drifted(tmp_path: Path, content: bytes) -> None:
    full, empty = tmp_path / "a.csv", tmp_path / "b.csv"
    full.write_text("user,minutes\n" + "".join(f"u{n % 7},{n % 11}\n" for n in range(60)))
    empty.write_bytes(content)
    for paths in ((full, empty), (empty, full)):
        with pytest.raises(BadData, match=r"b\.csv"):
            compare_files(*paths)
