"""What the how-to pages tell people to type exists, and what they tell them to write can be read."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml

from rungwise.core.usecase import Target
from rungwise.data.spec import SECTIONS, use_case_from
from tests.terminal import Terminal

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs" / "how-to").glob("*.md"))


BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)


def blocks(page: Path, kind: str) -> list[str]:
    return [text for language, text in BLOCK.findall(page.read_text(encoding="utf-8")) if language == kind]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_rungwise_yaml_that_is_shown_can_be_read(page: Path) -> None:
    for text in blocks(page, "yaml"):
        shown = yaml.safe_load(text)
        beside = {"task": "classify"} if set(shown) <= set(SECTIONS) else {}  # a section alone stands in a file that has the rest
        use_case_from({**beside, **shown}, where=page.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_that_is_shown_has_these_options(page: Path) -> None:
    from rungwise.cli.app import rungwise as cli

    commands = [
        line for text in blocks(page, "") for line in text.replace("\\\n", " ").splitlines() if line.startswith("rungwise ")
    ]
    for line in commands:
        command, words = cli, shlex.split(line, comments=True)[1:]
        while isinstance(command, click.Group):
            command, words = command.get_command(click.Context(command), words[0]), words[1:]
            assert command is not None, line
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


def test_every_target_that_is_shown_can_be_parsed() -> None:
    from rungwise.evaluate.metric import target_metric

    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    targets = set(re.findall(r"--target (\S+=[0-9.]+(?:@coverage=[0-9.]+)?)", text))
    targets |= set(re.findall(r"`([a-z0-9_A-Z]+(?:@refund)?=0\.[0-9]+(?:@coverage=[0-9.]+)?)`", text))
    assert len(targets) > 10
    for target in targets:
        target_metric(Target.parse(target).metric)


CURATION = PAGES[0].parent / "curate-data.md"


def lines_to_type(text: str) -> list[str]:
    """The lines of its blocks without a language, in order."""
    return [line for language, block in BLOCK.findall(text) if language == "" for line in block.splitlines()]


def type_in(lines: list[str], terminal: Terminal) -> str:
    """Type the lines one after the other, and give all that was said. Exit code 1 says that rows were set aside."""
    said = []
    for line in lines:
        program, *words = shlex.split(line)
        if program == "python":
            done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
            said.append(done.stdout)
            continue
        assert program == "rungwise"
        answer = terminal(*words)
        assert answer.code == 0 or (answer.code == 1 and words[:2] == ["data", "import"]), f"{line}\n{answer.out}\n{answer.err}"
        said.append(answer.out)
    return "\n".join(said)


def test_the_page_on_curation_can_be_typed_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    ours, _ = CURATION.read_text(encoding="utf-8").split("## The same on public data")
    said = type_in(lines_to_type(ours), Terminal(capsys))
    # What the script planted was found, by the codes that the page names.
    for reason in ("malformed:ragged", "malformed:encoding", "import:no_text", "import:duplicate_id", "dedup:exact", "dedup:near"):
        assert reason in said, reason
    assert re.search(r"\b8\s+pii:secret", said)
    assert re.search(r"\b60\s+dedup:exact", said)
    assert "licence Apache-2.0" in said
    assert "Met: the classical rung" in said
    report = (tmp_path / "support" / "report.html").read_text(encoding="utf-8")
    assert "rungwise data card support --version" in report
    assert (tmp_path / "card.html").read_text(encoding="utf-8").count("<svg") > 10
    assert len((tmp_path / "help-centre.jsonl").read_text(encoding="utf-8").splitlines()) == 44


@pytest.mark.slow
def test_so_can_its_part_on_public_data(
    tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "banking77").symlink_to(shared_data / "banking77")
    monkeypatch.chdir(tmp_path)
    _, public = CURATION.read_text(encoding="utf-8").split("## The same on public data")
    said = type_in(lines_to_type(public), Terminal(capsys))
    assert "77 in 'intent'" in said
    assert "licence CC-BY-4.0" in said
    assert "Met: the classical rung" in said


def test_the_page_on_personal_data_can_be_typed_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pyarrow import parquet

    page = ROOT / "docs" / "how-to" / "mask-personal-data.md"
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNGWISE_PII_KEY", "0123456789abcdef" * 4)
    (messages,) = blocks(page, "json")
    Path("messages.jsonl").write_text(messages, encoding="utf-8")
    said = type_in(lines_to_type(page.read_text(encoding="utf-8")), Terminal(capsys))

    def texts(name: str) -> list[str]:
        return [json.loads(line)["text"] for line in Path(name).read_text(encoding="utf-8").splitlines()]

    (shown,) = blocks(page, "text")
    assert "\n".join(texts("masked.jsonl")) == shown.strip()
    assert "Anna Berger" not in texts("named.jsonl")[1]
    assert Path("back.jsonl").read_text(encoding="utf-8") == messages
    address = re.search(r"\S+@example\.com", texts("other.jsonl")[0])
    assert address is not None
    assert address[0] in texts("other.jsonl")[2]
    assert "[DATE_TIME]" in Path("tickets-masked.jsonl").read_text(encoding="utf-8")
    assert re.search(r"\d+  dedup:exact", said)
    masked = parquet.read_table("support-masked.parquet").column("message").to_pylist()
    assert sum("[DATE_TIME]" in message for message in masked) > 50
