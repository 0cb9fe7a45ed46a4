"""docs/reference/data.md and the package do not part: verbs, options, documents, reason codes and types."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest

from rungwise.cli.data import VERBS, data
from rungwise.curate.pii.types import SECRETS, TYPES
from rungwise.curate.quality import RULES
from tests.terminal import Terminal

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "reference" / "data.md").read_text(encoding="utf-8")
JSON_TEXT = (ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
CODE = re.compile(r'"((?:import|language|dedup|leaks|labels):[a-z0-9_]+)"')


def section(verb: str) -> str:
    """What the page says of a verb."""
    found = re.search(rf"^### {verb}\n(.*?)(?=^##)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, verb
    return found[1]


def document(verb: str) -> str:
    """The document that the page promises for a verb."""
    found = re.search(r"^`([{\[][^`]*)`", section(verb), re.MULTILINE)
    assert found is not None, verb
    return found[1]


def keys_of(shape: str) -> set[str]:
    """The keys of a document, or of each object of a list, without those of what is in it."""
    inner, before = shape.removeprefix("[").removesuffix("]")[1:-1], ""
    while inner != before:
        before, inner = inner, re.sub(r"[\[{][^\[\]{}]*[\]}]", "", inner)
    return set(re.findall(r'"([a-z_0-9]+)"', inner))


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_is_there_with_its_options_and_no_others(verb: str) -> None:
    command = data.get_command(click.Context(data), verb)
    assert command is not None
    options = {name for one in command.params for name in (*one.opts, *one.secondary_opts) if name.startswith("--")}
    named = set(re.findall(r"`(--[a-z-]+)", section(verb)))
    assert named | {"--json"} == options


@pytest.mark.parametrize("verb", VERBS)
def test_the_page_of_all_json_says_the_same_of_each_verb(verb: str) -> None:
    assert f"`data {verb}`" in JSON_TEXT
    assert document(verb) in JSON_TEXT


def test_each_verb_prints_the_document_that_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        f"r{i},where is parcel number {i} of my order from the {word} shop,{'ab'[i % 2]}" for i, word in enumerate("xyzuvw" * 4)
    ]
    Path("t.csv").write_text("\n".join(["id,text,label", *rows, "r1,another text,a", "broken"]) + "\n", encoding="utf-8")
    Path("m.jsonl").write_text('{"text": "write to ana@example.org"}\n', encoding="utf-8")
    terminal = Terminal(capsys)
    typed = {
        "import": ("t.csv", "--into", "p"),
        "tag": ("p", "raw"),
        "curate": ("p", "--steps", "dedup"),
        "card": ("p",),
        "quarantine": ("p",),
        "split": ("p", "--by", "label"),
        "show": ("p",),
        "diff": ("p", "raw"),
        "restore": ("p", "--reason", "import:duplicate_id"),
        "export": ("p", "out.jsonl"),
        "log": ("p",),
        "erase": ("p", "r3", "--dry-run"),
        "checkout": ("p", "raw"),
        "pii": ("--input", "m.jsonl", "--output", "o.jsonl"),
    }
    assert set(typed) == set(VERBS)
    for verb, words in typed.items():
        answer = terminal("data", verb, *words, "--json")
        assert answer.code == int(verb == "import"), f"{verb}: {answer.err}"
        printed = json.loads(answer.out)
        listed = isinstance(printed, list)
        assert document(verb)[0] == "[{"[not listed], verb
        keys = {key for one in (printed if listed else [printed]) for key in one}
        assert keys == keys_of(document(verb)), verb


def test_each_reason_code_is_explained_and_no_other() -> None:
    folder = ROOT / "rungwise"
    paths = [*(folder / "curate").rglob("*.py"), *(folder / "data").rglob("*.py"), *(folder / "fit").rglob("*.py")]
    given = {code for path in paths for code in CODE.findall(path.read_text(encoding="utf-8"))}
    given |= {f"quality:{rule.code}" for rule in RULES} | {"pii:secret"}
    explained = set(re.findall(r"^\| `([a-z]+:[a-z0-9_]+)` \|", TEXT, re.MULTILINE))
    assert given == explained


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_each_quality_rule_stands_there_with_its_threshold_and_source(rule: object) -> None:
    code, measures, side, threshold, kind, source = (
        getattr(rule, name) for name in ("code", "measures", "side", "threshold", "kind", "source")
    )
    words = {"least": "under", "most": "over"}[side]
    when = measures if threshold == 0 else f"{measures}: {words} {threshold:,g}"
    made_for = {"any": "any text", "document": "document", "lines": "lines"}[kind]
    assert f"| `quality:{code}` | {when} | {made_for} | {source.partition(':')[0] if ':' in source else '-'} |" in TEXT


def test_the_types_of_personal_data_are_listed_secrets_first() -> None:
    listed = re.findall(r"`([A-Z_]+)`", TEXT.partition("## Types of personal data")[2])
    assert set(listed) == set(TYPES)
    assert tuple(listed[: len(SECRETS)]) == SECRETS
