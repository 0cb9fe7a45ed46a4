"""A group of verbs, each imported only when it is used, so that --help is quick."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

from rungwise.core.errors import UnknownName


class Verbs(click.Group):
    """The verbs of a group by name: the module and the command in it (they have one name), and a line of help.

    `folder` is the package that the modules are in.
    """

    def __init__(self, *arguments: Any, verbs: Mapping[str, tuple[str, str]], folder: str, **more: Any) -> None:
        self.verbs, self.folder = verbs, folder
        super().__init__(*arguments, **more)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order in which people need them."""
        return list(self.verbs)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one verb; an unknown one is None, and click says so."""
        if name not in self.verbs:
            return None
        module, _ = self.verbs[name]
        command: click.Command = getattr(importlib.import_module(f"{self.folder}.{module}"), module)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown verb names the nearest one."""
        if args and args[0] not in self.verbs and not args[0].startswith("-"):
            raise UnknownName("verb", args[0], self.verbs)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing any of them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, text) for verb, (_, text) in self.verbs.items()])
