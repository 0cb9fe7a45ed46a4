"""`rungwise alerts`: what people type, and what programs read."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest
import yaml

from rungwise.cli.app import run
from rungwise.cli.app import rungwise as cli
from rungwise.core.reading import ALARM, DAY_S, Reading
from rungwise.core.watching import Rule, Watching
from rungwise.data.alerts import Alert
from rungwise.data.spec import read_watching
from rungwise.data.store import Store
from rungwise.engines.clock import SystemClock
from rungwise.project import Project
from rungwise.watch.alerts.prometheus import alerting_rules
from rungwise.watch.alerts.state import note
from rungwise.watch.alerts.words import commands

TRACE = "0" * 31 + "1"


def project(directory: Path, **watch: object) -> Path:
    Project.create(directory, task="classify")
    path = directory / "rungwise.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "watch": watch}))
    return directory


def noticed(directory: Path, monitor: str = "drift.input.length", **more: object) -> str:
    """Let an alert open as a look does."""
    store = Store.open(directory / "state", clock=SystemClock())
    told = {"since": 100.0 * DAY_S, "until": 101.0 * DAY_S, "why": "Questions are\x1b[2J longer.", "traces": (TRACE,), "p": 0.001}
    reading = Reading(monitor=monitor, state=ALARM, level=0.01, **{**told, **more})  # type: ignore[arg-type]
    with store.write(alone=True) as connection:
        (opened,) = note(connection, read_watching(directory / "rungwise.yaml"), [reading], at=101.5 * DAY_S)
    store.close()
    return opened.id


def spoken(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert run(["alerts", *words]) == code
    return capsys.readouterr().out


def test_the_verb_may_be_left_out_and_the_list_says_what_to_type_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = project(tmp_path / "tickets")
    assert "no alert is open" in spoken(capsys, str(directory))
    id = noticed(directory)
    text = spoken(capsys, str(directory), code=1)
    assert text == spoken(capsys, "list", str(directory), code=1)
    for expected in (id[:12], "warning", "p 0.001, compared with 0.01", "since 1970-04-11", TRACE, f"--because {id[:12]}"):
        assert expected in text
    assert "\x1b" not in text


def test_of_many_the_newest_are_shown_and_the_rest_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rungwise.cli import alerts

    directory = project(tmp_path / "tickets")
    for name in ("length", "language", "vocabulary"):
        noticed(directory, f"drift.input.{name}")
    monkeypatch.setattr(alerts, "SHOWN", 1)
    assert "and 2 more: --limit 3" in spoken(capsys, str(directory), code=1)
    assert "more" not in spoken(capsys, str(directory), "--limit", "3", code=1)


def test_one_is_taken_up_and_closed_and_then_shown_only_with_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = project(tmp_path / "tickets")
    id = noticed(directory)
    assert "acknowledged by ann" in spoken(capsys, "ack", str(directory), id[:6], "--by", "ann")
    assert "acknowledged by ann" in spoken(capsys, str(directory))
    spoken(capsys, "resolve", str(directory), id[:6], "--by", "bob", "--note", "a campaign")
    assert "no alert is open" in spoken(capsys, str(directory))
    (told,) = json.loads(spoken(capsys, str(directory), "--all", "--json"))["alerts"]
    assert (told["state"], told["by"], told["note"], told["next"]) == ("resolved", "bob", "a campaign", [])
    assert run(["alerts", "ack", str(directory), id, "--by", "ann"]) == 2
    assert "resolved already: a campaign" in capsys.readouterr().err


def test_a_misspelt_verb_an_unknown_id_and_a_folder_without_project_say_what_to_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = project(tmp_path / "tickets")
    assert run(["alerts", "akc", str(directory), "1", "--by", "ann"]) == 2
    assert "Did you mean 'ack'?" in capsys.readouterr().err
    assert run(["alerts", "ack", str(directory), "ffff", "--by", "ann"]) == 2
    assert "there is no alert 'ffff'" in capsys.readouterr().err
    assert run(["alerts", str(tmp_path / "none")]) == 2
    assert not (tmp_path / "none").exists()


def test_what_is_to_be_told_is_sent_and_a_test_goes_to_every_sink(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sinks = [{"kind": "file", "to": "alerts.jsonl"}, {"kind": "webhook", "to": "http://127.0.0.1:1/s3cret"}]
    directory = project(
        tmp_path / "tickets", sinks=sinks, rules=[{"name": "typo", "metric": "drit"}, {"name": "d", "metric": "drift"}]
    )
    id = noticed(directory)
    text = spoken(capsys, "send", str(directory), code=1)
    assert f"file alerts.jsonl  {id[:12]} opened  sent" in text
    assert "pending" in text
    assert "s3cret" not in text
    assert run(["alerts", "test", str(directory), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    first, second = told["doubts"]
    assert "no monitor called 'drit' has read anything. Did you mean 'drift'?" in first
    assert second.endswith("no monitor called 'drift' has read anything")
    assert [one["state"] for one in told["sent"]] == ["sent", "given_up"]
    lines = [json.loads(line) for line in (directory / "alerts.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["opened", "test"]
    assert lines[0]["next"][0].startswith("rungwise watch ")


@pytest.mark.parametrize(
    ("monitor", "about"),
    [
        ("drift.input.length", {"variant": "b"}),
        ("drift.output.failures", {}),
        ("quality.target", {}),
        ("cost.budget", {}),
        ("feedback.thumbs", {"group": "learner"}),
        ("fairness.quality", {}),
        ("review.waiting", {}),
    ],
)
def test_every_command_that_is_told_can_be_typed(monitor: str, about: dict[str, str], tmp_path: Path) -> None:
    from rungwise.data.traces.where import parse_where

    reading = Reading(monitor=monitor, since=0.0, until=DAY_S, about=about, traces=(TRACE,))
    alert = Alert(id="a" * 32, rule="r", reading=reading, opened_at=0.0, changed_at=0.0, since=0.0, heard_until=0.0)
    for line in commands(alert, tmp_path / "my project"):
        command: click.Command = cli
        words = shlex.split(line)[1:]
        while isinstance(command, click.Group):
            found = command.get_command(click.Context(command), words[0])
            assert found is not None, line
            command, words = found, words[1:]
        context = command.make_context("x", [*words], resilient_parsing=False)
        assert str(tmp_path / "my project") in context.params.values(), line
        if "where" in context.params:
            parse_where(context.params["where"], now=DAY_S)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: apt install prometheus)")
def test_promtool_finds_nothing_wrong_with_the_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = [{"name": 'odd "name" {{ $x }}\\', "metric": "quality.target", "when": "high < 0.9"}]
    directory = project(tmp_path / 'ti"ck{{e}}ts', rules=rules)
    file = tmp_path / "rules.yml"
    spoken(capsys, "prometheus", str(directory), "--output", str(file))
    done = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 rules found" in done.stdout


def test_the_rules_ask_only_for_what_the_server_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import re

    from rungwise.serve.metrics import KNOWN

    text = spoken(capsys, "prometheus", str(project(tmp_path / "tickets")))
    assert yaml.safe_load(text)["groups"][0]["name"] == "rungwise tickets"
    asked = set(re.findall(r"rungwise_[a-z_]+[a-z]", text))
    assert {one.removesuffix("_bucket") for one in asked} <= set(KNOWN)
    assert alerting_rules("tickets", Watching(rules=(Rule(name="a", metric="b"),))) != text
