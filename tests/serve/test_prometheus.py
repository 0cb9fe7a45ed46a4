"""Counts of several processes on one page, in the form that Prometheus reads."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rungwise.serve import metrics as module
from rungwise.serve.metrics import KNOWN, SECONDS, AnswerCounts, Metrics, page

SERIES = re.compile(r'^([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\.)*",?)*)\})? (\S+)$')
LABEL = re.compile(r'([a-z]+)="((?:[^"\\\n]|\\.)*)"')
ESCAPED = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}


def read(text: bytes) -> dict[tuple[str, tuple[str, ...]], float]:
    """Name and label values of each line with its number, read as the format's description says."""
    found = {}
    for line in text.decode().split("\n"):
        if line and not line.startswith("#"):
            parts = SERIES.match(line)
            assert parts, line
            values = tuple(re.sub(r'\\[n"\\]', lambda one: ESCAPED[one[0]], value) for _, value in LABEL.findall(parts[2] or ""))
            found[parts[1], values] = float(parts[3])
    return found


def test_counts_of_all_workers_are_added_up(tmp_path: Path) -> None:
    first, second = (Metrics.open(tmp_path / f"worker-{n}.metrics") for n in range(2))
    first.count("rungwise_untraced_answers_total", "a").add(3)
    second.count("rungwise_untraced_answers_total", "a").add()
    second.count("rungwise_untraced_answers_total", "b").add()
    second.count("rungwise_requests_in_flight").set(5)
    found = read(page(tmp_path))
    assert found["rungwise_untraced_answers_total", ("a",)] == 4
    assert found["rungwise_untraced_answers_total", ("b",)] == 1
    assert found["rungwise_requests_in_flight", ()] == 5
    assert found["rungwise_worker_memory_bytes", ("0",)] > 1_000_000
    first.close()
    second.close()


def test_a_new_worker_of_a_seat_goes_on_counting_and_begins_its_gauges_anew(tmp_path: Path) -> None:
    path = tmp_path / "worker-0.metrics"
    before = Metrics.open(path)
    before.count("rungwise_feedback_total", "a").add(2)
    before.count("rungwise_engine_resting", "a", "e").set(1)
    before.spread("rungwise_engine_seconds", "a", "e").see(0.5)
    before.close()
    after = Metrics.open(path)
    after.count("rungwise_feedback_total", "a").add()
    after.spread("rungwise_engine_seconds", "a", "e").see(0.5)
    found = read(page(tmp_path))
    assert found["rungwise_feedback_total", ("a",)] == 3
    assert found["rungwise_engine_resting", ("a", "e")] == 0
    assert found["rungwise_engine_seconds_sum", ("a", "e")] == 1.0
    after.close()


def test_what_a_killed_process_counted_stays_and_its_gauges_go(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from rungwise.serve.metrics import Metrics\n"
        "m = Metrics.open(Path(sys.argv[1])); m.count('rungwise_feedback_total', 'a').add(7)\n"
        "m.count('rungwise_requests_in_flight').set(9); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "worker-0.metrics")], check=False, timeout=60)
    found = read(page(tmp_path))
    assert found == {("rungwise_feedback_total", ("a",)): 7}


def test_a_series_that_was_cut_while_it_was_made_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "worker-0.metrics"
    metrics = Metrics.open(path)
    metrics.count("rungwise_feedback_total", "a").add()
    metrics.close()
    with open(path, "r+b") as file:  # the key of a next record is there, and the header does not say so yet
        used = struct.unpack("<QQ", file.read(16))[0]
        file.seek(used)
        file.write(b"\xff" * 40)
    again = Metrics.open(path)
    again.count("rungwise_feedback_total", "b").add()
    found = read(page(tmp_path))
    assert found["rungwise_feedback_total", ("a",)] == found["rungwise_feedback_total", ("b",)] == 1
    again.close()


def test_buckets_hold_all_that_is_at_most_their_bound(tmp_path: Path) -> None:
    metrics = Metrics.open(tmp_path / "worker-0.metrics")
    spread = metrics.spread("rungwise_engine_seconds", "a", "e")
    for seconds in (0.001, 0.0025, 0.0026, 81.92, 100.0):
        spread.see(seconds)
    found = read(page(tmp_path))
    assert found["rungwise_engine_seconds_bucket", ("a", "e", "0.0025")] == 2
    assert found["rungwise_engine_seconds_bucket", ("a", "e", "0.005")] == 3
    assert found["rungwise_engine_seconds_bucket", ("a", "e", f"{SECONDS[-1]:g}")] == 4
    assert found["rungwise_engine_seconds_bucket", ("a", "e", "+Inf")] == 5
    assert found["rungwise_engine_seconds_count", ("a", "e")] == 5
    metrics.close()


def test_only_the_deployments_that_may_be_seen_are_shown(tmp_path: Path) -> None:
    metrics = Metrics.open(tmp_path / "worker-0.metrics")
    for name in ("mine", "theirs"):
        AnswerCounts(metrics, name).answered("chat", "a", 200, 0.1)
    metrics.count("rungwise_requests_in_flight").set(1)
    text = page(tmp_path, {"mine"})
    assert b"mine" in text
    assert b"theirs" not in text
    assert b"rungwise_requests_in_flight 1" in text
    metrics.close()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1, max_size=5, unique=True))
def test_any_name_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    folder = tmp_path_factory.mktemp("metrics")
    metrics = Metrics.open(folder / "worker-0.metrics")
    for number, name in enumerate(names, 1):
        metrics.count("rungwise_feedback_total", name).add(number)
    found = {labels[0]: value for (series, labels), value in read(page(folder)).items() if series == "rungwise_feedback_total"}
    assert found == {name: number for number, name in enumerate(names, 1)}
    metrics.close()
    shutil.rmtree(folder)


def test_more_series_than_there_is_room_for_are_not_shown_and_break_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "CAPACITY_BYTES", 8192)
    metrics = Metrics.open(tmp_path / "worker-0.metrics")
    for number in range(1000):
        metrics.spread("rungwise_engine_seconds", "a", f"engine {number}").see(1.0)
    found = read(page(tmp_path))
    assert 10 < sum(name == "rungwise_engine_seconds_count" for name, _ in found) < 1000
    assert "too many series" in caplog.text
    metrics.close()


def test_labels_must_be_as_many_as_the_metric_has(tmp_path: Path) -> None:
    metrics = Metrics.open(tmp_path / "worker-0.metrics")
    with pytest.raises(ValueError, match="rungwise_engine_seconds has the labels deployment, engine; 1 values were given"):
        metrics.spread("rungwise_engine_seconds", "a")
    metrics.close()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: apt install prometheus)")
def test_promtool_finds_nothing_wrong_with_any_metric(tmp_path: Path) -> None:
    metrics = Metrics.open(tmp_path / "worker-0.metrics")
    for name, known in KNOWN.items():
        labels = [f'a "{label}" \\ with\nsigns' for label in known.labels]
        if known.kind == "histogram":
            metrics.spread(name, *labels).see(0.3)
        else:
            metrics.count(name, *labels).add(1.5)
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=page(tmp_path), capture_output=True, check=False, timeout=60, env={**os.environ}
    )
    assert checked.returncode == 0, checked.stderr.decode()
    assert checked.stderr == b""
    metrics.close()
