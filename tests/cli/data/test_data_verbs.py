"""`rungwise data`: from a file to a curated version and a climb on it, at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from terminal import Terminal, ticket_rows, write_csv


@pytest.fixture
def rungwise(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = ticket_rows(60)
    rows[10]["message"] += " my password: hunter2-Kx81-qq-Zt"
    rows += [{**rows[3], "id": "copy"}]
    return write_csv(tmp_path / "tickets.csv", rows)


@pytest.fixture
def project(rungwise: Terminal, table: Path) -> Path:
    assert rungwise("data", "import", table, "--into", table.parent / "project", "--json").code == 0
    return table.parent / "project"


def test_an_import_says_what_it_took_in(rungwise: Terminal, table: Path) -> None:
    said = rungwise("data", "import", table, "--into", table.parent / "project", "--json")
    assert said.code == 0
    assert said.document.keys() == {"dataset", "rows", "quarantined", "read", "changed", "vanished", "seconds"}
    assert (said.document["rows"], said.document["quarantined"]) == (361, {})
    again = rungwise("data", "import", table, "--into", table.parent / "project")
    assert "nothing changed" in again.out
    assert "Next: rungwise data curate" in again.out


def test_the_exit_code_says_that_rows_could_not_be_taken_in(rungwise: Terminal, table: Path) -> None:
    with table.open("a", encoding="utf-8") as file:
        file.write("T1,ragged\n")
    said = rungwise("data", "import", table, "--into", table.parent / "project", "--json")
    assert (said.code, said.document["quarantined"]) == (1, {"malformed:ragged": 1})
    place = f"tickets.csv:{len(table.read_text(encoding='utf-8').splitlines())}"  # some messages take several lines
    listed = rungwise("data", "quarantine", table.parent / "project", "--json-lines")
    entry = json.loads(listed.out)
    assert entry.keys() == {"id", "place", "reason", "evidence", "raw"}
    assert (entry["place"], entry["reason"], entry["raw"]) == (place, "malformed:ragged", "T1,ragged")


def test_a_curation_says_what_it_kept_and_why_the_rest_went(rungwise: Terminal, project: Path) -> None:
    said = rungwise("data", "curate", project, "--steps", "dedup,pii", "--json")
    assert said.code == 0
    assert said.document.keys() == {"dataset", "kept", "quarantined", "seconds"}
    assert said.document["kept"] + sum(said.document["quarantined"].values()) == 361
    assert said.document["quarantined"] == {"dedup:exact": 1, "pii:secret": 1}
    listed = rungwise("data", "quarantine", project, "--reason", "pii", "--json").document
    assert [entry["reason"] for entry in listed] == ["pii:secret"]
    assert "hunter2" not in json.dumps(listed)


def test_a_step_that_does_not_exist_names_the_nearest(rungwise: Terminal, project: Path) -> None:
    said = rungwise("data", "curate", project, "--steps", "dedupe")
    assert (said.code, "Did you mean 'dedup'?" in said.err) == (2, True)


def test_versions_are_listed_named_shown_and_gone_back_to(rungwise: Terminal, project: Path) -> None:
    rungwise("data", "curate", project, "--steps", "dedup")
    log = rungwise("data", "log", project, "--json").document
    assert [(move["verb"], move["rows"]) for move in log] == [("curate", 360), ("import", 361)]
    assert rungwise("data", "tag", project, "raw", log[1]["dataset"][:10]).code == 0
    assert rungwise("data", "checkout", project, "raw", "--json").document["rows"] == 361
    assert "(HEAD, raw)" in rungwise("data", "log", project).out
    shown = rungwise("data", "show", project, "raw", "--limit", "1", "--json").document["shown"]
    assert shown[0]["place"] == "tickets.csv:2"
    said = rungwise("data", "checkout", project, "rav")
    assert (said.code, "Did you mean 'raw'?" in said.err) == (2, True)


def test_a_climb_reads_the_curated_version_and_names_it(rungwise: Terminal, project: Path) -> None:
    curated = rungwise("data", "curate", project, "--steps", "dedup,pii", "--json").document["dataset"]
    said = rungwise("climb", project, "--target", "accuracy=0.6", "--until", "classical", "--json")
    assert said.code in (0, 1)
    assert said.document["version"] == curated
    assert rungwise("replay", project).code == 0
    row = rungwise("lineage", project, ticket_rows(60)[0]["id"], "--json").document
    kinds = {thing["kind"] for thing in row["reached"]}
    assert {"Version", "Dataset", "Candidate", "Decision"} <= kinds
    assert row["places"] == ["tickets.csv:2"]
    candidate = said.document["rungs"][1]["candidate"]
    made = rungwise("lineage", project, candidate, "--rows", "--json").document
    assert {"id": curated, "kind": "Version"} in made["made_of"]
    assert {one["split"] for one in made["training_rows"]} == {"train", "dev"}


def test_a_row_that_was_set_aside_is_found_with_the_reason(rungwise: Terminal, project: Path) -> None:
    rungwise("data", "curate", project, "--steps", "dedup")
    found = rungwise("lineage", project, "copy", "--json").document
    assert found["kind"] == "Record"
    assert [aside["reason"] for aside in found["set_aside"]] == ["dedup:exact"]


def test_a_replay_after_the_data_moved_on_still_reads_the_version_of_the_decision(
    rungwise: Terminal, project: Path, table: Path
) -> None:
    rungwise("climb", project, "--target", "accuracy=0.6", "--until", "classical", "--quiet")
    with table.open("a", encoding="utf-8") as file:
        file.write("T9999,where is the parcel that I sent back last week,track_order,app\n")
    assert rungwise("data", "import", table, "--into", project, "--json").document["read"] < 10
    assert rungwise("replay", project).code == 0


def test_data_that_is_not_there_says_how_to_bring_it(rungwise: Terminal, tmp_path: Path) -> None:
    for verb in ("curate", "log", "show", "quarantine"):
        said = rungwise("data", verb, tmp_path / "nothing")
        assert (said.code, "Type: rungwise data import" in said.err) == (2, True)
    assert not (tmp_path / "nothing").exists()


def test_an_unknown_verb_names_the_nearest(rungwise: Terminal) -> None:
    said = rungwise("data", "imprt")
    assert (said.code, "Did you mean 'import'?" in said.err) == (2, True)


def test_the_doctor_knows_versions(rungwise: Terminal, project: Path) -> None:
    rungwise("climb", project, "--target", "accuracy=0.6", "--until", "floor", "--quiet")
    found = {finding["what"]: finding for finding in rungwise("doctor", project, "--json").document["findings"]}
    assert found["data"]["state"] == "ok"
    spec = project / "rungwise.yaml"
    spec.write_text(spec.read_text(encoding="utf-8").replace("version:HEAD", "version:lost"), encoding="utf-8")
    found = {finding["what"]: finding for finding in rungwise("doctor", project, "--json").document["findings"]}
    assert (found["data"]["state"], found["data"]["type"]) == ("problem", f"rungwise data import FILE --into {project}")
    said = rungwise("climb", project)
    assert (said.code, "there is no version 'lost'" in said.err) == (2, True)


def test_personal_data_is_masked_and_other_languages_set_aside_where_that_is_asked_for(rungwise: Terminal, tmp_path: Path) -> None:
    rows = [
        {"id": "1", "text": "Hello, I am Maria Schmidt from Berlin, mail me at maria@example.org please", "label": "a"},
        {"id": "2", "text": "Bonjour, je voudrais savoir où est mon colis, merci beaucoup", "label": "b"},
        {"id": "3", "text": "the parcel that you sent to me did not arrive until today", "label": "a"},
    ]
    rungwise("data", "import", write_csv(tmp_path / "rows.csv", rows), "--into", tmp_path / "project")
    options = ("--steps", "pii,language", "--pii", "mask", "--names", "--languages", "en", "--json")
    said = rungwise("data", "curate", tmp_path / "project", *options)
    assert (said.document["kept"], said.document["quarantined"]) == (2, {"language:not_allowed": 1})
    shown = rungwise("data", "show", tmp_path / "project", "--json").document["shown"]
    assert "Schmidt" not in shown[0]["text"]
    assert "[EMAIL]" in shown[0]["text"]
    assert shown[1]["text"] == rows[2]["text"]
    assert rungwise("data", "card", tmp_path / "project", "--json").code == 0


def test_a_choice_about_a_step_that_does_not_run_is_an_error(rungwise: Terminal, project: Path) -> None:
    said = rungwise("data", "curate", project, "--steps", "dedup", "--pii", "mask")
    assert (said.code, "not among those that run" in said.err) == (2, True)


def test_a_licence_that_is_given_later_keeps_the_curation(rungwise: Terminal, project: Path, table: Path) -> None:
    kept = rungwise("data", "curate", project, "--steps", "dedup", "--json").document["kept"]
    rungwise("data", "import", table, "--into", project, "--licence", "MIT")
    log = rungwise("data", "log", project, "--json").document
    assert (log[0]["kind"], log[0]["rows"]) == ("curated", kept)
    assert rungwise("data", "curate", project, "--steps", "dedup", "--json").document["kept"] == kept


def test_a_first_import_that_fails_leaves_nothing_behind(rungwise: Terminal, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,text\n", encoding="utf-8")
    assert rungwise("data", "import", tmp_path / "rows.csv", "--into", tmp_path / "new" / "project").code == 2
    assert not (tmp_path / "new" / "project").exists()


def test_a_corpus_without_labels_is_not_said_to_be_free_of_leaks(rungwise: Terminal, tmp_path: Path) -> None:
    rows = [{"id": f"d{i}", "text": f"a document about parcel {i * 7919} and how it came to be lost on its way"} for i in range(30)]
    rungwise("data", "import", write_csv(tmp_path / "rows.csv", rows), "--into", tmp_path / "project")
    rungwise("data", "curate", tmp_path / "project", "--steps", "dedup,leaks,labels")
    card = rungwise("data", "card", tmp_path / "project", "--json").document
    assert "leaks" not in card["steps"]


def test_the_card_counts_the_splits_that_a_climb_will_use(rungwise: Terminal, tmp_path: Path) -> None:
    rows = ticket_rows(40)
    rungwise("data", "import", write_csv(tmp_path / "rows.csv", rows[:200]), "--into", tmp_path / "project")
    labelled = [{**row, "split": "train"} for row in rows[200:]]  # as label-next writes them
    rungwise("data", "import", write_csv(tmp_path / "labelled.csv", labelled), "--into", tmp_path / "project")
    card = rungwise("data", "card", tmp_path / "project", "--json").document
    rungwise("climb", tmp_path / "project", "--target", "accuracy=0.6", "--until", "floor", "--quiet")
    assert card["splits"] == rungwise("forecast", tmp_path / "project", "--json").document["splits"]
    assert card["splits"]["train"] >= 40
