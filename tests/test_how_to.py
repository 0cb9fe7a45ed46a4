"""What the how-to pages tell people to type exists, and what they tell them to write can be read."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from rungwise.core.usecase import Target
from rungwise.data.spec import use_case_from

PAGES = sorted((Path(__file__).resolve().parents[1] / "docs" / "how-to").glob("*.md"))


def blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_rungwise_yaml_that_is_shown_can_be_read(page: Path) -> None:
    for text in blocks(page, "yaml"):
        use_case_from(yaml.safe_load(text), where=page.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_that_is_shown_has_these_options(page: Path) -> None:
    from rungwise.cli.app import rungwise as cli

    commands = [
        line for text in blocks(page, "") for line in text.replace("\\\n", " ").splitlines() if line.startswith("rungwise ")
    ]
    for line in commands:
        _, verb, *words = shlex.split(line, comments=True)
        command = cli.get_command(click.Context(cli), verb)
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
