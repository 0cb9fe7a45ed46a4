"""Bad input at the real command line: the right exit code, a message that says what to type next, and a state that still works."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from terminal import Said, Terminal, ticket_rows, write_csv

from rungwise.cli import main
from rungwise.data.lock import project_lock

GOOD = ("--target", "accuracy=0.7", "--until", "classical")
MIB = 2**20


@pytest.fixture
def rungwise(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "tickets.csv", ticket_rows())


@pytest.fixture(scope="module")
def climbed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was climbed and met its target; copied by each test that spoils it."""
    folder = tmp_path_factory.mktemp("climbed")
    source = write_csv(folder / "tickets.csv", ticket_rows())
    with pytest.raises(SystemExit) as ended:
        main(["climb", str(source), *GOOD, "--quiet"])
    assert ended.value.code == 0
    return folder


@pytest.fixture
def climbed(climbed_once: Path, tmp_path: Path) -> Path:
    shutil.copytree(climbed_once, tmp_path / "work")
    return tmp_path / "work" / "tickets"


def refused(said: Said, *words: str, code: int = 2) -> None:
    """One line on stderr with these words, nothing on stdout, and the exit code."""
    assert said.code == code, said.err
    assert said.out == ""
    assert said.err.startswith("rungwise: ")
    for word in words:
        assert word in said.err


def works(said: Said) -> None:
    """A climb that met its target."""
    assert said.code == 0, said.out + said.err


# --- files ---------------------------------------------------------------------------------------------------------------


