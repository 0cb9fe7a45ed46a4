"""rungwise.yaml round-trips, and a misspelt key is named with its nearest neighbour."""

from __future__ import annotations

from pathlib import Path

import pytest

from rungwise.core.errors import BadData, UnknownName, UsageError
from rungwise.core.usecase import Columns, Endpoint, Limits, Target, UseCase
from rungwise.data.spec import read_gates, read_serving, read_use_case, read_watching, use_case_from, write_use_case

FULL = UseCase(
    name="tickets",
    task="classify",
    data="tickets.csv",
    columns=Columns(text="message", label="intent"),
    target=Target(metric="accuracy", value=0.95, coverage=0.8),
    limits=Limits(p95_s=0.5, licences=("mit",)),
    endpoints=(Endpoint(name="local", base_url="http://127.0.0.1:1/v1", model="tiny"),),
    descriptions={"a": "the letter a"},
)


def test_a_use_case_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_use_case(tmp_path / "rungwise.yaml", FULL)
    assert read_use_case(tmp_path / "rungwise.yaml") == FULL
    assert "seed" not in (tmp_path / "rungwise.yaml").read_text()  # defaults are left out


def test_an_unknown_key_names_the_nearest_known_one() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'p95_s'"):
        use_case_from({"name": "x", "task": "classify", "limits": {"p95": 1.0}}, where="rungwise.yaml")


@pytest.mark.parametrize(
    "target", ["accuracy=1.0", "accuracy=1.5", "accuracy=0", "accuracy", "accuracy=abc", "accuracy=0.9@coverage=2"]
)
def test_a_target_that_cannot_be_shown_is_refused(target: str) -> None:
    with pytest.raises(UsageError):
        Target.parse(target)


def test_yaml_that_is_not_yaml_says_where(tmp_path: Path) -> None:
    (tmp_path / "rungwise.yaml").write_text("a: [1,")
    with pytest.raises(BadData, match=r"rungwise\.yaml"):
        read_use_case(tmp_path / "rungwise.yaml")


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="classify"):
        use_case_from({"name": "x", "task": "clasify"}, where="here")


def test_sections_stand_beside_the_use_case_and_stay_when_it_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "rungwise.yaml"
    path.write_text(
        "task: classify\nserve: {capture: masked, timeouts: {total_s: 5}, fallback: {a: [b]},\n"
        "  guards: [{guard: phrases, settings: {words: [x]}}], variant_timeouts: {old: {first_token_s: 1}}}\n"
        "gates: {usd_per_1k: 2}\n"
    )
    case = read_use_case(path)
    write_use_case(path, case)
    serving = read_serving(path)
    assert (serving.capture, serving.timeouts.total_s, serving.fallback) == ("masked", 5, {"a": ("b",)})
    assert serving.guards[0].settings == {"words": ["x"]}
    assert serving.variant_timeouts["old"].first_token_s == 1
    assert read_gates(path).usd_per_1k == 2


def test_an_unknown_key_of_a_section_names_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "rungwise.yaml"
    path.write_text("task: classify\nserve: {captur: full}\n")
    with pytest.raises(UnknownName, match="Did you mean 'capture'"):
        read_use_case(path)


def test_capture_may_be_off_although_yaml_reads_that_as_false(tmp_path: Path) -> None:
    path = tmp_path / "rungwise.yaml"
    path.write_text("task: classify\nserve: {capture: off}\n")
    assert read_serving(path).capture == "off"


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("capture: maskd", "Did you mean 'masked'"),
        ("disk_full: panic", "Known: answer, refuse"),
        ("contest: {metric: scor}", "Did you mean 'score'"),
        ("contest: {level: 2}", "contest.level must lie between 0 and 1"),
        ("cache_s: -1", "cache_s cannot be negative"),
        ("breaker: {failures: 0}", "must be at least 1"),
        ("otlp_url: 'file:///tmp/x'", "otlp_url must look like"),
        ("fallback: {a: [a]}", "cannot stand in for itself"),
    ],
)
def test_a_value_of_serve_that_cannot_be_is_told_when_the_project_is_read(tmp_path: Path, section: str, told: str) -> None:
    path = tmp_path / "rungwise.yaml"
    path.write_text(f"task: classify\nserve: {{{section}}}\n")
    with pytest.raises(UsageError, match=told):
        read_use_case(path)


def test_keys_that_yaml_takes_for_truth_values_are_words(tmp_path: Path) -> None:
    path = tmp_path / "rungwise.yaml"
    path.write_text(
        "task: classify\ndescriptions: {yes: it is, no: it is not}\nlimits: {offline: yes}\n"
        "watch:\n  off: [drift, fairness.latency]\n  money: {outcomes: {no: -1, on: 2}}\n"
    )
    case = read_use_case(path)
    assert case.descriptions == {"yes": "it is", "no": "it is not"}
    assert case.limits.offline
    assert read_watching(path).off == ("drift", "fairness.latency")
    assert read_watching(path).money.outcomes == {"no": -1.0, "on": 2.0}
    write_use_case(path, case)
    assert (read_use_case(path), read_watching(path).off) == (case, ("drift", "fairness.latency"))


@pytest.mark.parametrize(
    "line",
    [
        "reference: foo",
        "reference: 2026-13-10..2026-11-01",
        "reference: 2026-11-10..2026-11-01",
        "reference: 2026-11-01..",
        "rules: [{name: '', metric: drift}]",
        "rules: [{name: a, metric: ' '}]",
        "rules: [{name: a, metric: drift, days: 0}]",
        "review: {copies: 0}",
        "money: {outcomes: {a: .inf}}",
    ],
)
def test_what_watching_cannot_follow_is_refused_when_the_file_is_read(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rungwise.yaml"
    path.write_text(f"task: classify\nwatch: {{{line}}}\n")
    with pytest.raises(UsageError):
        read_watching(path)
    with pytest.raises(UsageError):
        read_use_case(path)


@pytest.mark.parametrize("reference", ["auto", "rows", "2026-01-01..2026-01-28", "2030-01-01..2030-01-01"])
def test_days_of_reference_are_taken(tmp_path: Path, reference: str) -> None:
    path = tmp_path / "rungwise.yaml"
    path.write_text(f"task: classify\nwatch: {{reference: {reference}}}\n")
    assert read_watching(path).reference == reference
