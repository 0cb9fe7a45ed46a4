"""`rungwise data`: rows and documents on their way to a curated, versioned, explained dataset; one verb per file."""

from __future__ import annotations

import importlib

import click

from rungwise.core.errors import UnknownName

# In the order in which people need them; the second is the module of this folder that holds the command.
VERBS = {
    "import": ("importing", "Take in a table, a folder of documents, a dataset folder or a web page as a new version."),
    "curate": ("curating", "Set aside what should not be learned from or tested on; nothing is deleted."),
    "card": ("card", "What is in the data: sources, licences, languages, lengths, labels, duplicates, PII, groups."),
    "quarantine": ("quarantine", "List the rows that were set aside, with reason and evidence."),
    "restore": ("restoring", "Bring rows back from the quarantine."),
    "split": ("splitting", "Draw the splits: stratified, by group, by time or by cluster coverage."),
    "log": ("history", "The versions, newest first."),
    "show": ("showing", "The rows of a version."),
    "diff": ("difference", "What changed between two versions, in rows and in words."),
    "checkout": ("checkout", "Work with another version."),
    "tag": ("tagging", "Give a version a name."),
    "export": ("exporting", "Write a version as JSONL, Parquet or a dataset folder with its card."),
    "erase": ("erasing", "Remove a row or a person everywhere, and say what must be rebuilt."),
    "pii": ("pii", "Find, mask or pseudonymise personal data in a JSONL file."),
}


class DataVerbs(click.Group):
    """The verbs of `rungwise data`, each imported only when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order in which people need them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one verb; an unknown one is None, and click says so."""
        if name not in VERBS:
            return None
        module = importlib.import_module(f"rungwise.cli.data.{VERBS[name][0]}")
        command: click.Command = getattr(module, VERBS[name][0])
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown verb names the nearest one."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            raise UnknownName("verb", args[0], VERBS, where="rungwise data")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing any of them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, text) for verb, (_, text) in VERBS.items()])


@click.group(cls=DataVerbs)
def data() -> None:
    """Rows and documents: import, versions, curation, export.

    Start with: rungwise data import tickets.csv --into support
    """