def test_an_empty_file_asks_for_a_header_and_leaves_nothing_behind(rungwise: Terminal, tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").write_text("")
    refused(rungwise("climb", tmp_path / "tickets.csv", *GOOD), "the file is empty", "header line")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["tickets.csv"]
    write_csv(tmp_path / "tickets.csv", ticket_rows())
    works(rungwise("climb", tmp_path / "tickets.csv", *GOOD))


def test_a_header_without_rows_asks_for_rows(rungwise: Terminal, tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").write_text("message,intent\n")
    refused(rungwise("climb", tmp_path / "tickets.csv", *GOOD), "no usable row", "Add rows")


def test_one_class_only_says_which_and_names_the_option(rungwise: Terminal, tmp_path: Path) -> None:
    rows = [{**row, "intent": "track_order"} for row in ticket_rows()]
    source = write_csv(tmp_path / "tickets.csv", rows)
    refused(rungwise("climb", source, *GOOD), "only one class ('track_order')", "--label")


def test_a_class_with_one_example_is_a_note_and_the_climb_goes_on(rungwise: Terminal, tmp_path: Path) -> None:
    rows = ticket_rows()
    rows[5]["intent"] = "lonely"
    said = rungwise("climb", write_csv(tmp_path / "tickets.csv", rows), *GOOD)
    works(said)
    assert "one example only" in said.err
    assert "lonely" in said.err


def test_a_label_that_only_sealed_rows_carry_is_a_note_and_counts_as_wrong(rungwise: Terminal, tmp_path: Path) -> None:
    rows = ticket_rows()
    splits = ["train"] * 280 + ["dev"] * 80 + ["test"] * 120
    order = sorted(range(480), key=lambda place: hash_of(rows[place]["id"]))
    for split, place in zip(splits, order, strict=True):
        rows[place]["split"] = split
    rows[order[-1]]["intent"] = rows[order[-2]]["intent"] = "never_seen"
    said = rungwise(
        "climb", write_csv(tmp_path / "tickets.csv", rows), "--target", "accuracy=0.65", "--until", "classical", "--json"
    )
    assert said.code == 0
    assert said.document["verdict"] == "met"
    forecast = rungwise("forecast", tmp_path / "tickets")
    assert forecast.code == 0
    again = rungwise("climb", tmp_path / "tickets", "--until", "classical")
    assert "only in the sealed test" in again.err
    assert "never_seen" in again.err


def hash_of(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(("option", "column", "nearest"), [("--label", "intnt", "intent"), ("--text", "mesage", "message")])
def test_a_misspelt_column_names_the_nearest_and_is_forgotten(
    rungwise: Terminal, tickets: Path, option: str, column: str, nearest: str
) -> None:
    refused(rungwise("climb", tickets, option, column, *GOOD), f"there is no column '{column}'", f"Did you mean '{nearest}'?")
    works(rungwise("climb", tickets, *GOOD))  # the misspelt option does not stick to the project


def test_a_missing_label_column_lists_the_columns(rungwise: Terminal, tmp_path: Path) -> None:
    rows = [{"id": row["id"], "message": row["message"]} for row in ticket_rows()]
    refused(rungwise("climb", write_csv(tmp_path / "t.csv", rows), *GOOD), "which column", "'message'", "--label COLUMN")


def test_null_and_nan_cells_are_set_aside_and_counted(rungwise: Terminal, tmp_path: Path) -> None:
    rows = [{"message": row["message"], "intent": row["intent"]} for row in ticket_rows()]
    lines = [json.dumps(row) for row in rows]
    lines[3] = '{"message": null, "intent": "track_order"}'
    lines[4] = '{"message": NaN, "intent": "track_order"}'
    lines[5] = '{"message": "where is it", "intent": null}'
    lines[6] = '{"message": "where is it now", "intent": NaN}'
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    said = rungwise("climb", tmp_path / "t.jsonl", *GOOD)
    works(said)
    assert "4 rows were set aside" in said.err
    assert "t.jsonl:" in said.err


def test_broken_characters_are_set_aside_with_their_line(rungwise: Terminal, tmp_path: Path) -> None:
    # Half an emoji: what a program that cuts UTF-16 in the middle writes. It cannot be stored as UTF-8.
    lines = [json.dumps({"message": row["message"], "intent": row["intent"]}) for row in ticket_rows()]
    lines[7] = '{"message": "oh no \\ud83d", "intent": "track_order"}'
    lines[8] = '{"message": "a zero \\u0000 byte", "intent": "track_order"}'
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    said = rungwise("climb", tmp_path / "t.jsonl", *GOOD)
    works(said)
    assert "2 rows were set aside" in said.err


def test_a_cell_of_ten_megabytes_is_a_row_like_any_other(rungwise: Terminal, tmp_path: Path) -> None:
    rows = ticket_rows()
    rows[9]["message"] = "where is my parcel " * (10 * MIB // 19)
    works(rungwise("climb", write_csv(tmp_path / "t.csv", rows), *GOOD))


def test_mixed_encodings_name_line_and_byte_and_the_command_that_mends_it(rungwise: Terminal, tickets: Path) -> None:
    whole = tickets.read_bytes()
    tickets.write_bytes(whole + "T9,Wo ist mein Päckchen?,track_order,app\r\n".encode("latin-1"))
    refused(rungwise("climb", tickets, *GOOD), "is not UTF-8", "tickets.csv:", "iconv -f WINDOWS-1252")
    tickets.write_bytes(whole)
    works(rungwise("climb", tickets, *GOOD))


def test_a_byte_order_mark_does_not_become_part_of_a_column_name(rungwise: Terminal, tickets: Path) -> None:
    tickets.write_bytes(b"\xef\xbb\xbf" + tickets.read_bytes())
    works(rungwise("climb", tickets, "--key", "id", *GOOD))


def test_duplicate_ids_are_kept_and_named(rungwise: Terminal, tmp_path: Path) -> None:
    rows = ticket_rows()
    rows[1]["id"] = rows[0]["id"]
    said = rungwise("climb", write_csv(tmp_path / "t.csv", rows), *GOOD)
    works(said)
    assert f"'{rows[0]['id']}' (t.csv:2 and t.csv:3)" in said.err


def test_leaked_rows_stop_the_climb_and_the_option_that_allows_them_is_named(rungwise: Terminal, tmp_path: Path) -> None:
    rows = ticket_rows()
    for place, row in enumerate(rows):
        row["split"] = ("train", "dev", "test")[place % 3]
    for place in range(0, 60, 3):
        rows[place + 2]["message"] = rows[place]["message"]
    source = write_csv(tmp_path / "t.csv", rows)
    refused(rungwise("climb", source, *GOOD), "--allow-leaks")
    assert rungwise("climb", source, *GOOD, "--allow-leaks").code in (0, 1)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tickets.cvs", "Did you mean"),
        ("nowhere/tickets.csv", "does not exist"),
        ("notes.md", "its name must end in"),
        ("tickets", "its name must end in"),
    ],
)
def test_a_misspelt_or_foreign_file_says_so(rungwise: Terminal, tickets: Path, name: str, words: str) -> None:
    for other in ("notes.md", "tickets"):
        (tickets.parent / other).write_text("hello")
    refused(rungwise("climb", tickets.parent / name, *GOOD), words)


def test_a_file_where_the_project_folder_should_be_is_named(rungwise: Terminal, tickets: Path) -> None:
    (tickets.parent / "tickets").write_text("in the way")
    refused(rungwise("climb", tickets, *GOOD), "which is a file", "--project")
    assert (tickets.parent / "tickets").read_text() == "in the way"


# --- what is asked -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("accuracy=1.0", "below 1"),
        ("accuracy=1.2", "below 1"),
        ("accuracy=90", "below 1"),
        ("accuracy", "accuracy=0.90"),
        ("accuracy=ninety", "accuracy=0.90"),
        ("accurcy=0.9", "Did you mean 'accuracy'?"),
        ("log_loss=0.5", "reported but not be a target"),
        ("accuracy=0.9@coverage=1.5", "coverage must lie between 0 and 1"),
        ("macro_f1=0.9@coverage=0.8", "use accuracy"),
    ],
)
def test_a_target_that_cannot_be_one_is_refused_and_forgotten(rungwise: Terminal, climbed: Path, target: str, words: str) -> None:
    before = (climbed / "rungwise.yaml").read_bytes()
    refused(rungwise("climb", climbed, "--target", target), words)
    assert (climbed / "rungwise.yaml").read_bytes() == before
    works(rungwise("climb", climbed, *GOOD))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--budget-seconds", "0"), "at least 60"),
        (("--budget-seconds", "-5"), "cannot be negative"),
        (("--max-p95", "nan"), "finite number"),
        (("--budget-usd", "inf"), "finite number"),
        (("--alpha", "0"), "alpha must lie between 0 and 1"),
        (("--alpha", "nan"), "alpha must lie between 0 and 1"),
        (("--seed", "-1"), "seed must be a whole number from 0"),
        (("--seed", "99999999999999"), "seed must be a whole number from 0"),
        (("--volume", "-1"), "cannot be negative"),
        (("--groups", "chanel>=0.5"), "Did you mean 'channel'?"),
        (("--groups", "channel"), "channel>=0.8"),
        (("--groups", "channel>=much"), "channel>=0.8"),
        (("--groups", "channel>=5"), "between 0 and 1"),
        (("--order", "clasical"), "Did you mean 'classical'?"),
        (("--until", "hed"), "Did you mean 'head'?"),
        (("--endpoint", "localhost:8000"), "http://127.0.0.1:8000/v1#model-name"),
        (("--include", "nothing.csv"), "nothing.csv"),
        (("--descriptions", "nothing.yaml"), "nothing.yaml"),
        (("--documents", "nothing"), "no such folder"),
        (("--encoding", "utf-9"), "there is no encoding 'utf-9'"),
        (("--task", "clasify"), "'classify'"),
        (("--targt", "accuracy=0.9"), "--target"),
        (("--project", "elsewhere"), "Leave one of them out"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused_and_forgotten(
    rungwise: Terminal, climbed: Path, options: tuple[str, str], words: str
) -> None:
    before = (climbed / "rungwise.yaml").read_bytes()
    refused(rungwise("climb", climbed, *options), words)
    assert (climbed / "rungwise.yaml").read_bytes() == before


def test_a_budget_of_no_money_and_no_calls_still_climbs_what_costs_nothing(rungwise: Terminal, tickets: Path) -> None:
    works(rungwise("climb", tickets, *GOOD, "--budget-usd", "0", "--budget-calls", "0"))


def test_a_budget_that_is_too_small_says_which_line_to_raise(rungwise: Terminal, tickets: Path) -> None:
    said = rungwise("climb", tickets, "--target", "accuracy=0.7", "--until", "classical", "--budget-seconds", "0.5")
    assert said.code == 1
    assert "Raise budget_s under limits" in " ".join(said.out.split())
    works(rungwise("climb", tickets, *GOOD, "--budget-seconds", "600"))


@pytest.mark.parametrize(("verb", "nearest"), [("clmb", "climb"), ("asc", "ask"), ("reprot", "report")])
def test_a_misspelt_verb_names_the_nearest(rungwise: Terminal, verb: str, nearest: str) -> None:
    refused(rungwise(verb, "x"), f"Did you mean '{nearest}'?")


@pytest.mark.parametrize("verb", ["climb", "forecast", "ask", "report", "replay", "compare", "lineage", "init"])
def test_a_verb_without_its_arguments_says_what_is_missing(rungwise: Terminal, verb: str) -> None:
    refused(rungwise(verb), "Missing argument", f"Type: rungwise {verb} --help")


def test_no_verb_at_all_shows_the_verbs(rungwise: Terminal) -> None:
    said = rungwise()
    assert said.code == 2
    assert "climb" in said.err


@pytest.mark.parametrize(
    "command",
    [
        ("ask", "{}", "hello"),
        ("report", "{}"),
        ("replay", "{}"),
        ("lineage", "{}", "abc"),
        ("compare", "a", "b", "--project", "{}"),
    ],
)
def test_a_folder_that_is_no_project_is_left_as_it_was(rungwise: Terminal, climbed: Path, command: tuple[str, ...]) -> None:
    misspelt = climbed.with_name("tikets")
    refused(rungwise(*(word.format(misspelt) for word in command)), "there is no project", "Did you mean", "tickets")
    assert not misspelt.exists()


@pytest.mark.parametrize("command", [("ask", "hello"), ("report",), ("replay",)])
def test_a_project_without_a_decision_says_to_climb(rungwise: Terminal, tickets: Path, command: tuple[str, ...]) -> None:
    project = tickets.with_name("new")
    assert rungwise("init", project, "--from", tickets).code == 0
    refused(rungwise(command[0], project, *command[1:]), "nothing was decided", "Type: rungwise climb")


def test_a_project_without_a_choice_says_why_nobody_answers(rungwise: Terminal, tickets: Path) -> None:
    assert rungwise("climb", tickets, "--target", "accuracy=0.99", "--until", "floor").code == 1
    refused(rungwise("ask", tickets.with_name("tickets"), "hello"), "not_met", "climb again")


def test_init_refuses_a_second_project_and_begins_none_that_is_wrong(rungwise: Terminal, tickets: Path) -> None:
    project = tickets.with_name("new")
    refused(rungwise("init", project, "--from", tickets, "--groups", "bad"), "channel>=0.8")
    assert not project.exists()
    assert rungwise("init", project, "--from", tickets).code == 0
    refused(rungwise("init", project, "--from", tickets), "already is a project")


def test_compare_names_the_nearest_rung_and_lineage_the_ids(rungwise: Terminal, climbed: Path) -> None:
    refused(rungwise("compare", "clasical", "floor", "--project", climbed), "Did you mean 'classical'?")
    refused(rungwise("lineage", climbed, "not-an-id"), "there is no id 'not-an-id'")


def test_batch_asking_says_what_is_wrong_with_its_files(rungwise: Terminal, climbed: Path) -> None:
    questions = climbed.parent / "q.jsonl"
    questions.write_text('{"message": "where is my parcel"}\n{"massage": "x"}\nnot json\n')
    refused(rungwise("ask", climbed), "what is the question?")
    refused(rungwise("ask", climbed, "--input", questions), "--output q-answered.jsonl")
    refused(rungwise("ask", climbed, "--input", climbed / "none.jsonl", "--output", "a.jsonl"), "there is no file")
    refused(rungwise("ask", climbed, "--input", questions, "--output", questions), "overwrite the questions")
    said = rungwise("ask", climbed, "--input", questions, "--output", climbed / "a.jsonl")
    assert said.code == 1
    assert "2 rows could not be read" in said.err
    rows = [json.loads(line) for line in (climbed / "a.jsonl").read_text().splitlines()]
    assert rows[0]["answer"] == "track_order"
    assert "there is no field 'message'; this row has massage" in rows[1]["error"]


def test_a_table_handed_to_batch_asking_is_refused_before_it_is_read(rungwise: Terminal, climbed: Path) -> None:
    refused(rungwise("ask", climbed, "--input", climbed.parent / "tickets.csv", "--output", "a.jsonl"), "JSONL")


# --- rungwise.yaml -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("alhpa: 0.1", "Did you mean 'alpha'?"),
        ("alpha: much", "a number is wanted, not 'much'"),
        ("seed: 1.5", "a whole number is wanted"),
        ("limits: 5", "must hold keys"),
        ("limits: {p95: 1}", "Did you mean 'p95_s'?"),
        ("limits: {licences: mit}", "a list is wanted"),
        ("limits: {budget_s: 0}", "at least 60"),
        ("limits: {p95_s: .nan}", "finite number"),
        ("endpoints: {name: x}", "a list is wanted"),
        ("endpoints: [{name: x}]", "the key 'base_url' is missing"),
        ("out_of_scope: 5", 'Put it in quotes: "5"'),
        ("descriptions: {2024: it is}", "text is wanted"),
        ("columns: message", "must hold keys"),
        ("multi_label: maybe", "true or false is wanted"),
        ("groups: {field: channel}", "the key 'floor' is missing"),
        ("groups: {field: channel, floor: 0.5, require: good}", "shown_good"),
        ("task: clasify", "Did you mean 'classify'?"),
        ("target: accuracy", "accuracy=0.90"),
        ("target: {metric: accuracy, value: high}", "a number is wanted"),
        ("label_separator: ''", "cannot be empty"),
        ("a: [1,", "not valid YAML"),
        ("\tx: 1", "not valid YAML"),
        ("- a list", "not valid YAML"),
    ],
)
def test_a_broken_rungwise_yaml_names_the_line_or_the_key(rungwise: Terminal, climbed: Path, line: str, words: str) -> None:
    path = climbed / "rungwise.yaml"
    before = path.read_text()
    key = line.split(":")[0]
    kept = [one for one in before.splitlines() if not one.startswith(f"{key}:")]
    path.write_text("\n".join([*kept, line, ""]))
    for verb in ("climb", "forecast"):
        refused(rungwise(verb, climbed), words, "rungwise.yaml" if "accuracy=0.90" not in words else "target")
    path.write_text(before)
    works(rungwise("climb", climbed, *GOOD))


