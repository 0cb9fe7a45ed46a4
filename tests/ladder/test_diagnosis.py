"""`rungwise doctor`: what it says of endpoints, keys, prices, extras, disk and data, against servers that really run."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from oracle import MODEL, Oracle, serving_in_thread

from rungwise.cli.app import run
from rungwise.core.usecase import Endpoint, Limits
from rungwise.ladder.diagnosis import Finding
from rungwise.project import Project

PRICED = {"usd_per_m_input": 1.0, "usd_per_m_output": 4.0}


@pytest.fixture
def oracle() -> Oracle:
    return Oracle({"a question": "yes", "another": "no"})


def project(tmp_path: Path, *endpoints: Endpoint, **more: Any) -> Project:
    source = tmp_path / "data.csv"
    source.write_text("text,label\nhello there,a\ngood bye,b\n", encoding="utf-8")
    return Project.create(tmp_path / "p", source=source, endpoints=endpoints, **more)


def finding(found: Project, what: str) -> Finding:
    return next(one for one in found.doctor() if one.what == what)


def test_an_endpoint_that_answers_and_has_the_model_is_fine_and_is_not_asked_to_answer(tmp_path: Path, oracle: Oracle) -> None:
    with serving_in_thread(oracle) as url:
        made = project(tmp_path, Endpoint(name="oracle", base_url=url, model=MODEL, **PRICED))
        found = finding(made, "endpoint oracle")
        assert run(["doctor", str(made.directory)]) == 0
    assert found.state == "ok"
    assert f"has {MODEL}" in found.detail
    assert oracle.calls == 0


def test_a_model_that_the_endpoint_does_not_list_is_a_problem_with_those_that_it_has(tmp_path: Path, oracle: Oracle) -> None:
    with serving_in_thread(oracle) as url:
        found = finding(project(tmp_path, Endpoint(name="typo", base_url=url, model="oracle-2", **PRICED)), "endpoint typo")
    assert found.state == "problem"
    assert "lists no oracle-2; it has oracle-1" in found.detail


def test_an_endpoint_that_is_down_is_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = project(tmp_path, Endpoint(name="gone", base_url="http://127.0.0.1:9/v1", model="x", **PRICED))
    assert run(["doctor", str(made.directory)]) == 1
    shown = capsys.readouterr().out
    assert "! endpoint gone: http://127.0.0.1:9/v1 cannot be reached" in shown
    assert "Start the server, or mend base_url" in shown


def test_an_address_that_cannot_be_one_is_a_problem_and_not_a_crash(tmp_path: Path) -> None:
    found = finding(project(tmp_path, Endpoint(name="odd", base_url="localhost:8000", model="x", **PRICED)), "endpoint odd")
    assert (found.state, "base_url must look like" in found.detail) == ("problem", True)


def test_a_missing_key_is_named_with_what_to_type(
    tmp_path: Path, oracle: Oracle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RUNGWISE_ABSENT_KEY", raising=False)
    with serving_in_thread(oracle) as url:
        remote = Endpoint(name="oracle", base_url=url, model=MODEL, key_env="RUNGWISE_ABSENT_KEY", **PRICED)
        made = project(tmp_path, remote)
        found = finding(made, "key of oracle")
        assert (found.state, found.type) == ("problem", "export RUNGWISE_ABSENT_KEY=...")
        assert finding(made, "endpoint oracle").state == "problem"
        monkeypatch.setenv("RUNGWISE_ABSENT_KEY", "sk-0123456789-secret")
        assert finding(made, "key of oracle").state == finding(made, "endpoint oracle").state == "ok"
        run(["doctor", str(made.directory), "--json"])
    assert "secret" not in capsys.readouterr().out


def test_an_unknown_price_is_told_and_a_known_one_names_its_source(tmp_path: Path, oracle: Oracle) -> None:
    with serving_in_thread(oracle) as url:
        made = project(tmp_path, Endpoint(name="oracle", base_url=url, model=MODEL))
        found = finding(made, "price of oracle")
        assert found.state == "missing"
        assert "no known price: its calls count as 0 USD and no money budget can stop them" in found.detail
        table = '[[price]]\nhost = "127.0.0.1"\nmodel = "oracle-*"\ninput = 1.0\noutput = 2.0\n'
        (made.directory / "prices.toml").write_text(table, encoding="utf-8")
        assert finding(made, "price of oracle").detail == "from the project's prices.toml"
        made.configure(endpoints=(Endpoint(name="oracle", base_url=url, model=MODEL, usd_per_hour=2.0),))
        assert finding(made, "price of oracle").detail == "from rungwise.yaml, machine time"


def test_an_endpoint_of_an_offline_use_case_is_not_called(tmp_path: Path) -> None:
    gone = Endpoint(name="gone", base_url="http://127.0.0.1:9/v1", model="x", **PRICED)
    found = finding(project(tmp_path, gone, limits=Limits(offline=True)), "endpoint gone")
    assert (found.state, "was not called" in found.detail) == ("missing", True)


def test_a_missing_extra_names_what_cannot_run_and_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else real(name, *rest))
    found = finding(project(tmp_path), "extra local")
    assert (found.state, found.type) == ("missing", "pip install 'rungwise[local]'")
    assert "torch not installed" in found.detail


def test_a_full_disk_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    made = project(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 10**6, 10**6))
    assert finding(made, "disk").state == "problem"


def test_data_that_is_not_there_is_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = project(tmp_path)
    (tmp_path / "data.csv").unlink()
    assert run(["doctor", str(made.directory), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert next(one for one in document["findings"] if one["what"] == "data")["state"] == "problem"


def test_a_folder_without_a_project_is_told_how_to_make_one(tmp_path: Path) -> None:
    found = next(one for one in Project(tmp_path / "new").doctor() if one.what == "project")
    assert (found.state, found.type) == ("missing", f"rungwise init {tmp_path / 'new'} --task classify --from DATA.csv")
