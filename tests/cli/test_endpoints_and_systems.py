"""Endpoints and included systems on the command line, beside what rungwise.yaml says of them already."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from rungwise.cli.app import run
from rungwise.project import Project

URL = "http://127.0.0.1:9/v1"  # forecast calls nobody


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    rows = [f"r{place},text number {place},{'ab'[place % 2]}" for place in range(80)]
    path.write_text("\n".join(["id,text,label", *rows]), encoding="utf-8")
    return path


def forecast(source: Path, *options: str) -> Project:
    assert run(["forecast", str(source), "--target", "accuracy=0.5", *options, "--json"]) == 0
    return Project(source.with_suffix(""))


def test_the_same_command_keeps_the_price_that_was_set_in_the_file(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = forecast(source, "--endpoint", f"{URL}#m")
    priced = dataclasses.replace(project.case.endpoints[0], usd_per_m_input=1.0, concurrency=3)
    project.configure(endpoints=(priced,))
    assert forecast(source, "--endpoint", f"{URL}#m").case.endpoints == (priced,)
    with_key = forecast(source, "--endpoint", f"{URL}#m", "--key-env", "MY_KEY").case.endpoints
    assert with_key == (dataclasses.replace(priced, key_env="MY_KEY"),)


def test_the_same_model_at_two_addresses_gets_two_names(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = forecast(source, "--endpoint", f"{URL}#org/m", "--endpoint", "http://127.0.0.1:10/v1#org/m")
    assert [one.name for one in project.case.endpoints] == ["m", "m-2"]
    ladder = [one.rung for one in project.forecast().rungs]
    assert {"zero-shot:m", "zero-shot:m-2"} <= set(ladder)


def test_an_included_system_keeps_its_price_and_latency(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs, others = tmp_path / "one" / "theirs.csv", tmp_path / "two" / "theirs.csv"
    for path in (theirs, others):
        path.parent.mkdir()
        path.write_text("\n".join(["id,prediction", *(f"r{place},a" for place in range(80))]), encoding="utf-8")
    project = forecast(source, "--include", str(theirs), "--include-price", "0.5")
    slow = dataclasses.replace(project.case.include[0], p95_s=0.4)
    assert slow.usd_per_1k == 0.5
    project.configure(include=(slow,))
    both = forecast(source, "--include", str(theirs), "--include", str(others)).case.include
    assert [(one.name, one.usd_per_1k, one.p95_s) for one in both] == [("theirs", 0.5, 0.4), ("theirs-2", 0.0, None)]
    dearer = forecast(source, "--include", str(theirs), "--include-price", "0.7").case.include
    assert [(one.usd_per_1k, one.p95_s) for one in dearer] == [(0.7, 0.4)]