@pytest.mark.parametrize("text", ["", "just words", "[1, 2]", "42"])
def test_a_rungwise_yaml_that_is_no_mapping_is_refused(rungwise: Terminal, climbed: Path, text: str) -> None:
    (climbed / "rungwise.yaml").write_text(text)
    refused(rungwise("climb", climbed), "mapping of keys to values", "task: classify")


def test_data_that_was_moved_away_is_named(rungwise: Terminal, climbed: Path) -> None:
    source = climbed.with_suffix(".csv")
    source.rename(source.with_name("elsewhere.csv"))
    refused(rungwise("climb", climbed), f"rungwise: {source}: there is no such file")  # no detour through the project folder
    source.with_name("elsewhere.csv").rename(source)
    works(rungwise("climb", climbed, *GOOD))


def test_data_that_changed_since_the_decision_stops_the_replay_and_the_report(rungwise: Terminal, climbed: Path) -> None:
    source = climbed.with_suffix(".csv")
    with source.open("a", encoding="utf-8", newline="") as file:
        file.write("T9001,a wholly new message about a parcel,track_order,app\r\n")
    for verb in ("replay", "report"):
        refused(rungwise(verb, climbed), "has changed since the last decision", "Type: rungwise climb")
    assert rungwise("ask", climbed, "where is my parcel").code == 0
    works(rungwise("climb", climbed, *GOOD))
    assert rungwise("replay", climbed).code == 0


