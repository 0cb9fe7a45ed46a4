"""Each verb as people see it: plain words on stdout, progress and notes on stderr, and the next command to type."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from terminal import Terminal, ticket_rows, write_csv

from rungwise.cli import main

UNTIL = ("--until", "classical")


@pytest.fixture
def rungwise(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "100")
    return Terminal(capsys)


@pytest.fixture(scope="module")
def climbed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verbs")
    source = write_csv(folder / "tickets.csv", ticket_rows())
    with pytest.raises(SystemExit):
        main(["climb", str(source), "--target", "accuracy=0.7", *UNTIL, "--quiet"])
    return folder


@pytest.fixture
def climbed(climbed_once: Path, tmp_path: Path) -> Path:
    shutil.copytree(climbed_once, tmp_path / "work")
    return tmp_path / "work" / "tickets"


def test_help_and_version_need_no_project(rungwise: Terminal) -> None:
    said = rungwise("--help")
    assert said.code == 0
    assert "forecast" in said.out
    assert rungwise("--version").out.startswith("rungwise, version ")
    for verb in ("init", "forecast", "climb", "ask", "report", "compare", "replay", "lineage", "doctor"):
        assert rungwise(verb, "--help").code == 0


def test_init_says_what_it_made_and_what_comes_next(rungwise: Terminal, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "t.csv", ticket_rows())
    said = rungwise("init", tmp_path / "p", "--from", source)
    assert said.out.splitlines() == [
        f"made {tmp_path / 'p' / 'rungwise.yaml'}",
        f"next: rungwise forecast {tmp_path / 'p'} --target accuracy=0.90",
    ]
    bare = rungwise("init", tmp_path / "q", "--task", "answer")
    assert "Set data: in" in bare.out
    assert "--target token_f1=0.90" in bare.out


def test_forecast_says_what_can_be_shown_and_what_each_rung_costs(rungwise: Terminal, climbed: Path) -> None:
    said = rungwise("forecast", climbed, "--target", "accuracy=0.9")
    assert said.code == 0
    assert said.err == ""
    for word in ("accuracy=0.9 with", "number 2", "if the truth is", "head", f"next: rungwise climb {climbed}"):
        assert word in said.out


def test_forecast_says_when_even_all_right_could_not_show_it(rungwise: Terminal, climbed: Path) -> None:
    said = rungwise("forecast", climbed, "--target", "accuracy=0.99")
    assert "Not possible yet" in said.out


def test_climb_tells_its_progress_on_stderr_and_its_ladder_on_stdout(rungwise: Terminal, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "t.csv", ticket_rows())
    said = rungwise("climb", source, "--target", "accuracy=0.7", *UNTIL)
    assert said.code == 0
    assert "column: text: 'message', by its name" in said.err
    assert [line.split(":")[0] for line in said.err.splitlines() if not line.startswith("column")] == [
        "rung 1 of 2, floor",
        "rung 2 of 2, classical",
    ]
    assert "Met: the classical rung" in said.out
    assert "rung 1 of 2" not in said.out
    assert f"rungwise ask {tmp_path / 't'}" in said.out
    assert (tmp_path / "t" / "report.html").exists()


def test_a_coverage_target_is_not_called_hopeless_for_the_quality_over_all_rows(rungwise: Terminal, climbed: Path) -> None:
    said = rungwise("climb", climbed, "--target", "accuracy=0.93@coverage=0.6", *UNTIL)
    assert said.code == 1
    assert "would not help" not in " ".join(said.out.split())


def test_quiet_leaves_out_the_progress_only(rungwise: Terminal, climbed: Path) -> None:
    said = rungwise("climb", climbed, *UNTIL, "--quiet")
    assert said.err == ""
    assert "Met" in said.out


def test_ask_answers_in_one_line(rungwise: Terminal, climbed: Path) -> None:
    said = rungwise("ask", climbed, "where is my parcel?")
    assert said.code == 0
    assert said.out.startswith("track_order  (")
    assert said.out.count("\n") == 1


@pytest.mark.parametrize("text", ["", " ", "🦉" * 500, "a\nb\tc", "\udcff broken", "x" * 200_000, "الطرد؟", "<script>", "[bold]"])
def test_ask_answers_whatever_it_is_asked(rungwise: Terminal, climbed: Path, text: str) -> None:
    assert rungwise("ask", climbed, text).code == 0


def test_batch_ask_says_how_many_and_where(rungwise: Terminal, climbed: Path) -> None:
    (climbed / "q.jsonl").write_text('{"message": "where is my parcel?", "answer": "theirs"}\n')
    said = rungwise("ask", climbed, "--input", climbed / "q.jsonl", "--output", climbed / "a.jsonl")
    assert said.out == f"1 answer in {climbed / 'a.jsonl'}\n"
    row = json.loads((climbed / "a.jsonl").read_text())
    assert row["answer"] == "theirs"  # the row keeps its own field
    assert row["rungwise_answer"] == "track_order"


def test_compare_shows_the_test_and_rows_whose_labels_can_be_read(rungwise: Terminal, climbed: Path) -> None:
    said = rungwise("compare", "floor", "classical", "--project", climbed, "--rows", "5")
    assert said.code == 0
    assert "McNemar" in said.out
    assert "classical is better on" in said.out
    rows = said.out.splitlines()[4:9]
    assert len(rows) == 5
    assert all(
        any(
            label in row
            for label in ("track_order", "return_item", "payment_failed", "loyalty_points", "reset_password", "invoice_request")
        )
        for row in rows
    )
    assert "more: --rows" in said.out
    assert rungwise("compare", "floor", "classical", "--project", climbed, "--rows", "-1").code == 2


def test_replay_says_that_it_agrees(rungwise: Terminal, climbed: Path) -> None:
    assert rungwise("replay", climbed).out.startswith("agrees: decision ")


def test_a_score_that_was_tampered_with_makes_the_replay_disagree(rungwise: Terminal, climbed: Path) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(climbed / "state" / "rungwise.db")) as connection:
        (id, body) = connection.execute("select id, body from nouns where kind = 'Decision'").fetchone()
        decision = json.loads(body)
        decision["rungs"][1]["test"]["low"] = 0.99
        connection.execute("update nouns set body = ? where id = ?", (json.dumps(decision), id))
        connection.commit()
    said = rungwise("replay", climbed)
    assert said.code == 1
    assert "does not agree" in said.out
    assert "low" in said.out


def test_lineage_walks_both_ways_by_short_ids_and_by_the_users_own(rungwise: Terminal, climbed: Path) -> None:
    document = rungwise("climb", climbed, *UNTIL, "--json").document
    back = rungwise("lineage", climbed, document["chosen"]["candidate"][:12])
    assert back.out.startswith("Candidate ")
    assert "train rows" in back.out
    forth = rungwise("lineage", climbed, ticket_rows()[0]["id"])
    assert forth.out.startswith("Row ")
    assert "Decision" in forth.out


def test_report_prints_its_path(rungwise: Terminal, climbed: Path) -> None:
    assert rungwise("report", climbed).out == f"{climbed / 'report.html'}\n"


def test_doctor_looks_at_the_project_and_says_what_to_type(rungwise: Terminal, climbed: Path, tmp_path: Path) -> None:
    said = rungwise("doctor", climbed)
    assert said.code == 0
    assert "+ data:" in said.out
    assert "type: rungwise init" in rungwise("doctor", tmp_path).out
    climbed.with_suffix(".csv").unlink()
    broken = rungwise("doctor", climbed)
    assert broken.code == 1
    assert "! data: there is no data file" in broken.out


def test_doctor_names_a_broken_rungwise_yaml_among_its_findings(rungwise: Terminal, climbed: Path) -> None:
    (climbed / "rungwise.yaml").write_text("task: [")
    said = rungwise("doctor", climbed)
    assert said.code == 1
    assert "! project:" in said.out
    assert "not valid YAML" in said.out
    assert "+ Python" in said.out
