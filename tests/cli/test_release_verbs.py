"""`release`, `rollback` and `gate` as people and build servers see them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from terminal import Terminal

from tests.clocks import StillClock
from tests.release.decided_projects import CASE, CLASSICAL, HEAD, Decided, decided


@pytest.fixture
def rungwise(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


@pytest.fixture
def project(tmp_path: Path, clock: StillClock) -> Decided:
    return decided(tmp_path / "tickets", clock)


def test_the_chosen_candidate_goes_live(rungwise: Terminal, project: Decided) -> None:
    document = rungwise("release", project.folder, "--json").document
    live = project.releases.live()
    assert live is not None
    assert document["release"] == live.id
    assert document["variants"] == [{"name": "classical", "candidate": CLASSICAL.id, "weight": 1.0}]
    assert (document["moved"], document["passed"], document["before"]) == (True, True, None)
    said = rungwise("release", project.folder)
    assert said.code == 0
    assert "was live already" in said.out


def test_a_failed_gate_changes_nothing_and_is_exit_code_one(rungwise: Terminal, project: Decided) -> None:
    rungwise("release", project.folder)
    before = project.releases.live()
    said = rungwise("release", project.folder, "--candidate", "head", "--json")
    assert said.code == 1
    assert said.document["release"] is None
    assert [one["gate"] for one in said.document["gates"] if one["state"] == "failed"] == ["verdict"]
    assert "failed" in rungwise("release", project.folder, "--candidate", "head").out
    assert project.releases.live() == before


def test_a_gate_is_waived_under_a_name_and_kept_in_the_history(rungwise: Terminal, project: Decided) -> None:
    assert rungwise("release", project.folder, "--candidate", "head", "--despite", "only a pilot").code == 2
    said = rungwise("release", project.folder, "--candidate", "head", "--despite", "only a pilot", "--approve", "ann")
    assert said.code == 0
    assert "waived" in said.out
    (move,) = rungwise("release", project.folder, "--history", "--json").document
    assert (move["by"], move["why"], move["approved_by"], move["note"]) == ("ann", "only a pilot", "ann", "only a pilot")
    assert "by ann, only a pilot" in rungwise("release", project.folder, "--history").out


def test_two_candidates_share_the_traffic_and_shares_change_while_live(rungwise: Terminal, project: Decided) -> None:
    project.say("gates: {verdicts: [met, cannot_tell]}")
    both = ("--candidate", "classical", "--candidate", f"new={HEAD.id[:10]}")
    said = rungwise("release", project.folder, *both)
    assert said.code == 2
    assert "--traffic classical=0.5,new=0.5" in said.err
    first = rungwise("release", project.folder, *both, "--traffic", "classical=0.9,new=10%", "--shadow", "floor", "--json").document
    assert [(one["name"], one["weight"]) for one in first["variants"]] == [("classical", 0.9), ("new", 0.1)]
    before = project.releases.live()
    rungwise("release", project.folder, "--traffic", "new=1")
    after = project.releases.live()
    assert before is not None
    assert after is not None
    assert [(one.name, one.weight) for one in after.variants] == [("classical", 0.0), ("new", 1.0)]
    assert (after.salt, after.shadow) == (before.salt, before.shadow)
    rungwise("release", project.folder, "--shadow", "none")
    live = project.releases.live()
    assert live is not None
    assert (live.shadow, live.variants) == ((), after.variants)


def test_rollback_is_one_command(rungwise: Terminal, project: Decided) -> None:
    assert "nothing was released" in rungwise("rollback", project.folder).err
    first = rungwise("release", project.folder, "--json").document["release"]
    second = rungwise("release", project.folder, "--relay", "local", "--despite", "pilot", "--approve", "ann", "--json").document
    said = rungwise("rollback", project.folder, "--by", "bob", "--why", "slow", "--json")
    assert said.code == 0
    assert (said.document["release"], said.document["before"]) == (first, second["release"])
    assert rungwise("rollback", project.folder, "--to", second["release"][:8], "--json").document["release"] == second["release"]
    assert rungwise("rollback", project.folder, "--to", "nothing").code == 2


def test_an_engine_is_relayed_to_under_its_own_name(rungwise: Terminal, project: Decided) -> None:
    said = rungwise("release", project.folder, "--relay", "local", "--json")
    assert said.code == 1
    assert "no climb ever tested it" in said.document["gates"][1]["why"]
    done = rungwise("release", project.folder, "--relay", "fast=local", "--despite", "pilot", "--approve", "ann", "--json").document
    assert done["variants"][0]["name"] == "fast"
    assert done["evidence"] == []
    assert "Did you mean 'local'?" in rungwise("release", project.folder, "--relay", "locl").err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--candidate", "clasical"), "Did you mean 'classical'?"),
        (("--traffic", "classical"), "--traffic a=0.9,b=0.1"),
        (("--traffic", "classical=0.4"), "add up to 0.4"),
        (("--traffic", "classical=0.5,classical=0.5"), "twice"),
        (("--candidate", "classical", "--traffic", "clasical=1"), "Did you mean 'classical'?"),
        (("--candidate", "a=classical", "--candidate", "a=head"), "two candidates are called 'a'"),
        (("--candidate", "a b=classical"), "cannot name a variant"),
        (("--candidate", "classical", "--candidate", "classical"), "two candidates are called"),
    ],
)
def test_what_makes_no_sense_says_what_to_type(rungwise: Terminal, project: Decided, options: tuple[str, ...], told: str) -> None:
    said = rungwise("release", project.folder, *options)
    assert said.code == 2
    assert told in said.err
    assert project.releases.live() is None


def test_without_a_decision_there_is_nothing_to_release(rungwise: Terminal, tmp_path: Path) -> None:
    assert rungwise("release", tmp_path / "nowhere").code == 2
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "rungwise.yaml").write_text("task: classify\ndata: x.csv\n")
    assert "rungwise climb" in rungwise("release", tmp_path).err


def test_a_build_server_reads_the_gates_and_nothing_is_released(rungwise: Terminal, project: Decided, tmp_path: Path) -> None:
    files = ("--junit", tmp_path / "gates.xml", "--sarif", tmp_path / "gates.sarif")
    assert rungwise("gate", project.folder, *files).code == 0
    assert 'failures="0"' in (tmp_path / "gates.xml").read_text()
    said = rungwise("gate", project.folder, "--candidate", "head", *files, "--json")
    assert said.code == 1
    assert said.document["passed"] is False
    assert 'failures="1"' in (tmp_path / "gates.xml").read_text()
    levels = {one["ruleId"]: one["level"] for one in json.loads((tmp_path / "gates.sarif").read_text())["runs"][0]["results"]}
    assert levels == {"allowed": "none", "verdict": "error", "target": "none"}
    assert project.releases.live() is None


def test_a_target_raised_in_the_file_stops_an_old_decision(rungwise: Terminal, project: Decided) -> None:
    path = project.folder / "rungwise.yaml"
    path.write_text(path.read_text().replace("accuracy=0.8", "accuracy=0.99"))
    said = rungwise("gate", project.folder)
    assert said.code == 1
    assert "climb again" in said.out


def test_a_use_case_that_was_edited_since_is_kept_with_the_release(rungwise: Terminal, project: Decided) -> None:
    path = project.folder / "rungwise.yaml"
    path.write_text(path.read_text() + "forecast_volume: 5\n")
    rungwise("release", project.folder)
    live = project.releases.live()
    assert live is not None
    assert live.use_case != CASE.id