def test_a_decision_is_replayed_by_the_use_case_that_it_was_made_with(rungwise: Terminal, climbed: Path) -> None:
    with (climbed / "rungwise.yaml").open("a") as file:
        file.write("seed: 7\nforecast_volume: 5\n")
    assert rungwise("replay", climbed).code == 0
    assert rungwise("report", climbed).code == 0


# --- the disk ------------------------------------------------------------------------------------------------------------


def mounted(options: str) -> Callable[[Path], Iterator[Path]]:
    """A tmpfs for the length of a test; skipped where mounting is not allowed."""

    def mount(folder: Path) -> Iterator[Path]:
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
            pytest.skip("a full or read-only disk is made by mounting a tmpfs, which is not allowed here")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)

    return mount


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    yield from mounted("size=1m")(tmp_path / "disk")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    yield from mounted("size=64m")(tmp_path / "disk")


def test_a_full_disk_is_said_and_the_climb_goes_on_when_there_is_room(rungwise: Terminal, small_disk: Path, tickets: Path) -> None:
    said = rungwise("climb", tickets, "--project", small_disk / "p", *GOOD, "--quiet")
    refused(said, "cannot write", code=3)
    assert any(word in said.err for word in ("No space left", "full"))
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    works(rungwise("climb", tickets, "--project", small_disk / "p", *GOOD))
    assert rungwise("replay", small_disk / "p").code == 0


