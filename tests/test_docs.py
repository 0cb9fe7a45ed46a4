"""Docs and code do not part: verbs, keys, options and the code blocks of README and docs are held against the package."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import click
import pytest
import yaml
from terminal import ticket_rows, write_csv

from rungwise.cli.app import known_verbs, rungwise
from rungwise.data.spec import use_case_from

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[str, str]]:
    """(where, text) of every fenced block in one language, '' for those without."""
    return [
        (f"{page.relative_to(ROOT)}-{place}", text)
        for page in PAGES
        for place, (kind, text) in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")))
        if kind == language
    ]


def commands() -> list[tuple[str, str]]:
    """Every command line with `rungwise` in the docs, without its comment."""
    found = []
    for language in ("", "sh", "bash", "console"):
        for where, text in blocks(language):
            joined = text.replace("\\\n", " ")
            found += [(where, line.strip().removeprefix("$ ")) for line in joined.splitlines()]
    return [(where, line) for where, line in found if line.startswith("rungwise ")]


def reference_page() -> object:
    spec = importlib.util.spec_from_file_location("rungwise_yaml", ROOT / "docs" / "rungwise_yaml.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_rungwise_yaml_is_what_its_script_writes() -> None:
    module = reference_page()
    written = (ROOT / "docs" / "reference" / "rungwise-yaml.md").read_text(encoding="utf-8")
    assert written == module.page(), "run: python docs/rungwise_yaml.py"  # type: ignore[attr-defined]


def test_the_example_on_that_page_is_a_use_case() -> None:
    examples = blocks("yaml")
    assert examples
    for where, text in examples:
        case = yaml.safe_load(text)
        if "task" in case:
            use_case_from(case, where=where)


@pytest.mark.parametrize("verb", known_verbs())
def test_each_verb_stands_in_the_docs(verb: str) -> None:
    assert any(f"rungwise {verb}" in page.read_text(encoding="utf-8") for page in PAGES)


def test_each_option_stands_in_the_help_of_its_verb_with_a_sentence() -> None:
    context = click.Context(rungwise)
    for verb in known_verbs():
        command = rungwise.get_command(context, verb)
        assert command is not None
        assert command.help
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert option.help, f"{verb} {option.opts[0]}"


@pytest.mark.parametrize(("where", "line"), commands())
def test_each_command_in_the_docs_can_be_typed(where: str, line: str) -> None:
    words = shlex.split(line, comments=False)
    comment = next((place for place, word in enumerate(words) if word == "#"), len(words))
    verb, *arguments = words[1:comment]
    if verb.startswith("-"):
        return
    command = rungwise.get_command(click.Context(rungwise), verb)
    assert command is not None, f"{where}: {line}"
    command.make_context(verb, arguments, resilient_parsing=False).close()


@pytest.mark.parametrize(("where", "text"), blocks("python"))
def test_each_python_block_compiles(where: str, text: str) -> None:
    compile(text, where, "exec")


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The label's name at the end of each message makes the rows easy enough for 0.90 to be shown on 120 of them.
    rows = [{**row, "message": f"{row['message']} ({row['intent']})"} for row in ticket_rows()]
    write_csv(tmp_path / "tickets.csv", rows)
    monkeypatch.chdir(tmp_path)
    (text,) = [text for where, text in blocks("python") if where.startswith("README") and "Project.create" in text]
    names: dict[str, object] = {}
    exec(compile(text, "README.md", "exec"), names)  # the very code that readers are shown
    assert names["climbed"].decision.verdict == "met"  # type: ignore[attr-defined]
    assert names["answer"]("where is my parcel? (track_order)") == "track_order"  # type: ignore[operator]


def test_the_readme_stays_short_and_its_links_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"