@pytest.mark.parametrize("room", [0, 4096, 20_000, 60_000, 150_000, 400_000, 700_000])
def test_a_disk_that_fills_up_at_any_point_never_ends_in_a_traceback(
    rungwise: Terminal, small_disk: Path, tickets: Path, room: int
) -> None:
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    (small_disk / "ballast").write_bytes(b"x" * (free - room))
    said = rungwise("climb", tickets, "--project", small_disk / "p", *GOOD, "--quiet")
    refused(said, "cannot", code=3)
    (small_disk / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    works(rungwise("climb", tickets, "--project", small_disk / "p", *GOOD))


def test_a_read_only_disk_is_said_before_anything_is_spent(rungwise: Terminal, disk: Path, climbed: Path) -> None:
    # chmod does not stop root, so the disk itself is made read-only.
    shutil.copytree(climbed.parent, disk / "work")
    project = disk / "work" / "tickets"
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    refused(rungwise("climb", project, *GOOD), "Read-only file system", code=3)
    refused(rungwise("climb", disk / "work" / "tickets.csv", "--project", disk / "new", *GOOD), "Read-only file system", code=3)
    refused(rungwise("report", project), "ead", code=3)
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    works(rungwise("climb", project, *GOOD))


def test_a_state_folder_that_cannot_be_made_is_said(rungwise: Terminal, tickets: Path) -> None:
    project = tickets.with_name("p")
    assert rungwise("init", project, "--from", tickets).code == 0
    (project / "state").write_text("a file in its place")
    refused(rungwise("climb", project, *GOOD), "Choose a writable", code=3)
    (project / "state").unlink()
    works(rungwise("climb", project, *GOOD))


def test_a_report_that_cannot_be_written_is_said(rungwise: Terminal, climbed: Path) -> None:
    (climbed / "blocked").write_text("a file")
    refused(rungwise("report", climbed, "-o", climbed / "blocked" / "report.html"), "cannot write", code=3)
    refused(rungwise("report", climbed, "-o", climbed / "state"), "cannot write", code=3)
    assert rungwise("report", climbed).code == 0


# --- the state -----------------------------------------------------------------------------------------------------------


def test_a_truncated_database_is_refused_and_its_copy_works(rungwise: Terminal, climbed: Path) -> None:
    database = climbed / "state" / "rungwise.db"
    whole = database.read_bytes()
    for size in (len(whole) // 3, 5000, 100):
        database.write_bytes(whole[:size])
        for command in (("climb", climbed), ("ask", climbed, "hello"), ("replay", climbed)):
            refused(rungwise(*command), "rungwise.db", "Put back a copy", code=3)
    database.write_bytes(whole)
    works(rungwise("climb", climbed, *GOOD))


def test_a_damaged_page_of_the_database_is_refused(rungwise: Terminal, climbed: Path) -> None:
    database = climbed / "state" / "rungwise.db"
    whole = database.read_bytes()
    for place in range(4096, len(whole), 8 * 4096):
        database.write_bytes(whole[:place] + os.urandom(4096) + whole[place + 4096 :])
        said = rungwise("climb", climbed, *GOOD, "--quiet")
        assert said.code in (0, 3), said.err  # a page that nobody reads again is no trouble
        if said.code == 3:
            assert "rungwise.db" in said.err
    database.write_bytes(whole)
    works(rungwise("climb", climbed, *GOOD))


def blobs_of(project: Path) -> list[Path]:
    return sorted(one for one in (project / "state" / "blobs").rglob("*") if one.is_file())


def test_a_flipped_byte_is_refused_and_the_command_that_it_names_mends_it(rungwise: Terminal, climbed: Path) -> None:
    for blob in blobs_of(climbed):
        data = bytearray(blob.read_bytes())
        data[len(data) // 2] ^= 1
        blob.write_bytes(data)
    refused(rungwise("ask", climbed, "hello"), "does not match its digest", "rm ", code=3)
    for _ in range(2 * len(blobs_of(climbed))):
        said = rungwise("climb", climbed, *GOOD, "--quiet")
        if said.code == 0:
            break
        refused(said, "does not match its digest", code=3)
        Path(said.err.split("(rm ")[1].split(")")[0]).unlink()  # what the message says to type
    works(said)


def test_lost_files_are_made_anew_and_the_decision_stays(rungwise: Terminal, climbed: Path) -> None:
    before = rungwise("climb", climbed, *GOOD, "--json").document
    for blob in blobs_of(climbed):
        blob.unlink()
    refused(rungwise("ask", climbed, "hello"), "Run the climb again", code=3)
    after = rungwise("climb", climbed, *GOOD, "--json").document
    assert after["decision"] == before["decision"]
    assert after["alpha"] == before["alpha"]
    assert rungwise("ask", climbed, "where is my parcel").code == 0
    refused(rungwise("replay", climbed), "The decision stands; put back a copy", code=3)  # the sealed rows are asked once only


def test_a_state_of_a_newer_version_asks_for_an_upgrade(rungwise: Terminal, climbed: Path) -> None:
    with sqlite3.connect(climbed / "state" / "rungwise.db") as connection:
        connection.execute("update alembic_version set version_num = '9999'")
    connection.close()
    for command in (("climb", climbed), ("ask", climbed, "hello")):
        refused(rungwise(*command), "another version of Rungwise", "pip install -U rungwise", code=3)


def test_a_second_climb_says_who_holds_the_project(rungwise: Terminal, climbed: Path) -> None:
    with project_lock(climbed / "state"):
        refused(rungwise("climb", climbed, *GOOD, "--no-wait"), f"process {os.getpid()}", "Wait for it", code=3)
        assert rungwise("ask", climbed, "where is my parcel").code == 0  # asking needs no lock
    works(rungwise("climb", climbed, *GOOD, "--no-wait"))


# --- JSON ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "code", "kind"),
    [
        (("climb", "nowhere.csv"), 2, "UsageError"),
        (("climb", "{}", "--target", "accurcy=0.9"), 2, "UnknownName"),
        (("climb", "{}", "--targt", "x"), 2, "UsageError"),
        (("clmb",), 2, "UnknownName"),
        (("ask", "{}"), 2, "UsageError"),
        (("lineage", "{}", "zzz"), 2, "UsageError"),
        (("report", "{}", "-o", "/proc/no/report.html"), 3, "StoreError"),
    ],
)
def test_errors_are_one_json_document_too(
    rungwise: Terminal, climbed: Path, command: tuple[str, ...], code: int, kind: str
) -> None:
    said = rungwise(*(word.format(climbed) for word in command), "--json")
    assert said.code == code
    assert said.document["error"]["type"] == kind
    assert said.document["error"]["exit_code"] == code
    assert said.document["error"]["message"] in said.err


@pytest.mark.parametrize(
    "command",
    [
        ("climb", "{}"),
        ("forecast", "{}"),
        ("ask", "{}", "hello"),
        ("report", "{}"),
        ("replay", "{}"),
        ("compare", "floor", "classical", "--project", "{}"),
        ("lineage", "{}", ticket_rows()[0]["id"]),
        ("doctor", "{}"),
    ],
)
def test_every_verb_prints_one_json_document_and_nothing_else(rungwise: Terminal, climbed: Path, command: tuple[str, ...]) -> None:
    said = rungwise(*(word.format(climbed) for word in command), "--json")
    assert said.code == 0, said.err
    assert isinstance(said.document, dict)
    assert said.err == ""
